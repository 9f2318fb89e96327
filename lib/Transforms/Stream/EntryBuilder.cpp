// SPDX-License-Identifier: Apache-2.0

#include "EntryBuilder.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace itera;

func::FuncOp EntryBuilder::begin(StringRef name) {
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
  clock = position = Value();
  current = nullptr;
  nextStates.assign(plan.states.size(), Value());
  return function;
}

Value EntryBuilder::addArgument(func::FuncOp function, Type type,
                                StringRef role, unsigned index) {
  unsigned number = function.getNumArguments();
  (void)function.insertArgument(
      number, type,
      builder.getDictionaryAttr(
          builder.getNamedAttr(role, builder.getI64IntegerAttr(index))),
      function.getLoc());
  return function.getArgument(number);
}

void EntryBuilder::addConstants(func::FuncOp function) {
  for (auto [i, value] : llvm::enumerate(plan.constants))
    mapping.map(value, addArgument(function, value.getType(),
                                   ssm::kConstantAttr, i));
}

void EntryBuilder::addStates(func::FuncOp function) {
  for (auto [i, state] : llvm::enumerate(plan.states))
    states.push_back(addArgument(function, state.type, ssm::kStateAttr, i));
}

void EntryBuilder::addResult(Value value, StringRef role, unsigned index) {
  results.push_back(value);
  resultAttrs.push_back(builder.getDictionaryAttr(
      builder.getNamedAttr(role, builder.getI64IntegerAttr(index))));
}

void EntryBuilder::finish(func::FuncOp function) {
  func::ReturnOp::create(builder, function.getLoc(), results);
  function.setType(builder.getFunctionType(
      function.front().getArgumentTypes(), ValueRange(results).getTypes()));
  function.setAllResultAttrs(resultAttrs);
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

/// A constant, or a value of the stream's constants, in this function.
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
  builder.clone(*op, mapping);
  return mapping.lookup(value);
}

Value EntryBuilder::getState(unsigned index) {
  return states[plan.carried.lookup({current, index})];
}

void EntryBuilder::setState(unsigned index, Value value) {
  nextStates[plan.carried.lookup({current, index})] = value;
}

/// The history of a value and its new frames, as one.
Value EntryBuilder::withHistory(Value value) {
  auto history = plan.histories.find(value);
  Value fresh = mapping.lookupOrNull(value);
  if (history == plan.histories.end() || first)
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
  int64_t have = all ? cast<RankedTensorType>(all.getType()).getDimSize(time.dim) : 0;
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

/// The number of the first new frame of a value.
OpFoldResult EntryBuilder::firstIndex(const Availability &available) {
  if (first)
    return builder.getIndexAttr(0);
  Location loc = function.getLoc();
  if (!position) {
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
    Value entry = tensor::ExtractOp::create(builder, loc, clock, zero);
    position = arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                          entry);
  }
  Value index = position;
  if (available.stride > 1)
    index = arith::DivUIOp::create(
        builder, loc, index,
        arith::ConstantIndexOp::create(builder, loc, available.stride));
  int64_t shift = -floorDiv(available.lookahead, available.stride);
  if (shift != 0)
    index = arith::AddIOp::create(
        builder, loc, index,
        arith::ConstantIndexOp::create(builder, loc, shift));
  return index;
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
  Value getState(unsigned) override { return nullptr; }
  void setState(unsigned, Value) override {}
  Value getTail(unsigned) override { return nullptr; }

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
  DenseElementsAttr splat;
  if (matchPattern(value, m_Constant(&splat)) && splat.isSplat())
    return arith::ConstantOp::create(builder, value.getLoc(),
                                     splat.resizeSplat(type));
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
  if (analysis.get(value).kind != ValueTime::frames)
    return constantFrames(value, *in.time,
                          firstIndex(analysis.getAvailability(current)), count);
  int64_t size = in.window.stride * (count - 1) + in.window.window;
  if (first) {
    int64_t from = std::max<int64_t>(0, in.window.offset);
    return slice(mapping.lookup(value), *in.time, builder.getIndexAttr(from),
                 size + in.window.offset - from);
  }
  int64_t offset = analysis.getOffset(current, operand);
  Value fresh = mapping.lookup(value);
  if (offset >= 0)
    return slice(fresh, *in.time, builder.getIndexAttr(offset), size);
  int64_t depth = analysis.getHistory(value);
  return slice(withHistory(value), *in.time,
               builder.getIndexAttr(depth + offset), size);
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

/// The ops with time, one after the other.
void EntryBuilder::runOps() {
  for (Operation &op : sequence.getBody().front().without_terminator()) {
    const TimeRule *rule = analysis.getRule(&op);
    if (!rule)
      continue;
    const Availability &available = analysis.getAvailability(&op);
    current = &op;
    count = first ? available.framesAfter(0) : inputFrames / available.stride;
    if (count > 0) {
      SmallVector<Value> fresh =
          cast<StreamingOpInterface>(op).buildFrames(*rule, *this);
      for (auto [result, value] : llvm::zip(op.getResults(), fresh))
        if (value)
          mapping.map(result, value);
    }
    for (Value result : op.getResults())
      if (analysis.get(result).kind == ValueTime::frames)
        keepHistory(result);
  }
}

Value EntryBuilder::initialState(const StateSpec &state) {
  if (state.init)
    return getInvariant(state.init);
  return arith::ConstantOp::create(builder, function.getLoc(),
                                   builder.getZeroAttr(state.type));
}

func::FuncOp EntryBuilder::buildBegin(StringRef name) {
  func::FuncOp entry = begin(name);
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments()))
    if (analysis.get(argument).kind == ValueTime::fixed)
      mapping.map(argument, addArgument(entry, argument.getType(),
                                        ssm::kInputAttr, i));
  for (auto [i, value] : llvm::enumerate(plan.constants))
    addResult(getInvariant(value), ssm::kConstantAttr, i);
  finish(entry);
  return entry;
}

func::FuncOp EntryBuilder::buildReset(StringRef name) {
  func::FuncOp entry = begin(name);
  addConstants(entry);
  first = true;
  for (const StateSpec &state : plan.states)
    states.push_back(state.value ? Value() : initialState(state));
  for (auto [i, state] : llvm::enumerate(plan.states))
    nextStates[i] = states[i];
  for (Value argument : sequence.getArguments())
    if (analysis.get(argument).kind == ValueTime::frames)
      keepHistory(argument);
  runOps();
  first = false;
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  finish(entry);
  return entry;
}

func::FuncOp EntryBuilder::buildChunk(StringRef name, int64_t frames) {
  func::FuncOp entry = begin(name);
  inputFrames = frames;
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments())) {
    const ValueTime &time = analysis.get(argument);
    if (time.kind == ValueTime::frames)
      mapping.map(argument,
                  addArgument(entry, withFrames(argument.getType(),
                                                time.available.time, frames),
                              ssm::kInputAttr, i));
  }
  addConstants(entry);
  addStates(entry);
  clock = addArgument(entry, RankedTensorType::get({2}, builder.getI64Type()),
                      ssm::kClockAttr, 0);
  for (Value argument : sequence.getArguments())
    if (analysis.get(argument).kind == ValueTime::frames)
      keepHistory(argument);
  runOps();
  Operation *end = sequence.getBody().front().getTerminator();
  for (auto [i, output] : llvm::enumerate(end->getOperands()))
    if (analysis.get(output).kind == ValueTime::frames)
      addResult(mapping.lookup(output), ssm::kOutputAttr, i);
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  finish(entry);
  return entry;
}

func::FuncOp EntryBuilder::buildFinal(StringRef name) {
  func::FuncOp entry = begin(name);
  addConstants(entry);
  addStates(entry);
  clock = addArgument(entry, RankedTensorType::get({2}, builder.getI64Type()),
                      ssm::kClockAttr, 0);
  for (Operation &op : sequence.getBody().front().without_terminator()) {
    if (llvm::none_of(op.getResults(), [&](Value result) {
          return analysis.get(result).kind == ValueTime::atEnd;
        }))
      continue;
    current = &op;
    if (!analysis.getRule(&op)) {
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
  finish(entry);
  return entry;
}
