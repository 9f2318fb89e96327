// SPDX-License-Identifier: Apache-2.0

#include "StreamAnalysis.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"
#include <map>
#include <numeric>

using namespace mlir;
using namespace itera;

/// Adds a step to a length, where the two can be written as one.
static void addStep(SmallVector<CountStep> &length, const CountStep &step) {
  if (step.isIdentity())
    return;
  // floor((floor((n + a) / d) + b) / e) = floor((n + a + b*d) / (d*e)), where
  // nothing is clamped or multiplied in between.
  if (!length.empty() && length.back().multiply == 1) {
    CountStep &last = length.back();
    last = {last.add + step.add * last.divide, last.divide * step.divide,
            step.multiply};
    if (last.isIdentity())
      length.pop_back();
    return;
  }
  length.push_back(step);
}

LogicalResult StreamAnalysis::fail(Operation *op, const Twine &why) {
  problem.op = op;
  problem.why = why.str();
  return failure();
}

const ValueTime &StreamAnalysis::get(Value value) const {
  static const ValueTime constant;
  auto it = values.find(value);
  return it == values.end() ? constant : it->second;
}

const TimeRule *StreamAnalysis::getRule(Operation *op) const {
  auto it = rules.find(op);
  return it == rules.end() ? nullptr : &it->second;
}

/// The size of the time dimension of a value of the whole-sequence graph.
static int64_t timeLength(Value value, const TimeDim &time) {
  int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(time.dim);
  return size / (time.outer * time.inner);
}

LogicalResult StreamAnalysis::run(ArrayRef<std::optional<TimeDim>> inputs) {
  for (auto [argument, time] : llvm::zip(sequence.getArguments(), inputs)) {
    ValueTime &value = values[argument];
    value.kind = time ? ValueTime::frames : ValueTime::fixed;
    if (!time)
      continue;
    value.available.time = *time;
    value.available.wholeLength = timeLength(argument, *time);
  }
  for (Operation &op : sequence.getBody().front().without_terminator())
    if (failed(visit(&op)))
      return failure();
  retime();
  if (failed(findRates()))
    return failure();
  groupOps();
  findRegions();
  for (Operation &op : sequence.getBody().front().without_terminator())
    if (rules.contains(&op) && failed(needHistories(&op)))
      return failure();
  for (Value output : sequence.front().getTerminator()->getOperands()) {
    if (get(output).kind != ValueTime::frames)
      continue;
    const Availability &value = get(output).available;
    if (!value.time.isWhole())
      return fail(output.getDefiningOp(),
                  "gives an output whose time is a part of a dimension");
    if (value.lookahead >= 0)
      continue;
    // Frames that are known before the first input wait for it.
    if (value.stride != 1)
      return fail(output.getDefiningOp(),
                  "gives an output frames before its first input");
    int64_t &depth = history[output];
    depth = std::max(depth, 1 - value.lookahead);
  }
  return keepForRollback();
}

/// The least look-ahead with which a value never has more frames than a
/// sequence of as many inputs would: floor((t - 1 - f) / s) + 1 <= L(t).
static std::optional<int64_t> leastLookahead(const Availability &value) {
  if (value.length.empty())
    return value.stride == 1 ? std::optional<int64_t>(0) : std::nullopt;
  const CountStep &step = value.length.front();
  if (value.length.size() > 1 || step.multiply != 1 ||
      step.divide != value.stride)
    return std::nullopt;
  return value.stride - 1 - step.add;
}

/// What the whole stream has to wait for, at its beginning and at its end.
LogicalResult StreamAnalysis::findRates() {
  Operation *end = sequence.front().getTerminator();
  for (Operation &op : sequence.getBody().front()) {
    auto it = available.find(&op);
    if (it == available.end())
      continue;
    const Availability &value = it->second;
    int64_t lookahead = std::max<int64_t>(value.lookahead, 0);
    warmup = std::max(warmup, lookahead);
    // Strides are products of small numbers: their common multiple is one.
    alignment = std::lcm(alignment, value.stride);
    // Frame L(T) - 1 comes at s * (L(T) - 1) + f, and L(T) <= (T + a) / s. An
    // output's frames do not come before the first input.
    int64_t add = value.length.empty() ? 0 : value.length.front().add;
    auto flushFor = [&](int64_t lookahead) {
      flushFrames = std::max(flushFrames, add - value.stride + lookahead + 1);
    };
    for (Value result : op.getResults())
      if (llvm::is_contained(end->getOperands(), result) &&
          get(result).kind == ValueTime::frames)
        flushFor(lookahead);
      else if (get(result).kind == ValueTime::atEnd)
        flushFor(value.lookahead);
    constexpr int64_t kMost = 1 << 20;
    if (alignment > kMost || warmup > kMost || flushFrames > kMost)
      return fail(&op, "needs more frames than a stream can hold back");
  }
  warmup = llvm::divideCeil(warmup, alignment) * alignment;
  return success();
}

bool StreamAnalysis::comeTogether(const Availability &a,
                                  const Availability &b) const {
  if (flushFrames == 0 && comesAlways(a) && comesAlways(b))
    return true;
  return a.stride == b.stride && a.lookahead == b.lookahead &&
         (flushFrames == 0 || a.length == b.length);
}

/// Puts ops whose frames come together one after the other, as far as they do
/// not depend on each other through others; the rest keeps its order.
void StreamAnalysis::groupOps() {
  Block &body = sequence.front();
  // Per kind of availability the ops that could be next, by their old place.
  // The first kind are ops without frames.
  SmallVector<std::pair<const Availability *, std::map<unsigned, Operation *>>>
      ready{{nullptr, {}}};
  auto makeReady = [&](unsigned place, Operation *op) {
    auto it = available.find(op);
    const Availability *value = it == available.end() ? nullptr : &it->second;
    for (auto &[kind, ops] : ready)
      if (kind && value ? comeTogether(*kind, *value) : kind == value) {
        ops[place] = op;
        return;
      }
    ready.push_back({value, {{place, op}}});
  };
  llvm::DenseMap<Operation *, unsigned> places, waiting;
  auto readersOf = [&](Operation *op) {
    SmallVector<Operation *> readers;
    for (Operation *user : op->getUsers())
      if (Operation *reader = body.findAncestorOpInBlock(*user);
          reader != body.getTerminator())
        readers.push_back(reader);
    return readers;
  };
  for (auto [place, op] : llvm::enumerate(body.without_terminator())) {
    places[&op] = place;
    for (Operation *reader : readersOf(&op))
      ++waiting[reader];
  }
  for (Operation &op : body.without_terminator())
    if (!waiting.lookup(&op))
      makeReady(places[&op], &op);

  size_t current = 0;
  while (true) {
    auto &others = ready[0].second, &same = ready[current].second;
    size_t from = current;
    if (!others.empty() &&
        (same.empty() || others.begin()->first < same.begin()->first))
      from = 0;
    if (ready[from].second.empty()) {
      // What is known first comes first.
      for (size_t i = 1; i < ready.size(); ++i)
        if (!ready[i].second.empty() &&
            (ready[from].second.empty() ||
             ready[i].first->lookahead < ready[from].first->lookahead))
          from = i;
      if (ready[from].second.empty())
        return;
    }
    if (from != 0)
      current = from;
    auto next = ready[from].second.begin();
    Operation *op = next->second;
    ready[from].second.erase(next);
    op->moveBefore(body.getTerminator());
    for (Operation *reader : readersOf(op))
      if (--waiting[reader] == 0)
        makeReady(places[reader], reader);
  }
}

void StreamAnalysis::findRegions() {
  unsigned region = 0;
  bool interrupted = true; // the last op is of region 0
  Availability last;
  for (Operation &op : sequence.getBody().front()) {
    auto it = available.find(&op);
    if (it == available.end())
      continue;
    const Availability &value = it->second;
    // Without an end to wait for, what comes always is one region. Otherwise
    // what comes earlier ends earlier, too.
    if (flushFrames == 0 && comesAlways(value)) {
      regions[&op] = 0;
      interrupted = true;
      continue;
    }
    if (interrupted || !comeTogether(value, last))
      ++region;
    interrupted = false;
    regions[&op] = region;
    last = value;
  }
}

unsigned StreamAnalysis::getRegion(Value value) const {
  Operation *op = value.getDefiningOp();
  return op ? getRegion(op) : 0;
}

int64_t StreamAnalysis::getAge(Operation *op, unsigned operand) const {
  const Availability &in = get(op->getOperand(operand)).available;
  const Availability &out = getAvailability(op);
  return floorDiv(out.lookahead - in.lookahead, in.stride) -
         getRule(op)->operands[operand].window.offset;
}

/// The stride, look-ahead and length of the results of `op`.
LogicalResult StreamAnalysis::meet(Operation *op, const TimeRule &rule,
                                   Availability &result) {
  bool first = true;
  for (auto [k, operand] : llvm::enumerate(rule.operands)) {
    const ValueTime &value = get(op->getOperand(k));
    if (value.kind != ValueTime::frames)
      continue;
    const Availability &in = value.available;
    const TimeWindow &window = operand.window;
    Availability one;
    one.stride = in.stride * window.stride;
    one.lookahead =
        in.lookahead + in.stride * (window.offset + window.window - 1);
    one.length = in.length;
    addStep(one.length, rule.length);
    std::optional<int64_t> least = leastLookahead(one);
    if (!least)
      return fail(op, "has frames at a rate that the number of inputs does "
                      "not divide into");
    one.lookahead = std::max(one.lookahead, *least);
    if (first) {
      result = one;
      first = false;
      continue;
    }
    if (one.stride != result.stride)
      return fail(op, "joins frames at two rates, one every " +
                          Twine(result.stride) + " and one every " +
                          Twine(one.stride) + " frames of the input");
    if (one.length != result.length)
      return fail(op, "joins sequences whose lengths differ by more than this "
                      "file's length shows");
    result.lookahead = std::max(result.lookahead, one.lookahead);
  }
  return success();
}

LogicalResult StreamAnalysis::visit(Operation *op) {
  bool hasFrames = false, hasEnd = false, hasFixed = false;
  auto look = [&](Value value) {
    ValueTime::Kind kind = get(value).kind;
    hasFrames |= kind == ValueTime::frames;
    hasEnd |= kind == ValueTime::atEnd;
    hasFixed |= kind == ValueTime::fixed;
  };
  llvm::for_each(op->getOperands(), look);
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  llvm::for_each(captured, look);

  if (hasFrames && hasEnd)
    return fail(op, "needs what is known at the end only, for every frame");
  if (!hasFrames) {
    if (hasEnd || hasFixed)
      for (Value result : op->getResults())
        values[result].kind = hasEnd ? ValueTime::atEnd : ValueTime::fixed;
    return success();
  }
  for (Value value : captured)
    if (get(value).kind == ValueTime::frames)
      return fail(op, "reads a value with time in its body");
  auto streaming = dyn_cast<StreamingOpInterface>(op);
  if (!streaming)
    return fail(op, "has no rule for streaming");

  SmallVector<std::optional<TimeDim>> times;
  for (Value operand : op->getOperands()) {
    const ValueTime &value = get(operand);
    times.push_back(value.kind == ValueTime::frames
                        ? std::optional(value.available.time)
                        : std::nullopt);
  }
  TimeRule rule;
  std::string why;
  if (failed(streaming.inferTime(times, rule, why)))
    return fail(op, why);
  Availability result;
  if (failed(meet(op, rule, result)))
    return failure();
  for (auto [operand, value] : llvm::zip(rule.operands, op->getOperands())) {
    if (get(value).kind == ValueTime::frames || !operand.time)
      continue;
    if (operand.window.stride != 1 || operand.window.offset != 0 ||
        operand.window.window != 1)
      return fail(op, "moves a constant in time");
    if (failed(demand(op, value, *operand.time, result)))
      return failure();
  }
  for (auto [time, value] : llvm::zip(rule.results, op->getResults())) {
    ValueTime &known = values[value];
    if (time.kind == TimeResult::invariant)
      return fail(op, "has a result that does not change with time");
    known.kind =
        time.kind == TimeResult::frames ? ValueTime::frames : ValueTime::atEnd;
    if (known.kind == ValueTime::atEnd)
      continue;
    known.available = result;
    known.available.time = time.time;
    known.available.wholeLength = timeLength(value, time.time);
  }
  available[op] = std::move(result);
  rules[op] = std::move(rule);
  return success();
}

DenseElementsAttr itera::repeatConstant(Value value, const TimeDim &time,
                                        int64_t frames) {
  DenseElementsAttr constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return {};
  RankedTensorType type = withFrames(value.getType(), time, frames);
  if (constant.isSplat())
    return constant.resizeSplat(type);
  // As [outer, T, inner].
  ArrayRef<int64_t> shape = cast<RankedTensorType>(value.getType()).getShape();
  int64_t length = timeLength(value, time), inner = time.inner;
  for (int64_t size : shape.drop_front(time.dim + 1))
    inner *= size;
  auto elements = llvm::to_vector(constant.getValues<Attribute>());
  SmallVector<Attribute> repeated;
  for (ArrayRef<Attribute> rest(elements); !rest.empty();
       rest = rest.drop_front(length * inner)) {
    ArrayRef<Attribute> first = rest.take_front(inner);
    for (int64_t t = 1; t < length; ++t)
      if (rest.slice(t * inner, inner) != first)
        return {};
    for (int64_t t = 0; t < frames; ++t)
      llvm::append_range(repeated, first);
  }
  return DenseElementsAttr::get(type, repeated);
}

LogicalResult itera::traceBack(Operation *op, unsigned result,
                               const TimeDim &time, TimeRule &rule) {
  auto streaming = dyn_cast_or_null<StreamingOpInterface>(op);
  if (!streaming)
    return failure();
  SmallVector<std::optional<TimeDim>> operands(op->getNumOperands());
  for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type)
      continue;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      SmallVector<TimeDim> candidates = {{dim, 1, 1}};
      if (!time.isWhole())
        candidates.push_back({dim, time.outer, time.inner});
      for (const TimeDim &candidate : candidates) {
        operands[k] = candidate;
        rule = TimeRule();
        std::string why;
        if (succeeded(streaming.inferTime(operands, rule, why)) &&
            rule.results[result].kind == TimeResult::frames &&
            rule.results[result].time == time)
          return success();
      }
    }
    operands[k] = std::nullopt;
  }
  return failure();
}

/// Checks that `value`, which depends on nothing with time, can be read frame
/// by frame along `time` for a result that is available as `by` says.
LogicalResult StreamAnalysis::demand(Operation *user, Value value,
                                     const TimeDim &time,
                                     const Availability &by) {
  if (repeatConstant(value, time, 1))
    return success();
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<tensor::EmptyOp>(op))
    return success();
  if (isa_and_nonnull<arith::ConstantOp, ssm::WeightOp>(op)) {
    if (!time.isWhole())
      return fail(user, "reads a constant along a part of a dimension");
    // The most inputs for which a whole stream has no more frames than it.
    CountStep step = by.length.empty() ? CountStep() : by.length.front();
    int64_t end = step.divide * (timeLength(value, time) + 1) - 1 - step.add;
    maxFrames = std::min(maxFrames.value_or(end), end);
    return success();
  }
  TimeRule rule;
  if (!op || failed(traceBack(op, cast<OpResult>(value).getResultNumber(), time,
                              rule)))
    return fail(user, op ? "needs every time step of a value that has no frames"
                         : "needs an input of the same length as its others, "
                           "but that input was not given a time dimension");
  for (auto [operand, source] : llvm::zip(rule.operands, op->getOperands()))
    if (operand.time && failed(demand(user, source, *operand.time, by)))
      return failure();
  return success();
}

int64_t StreamAnalysis::getOffset(Operation *op, unsigned operand) const {
  const TimeRule &rule = *getRule(op);
  const Availability &in = get(op->getOperand(operand)).available;
  const TimeWindow &window = rule.operands[operand].window;
  const Availability &out = getAvailability(op);
  return floorDiv(in.lookahead, in.stride) -
         window.stride * floorDiv(out.lookahead, out.stride) + window.offset;
}

LogicalResult StreamAnalysis::needHistories(Operation *op) {
  for (auto [k, value] : llvm::enumerate(op->getOperands())) {
    if (get(value).kind != ValueTime::frames)
      continue;
    int64_t &depth = history[value];
    if (getRule(op)->tail)
      depth = std::max(depth, getRule(op)->operands[k].window.window);
    else
      // From another region its newest frame, too, is history.
      depth = std::max({depth, -getOffset(op, k),
                        getAge(op, k) + (getRegion(op) != getRegion(value))});
    if (depth > 0 && !get(value).available.time.isWhole())
      return fail(op, "needs earlier frames of a dimension that time is a part "
                      "of");
  }
  return success();
}

int64_t StreamAnalysis::getLoggedAge(Operation *op, unsigned operand) const {
  const Availability &in = get(op->getOperand(operand)).available;
  return floorDiv(getAvailability(op).lookahead - in.lookahead + rollback - 1,
                  in.stride) -
         getRule(op)->operands[operand].window.offset;
}

/// Where frames can be taken back, histories reach back further by as many; and
/// what the carried states were made of is history too.
LogicalResult StreamAnalysis::keepForRollback() {
  neededHistory = history;
  if (rollback == 0)
    return success();
  for (auto &[value, depth] : history)
    if (depth > 0)
      depth += llvm::divideCeil(rollback, get(value).available.stride);
  for (Operation &op : sequence.getBody().front().without_terminator()) {
    const TimeRule *rule = getRule(&op);
    if (!rule)
      continue;
    auto streaming = cast<StreamingOpInterface>(op);
    if (streaming.getCarriedStates(*rule).empty())
      continue;
    for (auto [k, value] : llvm::enumerate(op.getOperands())) {
      if (get(value).kind != ValueTime::frames ||
          !streaming.statesDependOn(*rule, k))
        continue;
      if (!get(value).available.time.isWhole())
        return fail(&op, "cannot take frames back: it reads a dimension that "
                         "time is a part of");
      int64_t &depth = history[value];
      depth = std::max(depth, getLoggedAge(&op, k) + 1);
    }
  }
  return success();
}

void itera::makePaddingExplicit(func::FuncOp function) {
  function.walk([](ssm::ConvOp conv) {
    SmallVector<int64_t> none(conv.getStrides().size(), 0);
    if (conv.getPadsLow() == ArrayRef(none) &&
        conv.getPadsHigh() == ArrayRef(none))
      return;
    OpBuilder b(conv);
    SmallVector<OpFoldResult> low(2, b.getIndexAttr(0)), high(low);
    auto type = cast<RankedTensorType>(conv.getX().getType());
    SmallVector<int64_t> shape(type.getShape());
    for (auto [i, pads] : llvm::enumerate(
             llvm::zip(conv.getPadsLow(), conv.getPadsHigh()))) {
      low.push_back(b.getIndexAttr(std::get<0>(pads)));
      high.push_back(b.getIndexAttr(std::get<1>(pads)));
      shape[2 + i] += std::get<0>(pads) + std::get<1>(pads);
    }
    Value zero = arith::ConstantOp::create(
        b, conv.getLoc(), b.getZeroAttr(type.getElementType()));
    conv.getXMutable().assign(tensor::PadOp::create(
        b, conv.getLoc(), type.clone(shape), conv.getX(), low, high, zero));
    conv.setPadsLow(none);
    conv.setPadsHigh(none);
  });
}
