// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace itera {
#define GEN_PASS_DEF_PREPAREBUFFERIZATIONPASS
#include "itera/Transforms/Plan/Passes.h.inc"
} // namespace itera

using namespace mlir;

namespace {

/// Constants of up to this many elements stay in the artefact's data.
constexpr int64_t kSmallConstant = 64;

/// A constant without elements has no data to keep.
struct DropEmptyConstant : OpRewritePattern<arith::ConstantOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ConstantOp op,
                                PatternRewriter &rewriter) const override {
    auto type = dyn_cast<RankedTensorType>(op.getType());
    if (!type || type.getNumElements() != 0)
      return rewriter.notifyMatchFailure(op, "has elements");
    rewriter.replaceOpWithNewOp<tensor::EmptyOp>(op, type.getShape(),
                                                 type.getElementType());
    return success();
  }
};

struct FillSplat : OpRewritePattern<arith::ConstantOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ConstantOp op,
                                PatternRewriter &rewriter) const override {
    auto value = dyn_cast<SplatElementsAttr>(op.getValue());
    if (!value || value.getNumElements() <= kSmallConstant)
      return rewriter.notifyMatchFailure(op, "not a big splat");
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getType());
    Value scalar = arith::ConstantOp::create(rewriter, loc,
                                             value.getSplatValue<TypedAttr>());
    Value init = tensor::EmptyOp::create(rewriter, loc, type.getShape(),
                                         type.getElementType());
    rewriter.replaceOp(op, linalg::FillOp::create(rewriter, loc, scalar, init));
    return success();
  }
};

struct InsertPad : OpRewritePattern<tensor::PadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::PadOp op,
                                PatternRewriter &rewriter) const override {
    Value padding = op.getConstantPaddingValue();
    auto type = cast<RankedTensorType>(op.getType());
    if (!padding || !type.hasStaticShape())
      return rewriter.notifyMatchFailure(op, "not padded with one value");
    Location loc = op.getLoc();
    Value init = tensor::EmptyOp::create(rewriter, loc, type.getShape(),
                                         type.getElementType());
    Value filled =
        linalg::FillOp::create(rewriter, loc, padding, init).getResult(0);
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(rewriter, loc, op.getSource());
    SmallVector<OpFoldResult> strides(type.getRank(), rewriter.getIndexAttr(1));
    rewriter.replaceOpWithNewOp<tensor::InsertSliceOp>(
        op, op.getSource(), filled, op.getMixedLowPad(), sizes, strides);
    return success();
  }
};

/// A slice of values side by side is the slices side by side: what a window
/// keeps of the frames it had and those that came need not be written twice.
struct SliceConcat : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExtractSliceOp op,
                                PatternRewriter &rewriter) const override {
    auto concat = op.getSource().getDefiningOp<tensor::ConcatOp>();
    if (!concat || op.getType().getRank() != op.getSourceType().getRank() ||
        !op.hasUnitStride() ||
        llvm::any_of(op.getStaticOffsets(), ShapedType::isDynamic) ||
        !op.getType().hasStaticShape())
      return rewriter.notifyMatchFailure(op, "not a static slice of a concat");
    int64_t dim = concat.getDim(), begin = op.getStaticOffset(dim);
    int64_t end = begin + op.getStaticSize(dim), start = 0;
    SmallVector<Value> parts;
    for (Value part : concat.getInputs()) {
      auto type = cast<RankedTensorType>(part.getType());
      int64_t low = std::max(begin - start, int64_t(0));
      int64_t high = std::min(end - start, type.getDimSize(dim));
      start += type.getDimSize(dim);
      if (low >= high)
        continue;
      SmallVector<OpFoldResult> offsets = op.getMixedOffsets();
      SmallVector<OpFoldResult> sizes = op.getMixedSizes();
      offsets[dim] = rewriter.getIndexAttr(low);
      sizes[dim] = rewriter.getIndexAttr(high - low);
      parts.push_back(tensor::ExtractSliceOp::create(
          rewriter, op.getLoc(), part, offsets, sizes, op.getMixedStrides()));
    }
    if (parts.empty())
      return rewriter.notifyMatchFailure(op, "an empty slice");
    // A concat that stays has the slice for nothing.
    if (parts.size() > 1 &&
        !llvm::all_of(concat->getUsers(),
                      llvm::IsaPred<tensor::ExtractSliceOp>))
      return rewriter.notifyMatchFailure(op, "the concat has other uses");
    if (parts.size() == 1)
      rewriter.replaceOp(op, parts.front());
    else
      rewriter.replaceOpWithNewOp<tensor::ConcatOp>(op, op.getType(), dim,
                                                    parts);
    return success();
  }
};

struct PrepareBufferization
    : itera::impl::PrepareBufferizationPassBase<PrepareBufferization> {
  void runOnOperation() override {
    // While exponents are constants: x^2 is a product, not an exp of a log.
    RewritePatternSet powers(&getContext());
    populateMathAlgebraicSimplificationPatterns(powers);
    walkAndApplyPatterns(getOperation(), std::move(powers));

    RewritePatternSet slices(&getContext());
    slices.add<SliceConcat>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(slices));

    RewritePatternSet patterns(&getContext());
    tensor::populateDecomposeTensorConcatPatterns(patterns);
    patterns.add<DropEmptyConstant, FillSplat, InsertPad>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
