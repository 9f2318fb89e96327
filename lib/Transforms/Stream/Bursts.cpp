// SPDX-License-Identifier: Apache-2.0

#include "Bursts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

Value itera::joinFrames(OpBuilder &b, Location loc, int64_t dim,
                        ArrayRef<Value> parts) {
  return parts.size() == 1
             ? parts.front()
             : Value(tensor::ConcatOp::create(b, loc, dim, parts));
}

namespace {

/// Offsets, sizes and strides of some frames of a tensor.
struct Frames {
  Frames(OpBuilder &b, RankedTensorType type, int64_t dim, OpFoldResult first)
      : offsets(type.getRank(), b.getIndexAttr(0)),
        strides(type.getRank(), b.getIndexAttr(1)) {
    offsets[dim] = first;
    for (int64_t size : type.getShape())
      sizes.push_back(b.getIndexAttr(size));
  }
  SmallVector<OpFoldResult> offsets, sizes, strides;
};

} // namespace

Value itera::sliceFrames(OpBuilder &b, Location loc, Value value, int64_t dim,
                         OpFoldResult first, int64_t count) {
  RankedTensorType type = withFrames(value.getType(), {dim, 1, 1}, count);
  if (type == value.getType())
    return value;
  Frames at(b, type, dim, first);
  return tensor::ExtractSliceOp::create(b, loc, type, value, at.offsets,
                                        at.sizes, at.strides);
}

Value itera::clampIndex(OpBuilder &b, Location loc, Value value, int64_t low,
                        int64_t high) {
  auto index = [&](int64_t number) {
    return arith::ConstantIndexOp::create(b, loc, number);
  };
  value = arith::MaxSIOp::create(b, loc, value, index(low));
  return arith::MinSIOp::create(b, loc, value, index(high));
}

Value itera::zeroFrames(OpBuilder &b, Location loc, Type like,
                        const TimeDim &time, int64_t count) {
  return arith::ConstantOp::create(
      b, loc, b.getZeroAttr(withFrames(like, time, count)));
}

Value itera::replaceFrames(OpBuilder &b, Location loc, Value all, int64_t dim,
                           Value from, Value to,
                           function_ref<Value(Value)> make) {
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(b, loc, from, to, one, ValueRange{all});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value frame = make(loop.getInductionVar());
  Frames at(b, cast<RankedTensorType>(frame.getType()), dim,
            loop.getInductionVar());
  Value next = tensor::InsertSliceOp::create(
      b, loc, frame, loop.getRegionIterArg(0), at.offsets, at.sizes, at.strides);
  scf::YieldOp::create(b, loc, next);
  return loop.getResult(0);
}

Value itera::sliceWithin(OpBuilder &b, Location loc, Value value, int64_t dim,
                         Value first, int64_t count) {
  auto type = cast<RankedTensorType>(value.getType());
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value end = arith::ConstantIndexOp::create(b, loc, count);
  return replaceFrames(
      b, loc, zeroFrames(b, loc, type, {dim, 1, 1}, count), dim, zero, end,
      [&](Value place) {
        Value number = arith::AddIOp::create(b, loc, first, place);
        return sliceFrames(b, loc, value, dim,
                           clampIndex(b, loc, number, 0,
                                      type.getDimSize(dim) - 1),
                           1);
      });
}

namespace {

/// One frame of several.
struct OneFrame : FrameBuilder {
  OneFrame(FrameBuilder &all, Operation *op, const TimeRule &rule)
      : FrameBuilder(all.builder), all(all), op(op), rule(rule) {
    for (auto [k, operand] : llvm::enumerate(rule.operands))
      operands.push_back(operand.time ? all.getFrames(k) : Value());
  }

  int64_t getFrameCount() const override { return 1; }
  bool isFirst() const override { return false; }
  Value getFrames(unsigned operand) override {
    const TimeOperand &in = rule.operands[operand];
    Location loc = op->getLoc();
    Value first = arith::MulIOp::create(
        builder, loc, place,
        arith::ConstantIndexOp::create(builder, loc, in.window.stride));
    return sliceFrames(builder, loc, operands[operand], in.time->dim, first,
                       in.window.window);
  }
  Value getInvariant(Value value) override { return all.getInvariant(value); }
  Value getState(unsigned index) override { return states[index]; }
  void setState(unsigned index, Value value) override { states[index] = value; }
  Value getTail(unsigned operand) override { return all.getTail(operand); }
  OpFoldResult getFirstFrame() override { return number; }
  bool mayBeBefore(unsigned operand) override {
    return all.mayBeBefore(operand);
  }
  bool mayBeBehind(unsigned operand) override {
    return all.mayBeBehind(operand);
  }
  Value getLength(unsigned operand) override { return all.getLength(operand); }

  FrameBuilder &all;
  Operation *op;
  const TimeRule &rule;
  SmallVector<Value> operands, states;
  Value place, number;
};

} // namespace

SmallVector<Value> itera::buildFrameByFrame(Operation *op, const TimeRule &rule,
                                            FrameBuilder &frames, Value first,
                                            Value from, Value to) {
  OpBuilder &b = frames.builder;
  Location loc = op->getLoc();
  OneFrame one(frames, op, rule);
  unsigned states =
      cast<StreamingOpInterface>(op).getCarriedStates(rule).size();
  SmallVector<Value> carried;
  for (unsigned i = 0; i < states; ++i)
    carried.push_back(frames.getState(i));
  for (auto [time, result] : llvm::zip(rule.results, op->getResults()))
    if (time.kind == TimeResult::frames)
      carried.push_back(zeroFrames(b, loc, result.getType(), time.time,
                                   frames.getFrameCount()));
  Value step = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(b, loc, from, to, step, carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    one.place = loop.getInductionVar();
    one.number = arith::AddIOp::create(b, loc, first, one.place);
    llvm::append_range(one.states,
                       loop.getRegionIterArgs().take_front(states));
    SmallVector<Value> made =
        cast<StreamingOpInterface>(op).buildFrames(rule, one);
    SmallVector<Value> next(one.states);
    for (auto [time, value] : llvm::zip(rule.results, made)) {
      if (time.kind != TimeResult::frames)
        continue;
      Frames at(b, cast<RankedTensorType>(value.getType()), time.time.dim,
                one.place);
      next.push_back(tensor::InsertSliceOp::create(
          b, loc, value, loop.getRegionIterArgs()[next.size()], at.offsets,
          at.sizes, at.strides));
    }
    // A state keeps its buffer, wherever the next one was computed.
    for (unsigned i = 0; i < states; ++i)
      next[i] = bufferization::MaterializeInDestinationOp::create(
                    b, loc, next[i], loop.getRegionIterArgs()[i])
                    .getResult();
    scf::YieldOp::create(b, loc, next);
  }
  for (unsigned i = 0; i < states; ++i)
    frames.setState(i, loop.getResult(i));
  SmallVector<Value> results(op->getNumResults());
  unsigned place = states;
  for (auto [i, time] : llvm::enumerate(rule.results))
    if (time.kind == TimeResult::frames)
      results[i] = loop.getResult(place++);
  return results;
}
