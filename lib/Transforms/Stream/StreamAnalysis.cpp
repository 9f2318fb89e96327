// SPDX-License-Identifier: Apache-2.0

#include "StreamAnalysis.h"

#include "Rules.h"
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
    const Arrival late = value.delivered();
    if (std::optional<int64_t> first = get(output).repeatedAt;
        first && late.lookahead < *first)
      return fail(output.getDefiningOp(),
                  "gives an output frames that repeat its first one, before "
                  "that");
    if (value.lookahead >= 0)
      continue;
    // Frames that are known before the first input wait for it.
    int64_t &depth = history[output];
    depth = std::max(depth, value.framesWith(1) + late.skip);
  }
  return keepForRollback();
}

/// What the whole stream has to wait for, at its beginning and at its end.
LogicalResult StreamAnalysis::findRates() {
  Operation *end = sequence.front().getTerminator();
  for (Operation &op : sequence.getBody().front()) {
    auto it = available.find(&op);
    if (it == available.end())
      continue;
    const Availability &value = it->second;
    // A first burst that lacks frames is like none.
    for (const Arrival &arrival : {Arrival(value), value.delivered()})
      warmup = std::max(warmup, arrival.lookahead +
                                    (arrival.startsWithPart() ? arrival.stride
                                                              : 0));
    // Frames in front of an operand that come with an input are for steps.
    for (auto [operand, source] :
         llvm::zip(getRule(&op)->operands, op.getOperands()))
      if (get(source).kind == ValueTime::frames && operand.window.offset < 0)
        warmup = std::max(warmup,
                          value.inputOf(-operand.window.offset - 1) + 1);
    // Strides are products of small numbers: their common multiple is one.
    alignment = std::lcm(alignment, value.stride);
    constexpr int64_t kMost = 1 << 20;
    if (alignment > kMost || warmup > kMost ||
        inputsToSettle(value.length) > kMost)
      return fail(&op, "needs more frames than a stream can hold back");
    for (Value result : op.getResults()) {
      const ValueTime &time = get(result);
      // An output's frames do not come before the first input.
      if (time.kind == ValueTime::atEnd)
        flushFrames =
            std::max(flushFrames, framesBehindEnd(value, value.length));
      else if (llvm::is_contained(end->getOperands(), result))
        flushFrames = std::max(
            flushFrames, framesBehindEnd(value.delivered(), value.length));
      // What is repeated at one position is known from the next one on.
      if (time.repeatedAt)
        warmup = std::max(warmup, *time.repeatedAt + 1);
    }
    if (flushFrames > kMost)
      return fail(&op, "needs more frames than a stream can hold back");
  }
  warmup = llvm::divideCeil(warmup, alignment) * alignment;
  return success();
}

bool StreamAnalysis::comeTogether(const Availability &a,
                                  const Availability &b) const {
  // Without an end to wait for, what comes always is one.
  if (flushFrames == 0)
    return a == b || (comesAlways(a) && comesAlways(b));
  return a == b && a.length == b.length;
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

StreamAnalysis::Age StreamAnalysis::getAge(Operation *op,
                                           unsigned operand) const {
  return getAge(op, operand, /*later=*/0);
}

StreamAnalysis::Age StreamAnalysis::getAge(Operation *op, unsigned operand,
                                           int64_t later) const {
  const Availability &in = get(op->getOperand(operand)).available;
  const Availability &out = getAvailability(op);
  const TimeWindow &window = getRule(op)->operands[operand].window;
  Age age;
  // The next bursts, up to where the operand's are as they were.
  int64_t bursts = std::lcm(in.stride, out.stride) / out.stride;
  for (int64_t k = 0; k < bursts; ++k) {
    int64_t first = window.firstFor(k * out.burst - out.skip),
            newest =
                in.framesWith(k * out.stride + out.lookahead + 1 + later) - 1;
    age.isAlways &= k == 0 || newest - first == age.most;
    age.most = k == 0 ? newest - first : std::max(age.most, newest - first);
  }
  return age;
}

/// The stride, look-ahead and length of the results of `op`.
LogicalResult StreamAnalysis::meet(Operation *op, const TimeRule &rule,
                                   Availability &result) {
  /// What an operand lets the op have, as if it were the only one.
  struct Side {
    const Availability *in;
    const TimeWindow *window;
    int64_t frames, inputs; // so many more frames with so many more inputs
  };
  SmallVector<Side> sides;
  for (auto [k, operand] : llvm::enumerate(rule.operands)) {
    const ValueTime &value = get(op->getOperand(k));
    if (value.kind != ValueTime::frames)
      continue;
    const Availability &in = value.available;
    Side side = {&in, &operand.window, in.burst * operand.window.repeat,
                 in.stride * operand.window.stride};
    int64_t common = std::gcd(side.frames, side.inputs);
    side.frames /= common;
    side.inputs /= common;
    FrameCount length = in.length;
    addStep(length, rule.length);
    if (sides.empty()) {
      result.length = length;
    } else if (side.frames != sides[0].frames ||
               side.inputs != sides[0].inputs) {
      auto rate = [](const Side &side) {
        return (side.frames == 1 ? "one" : std::to_string(side.frames)) +
               " every " + std::to_string(side.inputs);
      };
      return fail(op, "joins frames at two rates, " + rate(sides[0]) + " and " +
                          rate(side) + " frames of the input");
    } else if (std::optional<FrameCount> smaller =
                   smallerCount(result.length, length)) {
      result.length = *smaller;
    } else {
      return fail(op, "joins sequences of which now the one and now the other "
                      "is longer");
    }
    sides.push_back(side);
  }
  // A frame waits for what it needs, and until it is known to be one.
  auto inputOf = [&](int64_t j) {
    int64_t latest = inputsFor(result.length, j + 1) - 1;
    for (const Side &side : sides)
      latest = std::max(latest, side.in->inputOf(side.window->firstFor(j) +
                                                 side.window->window - 1));
    return latest;
  };
  int64_t period = periodInFrames(result.length);
  for (const Side &side : sides)
    period = std::lcm(period, side.in->burst * side.window->repeat);
  // And of a whole number of inputs.
  period = std::lcm(period, sides[0].frames);
  constexpr int64_t kLongest = 1 << 16;
  std::optional<Arrival> arrival =
      period > kLongest ? std::nullopt : fitArrival(inputOf, period);
  if (!arrival)
    return fail(op, "has frames at a rate that the number of inputs does not "
                    "divide into");
  static_cast<Arrival &>(result) = *arrival;
  return success();
}

/// Whether the frames of a result that come before those of its operands do are
/// equal to the first that does not.
LogicalResult
StreamAnalysis::meetRepeated(Operation *op, const TimeRule &rule,
                             const Availability &available,
                             std::optional<int64_t> &repeatedAt) {
  bool samePlace = true;
  for (auto [operand, value] : llvm::zip(rule.operands, op->getOperands())) {
    const ValueTime &time = get(value);
    if (time.repeatedAt)
      repeatedAt = std::max(repeatedAt.value_or(INT64_MIN), *time.repeatedAt);
    if (operand.time)
      samePlace &= operand.window.isFrame() &&
                   (time.kind == ValueTime::frames
                        ? bool(time.repeatedAt)
                        : bool(repeatConstant(value, *operand.time, 1)));
  }
  if (rule.nearest && rule.operands[0].window.offset < 0) {
    const Availability &in = get(op->getOperand(0)).available;
    if (repeatedAt || in.burst != 1)
      return fail(op, "repeats a frame that may be one of several");
    // What is known before the first input needs no waiting for.
    if (in.lookahead >= 0)
      repeatedAt = in.lookahead;
    return success();
  }
  if (!repeatedAt || available.lookahead >= *repeatedAt) {
    repeatedAt = std::nullopt;
    return success();
  }
  if (samePlace && available.burst == 1 &&
      cast<StreamingOpInterface>(op).getCarriedStates(rule).empty())
    return success();
  return fail(op, "needs the frames in front of a sequence, which repeat its "
                  "first one, before that");
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
  splitFrames(rule);
  Availability result;
  std::optional<int64_t> repeatedAt;
  if (failed(meet(op, rule, result)) ||
      failed(meetRepeated(op, rule, result, repeatedAt)))
    return failure();
  for (auto [operand, value] : llvm::zip(rule.operands, op->getOperands())) {
    if (get(value).kind == ValueTime::frames || !operand.time)
      continue;
    if (!operand.window.isFrame())
      return fail(op, "moves a constant in time");
    if (failed(demand(op, value, *operand.time, result)))
      return failure();
  }
  if (rule.mostFrames) {
    int64_t end = inputsWithin(result.length, *rule.mostFrames);
    maxFrames = std::min(maxFrames.value_or(end), end);
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
    known.repeatedAt = repeatedAt;
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
        if (failed(streaming.inferTime(operands, rule, why)))
          continue;
        splitFrames(rule);
        // A dimension of size 1 becomes whatever it is merged with.
        if (rule.operands[k].window.repeat > 1 && type.getDimSize(dim) == 1)
          continue;
        if (rule.results[result].kind == TimeResult::frames &&
            rule.results[result].time == time &&
            llvm::all_of(rule.operands, [](const TimeOperand &operand) {
              return operand.window.keepsPlace();
            }) &&
            streaming.getCarriedStates(rule).empty())
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
                                     const Availability &by,
                                     const TimeWindow &per) {
  if (repeatConstant(value, time, 1))
    return success();
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<tensor::EmptyOp>(op))
    return success();
  if (isa_and_nonnull<arith::ConstantOp, ssm::WeightOp>(op)) {
    if (!time.isWhole())
      return fail(user, "reads a constant along a part of a dimension");
    // The most inputs for which a whole stream has no more frames than it.
    int64_t end = inputsWithin(
        by.length, timeLength(value, time) / per.stride * per.repeat);
    maxFrames = std::min(maxFrames.value_or(end), end);
    return success();
  }
  TimeRule rule;
  if (!op || failed(traceBack(op, cast<OpResult>(value).getResultNumber(), time,
                              rule)))
    return fail(user, op ? "needs every time step of a value that has no frames"
                         : "needs an input of the same length as its others, "
                           "but that input was not given a time dimension");
  for (auto [operand, source] : llvm::zip(rule.operands, op->getOperands())) {
    if (!operand.time)
      continue;
    TimeWindow all = per;
    all.stride *= operand.window.stride;
    all.repeat *= operand.window.repeat;
    int64_t common = std::gcd(all.stride, all.repeat);
    all.stride /= common;
    all.repeat /= common;
    if (by.burst % all.repeat != 0 || by.skip % all.repeat != 0)
      return fail(user, "reads parts of a constant's frames");
    if (failed(demand(user, source, *operand.time, by, all)))
      return failure();
  }
  return success();
}

int64_t StreamAnalysis::getOffset(Operation *op, unsigned operand) const {
  const TimeRule &rule = *getRule(op);
  const Availability &in = get(op->getOperand(operand)).available;
  return rule.operands[operand].window.firstFor(
             getAvailability(op).framesWith(0)) -
         in.framesWith(0);
}

LogicalResult StreamAnalysis::needHistories(Operation *op) {
  for (auto [k, value] : llvm::enumerate(op->getOperands())) {
    if (get(value).kind != ValueTime::frames)
      continue;
    int64_t &depth = history[value];
    int64_t newest = get(value).available.burst;
    if (getRule(op)->tail)
      // The last burst may have more than the last frame.
      depth = std::max(depth,
                       getRule(op)->operands[k].window.window + newest - 1);
    else
      // From another region its newest frames, too, are history.
      depth = std::max(
          {depth, -getOffset(op, k),
           getAge(op, k).most + 1 -
               (getRegion(op) == getRegion(value) ? newest : 0)});
    if (depth > 0 && !get(value).available.time.isWhole())
      return fail(op, "needs earlier frames of a dimension that time is a part "
                      "of");
  }
  return success();
}

int64_t StreamAnalysis::getLoggedAge(Operation *op, unsigned operand) const {
  return getAge(op, operand, /*later=*/rollback - 1).most;
}

/// Where frames can be taken back, histories reach back further by as many; and
/// what the carried states were made of is history too.
LogicalResult StreamAnalysis::keepForRollback() {
  neededHistory = history;
  if (rollback == 0)
    return success();
  for (auto &[value, depth] : history)
    if (depth > 0)
      depth += llvm::divideCeil(rollback, get(value).available.stride) *
               get(value).available.burst;
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

/// Writes long convolutions as convolutions.
static void expandLongConvs(func::FuncOp function) {
  function.walk([](ssm::LongConvOp conv) {
    OpBuilder b(conv);
    int64_t taps = tensorOf(conv.getKernel()).getDimSize(1),
            frames = tensorOf(conv.getX()).getDimSize(2);
    Value y = ssm::LongConvOp::buildConv(b, conv.getLoc(), conv.getX(),
                                         conv.getKernel(), taps - 1);
    // A kernel that is as long as the file's sequence may have been cut there.
    if (taps >= frames)
      y.getDefiningOp()->setAttr(kMostFramesAttr, b.getI64IntegerAttr(taps));
    conv.getResult().replaceAllUsesWith(y);
    conv.erase();
  });
}

void itera::makePaddingExplicit(func::FuncOp function) {
  expandLongConvs(function);
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
