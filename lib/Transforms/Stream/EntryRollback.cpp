// SPDX-License-Identifier: Apache-2.0
//
// Problem: a stream of which the last frames can be taken back needs the states
// that it had before them, and states are large.
//
// Idea: beside each carried state stands a base, the state W frames ago, and
// the frames that the op has read since are kept, like those of a window, in a
// history of their value. @rollback lets the op run again, frame by frame, from
// the base up to the frame to go back to. Only the carrying ops run again: what
// they read has been computed. Histories are longer by what can be taken back,
// and are shifted.
//
// Invariant: the bases are the states before the last clock[2] frames, W at
// most. Those which become older than W frames go into the bases: in a step the
// oldest one, once there are W; in a chunk, which has at least W frames, all
// but the last W, for which the op starts from the states before the chunk.

#include "EntryBuilder.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace itera;

/// Of one operand of the op that runs again, if they are not those of any run.
Value EntryBuilder::replayedFrames(unsigned operand) {
  Value value = current->getOperand(operand);
  const TimeRule &rule = *analysis.getRule(current);
  const TimeOperand &in = rule.operands[operand];
  int64_t size = in.window.stride * (count - 1) + in.window.window;
  if (!cast<StreamingOpInterface>(current).statesDependOn(rule, operand))
    return arith::ConstantOp::create(
        builder, value.getLoc(),
        builder.getZeroAttr(withFrames(value.getType(), *in.time, size)));
  if (replay->source == Replay::fresh ||
      analysis.get(value).kind != ValueTime::frames)
    return nullptr;
  Value history = states[plan.histories.lookup(value)];
  int64_t depth = analysis.getHistory(value);
  if (replay->source == Replay::oldest)
    return slice(history, *in.time,
                 builder.getIndexAttr(depth - 1 -
                                      analysis.getLoggedAge(current, operand)),
                 size);
  // The newest frame in the history is the last one of all.
  Location loc = current->getLoc();
  Value place = replay->frame;
  if (in.window.stride != 1)
    place = arith::MulIOp::create(builder, loc, place, index(in.window.stride));
  place = arith::AddIOp::create(builder, loc, place,
                                index(depth + in.window.offset));
  place = arith::SubIOp::create(
      builder, loc, place,
      framesAfter(analysis.get(value).available, clockEntry(0)));
  return slice(history, *in.time, place, size);
}

/// The states of `op` after `count` frames from the states `from` on.
SmallVector<Value> EntryBuilder::replayOp(Operation *op, ValueRange from) {
  current = op;
  replay->states.assign(from.begin(), from.end());
  (void)cast<StreamingOpInterface>(op).buildFrames(*analysis.getRule(op),
                                                   *this);
  return replay->states;
}

void EntryBuilder::advanceBasesOfChunk() {
  int64_t window = analysis.getRollback();
  for (Operation &op : sequence.getBody().front()) {
    SmallVector<unsigned> carried = plan.carriedBy(&op);
    if (carried.empty())
      continue;
    // What follows on the frame that comes at a multiple of all strides.
    const Availability &available = analysis.getAvailability(&op);
    count = available.framesWith(inputFrames - window) - available.framesWith(0);
    SmallVector<Value> values;
    for (unsigned state : carried)
      values.push_back(states[state]);
    if (count > 0) {
      replay.emplace();
      values = replayOp(&op, values);
      replay.reset();
    }
    for (auto [state, value] : llvm::zip(carried, values))
      nextStates[plan.bases.lookup(state)] = value;
  }
}

/// Whether what an op reads for a frame is always at one place of histories.
bool EntryBuilder::readsAtOnePlace(Operation *op) {
  bool always = analysis.getAvailability(op).burst == 1;
  for (auto [k, value] : llvm::enumerate(op->getOperands()))
    if (const ValueTime &time = analysis.get(value);
        time.kind == ValueTime::frames)
      always &= time.available.burst == 1 && analysis.getAge(op, k).isAlways;
  return always;
}

void EntryBuilder::advanceBasesOfStep() {
  int64_t window = analysis.getRollback();
  Location loc = function.getLoc();
  // Those whose frames come at the same positions, with one condition.
  llvm::MapVector<std::pair<int64_t, int64_t>, SmallVector<Operation *>> groups;
  for (Operation &op : sequence.getBody().front()) {
    if (plan.carriedBy(&op).empty())
      continue;
    const Availability &available = analysis.getAvailability(&op);
    if (!readsAtOnePlace(&op)) {
      advanceBasesByNumber(&op);
      continue;
    }
    groups[{available.stride, std::max<int64_t>(available.lookahead, 0)}]
        .push_back(&op);
  }
  count = 1;
  for (auto &[when, ops] : groups) {
    Value guard = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                        clockEntry(2), index(window));
    Availability then = analysis.getAvailability(ops.front());
    if (!StreamAnalysis::comesAlways(then)) {
      then.lookahead += window;
      if (Value comes = guardOf(then))
        guard = arith::AndIOp::create(builder, loc, guard, comes);
    }
    SmallVector<unsigned> bases;
    SmallVector<Value> before, after;
    for (Operation *op : ops)
      for (unsigned state : plan.carriedBy(op)) {
        bases.push_back(plan.bases.lookup(state));
        before.push_back(states[bases.back()]);
      }
    auto choice = scf::IfOp::create(builder, loc, ValueRange(before).getTypes(),
                                    guard, true);
    OpBuilder::InsertionGuard insertion(builder);
    builder.setInsertionPointToEnd(choice.thenBlock());
    ArrayRef<Value> rest(before);
    for (Operation *op : ops) {
      replay.emplace();
      replay->source = Replay::oldest;
      // For what is no history: a constant that changes along time.
      Value position =
          arith::SubIOp::create(builder, loc, clockEntry(0), index(window - 1));
      replay->frame = arith::SubIOp::create(
          builder, loc, framesAfter(analysis.getAvailability(op), position),
          index(1));
      size_t states = plan.carriedBy(op).size();
      llvm::append_range(after, replayOp(op, rest.take_front(states)));
      rest = rest.drop_front(states);
      replay.reset();
    }
    scf::YieldOp::create(builder, loc, after);
    builder.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(builder, loc, before);
    for (auto [base, value] : llvm::zip(bases, choice.getResults()))
      nextStates[base] = value;
  }
}

/// The same for frames that come in bursts, those that W inputs ago came with
/// one.
void EntryBuilder::advanceBasesByNumber(Operation *op) {
  Location loc = op->getLoc();
  const Availability &available = analysis.getAvailability(op);
  SmallVector<unsigned> carried = plan.carriedBy(op);
  SmallVector<Value> values;
  for (unsigned state : carried)
    values.push_back(states[plan.bases.lookup(state)]);
  int64_t window = analysis.getRollback();
  Value isFull = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                       clockEntry(2), index(window));
  Value from = framesAfter(available, plus(clockEntry(0), -window)),
        to = framesAfter(available, plus(clockEntry(0), 1 - window));
  to = arith::SelectOp::create(builder, loc, isFull, to, from);
  SmallVector<Value> next = replayFrames(op, values, from, to);
  for (auto [state, value] : llvm::zip(carried, next))
    nextStates[plan.bases.lookup(state)] = value;
}

/// How many frames have come after so many inputs; with those of the first
/// burst that are none, less than none.
Value EntryBuilder::framesOfBursts(const Availability &available,
                                   Value inputs) {
  Value bursts = plus(inputs, available.stride - 1 - available.lookahead);
  if (available.lookahead >= available.stride)
    bursts = arith::MaxSIOp::create(builder, function.getLoc(), bursts,
                                    index(0));
  return plus(times(over(bursts, available.stride), available.burst),
              -available.skip);
}

/// How many frames have come after so many inputs.
Value EntryBuilder::framesAfter(const Availability &available, Value inputs) {
  Value frames = framesOfBursts(available, inputs);
  return available.skip == 0
             ? frames
             : arith::MaxSIOp::create(builder, function.getLoc(), frames,
                                      index(0))
                   .getResult();
}

/// The states of an op after its frames from `from` to `to`, read by number.
SmallVector<Value> EntryBuilder::replayFrames(Operation *op, ValueRange begin,
                                              Value from, Value to) {
  Location loc = op->getLoc();
  count = 1;
  auto loop = scf::ForOp::create(builder, loc, from, to, index(1), begin);
  OpBuilder::InsertionGuard insertion(builder);
  builder.setInsertionPointToStart(loop.getBody());
  replay.emplace();
  replay->source = Replay::numbered;
  replay->frame = loop.getInductionVar();
  SmallVector<Value> next = replayOp(op, loop.getRegionIterArgs());
  replay.reset();
  // Loops carry their values in place.
  for (auto [value, place] : llvm::zip(next, loop.getRegionIterArgs()))
    value = bufferization::MaterializeInDestinationOp::create(builder, loc,
                                                              value, place)
                .getResult();
  scf::YieldOp::create(builder, loc, next);
  return SmallVector<Value>(loop.getResults());
}

/// The states of an op as they were at the position to go back to.
void EntryBuilder::rewind(Operation *op) {
  SmallVector<unsigned> carried = plan.carriedBy(op);
  if (carried.empty())
    return;
  Location loc = op->getLoc();
  const Availability &available = analysis.getAvailability(op);
  SmallVector<Value> values;
  for (unsigned state : carried)
    values.push_back(states[plan.bases.lookup(state)]);
  Value oldest =
      arith::SubIOp::create(builder, loc, clockEntry(0), clockEntry(2));
  SmallVector<Value> next =
      replayFrames(op, values, framesAfter(available, oldest),
                   framesAfter(available, clockEntry(1)));
  for (auto [state, value] : llvm::zip(carried, next))
    nextStates[state] = value;
}

/// Makes a history end earlier. In front of it come frames that nothing reads.
void EntryBuilder::shiftBack(Value value, unsigned number) {
  const StateSpec &state = plan.states[number];
  const Availability &available = analysis.get(value).available;
  Location loc = value.getLoc();
  int64_t depth = state.type.getDimSize(available.time.dim);
  int64_t most = llvm::divideCeil(analysis.getRollback(), available.stride) *
                 available.burst;
  Value front = arith::ConstantOp::create(
      builder, loc,
      builder.getZeroAttr(withFrames(state.type, available.time, most)));
  Value all = tensor::ConcatOp::create(builder, loc, available.time.dim,
                                       ValueRange{front, states[number]});
  Value gone = arith::SubIOp::create(builder, loc,
                                     framesOfBursts(available, clockEntry(0)),
                                     framesOfBursts(available, clockEntry(1)));
  Value from = arith::SubIOp::create(builder, loc, index(most), gone);
  nextStates[number] = slice(all, available.time, from, depth);
}

func::FuncOp EntryBuilder::buildRollback(StringRef name) {
  start(name, Mode::rollback);
  addConstants();
  addStates();
  addClock();
  count = 1;
  for (auto [i, state] : llvm::enumerate(plan.states))
    if (state.value)
      shiftBack(state.value, i);
  for (Operation &op : sequence.getBody().front())
    rewind(&op);
  for (auto [i, state] : llvm::enumerate(nextStates))
    addResult(state, ssm::kStateAttr, i);
  return finish();
}
