// SPDX-License-Identifier: Apache-2.0
//
// Invariant: a history holds the frames of a value up to the newest one, at
// least as many as its uses go back. Within a region ops see each other's new
// frames; across regions they see what the histories hold after the region of
// the operand has run, or has not run.

#include "EntryBuilder.h"

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
  Location loc = function.getLoc();
  Value number = clockEntry(0);
  int64_t stride = available.stride, lookahead = available.lookahead;
  if (isTick()) {
    // A frame comes where stride divides position - lookahead.
    if (lookahead != 0)
      number = arith::SubIOp::create(builder, loc, number, index(lookahead));
    if (stride > 1)
      number = arith::DivSIOp::create(builder, loc, number, index(stride));
    return number;
  }
  if (stride > 1)
    number = arith::DivUIOp::create(builder, loc, number, index(stride));
  if (int64_t shift = -floorDiv(lookahead, stride))
    number = arith::AddIOp::create(builder, loc, number, index(shift));
  return number;
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
  if (!all)
    all = tensor::ConcatOp::create(
        builder, value.getLoc(), analysis.get(value).available.time.dim,
        ValueRange{states[history->second], fresh});
  return all;
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
    return entry.constantFrames(op->getOperand(operand),
                                *rule.operands[operand].time, index, count);
  }
  Value getInvariant(Value value) override { return entry.getInvariant(value); }
  OpFoldResult getFirstFrame() override { return index; }
  // Constant ops carry nothing, and have neither begin nor end.
  Value getState(unsigned) override { return nullptr; }
  void setState(unsigned, Value) override {}
  Value getTail(unsigned) override { return nullptr; }
  Value isBefore(unsigned) override { return nullptr; }
  Value isBehind(unsigned) override { return nullptr; }
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
  if (isa<arith::ConstantOp, ssm::WeightOp>(op))
    return slice(getInvariant(value), time, index, frames);
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
  int64_t size = in.window.stride * (count - 1) + in.window.window;
  if (mode == Mode::reset) {
    int64_t from = std::max<int64_t>(0, in.window.offset);
    return slice(mapping.lookup(value), *in.time, builder.getIndexAttr(from),
                 size + in.window.offset - from);
  }
  int64_t depth = analysis.getHistory(value);
  if (isTick()) {
    int64_t age = analysis.getAge(current, operand);
    if (analysis.getRegion(current) != analysis.getRegion(value)) {
      OpFoldResult from = mode == Mode::flush
                              ? placeInFlush(operand, depth, size)
                              : OpFoldResult(builder.getIndexAttr(depth - 1 - age));
      return slice(nextStates[plan.histories.lookup(value)], *in.time, from,
                   size);
    }
    if (age == 0)
      return mapping.lookup(value);
    return slice(withHistory(value), *in.time,
                 builder.getIndexAttr(depth - age), size);
  }
  int64_t offset = analysis.getOffset(current, operand);
  if (offset >= 0)
    return slice(mapping.lookup(value), *in.time,
                 builder.getIndexAttr(offset), size);
  return slice(withHistory(value), *in.time,
               builder.getIndexAttr(depth + offset), size);
}

/// Where in the history of an operand the frames for the new one begin. The
/// newest frame there is the last one of all as soon as the operand has ended.
OpFoldResult EntryBuilder::placeInFlush(unsigned operand, int64_t depth,
                                        int64_t size) {
  Location loc = function.getLoc();
  const Availability &in = analysis.get(current->getOperand(operand)).available;
  const TimeWindow &window = analysis.getRule(current)->operands[operand].window;
  auto times = [&](Value value, int64_t factor) -> Value {
    return factor == 1 ? value
                       : arith::MulIOp::create(builder, loc, value, index(factor));
  };
  Value first = arith::AddIOp::create(
      builder, loc,
      times(getValueOrCreateConstantIndexOp(builder, loc, getFirstFrame()),
            window.stride),
      index(window.offset));
  Value newest =
      arith::SubIOp::create(builder, loc, clockEntry(0), index(in.lookahead));
  if (in.stride > 1)
    newest = arith::DivSIOp::create(builder, loc, newest, index(in.stride));
  newest = arith::MinSIOp::create(
      builder, loc, newest,
      arith::SubIOp::create(builder, loc, lengthOf(in), index(1)));
  // Frames that are not there are not used either, whatever is read for them.
  Value place = arith::AddIOp::create(
      builder, loc, arith::SubIOp::create(builder, loc, first, newest),
      index(depth - 1));
  place = arith::MaxSIOp::create(builder, loc, place, index(0));
  return arith::MinSIOp::create(builder, loc, place, index(depth - size))
      .getResult();
}

Value EntryBuilder::getTail(unsigned operand) {
  Value value = current->getOperand(operand);
  const TimeOperand &in = analysis.getRule(current)->operands[operand];
  Value history = states[plan.histories.lookup(value)];
  int64_t depth = analysis.getHistory(value);
  return slice(history, *in.time,
               builder.getIndexAttr(depth - in.window.window),
               in.window.window);
}

OpFoldResult EntryBuilder::getFirstFrame() {
  if (replay && replay->frame)
    return replay->frame;
  return firstIndex(analysis.getAvailability(current));
}

Value EntryBuilder::isBefore(unsigned operand) {
  // Only while the operand itself is waited for.
  const Availability &in = analysis.get(current->getOperand(operand)).available;
  int64_t offset = analysis.getRule(current)->operands[operand].window.offset;
  if (!isTick() || in.lookahead <= 0 || offset >= 0)
    return nullptr;
  Location loc = function.getLoc();
  Value number =
      getValueOrCreateConstantIndexOp(builder, loc, getFirstFrame());
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, number,
                               index(-offset));
}

Value EntryBuilder::isBehind(unsigned operand) {
  if (mode != Mode::flush)
    return nullptr;
  int64_t offset = analysis.getRule(current)->operands[operand].window.offset;
  Location loc = function.getLoc();
  Value number =
      getValueOrCreateConstantIndexOp(builder, loc, getFirstFrame());
  Value place = arith::AddIOp::create(builder, loc, number, index(offset));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, place,
                               getLength(operand));
}

Value EntryBuilder::getLength(unsigned operand) {
  return lengthOf(analysis.get(current->getOperand(operand)).available);
}

//===----------------------------------------------------------------------===//
// Ops and regions
//===----------------------------------------------------------------------===//

void EntryBuilder::runOp(Operation *op) {
  const TimeRule &rule = *analysis.getRule(op);
  current = op;
  if (count > 0) {
    SmallVector<Value> fresh =
        cast<StreamingOpInterface>(op).buildFrames(rule, *this);
    for (auto [result, value] : llvm::zip(op->getResults(), fresh))
      if (value)
        mapping.map(result, value);
  }
  for (Value result : op->getResults())
    if (analysis.get(result).kind == ValueTime::frames)
      keepHistory(result);
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
    Value number = shifted;
    if (available.stride > 1)
      number = arith::DivSIOp::create(builder, loc, number,
                                      index(available.stride));
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
      types.push_back(
          withFrames(output.getType(), analysis.get(output).available.time, 1));
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
  count = 1;
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
    addResult(value, ssm::kOutputAttr, i);
  }
}

/// Frames that are known before the first input is wait for it.
Value EntryBuilder::delayed(Value output) {
  const Availability &available = analysis.get(output).available;
  int64_t early = -available.lookahead, depth = analysis.getHistory(output);
  if (mode == Mode::chunk)
    return slice(withHistory(output), available.time,
                 builder.getIndexAttr(depth - early), inputFrames);
  OpFoldResult from = builder.getIndexAttr(depth - 1 - early);
  if (mode == Mode::flush) {
    // The newest frame is the last one, or the one that comes now.
    Location loc = function.getLoc();
    Value now = clockEntry(0);
    Value newest = arith::MinSIOp::create(
        builder, loc, arith::AddIOp::create(builder, loc, now, index(early)),
        arith::SubIOp::create(builder, loc, lengthOf(available), index(1)));
    Value age = arith::MaxSIOp::create(
        builder, loc, arith::SubIOp::create(builder, loc, newest, now),
        index(0));
    from = arith::SubIOp::create(builder, loc, index(depth - 1), age)
               .getResult();
  }
  return slice(nextStates[plan.histories.lookup(output)], available.time, from,
               1);
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
      count = frames / analysis.getAvailability(&op).stride;
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
