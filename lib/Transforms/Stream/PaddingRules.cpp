// SPDX-License-Identifier: Apache-2.0
// Frames in front of a sequence: those are known before the first input is,
// so they are the first contents of a history. And convolutions.

#include "Rules.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

static Value sliceFrames(OpBuilder &b, Location loc, Value value, int64_t dim,
                         int64_t first, int64_t count) {
  RankedTensorType type = withFrames(value.getType(), {dim, 1, 1}, count);
  if (type == value.getType())
    return value;
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), sizes,
      strides(type.getRank(), b.getIndexAttr(1));
  offsets[dim] = b.getIndexAttr(first);
  for (int64_t size : type.getShape())
    sizes.push_back(b.getIndexAttr(size));
  return tensor::ExtractSliceOp::create(b, loc, type, value, offsets, sizes,
                                        strides);
}

namespace {

/// Pads of other dimensions are as they were; pads of time are frames.
struct Pad : StreamingOpInterface::ExternalModel<Pad, tensor::PadOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto pad = cast<tensor::PadOp>(op);
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    if (op->getNumOperands() > 1 || !pad.getConstantPaddingValue()) {
      why = "pads with what is computed";
      return failure();
    }
    TimeDim time = *operands[0];
    int64_t low = pad.getStaticLow()[time.dim],
            high = pad.getStaticHigh()[time.dim];
    if ((low || high) && !time.isWhole()) {
      why = "pads a dimension that time is a part of";
      return failure();
    }
    rule.operands[0].time = time;
    rule.operands[0].window.offset = -low;
    rule.length.add = low + high;
    rule.results[0] = framesAt(time);
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto pad = cast<tensor::PadOp>(op);
    OpBuilder &b = frames.builder;
    Location loc = op->getLoc();
    const TimeDim &time = rule.results[0].time;
    int64_t count = frames.getFrameCount(),
            front = frames.isFirst() ? -rule.operands[0].window.offset : 0;
    RankedTensorType type = withFrames(pad.getResultType(), time, count);
    auto value =
        pad.getConstantPaddingValue().getDefiningOp<arith::ConstantOp>();
    if (front >= count)
      return {arith::ConstantOp::create(
          b, loc, DenseElementsAttr::get(type, Attribute(value.getValue())))};
    SmallVector<OpFoldResult> low = pad.getMixedLowPad(),
                              high = pad.getMixedHighPad();
    low[time.dim] = b.getIndexAttr(front);
    high[time.dim] = b.getIndexAttr(0);
    Value source = frames.getFrames(0);
    if (source.getType() == type)
      return {source};
    Value scalar = arith::ConstantOp::create(b, loc, value.getValue());
    return {tensor::PadOp::create(b, loc, type, source, low, high, scalar)};
  }
};

struct Concat : StreamingOpInterface::ExternalModel<Concat, tensor::ConcatOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto concat = cast<tensor::ConcatOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    rule.results[0] = framesAt(*time);
    if (time->dim != int64_t(concat.getDim())) {
      for (TimeOperand &operand : rule.operands)
        operand.time = time;
      return success();
    }
    int64_t front = 0, back = 0;
    bool seen = false;
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      if (operands[k] && (seen || !time->isWhole())) {
        why = "joins sequences end to end";
        return failure();
      }
      if (operands[k]) {
        seen = true;
        rule.operands[k].time = time;
        rule.operands[k].window.offset = -front;
      } else {
        (seen ? back : front) += tensorOf(operand).getDimSize(time->dim);
      }
    }
    rule.length.add = front + back;
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto concat = cast<tensor::ConcatOp>(op);
    const TimeDim &time = rule.results[0].time;
    if (time.dim != int64_t(concat.getDim()))
      return buildResized(op, rule, frames);
    OpBuilder &b = frames.builder;
    int64_t left = frames.getFrameCount();
    SmallVector<Value> parts;
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      if (rule.operands[k].time) {
        if (left > 0)
          parts.push_back(frames.getFrames(k));
        break;
      }
      if (!frames.isFirst() || left == 0)
        continue;
      int64_t taken = std::min(left, tensorOf(operand).getDimSize(time.dim));
      if (taken == 0)
        continue;
      parts.push_back(sliceFrames(b, op->getLoc(), frames.getInvariant(operand),
                                  time.dim, 0, taken));
      left -= taken;
    }
    if (parts.size() == 1)
      return {parts.front()};
    return {tensor::ConcatOp::create(b, op->getLoc(), time.dim, parts)};
  }
};

/// Along a spatial dimension: a window. Its own padding along time has been
/// made a tensor.pad.
struct Conv : StreamingOpInterface::ExternalModel<Conv, ssm::ConvOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto conv = cast<ssm::ConvOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = operands[0];
    if (!time || llvm::any_of(operands.drop_front(), [](auto &t) { return t; })) {
      why = "has weights that change with time";
      return failure();
    }
    rule.operands[0].time = time;
    rule.results[0] = framesAt(*time);
    if (time->dim == 0)
      return success();
    if (time->dim == 1 || !time->isWhole()) {
      why = "mixes all time steps by its weights";
      return failure();
    }
    unsigned spatial = time->dim - 2;
    int64_t low = conv.getPadsLow()[spatial], high = conv.getPadsHigh()[spatial];
    int64_t stride = conv.getStrides()[spatial];
    int64_t window = (tensorOf(conv.getWeight()).getDimSize(time->dim) - 1) *
                         conv.getDilations()[spatial] +
                     1;
    rule.operands[0].window = {stride, -low, window};
    rule.length = {low + high - window + stride, stride, 1};
    return success();
  }
};

} // namespace

void itera::registerPaddingRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::PadOp::attachInterface<Pad>(*context);
    tensor::ConcatOp::attachInterface<Concat>(*context);
  });
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::ConvOp::attachInterface<Conv>(*context);
  });
}
