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

struct FillSplat : OpRewritePattern<arith::ConstantOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ConstantOp op,
                                PatternRewriter &rewriter) const override {
    auto value = dyn_cast<SplatElementsAttr>(op.getValue());
    if (!value || value.getNumElements() <= kSmallConstant)
      return rewriter.notifyMatchFailure(op, "not a big splat");
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getType());
    Value scalar = arith::ConstantOp::create(
        rewriter, loc, value.getSplatValue<TypedAttr>());
    Value init = tensor::EmptyOp::create(rewriter, loc, type.getShape(),
                                         type.getElementType());
    rewriter.replaceOp(op,
                       linalg::FillOp::create(rewriter, loc, scalar, init));
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

struct PrepareBufferization
    : itera::impl::PrepareBufferizationPassBase<PrepareBufferization> {
  void runOnOperation() override {
    // While exponents are constants: x^2 is a product, not an exp of a log.
    RewritePatternSet powers(&getContext());
    populateMathAlgebraicSimplificationPatterns(powers);
    walkAndApplyPatterns(getOperation(), std::move(powers));

    RewritePatternSet patterns(&getContext());
    tensor::populateDecomposeTensorConcatPatterns(patterns);
    patterns.add<FillSplat, InsertPad>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
