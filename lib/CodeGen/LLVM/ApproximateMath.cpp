// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace itera {
#define GEN_PASS_DEF_APPROXIMATEMATHPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

/// What every target of ours has as an instruction or a short sequence.
static bool isInstruction(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::SqrtOp, math::FloorOp,
             math::CeilOp, math::TruncOp, math::RoundEvenOp, math::CopySignOp,
             math::FmaOp, math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp>(op);
}

struct ApproximateMath
    : itera::impl::ApproximateMathPassBase<ApproximateMath> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    RewritePatternSet patterns(&getContext());
    math::populateExpansionPatterns(
        patterns, {"acosh", "asinh", "atanh", "ceildivsi", "cosh", "exp2",
                   "fpowi", "powf", "round", "rsqrt", "sinh", "tan"});
    auto all = [](StringRef) { return true; };
    populateMathF32ExpansionPatterns(patterns, all);
    populateMathPolynomialApproximationPatterns(patterns, all);
    GreedyRewriteConfig config;
    config.enableFolding(false);
    (void)applyPatternsGreedily(function, std::move(patterns), config);

    WalkResult result = function.walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || isInstruction(op))
        return WalkResult::advance();
      op->emitError("no code for ")
          << op->getName() << " on " << op->getResult(0).getType()
          << "; export the model in float32";
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
