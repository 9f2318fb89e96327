// SPDX-License-Identifier: Apache-2.0
//
// Invariant: a history holds the frames of a value up to the newest one, at
// least as many as its uses go back. Within a region ops see each other's new
// frames; across regions they see what the histories hold after the region of
// the operand has run, or has not run.

#include "EntryBuilder.h"

#include "Bursts.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace itera;

void EntryBuilder::start(StringRef name, Mode newMode) {
  mode = newMode;
  builder.setInsertionPointToEnd(
      sequence->getParentOfType<ModuleOp>().getBody());
  function = func::FuncOp::create(builder, sequence.getLoc(), name,
                                  builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  mapping.clear();
  extended.clear();
  states.clear();
  results.clear();
  resultAttrs.clear();
  clock = Value();
  llvm::fill(clockEntries, Value());
  lastConstant = current = nullptr;
  nextStates.assign(plan.states.size(), Value());
}

Value EntryBuilder::addArgument(Type type, StringRef role, unsigned index) {
  unsigned number = function.getNumArguments();
  (void)function.insertArgument(
      number, type,
      builder.getDictionaryAttr(
          builder.getNamedAttr(role, builder.getI64IntegerAttr(index))),
      function.getLoc());
  return function.getArgument(number);
}

void EntryBuilder::addInputs(int64_t frames) {
  inputFrames = frames;
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments())) {
    const ValueTime &time = analysis.get(argument);
    if (time.kind == ValueTime::frames)
      mapping.map(argument,
                  addArgument(withFrames(argument.getType(),
                                         time.available.time, frames),
                              ssm::kInputAttr, i));
  }
}

void EntryBuilder::addConstants() {
  for (auto [i, value] : llvm::enumerate(plan.constants))
    mapping.map(value, addArgument(value.getType(), ssm::kConstantAttr, i));
}

void EntryBuilder::addStates() {
  for (auto [i, state] : llvm::enumerate(plan.states))
    states.push_back(addArgument(state.type, ssm::kStateAttr, i));
  nextStates = states;
}

void EntryBuilder::addClock() {
  int64_t numbers = takesBack() ? 3 : 2;
  clock = addArgument(RankedTensorType::get({numbers}, builder.getI64Type()),
                      ssm::kClockAttr, 0);
}

void EntryBuilder::addResult(Value value, StringRef role, unsigned index) {
  results.push_back(value);
  resultAttrs.push_back(builder.getDictionaryAttr(
      builder.getNamedAttr(role, builder.getI64IntegerAttr(index))));
}

func::FuncOp EntryBuilder::finish() {
  func::ReturnOp::create(builder, function.getLoc(), results);
  function.setType(builder.getFunctionType(
      function.front().getArgumentTypes(), ValueRange(results).getTypes()));
  function.setAllResultAttrs(resultAttrs);
  return function;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

Value EntryBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, function.getLoc(), value);
}

Value EntryBuilder::plus(Value value, int64_t amount) {
  return amount == 0 ? value
                     : arith::AddIOp::create(builder, function.getLoc(), value,
                                             index(amount));
}

Value EntryBuilder::times(Value value, int64_t factor) {
  return factor == 1 ? value
                     : arith::MulIOp::create(builder, function.getLoc(), value,
                                             index(factor));
}

/// Only of what is not negative, or is not used otherwise.
Value EntryBuilder::over(Value value, int64_t divisor) {
  return divisor == 1 ? value
                      : arith::DivSIOp::create(builder, function.getLoc(),
                                               value, index(divisor));
}

Value EntryBuilder::clamp(Value value, int64_t low, int64_t high) {
  return clampIndex(builder, function.getLoc(), value, low, high);
}

/// The position (0) or the length (1) of the stream, or how many frames can be
/// taken back (2). Of @rollback, 1 is the position to go back to.
Value EntryBuilder::clockEntry(unsigned number) {
  if (clockEntries[number])
    return clockEntries[number];
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&function.front());
  Value entry = tensor::ExtractOp::create(builder, function.getLoc(), clock,
                                          index(number));
  auto cast = arith::IndexCastOp::create(builder, function.getLoc(),
                                         builder.getIndexType(), entry);
  if (!lastConstant)
    lastConstant = cast;
  return clockEntries[number] = cast;
}

/// The number of the first new frame.
OpFoldResult EntryBuilder::firstIndex(const Availability &available) {
  if (mode == Mode::reset)
    return builder.getIndexAttr(0);
  Value number = clockEntry(0);
  int64_t shift = -available.lookahead;
  if (!isTick()) {
    // The position is one that stride divides.
    shift = -floorDiv(available.lookahead, available.stride);
    number = plus(over(number, available.stride), shift);
  } else {
    // A burst comes where stride divides position - lookahead.
    number = over(plus(number, shift), available.stride);
  }
  return plus(times(number, available.burst), -available.skip);
}

/// The number of the newest frame in a history, counting what the last burst
/// has behind the last frame.
Value EntryBuilder::newestFrame(const Availability &available) {
  Location loc = function.getLoc();
  Value burst =
      over(plus(clockEntry(0), -available.lookahead), available.stride);
  if (mode == Mode::flush)
    burst = arith::MinSIOp::create(
        builder, loc, burst,
        over(plus(lengthOf(available), available.skip - 1), available.burst));
  return plus(times(burst, available.burst),
              available.burst - 1 - available.skip);
}

/// The number of frames of a whole stream.
Value EntryBuilder::lengthOf(const Availability &available) {
  Location loc = function.getLoc();
  Value number = clockEntry(1);
  for (const CountStep &step : available.length) {
    if (step.add != 0)
      number = arith::AddIOp::create(builder, loc, number, index(step.add));
    number = arith::MaxSIOp::create(builder, loc, number, index(0));
    if (step.divide != 1)
      number = arith::DivUIOp::create(builder, loc, number, index(step.divide));
    if (step.multiply != 1)
      number = arith::MulIOp::create(builder, loc, number, index(step.multiply));
  }
  return number;
}

Value EntryBuilder::slice(Value value, const TimeDim &time, OpFoldResult from,
                          int64_t size) {
  RankedTensorType type = withFrames(value.getType(), time, size);
  if (type == value.getType())
    return value;
  SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
      sizes, strides(type.getRank(), builder.getIndexAttr(1));
  offsets[time.dim] = from;
  for (int64_t extent : type.getShape())
    sizes.push_back(builder.getIndexAttr(extent));
  return tensor::ExtractSliceOp::create(builder, value.getLoc(), type, value,
                                        offsets, sizes, strides);
}

//===----------------------------------------------------------------------===//
// What rules ask for
//===----------------------------------------------------------------------===//

/// A constant, a value of the stream's constants, or one that is known at the
/// end, in this function.
Value EntryBuilder::getInvariant(Value value) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    getInvariant(operand);
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  for (Value inner : captured)
    getInvariant(inner);
  if (analysis.get(value).kind == ValueTime::atEnd) {
    builder.clone(*op, mapping);
    return mapping.lookup(value);
  }
  // Seen from everywhere in the function.
  OpBuilder::InsertionGuard guard(builder);
  if (lastConstant)
    builder.setInsertionPointAfter(lastConstant);
  else
    builder.setInsertionPointToStart(&function.front());
  lastConstant = builder.clone(*op, mapping);
  return mapping.lookup(value);
}

Value EntryBuilder::getState(unsigned index) {
  if (replay)
    return replay->states[index];
  return states[plan.carried.lookup({current, index})];
}

void EntryBuilder::setState(unsigned index, Value value) {
  if (replay) {
    replay->states[index] = value;
    return;
  }
  nextStates[plan.carried.lookup({current, index})] = value;
}

/// The history of a value and its new frames, as one.
Value EntryBuilder::withHistory(Value value) {
  auto history = plan.histories.find(value);
  Value fresh = mapping.lookupOrNull(value);
  if (history == plan.histories.end() || mode == Mode::reset)
    return fresh;
  Value &all = extended[value];
  if (all)
    return all;
  const ValueTime &time = analysis.get(value);
  Value old = states[history->second];
  if (isTick() && time.repeatedAt) {
    Location loc = value.getLoc();
    Value isFirst = arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::eq, clockEntry(0),
        index(*time.repeatedAt));
    auto choice = scf::IfOp::create(builder, loc, old.getType(), isFirst, true);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToEnd(choice.thenBlock());
    scf::YieldOp::create(
        builder, loc,
        joinFrames(builder, loc, time.available.time.dim,
                   SmallVector<Value>(analysis.getHistory(value), fresh)));
    builder.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(builder, loc, old);
    old = choice.getResult(0);
  }
  return all = joinFrames(builder, value.getLoc(), time.available.time.dim,
                          {old, fresh});
}

/// The last frames of all become the next history.
void EntryBuilder::keepHistory(Value value) {
  auto history = plan.histories.find(value);
  if (history == plan.histories.end())
    return;
  const StateSpec &state = plan.states[history->second];
  const TimeDim &time = analysis.get(value).available.time;
  int64_t depth = state.type.getDimSize(time.dim);
  Value all = withHistory(value);
  int64_t have =
      all ? cast<RankedTensorType>(all.getType()).getDimSize(time.dim) : 0;
  if (have < depth) {
    // Frames before the first one: nothing reads them.
    Value zeros = arith::ConstantOp::create(
        builder, value.getLoc(),
        builder.getZeroAttr(withFrames(state.type, time, depth - have)));
    all = have == 0 ? zeros
                    : Value(tensor::ConcatOp::create(builder, value.getLoc(),
                                                     time.dim,
                                                     ValueRange{zeros, all}));
    have = depth;
  }
  nextStates[history->second] =
      slice(all, time, builder.getIndexAttr(have - depth), depth);
}

namespace {

/// Builds a constant op for some frames.
struct ConstantFrames : FrameBuilder {
  ConstantFrames(EntryBuilder &entry, Operation *op, const TimeRule &rule,
                 OpFoldResult index, int64_t count)
      : FrameBuilder(entry.builder), entry(entry), op(op), rule(rule),
        index(index), count(count) {}

  int64_t getFrameCount() const override { return count; }
  bool isFirst() const override { return false; }
  Value getFrames(unsigned operand) override {
    const TimeOperand &in = rule.operands[operand];
    OpBuilder &b = builder;
    auto scaled = [&](int64_t factor, int64_t divisor) -> OpFoldResult {
      if (factor == 1 && divisor == 1)
        return index;
      Location loc = op->getLoc();
      Value number = getValueOrCreateConstantIndexOp(b, loc, index);
      number = arith::MulIOp::create(
          b, loc, number, arith::ConstantIndexOp::create(b, loc, factor));
      return arith::DivSIOp::create(
                 b, loc, number, arith::ConstantIndexOp::create(b, loc, divisor))
          .getResult();
    };
    return entry.constantFrames(op->getOperand(operand), *in.time,
                                scaled(in.window.stride, in.window.repeat),
                                count / in.window.repeat * in.window.stride);
  }
  Value getInvariant(Value value) override { return entry.getInvariant(value); }
  OpFoldResult getFirstFrame() override { return index; }
  // Constant ops carry nothing, and have neither begin nor end.
  Value getState(unsigned) override { return nullptr; }
  void setState(unsigned, Value) override {}
  Value getTail(unsigned) override { return nullptr; }
  bool mayBeBefore(unsigned) override { return false; }
  bool mayBeBehind(unsigned) override { return false; }
  Value getLength(unsigned) override { return nullptr; }

  EntryBuilder &entry;
  Operation *op;
  const TimeRule &rule;
  OpFoldResult index;
  int64_t count;
};

} // namespace

Value EntryBuilder::constantFrames(Value value, const TimeDim &time,
                                   OpFoldResult index, int64_t frames) {
  RankedTensorType type = withFrames(value.getType(), time, frames);
  if (DenseElementsAttr repeated = repeatConstant(value, time, frames))
    return arith::ConstantOp::create(builder, value.getLoc(), repeated);
  Operation *op = value.getDefiningOp();
  if (isa<tensor::EmptyOp>(op))
    return tensor::EmptyOp::create(builder, value.getLoc(), type.getShape(),
                                   type.getElementType());
  if (isa<arith::ConstantOp, ssm::WeightOp>(op)) {
    // A burst may have frames that are none.
    if (frames > 1 && isTick())
      return sliceWithin(builder, value.getLoc(), getInvariant(value), time.dim,
                         getValueOrCreateConstantIndexOp(
                             builder, value.getLoc(), index),
                         frames);
    return slice(getInvariant(value), time, index, frames);
  }
  TimeRule rule;
  unsigned number = cast<OpResult>(value).getResultNumber();
  (void)traceBack(op, number, time, rule); // the analysis has done the same
  ConstantFrames nested(*this, op, rule, index, frames);
  return cast<StreamingOpInterface>(op).buildFrames(rule, nested)[number];
}

Value EntryBuilder::getFrames(unsigned operand) {
  Value value = current->getOperand(operand);
  const TimeRule &rule = *analysis.getRule(current);
  const TimeOperand &in = rule.operands[operand];
  if (replay)
    if (Value frames = replayedFrames(operand))
      return frames;
  if (analysis.get(value).kind != ValueTime::frames)
    return constantFrames(value, *in.time, getFirstFrame(), count);
  int64_t places = llvm::divideCeil(count, in.window.repeat),
          size = in.window.stride * (places - 1) + in.window.window;
  if (mode == Mode::reset) {
    int64_t from = std::max<int64_t>(0, in.window.offset);
    return slice(mapping.lookup(value), *in.time, builder.getIndexAttr(from),
                 size + in.window.offset - from);
  }
  if (isTick() && analysis.getRegion(current) != analysis.getRegion(value))
    return sliceHistory(operand, size);
  // Counted from the operand's first new frame.
  int64_t offset = isTick() ? analysis.get(value).available.burst - 1 -
                                  analysis.getAge(current, operand).most
                            : analysis.getOffset(current, operand);
  if (offset >= 0)
    return slice(mapping.lookup(value), *in.time,
                 builder.getIndexAttr(offset), size);
  return slice(withHistory(value), *in.time,
               builder.getIndexAttr(analysis.getHistory(value) + offset), size);
}

/// The frames of an operand from another region, out of its history.
Value EntryBuilder::sliceHistory(unsigned operand, int64_t size) {
  Value value = current->getOperand(operand);
  const Availability &in = analysis.get(value).available;
  const TimeWindow &window = analysis.getRule(current)->operands[operand].window;
  Value history = nextStates[plan.histories.lookup(value)];
  int64_t depth = analysis.getHistory(value);
  StreamAnalysis::Age age = analysis.getAge(current, operand);
  if (mode == Mode::step && age.isAlways)
    return slice(history, in.time, builder.getIndexAttr(depth - 1 - age.most),
                 size);
  Location loc = function.getLoc();
  Value first = getValueOrCreateConstantIndexOp(builder, loc, getFirstFrame());
  first = plus(times(over(first, window.repeat), window.stride), window.offset);
  Value place = plus(
      arith::SubIOp::create(builder, loc, first, newestFrame(in)), depth - 1);
  // Frames that are not there are not used either, whatever is read for them;
  // but in a burst, the others must be at their places.
  if (int64_t more = size - window.window) {
    history = joinFrames(builder, loc, in.time.dim,
                         {history, zeroFrames(builder, loc, history.getType(),
                                              in.time, more)});
    depth += more;
  }
  return slice(history, in.time, clamp(place, 0, depth - size), size);
}

Value EntryBuilder::getTail(unsigned operand) {
  Value value = current->getOperand(operand);
  const TimeOperand &in = analysis.getRule(current)->operands[operand];
  Value history = states[plan.histories.lookup(value)];
  int64_t last = analysis.getHistory(value) - in.window.window;
  const Availability &available = analysis.get(value).available;
  if (available.burst == 1)
    return slice(history, *in.time, builder.getIndexAttr(last),
                 in.window.window);
  // Not what the last burst has behind the last frame: so many of it are none.
  Value known = plus(lengthOf(available), available.skip + available.burst - 1);
  Value none = arith::SubIOp::create(
      builder, function.getLoc(), index(available.burst - 1),
      arith::RemSIOp::create(builder, function.getLoc(), known,
                             index(available.burst)));
  return slice(history, *in.time,
               clamp(plus(times(none, -1), last), 0, last), in.window.window);
}

OpFoldResult EntryBuilder::getFirstFrame() {
  if (replay && replay->frame)
    return replay->frame;
  return firstIndex(analysis.getAvailability(current));
}

bool EntryBuilder::mayBeBefore(unsigned operand) {
  // Only while the operand itself is waited for.
  const Availability &out = analysis.getAvailability(current);
  int64_t offset = analysis.getRule(current)->operands[operand].window.offset;
  return isTick() && out.framesAfter(0) + offset < 0;
}

bool EntryBuilder::mayBeBehind(unsigned) { return mode == Mode::flush; }

Value EntryBuilder::getLength(unsigned operand) {
  return lengthOf(analysis.get(current->getOperand(operand)).available);
}

//===----------------------------------------------------------------------===//
// Ops and regions
//===----------------------------------------------------------------------===//

void EntryBuilder::runOp(Operation *op) {
  const TimeRule &rule = *analysis.getRule(op);
  current = op;
  if (isTick())
    count = analysis.getAvailability(op).burst;
  if (count > 0) {
    SmallVector<Value> fresh =
        mayBePart(analysis.getAvailability(op)) && plan.carried.contains({op, 0})
            ? buildPart(op)
            : cast<StreamingOpInterface>(op).buildFrames(rule, *this);
    for (auto [result, value] : llvm::zip(op->getResults(), fresh))
      if (value)
        mapping.map(result, value);
  }
  for (Value result : op->getResults())
    if (analysis.get(result).kind == ValueTime::frames)
      keepHistory(result);
}

/// Whether a burst at this tick may have frames that are none.
bool EntryBuilder::mayBePart(const Availability &available) const {
  return available.burst > 1 &&
         (mode == Mode::flush ||
          (mode == Mode::step && available.startsWithPart()));
}

/// An op that carries states, on those frames of a burst that are some.
SmallVector<Value> EntryBuilder::buildPart(Operation *op) {
  const Availability &available = analysis.getAvailability(op);
  Location loc = op->getLoc();
  Value first = getValueOrCreateConstantIndexOp(builder, loc, getFirstFrame());
  Value from = clamp(times(first, -1), 0, count), to = index(count);
  if (mode == Mode::flush)
    to = clamp(arith::SubIOp::create(builder, loc, lengthOf(available), first),
               0, count);
  return buildFrameByFrame(op, *analysis.getRule(op), *this, first, from, to);
}

/// A burst with the frames that are some at its front. At the end of a stream
/// they are.
Value EntryBuilder::moveToFront(Value value, const Availability &available) {
  const Arrival out = available.delivered();
  if (!isTick() || !out.startsWithPart())
    return value;
  Location loc = function.getLoc();
  Value isPart = arith::CmpIOp::create(
      builder, loc, arith::CmpIPredicate::slt,
      over(plus(clockEntry(0), -out.lookahead), out.stride), index(1));
  const TimeDim &time = available.time;
  auto choice = scf::IfOp::create(builder, loc, value.getType(), isPart, true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(choice.thenBlock());
  Value moved = joinFrames(
      builder, loc, time.dim,
      {slice(value, time, builder.getIndexAttr(out.skip), out.burst - out.skip),
       slice(value, time, builder.getIndexAttr(0), out.skip)});
  scf::YieldOp::create(builder, loc, moved);
  builder.setInsertionPointToEnd(choice.elseBlock());
  scf::YieldOp::create(builder, loc, value);
  return choice.getResult(0);
}

/// Whether ops that are available so have a frame at this position; null if
/// they always have.
Value EntryBuilder::guardOf(const Availability &available) {
  if (mode == Mode::step && StreamAnalysis::comesAlways(available))
    return nullptr;
  Location loc = function.getLoc();
  Value shifted = clockEntry(0), guard;
  auto both = [&](Value condition) {
    guard = guard ? arith::AndIOp::create(builder, loc, guard, condition)
                  : condition;
  };
  if (available.lookahead != 0)
    shifted = arith::SubIOp::create(builder, loc, shifted,
                                    index(available.lookahead));
  if (available.lookahead > 0)
    both(arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, shifted,
                               index(0)));
  if (available.stride > 1)
    both(arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::eq,
        arith::RemSIOp::create(builder, loc, shifted, index(available.stride)),
        index(0)));
  if (mode == Mode::flush) {
    // A frame of the first burst may be the first one that is some.
    Value number = plus(times(over(shifted, available.stride), available.burst),
                        -available.skip);
    if (available.skip > 0)
      number = arith::MaxSIOp::create(builder, loc, number, index(0));
    both(arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, number,
                               lengthOf(available)));
  }
  return guard;
}

/// Runs ops if `guard` holds; otherwise their states stay as they are.
void EntryBuilder::runGuarded(ArrayRef<Operation *> ops, Value guard) {
  SmallVector<unsigned> touched;
  SmallVector<Type> types;
  for (Operation *op : ops) {
    llvm::append_range(touched, plan.carriedBy(op));
    for (Value result : op->getResults())
      if (auto it = plan.histories.find(result); it != plan.histories.end())
        touched.push_back(it->second);
  }
  for (unsigned state : touched)
    types.push_back(plan.states[state].type);
  // Streamed outputs leave the region too.
  SmallVector<Value> outputs;
  for (Value output : sequence.front().getTerminator()->getOperands())
    if (llvm::is_contained(ops, output.getDefiningOp()) &&
        analysis.get(output).kind == ValueTime::frames &&
        !llvm::is_contained(outputs, output)) {
      outputs.push_back(output);
      const Availability &available = analysis.get(output).available;
      types.push_back(
          withFrames(output.getType(), available.time, available.burst));
    }
  if (types.empty())
    return; // nothing of it is needed
  Location loc = ops.front()->getLoc();
  auto conditional = scf::IfOp::create(builder, loc, types, guard, true);
  {
    OpBuilder::InsertionGuard insertion(builder);
    builder.setInsertionPointToEnd(conditional.thenBlock());
    for (Operation *op : ops)
      runOp(op);
    SmallVector<Value> values;
    for (unsigned state : touched)
      values.push_back(nextStates[state]);
    for (Value output : outputs)
      values.push_back(mapping.lookup(output));
    scf::YieldOp::create(builder, loc, values);
    builder.setInsertionPointToEnd(conditional.elseBlock());
    values.clear();
    for (unsigned state : touched)
      values.push_back(states[state]);
    for (Type type : ArrayRef(types).drop_front(touched.size()))
      values.push_back(tensor::EmptyOp::create(
          builder, loc, cast<RankedTensorType>(type).getShape(),
          cast<RankedTensorType>(type).getElementType()));
    scf::YieldOp::create(builder, loc, values);
  }
  for (auto [i, state] : llvm::enumerate(touched))
    nextStates[state] = conditional.getResult(i);
  for (auto [i, output] : llvm::enumerate(outputs))
    mapping.map(output, conditional.getResult(touched.size() + i));
}

/// All ops with time, region by region.
void EntryBuilder::runRegions() {
  SmallVector<Operation *> ops;
  for (Operation &op : sequence.getBody().front())
    if (analysis.getRule(&op))
      ops.push_back(&op);
  for (size_t begin = 0, end; begin < ops.size(); begin = end) {
    unsigned region = analysis.getRegion(ops[begin]);
    for (end = begin; end < ops.size(); ++end)
      if (analysis.getRegion(ops[end]) != region)
        break;
    ArrayRef<Operation *> members = ArrayRef(ops).slice(begin, end - begin);
    Value guard = guardOf(analysis.getAvailability(members.front()));
    if (guard) {
      runGuarded(members, guard);
      continue;
    }
    for (Operation *op : members)
      runOp(op);
  }
}

Value EntryBuilder::initialState(const StateSpec &state) {
  if (state.init)
    return getInvariant(state.init);
  return arith::ConstantOp::create(builder, function.getLoc(),
                                   builder.getZeroAttr(state.type));
}

/// The new frames of the outputs with time.
void EntryBuilder::addStreamedOutputs() {
  Operation *end = sequence.getBody().front().getTerminator();
  for (auto [i, output] : llvm::enumerate(end->getOperands())) {
    const ValueTime &time = analysis.get(output);
    // An output that is an input has no frame after the end.
    if (time.kind != ValueTime::frames ||
        (mode == Mode::flush && isa<BlockArgument>(output)))
      continue;
    Value value = time.available.lookahead < 0
                      ? delayed(output)
                      : mapping.lookup(output);
    addResult(moveToFront(value, time.available), ssm::kOutputAttr, i);
  }
}

/// Frames that are known before the first input is wait for it.
Value EntryBuilder::delayed(Value output) {
  const Availability &available = analysis.get(output).available;
  const Arrival late = available.delivered();
  int64_t depth = analysis.getHistory(output);
  if (mode == Mode::chunk)
    return slice(withHistory(output), available.time,
                 builder.getIndexAttr(depth + late.framesWith(0) -
                                      available.framesWith(0)),
                 inputFrames / late.stride * late.burst);
  Value history = nextStates[plan.histories.lookup(output)];
  // Where it comes, the newest frame is always so many ahead.
  OpFoldResult from = builder.getIndexAttr(
      depth - available.framesWith(1) - late.skip);
  if (mode == Mode::flush) {
    Location loc = function.getLoc();
    Value first = plus(times(over(clockEntry(0), late.stride), late.burst),
                       -late.skip);
    Value place = plus(arith::SubIOp::create(builder, loc, first,
                                             newestFrame(available)),
                       depth - 1);
    if (late.burst > 1) {
      history = joinFrames(
          builder, loc, available.time.dim,
          {history, zeroFrames(builder, loc, history.getType(), available.time,
                               late.burst - 1)});
      depth += late.burst - 1;
    }
    from = clamp(place, 0, depth - late.burst);
  }
  return slice(history, available.time, from, late.burst);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

func::FuncOp EntryBuilder::buildBegin(StringRef name) {
  start(name, Mode::begin);
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments()))
    if (analysis.get(argument).kind == ValueTime::fixed)
      mapping.map(argument,
                  addArgument(argument.getType(), ssm::kInputAttr, i));
  for (auto [i, value] : llvm::enumerate(plan.constants))
    addResult(getInvariant(value), ssm::kConstantAttr, i);
  return finish();
}

func::FuncOp EntryBuilder::buildReset(StringRef name) {
  start(name, Mode::reset);
  addConstants();
  for (const StateSpec &state : plan.states)
    states.push_back(state.value ? Value() : initialState(state));
  nextStates = states;
  for (Value argument : sequence.getArguments())
    if (analysis.get(argument).kind == ValueTime::frames)
      keepHistory(argument);
  for (Operation &op : sequence.getBody().front())
    if (analysis.getRule(&op)) {
      count = analysis.getAvailability(&op).framesAfter(0);
      runOp(&op);
    }
  for (auto [state, base] : plan.bases)
    nextStates[base] = nextStates[state];
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  return finish();
}

func::FuncOp EntryBuilder::buildChunk(StringRef name, int64_t frames) {
  start(name, Mode::chunk);
  addInputs(frames);
  addConstants();
  addStates();
  addClock();
  for (Value argument : sequence.getArguments())
    if (analysis.get(argument).kind == ValueTime::frames)
      keepHistory(argument);
  for (Operation &op : sequence.getBody().front())
    if (analysis.getRule(&op)) {
      const Availability &available = analysis.getAvailability(&op);
      count = frames / available.stride * available.burst;
      runOp(&op);
    }
  if (takesBack())
    advanceBasesOfChunk();
  addStreamedOutputs();
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  return finish();
}

func::FuncOp EntryBuilder::buildTick(StringRef name, bool flush) {
  start(name, flush ? Mode::flush : Mode::step);
  if (!flush)
    addInputs(1);
  inputFrames = 1;
  addConstants();
  addStates();
  addClock();
  if (!flush)
    for (Value argument : sequence.getArguments())
      if (analysis.get(argument).kind == ValueTime::frames)
        keepHistory(argument);
  runRegions();
  if (takesBack() && !flush)
    advanceBasesOfStep();
  addStreamedOutputs();
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  return finish();
}

/// A sum over time that is divided by the number of its terms, a constant in a
/// file of one length: the number of frames decides.
Value EntryBuilder::buildMean(Operation *op) {
  auto divide = dyn_cast<arith::DivFOp>(op);
  DenseElementsAttr divisor;
  if (!divide || !matchPattern(divide.getRhs(), m_Constant(&divisor)) ||
      !divisor.isSplat())
    return nullptr;
  Value sum = divide.getLhs();
  while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                         linalg::BroadcastOp>(sum.getDefiningOp()))
    sum = sum.getDefiningOp()->getOperand(0);
  auto reduce = sum.getDefiningOp<linalg::ReduceOp>();
  const TimeRule *rule = reduce ? analysis.getRule(reduce) : nullptr;
  if (!rule || rule->results[0].kind != TimeResult::atEnd)
    return nullptr;
  auto type = cast<RankedTensorType>(reduce.getInputs()[0].getType());
  int64_t terms = 1;
  for (int64_t dim : reduce.getDimensions())
    terms *= type.getDimSize(dim);
  if (divisor.getSplatValue<APFloat>().convertToDouble() != double(terms))
    return nullptr;
  const Availability &available =
      analysis.get(reduce.getInputs()[0]).available;
  Location loc = op->getLoc();
  Value count = arith::MulIOp::create(builder, loc, lengthOf(available),
                                      index(terms / available.wholeLength));
  Value number = arith::SIToFPOp::create(
      builder, loc, divisor.getElementType(),
      arith::IndexCastOp::create(builder, loc, builder.getI64Type(), count));
  Value empty = tensor::EmptyOp::create(
      builder, loc, divisor.getType().getShape(), divisor.getElementType());
  Value all = linalg::FillOp::create(builder, loc, number, empty).getResult(0);
  return arith::DivFOp::create(builder, loc, getInvariant(divide.getLhs()), all);
}

func::FuncOp EntryBuilder::buildFinal(StringRef name) {
  start(name, Mode::final);
  addConstants();
  addStates();
  addClock();
  for (Operation &op : sequence.getBody().front().without_terminator()) {
    if (llvm::none_of(op.getResults(), [&](Value result) {
          return analysis.get(result).kind == ValueTime::atEnd;
        }))
      continue;
    current = &op;
    if (!analysis.getRule(&op)) {
      if (Value mean = buildMean(&op))
        mapping.map(op.getResult(0), mean);
      else
        getInvariant(op.getResult(0));
      continue;
    }
    for (auto [i, result] : llvm::enumerate(op.getResults()))
      if (analysis.get(result).kind == ValueTime::atEnd)
        mapping.map(result,
                    cast<StreamingOpInterface>(op).buildEnd(i, *this));
  }
  Operation *end = sequence.getBody().front().getTerminator();
  for (auto [i, output] : llvm::enumerate(end->getOperands()))
    if (analysis.get(output).kind != ValueTime::frames)
      addResult(getInvariant(output), ssm::kOutputAttr, i);
  return finish();
}
