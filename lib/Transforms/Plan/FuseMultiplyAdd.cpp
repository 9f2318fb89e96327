// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace itera {
#define GEN_PASS_DEF_FUSEMULTIPLYADDPASS
#include "itera/Transforms/Plan/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

/// The accumulator's sum, if all that the op does is add a product to it.
static arith::AddFOp productSum(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0)
    return {};
  Block *body = op.getBlock();
  auto sum =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!sum || !isa<Float32Type, Float64Type>(sum.getType()))
    return {};
  Value accumulator = op.getRegionOutputArgs().front();
  Value term = sum.getLhs() == accumulator   ? sum.getRhs()
               : sum.getRhs() == accumulator ? sum.getLhs()
                                             : Value();
  auto product = term ? term.getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  bool isAll = llvm::range_size(body->without_terminator()) == 2;
  return product && isAll && term != accumulator ? sum : arith::AddFOp();
}

namespace {

struct FuseMultiplyAdd : itera::impl::FuseMultiplyAddPassBase<FuseMultiplyAdd> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> sums;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (productSum(op))
        sums.push_back(op);
    });
    for (linalg::LinalgOp op : sums) {
      rewriter.setInsertionPoint(op);
      // A named op's body is not its own.
      if (!isa<linalg::GenericOp>(op)) {
        FailureOr<linalg::GenericOp> generic =
            linalg::generalizeNamedOp(rewriter, op);
        if (failed(generic))
          continue;
        op = *generic;
      }
      arith::AddFOp sum = productSum(op);
      Value accumulator = op.getRegionOutputArgs().front();
      Value term = sum.getLhs() == accumulator ? sum.getRhs() : sum.getLhs();
      auto product = term.getDefiningOp<arith::MulFOp>();
      rewriter.setInsertionPoint(sum);
      rewriter.replaceOpWithNewOp<math::FmaOp>(sum, product.getLhs(),
                                               product.getRhs(), accumulator);
      rewriter.eraseOp(product);
    }
  }
};

} // namespace
