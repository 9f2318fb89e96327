// SPDX-License-Identifier: Apache-2.0
// A norm is found at the op that divides by the deviation:
//
//   layer:  d / sqrt(mean(d^2) + epsilon)  with  d = x - mean(x)
//   rms:    x / sqrt(mean(x^2) + epsilon)
//
// also as a product with the reciprocal. Means are over the last dimension,
// and come back by a broadcast along it. A scale and a bias that follow are
// taken in when they are constants that vary along the last dimension only.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZENORMSPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {
struct Norm {
  ssm::NormKind kind;
  Value x;
  double epsilon;
};
} // namespace

/// a if the value is sqrt(a), one value per row.
static Value matchSquareRoot(Value rows) {
  if (auto sqrt = rows.getDefiningOp<math::SqrtOp>())
    return sqrt.getOperand();
  auto power = rows.getDefiningOp<math::PowFOp>();
  return power && matchSplat(power.getRhs()) == 0.5 ? power.getLhs() : Value();
}

/// a if the value is 1 / sqrt(a).
static Value matchReciprocalRoot(Value rows) {
  if (auto rsqrt = rows.getDefiningOp<math::RsqrtOp>())
    return rsqrt.getOperand();
  if (auto power = rows.getDefiningOp<math::PowFOp>())
    return matchSplat(power.getRhs()) == -0.5 ? power.getLhs() : Value();
  auto div = rows.getDefiningOp<arith::DivFOp>();
  return div && matchSplat(div.getLhs()) == 1.0
             ? matchSquareRoot(skipReshapes(div.getRhs()))
             : Value();
}

/// x if the value is x - mean(x).
static Value matchCentred(Value value) {
  auto sub = value.getDefiningOp<arith::SubFOp>();
  Value mean = sub ? matchRows(sub.getRhs()) : Value();
  return mean && matchRowMean(mean) == sub.getLhs() ? sub.getLhs() : Value();
}

/// The norm whose numerator is `x` and whose variance plus epsilon is
/// `radicand`.
static std::optional<Norm> matchNorm(Value x, Value radicand) {
  if (!x || !radicand)
    return std::nullopt;
  std::optional<double> epsilon;
  Value mean;
  bool matched = matchCommutative<arith::AddFOp>(
      skipReshapes(radicand), [&](Value constant, Value rows) {
        epsilon = matchSplat(constant);
        mean = epsilon ? matchRowMean(skipReshapes(rows)) : Value();
        return bool(mean);
      });
  Value deviation = matched ? matchSquare(mean) : Value();
  if (!deviation || *epsilon < 0)
    return std::nullopt;
  Value centred = matchCentred(deviation);
  if (centred && (deviation == x || matchCentred(x) == centred))
    return Norm{ssm::NormKind::layer, centred, *epsilon};
  if (deviation == x)
    return Norm{ssm::NormKind::rms, x, *epsilon};
  return std::nullopt;
}

/// The norm that ends in `op`.
static std::optional<Norm> matchNorm(Operation *op) {
  if (auto div = dyn_cast<arith::DivFOp>(op)) {
    Value root = matchRows(div.getRhs());
    return root ? matchNorm(div.getLhs(), matchSquareRoot(root)) : std::nullopt;
  }
  std::optional<Norm> norm;
  if (auto mul = dyn_cast<arith::MulFOp>(op))
    matchCommutative<arith::MulFOp>(mul, [&](Value x, Value broadcast) {
      Value root = matchRows(broadcast);
      norm = root ? matchNorm(x, matchReciprocalRoot(root)) : std::nullopt;
      return norm.has_value();
    });
  return norm;
}

/// The constant vector that the only user, an `OpT`, combines `value` with;
/// moves `value` past that user.
template <typename OpT> static Value takeParameter(Value &value) {
  if (!value.hasOneUse())
    return {};
  auto user = dyn_cast<OpT>(*value.user_begin());
  if (!user)
    return {};
  Value other = user.getLhs() == value ? user.getRhs() : user.getLhs();
  if (!isConstant(other))
    return {};
  OpBuilder builder(user);
  Value vector = matchVectorAlong(builder, other, rankOf(other) - 1);
  if (vector)
    value = user;
  return vector;
}

static bool raiseNorm(Operation *op) {
  std::optional<Norm> norm = matchNorm(op);
  if (!norm || norm->x.getType() != op->getResult(0).getType())
    return false;
  Value end = op->getResult(0);
  Value scale = takeParameter<arith::MulFOp>(end);
  Value bias = takeParameter<arith::AddFOp>(end);
  OpBuilder builder(end.getDefiningOp());
  Value raised = ssm::NormOp::create(builder, end.getLoc(), end.getType(),
                                     norm->x, scale, bias, norm->kind,
                                     llvm::APFloat(float(norm->epsilon)));
  end.replaceAllUsesWith(raised);
  return true;
}

namespace {
struct RecognizeNormsPass
    : itera::impl::RecognizeNormsPassBase<RecognizeNormsPass> {
  void runOnOperation() override {
    visitAndClean(getOperation(), [&](Operation *op) {
      if (isa<arith::DivFOp, arith::MulFOp>(op) && !op->use_empty() &&
          isa<RankedTensorType>(op->getResult(0).getType()))
        numRaised += raiseNorm(op);
    });
  }
};
} // namespace
