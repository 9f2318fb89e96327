// SPDX-License-Identifier: Apache-2.0
// Slices, inserts, reversals. A slice along time is a crop, which shifts time,
// or takes the last frames.

#include "Rules.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Dialect/SSM/SliceCut.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

namespace {

/// The slice of `source` with the offsets, sizes and strides of `slice`, but
/// all of dimension `dim` from `first` by `stride`.
static Value sliceLike(OpBuilder &b, tensor::ExtractSliceOp slice, Value source,
                       int64_t dim, int64_t first, int64_t size,
                       int64_t stride, RankedTensorType result) {
  SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(),
                            sizes = slice.getMixedSizes(),
                            strides = slice.getMixedStrides();
  offsets[dim] = b.getIndexAttr(first);
  sizes[dim] = b.getIndexAttr(size);
  strides[dim] = b.getIndexAttr(stride);
  return tensor::ExtractSliceOp::create(b, slice.getLoc(), result, source,
                                        offsets, sizes, strides);
}

struct ExtractSlice
    : StreamingOpInterface::ExternalModel<ExtractSlice, tensor::ExtractSliceOp> {
  /// What the slice does along time.
  struct Cut {
    int64_t dim, offset, size, stride, length;
    bool isWhole() const {
      return offset == 0 && size == length && stride == 1;
    }
    /// A file of one length cannot tell the last n frames from all but the
    /// first: the last one is a result at the end, and so are the last n where
    /// most are left out.
    bool isTail() const {
      return stride == 1 && offset + size == length && 2 * size <= length;
    }
  };

  static Cut cutOf(tensor::ExtractSliceOp slice, int64_t dim) {
    return {dim, slice.getStaticOffset(dim), slice.getStaticSize(dim),
            slice.getStaticStride(dim),
            slice.getSourceType().getDimSize(dim)};
  }

  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto slice = cast<tensor::ExtractSliceOp>(op);
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    if (op->getNumOperands() > 1) {
      why = "takes a slice at a computed place";
      return failure();
    }
    TimeDim time = *operands[0];
    Cut cut = cutOf(slice, time.dim);
    rule.operands[0].time = time;
    bool dropped = slice.getDroppedDims().test(time.dim);
    if (!cut.isWhole()) {
      if (!time.isWhole()) {
        why = "cuts a dimension that time is a part of";
        return failure();
      }
      if (cut.isTail()) {
        rule.results[0].kind = TimeResult::atEnd;
        rule.operands[0].window = {1, 1 - cut.size, cut.size};
        rule.tail = true;
        return success();
      }
      if (dropped || (cut.size == 1 && cut.length > 1)) {
        why = "takes one time step by its number";
        return failure();
      }
      rule.operands[0].window = {cut.stride, cut.offset, 1};
      // All but `offset` frames in front and what is left behind.
      int64_t behind = cut.length - cut.offset - (cut.size - 1) * cut.stride - 1;
      int64_t left = behind / cut.stride * cut.stride;
      if (auto known = op->getAttrOfType<DenseI64ArrayAttr>(ssm::kCutAttr))
        if (known.size() > cut.dim && known[cut.dim] >= 0 &&
            known[cut.dim] <= behind && known[cut.dim] > behind - cut.stride)
          left = known[cut.dim];
      rule.length = {cut.stride - 1 - cut.offset - left, cut.stride, 1};
    }
    rule.results[0] = framesAt(time);
    if (dropped) {
      // A single frame of a length of one: time is gone.
      why = "has a time dimension of size 1, which it drops";
      return failure();
    }
    for (int64_t dim = 0; dim < time.dim; ++dim)
      rule.results[0].time.dim -= slice.getDroppedDims().test(dim);
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto slice = cast<tensor::ExtractSliceOp>(op);
    if (rule.tail)
      return {nullptr};
    const TimeOperand &in = rule.operands[0];
    int64_t count = frames.getFrameCount();
    RankedTensorType type =
        withFrames(slice.getResultType(), rule.results[0].time, count);
    // The frames at hand begin with the first one that is wanted.
    return {sliceLike(frames.builder, slice, frames.getFrames(0), in.time->dim,
                      0, resized(*in.time, count), in.window.stride, type)};
  }

  Value buildEnd(Operation *op, unsigned, FrameBuilder &frames) const {
    auto slice = cast<tensor::ExtractSliceOp>(op);
    // Its window is the size of the slice along time.
    Value tail = frames.getTail(0);
    RankedTensorType all = slice.getSourceType(), kept = tensorOf(tail);
    for (int64_t dim = 0; dim < all.getRank(); ++dim)
      if (all.getDimSize(dim) != kept.getDimSize(dim))
        return sliceLike(frames.builder, slice, tail, dim, 0,
                         kept.getDimSize(dim), 1, slice.getResultType());
    return nullptr;
  }
};

struct InsertSlice
    : StreamingOpInterface::ExternalModel<InsertSlice, tensor::InsertSliceOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto insert = cast<tensor::InsertSliceOp>(op);
    beginRule(op, rule);
    llvm::SmallBitVector dropped = insert.getDroppedDims();
    std::optional<TimeDim> time = operands[1];
    if (!time && operands[0]) {
      // The place of the source's dimension in the destination.
      time = operands[0];
      for (int64_t dim = 0; dim <= time->dim; ++dim)
        time->dim += dropped.test(dim);
    }
    if (!time)
      return failure();
    if (op->getNumOperands() > 2 || dropped.test(time->dim) ||
        insert.getStaticOffset(time->dim) != 0 ||
        insert.getStaticSize(time->dim) !=
            insert.getDestType().getDimSize(time->dim)) {
      why = "writes to some time steps only";
      return failure();
    }
    TimeDim source = *time;
    for (int64_t dim = 0; dim < time->dim; ++dim)
      source.dim -= dropped.test(dim);
    if (operands[0] && !(*operands[0] == source)) {
      why = "joins values whose time is in different dimensions";
      return failure();
    }
    rule.operands[0].time = source;
    rule.operands[1].time = time;
    rule.results[0] = framesAt(*time);
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto insert = cast<tensor::InsertSliceOp>(op);
    OpBuilder &b = frames.builder;
    const TimeDim &time = rule.results[0].time;
    SmallVector<OpFoldResult> sizes = insert.getMixedSizes();
    sizes[time.dim] = b.getIndexAttr(resized(time, frames.getFrameCount()));
    return {tensor::InsertSliceOp::create(
        b, op->getLoc(), frames.getFrames(0), frames.getFrames(1),
        insert.getMixedOffsets(), sizes, insert.getMixedStrides())};
  }
};

struct Reverse : StreamingOpInterface::ExternalModel<Reverse, ssm::ReverseOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    if (llvm::is_contained(cast<ssm::ReverseOp>(op).getDims(),
                           operands[0]->dim)) {
      why = "reverses time, so its first frame needs the last one";
      return failure();
    }
    rule.operands[0].time = operands[0];
    rule.results[0] = framesAt(*operands[0]);
    return success();
  }
};

} // namespace

void itera::registerMovementRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::ExtractSliceOp::attachInterface<ExtractSlice>(*context);
    tensor::InsertSliceOp::attachInterface<InsertSlice>(*context);
  });
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::ReverseOp::attachInterface<Reverse>(*context);
  });
}
