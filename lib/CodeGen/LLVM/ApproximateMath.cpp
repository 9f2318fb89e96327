// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Emit.h"
#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include <limits>

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

static void reportNoCode(Operation *op) {
  op->emitError("no code for ")
      << op->getName() << " on " << op->getResult(0).getType()
      << "; export the model in float32";
}

/// x^y = exp(y * log|x|), negative for a negative x and an odd y, and NaN for
/// a negative x and a y that is no integer. Upstream's expansion takes the log
/// of x itself unless y is a constant.
struct ExpandPow : OpRewritePattern<math::PowFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::PowFOp op,
                                PatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!type.isF32())
      return rewriter.notifyMatchFailure(op, "not on f32");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value x = op.getLhs(), y = op.getRhs();
    auto constant = [&](float value) -> Value {
      return arith::ConstantOp::create(b, b.getF32FloatAttr(value));
    };
    auto compare = [&](arith::CmpFPredicate predicate, Value l, Value r) {
      return arith::CmpFOp::create(b, predicate, l, r).getResult();
    };
    Value log = math::LogOp::create(b, math::AbsFOp::create(b, x));
    Value magnitude = math::ExpOp::create(b, arith::MulFOp::create(b, y, log));

    Value floor = math::FloorOp::create(b, y);
    Value half = arith::MulFOp::create(b, y, constant(0.5f));
    Value isInteger = compare(arith::CmpFPredicate::OEQ, floor, y);
    Value isOdd = compare(arith::CmpFPredicate::ONE,
                          math::FloorOp::create(b, half), half);
    Value negated = arith::NegFOp::create(b, magnitude);
    Value signedPower = arith::SelectOp::create(b, isOdd, negated, magnitude);
    Value nan = constant(std::numeric_limits<float>::quiet_NaN());
    Value ofNegative = arith::SelectOp::create(b, isInteger, signedPower, nan);
    Value isNegative = compare(arith::CmpFPredicate::OLT, x, constant(0));
    Value power =
        arith::SelectOp::create(b, isNegative, ofNegative, magnitude);
    Value isZero = compare(arith::CmpFPredicate::OEQ, y, constant(0));
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, isZero, constant(1),
                                                 power);
    return success();
  }
};

struct ApproximateMath
    : itera::impl::ApproximateMathPassBase<ApproximateMath> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandPow>(&getContext());
    math::populateExpansionPatterns(
        patterns, {"acosh", "asinh", "atanh", "ceildivsi", "cosh", "exp2",
                   "fpowi", "round", "rsqrt", "sinh", "tan"});
    auto all = [](StringRef) { return true; };
    populateMathF32ExpansionPatterns(patterns, all);
    populateMathPolynomialApproximationPatterns(patterns, all);
    GreedyRewriteConfig config;
    config.enableFolding(false);
    (void)applyPatternsGreedily(function, std::move(patterns), config);

    WalkResult result = function.walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || isInstruction(op))
        return WalkResult::advance();
      reportNoCode(op);
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace

LogicalResult itera::checkMath(ModuleOp planned) {
  for (auto function : planned.getOps<func::FuncOp>()) {
    WalkResult result = function.walk([](Operation *op) {
      if (!isa<math::MathDialect>(op->getDialect()) || isInstruction(op) ||
          isa<math::RoundOp, math::RsqrtOp>(op) ||
          !getElementTypeOrSelf(op->getResult(0).getType()).isF64())
        return WalkResult::advance();
      reportNoCode(op);
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      return failure();
  }
  return success();
}
