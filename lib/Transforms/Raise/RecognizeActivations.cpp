// SPDX-License-Identifier: Apache-2.0
// Exporters write activations as arithmetic. Three kinds are told apart:
//  - sigmoid, silu and softplus by their shape, at the last op;
//  - guards and clamps that change nothing once the value has a name;
//  - gelu by its value: from erf(u) or tanh(u) on, the expression is read as a
//    polynomial in x and E = erf(u), whatever its association, and is a gelu
//    when u(x) and the polynomial have the right coefficients.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <array>
#include <cmath>

namespace itera {
#define GEN_PASS_DEF_RECOGNIZEACTIVATIONSPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

//===----------------------------------------------------------------------===//
// Sigmoid, silu, softplus
//===----------------------------------------------------------------------===//

/// The other operand of a sum of which one operand is 1.
static Value matchOnePlus(Value value) {
  Value result;
  matchCommutative<arith::AddFOp>(value, [&](Value one, Value other) {
    if (matchSplat(one) != 1.0)
      return false;
    result = other;
    return true;
  });
  return result;
}

/// x if the value is exp(x).
static Value matchExp(Value value) {
  auto exp = value ? value.getDefiningOp<math::ExpOp>() : nullptr;
  return exp ? exp.getOperand() : Value();
}

/// x if the value is 1 + exp(-x).
static Value matchOnePlusExpOfMinus(Value value) {
  Value exponent = matchExp(matchOnePlus(value));
  return exponent ? matchNegation(exponent) : Value();
}

static Value raiseDivision(OpBuilder &builder, arith::DivFOp div) {
  Value x = matchOnePlusExpOfMinus(div.getRhs());
  if (!x)
    return {};
  if (matchSplat(div.getLhs()) == 1.0)
    return ssm::SigmoidOp::create(builder, div.getLoc(), x);
  if (div.getLhs() == x)
    return ssm::SiluOp::create(builder, div.getLoc(), x);
  return {};
}

static Value raiseProduct(OpBuilder &builder, arith::MulFOp mul) {
  Value x;
  matchCommutative<arith::MulFOp>(mul, [&](Value lhs, Value rhs) {
    auto sigmoid = rhs.getDefiningOp<ssm::SigmoidOp>();
    if (!sigmoid || sigmoid.getX() != lhs)
      return false;
    x = lhs;
    return true;
  });
  return x ? ssm::SiluOp::create(builder, mul.getLoc(), x) : Value();
}

static Value raiseLogarithm(OpBuilder &builder, Operation *log) {
  Value x = isa<math::Log1pOp>(log)
                ? matchExp(log->getOperand(0))
                : matchExp(matchOnePlus(log->getOperand(0)));
  return x ? ssm::SoftplusOp::create(builder, log->getLoc(), x) : Value();
}

/// max(x, 0) + log1p(exp(-|x|)), the form that cannot overflow.
static Value raiseStableSoftplus(OpBuilder &builder, arith::AddFOp add) {
  Value x;
  matchCommutative<arith::AddFOp>(add, [&](Value positive, Value rest) {
    Operation *max = positive.getDefiningOp();
    if (!isa_and_nonnull<arith::MaximumFOp, arith::MaxNumFOp>(max) ||
        !isZero(max->getOperand(1)))
      return false;
    // By now log1p(exp(-|x|)) is softplus(-|x|).
    auto softplus = rest.getDefiningOp<ssm::SoftplusOp>();
    Value minus = softplus ? matchNegation(softplus.getX()) : Value();
    auto abs = minus ? minus.getDefiningOp<math::AbsFOp>() : nullptr;
    if (!abs || abs.getOperand() != max->getOperand(0))
      return false;
    x = max->getOperand(0);
    return true;
  });
  return x ? ssm::SoftplusOp::create(builder, add.getLoc(), x) : Value();
}

//===----------------------------------------------------------------------===//
// Guards and clamps that change nothing
//===----------------------------------------------------------------------===//

/// From here on softplus(x) rounds to x in single precision: exp(-15) is less
/// than half a unit in the last place of 15.
static constexpr double kSoftplusIsIdentity = 15.0;

/// softplus(x * beta) / beta when the value is x * beta > 20 ? x : that.
static Value skipSoftplusGuard(arith::SelectOp select) {
  auto compare = select.getCondition().getDefiningOp<arith::CmpFOp>();
  auto type = dyn_cast<FloatType>(getElementTypeOrSelf(select.getType()));
  if (!compare || !type || type.getFPMantissaWidth() > 24)
    return {};
  Value scaled, limit;
  switch (compare.getPredicate()) {
  case arith::CmpFPredicate::OGT:
  case arith::CmpFPredicate::OGE:
    scaled = compare.getLhs(), limit = compare.getRhs();
    break;
  case arith::CmpFPredicate::OLT:
  case arith::CmpFPredicate::OLE:
    scaled = compare.getRhs(), limit = compare.getLhs();
    break;
  default:
    return {};
  }
  std::optional<double> threshold = matchSplat(limit);
  if (!threshold || *threshold < kSoftplusIsIdentity)
    return {};
  Value x = select.getTrueValue(), result = select.getFalseValue();
  double beta = 1.0;
  if (scaled != x) {
    std::optional<double> factor;
    matchCommutative<arith::MulFOp>(scaled, [&](Value lhs, Value rhs) {
      factor = lhs == x ? matchSplat(rhs) : std::nullopt;
      return factor.has_value();
    });
    if (!factor || *factor <= 0)
      return {};
    beta = *factor;
  }
  Value inner = result;
  if (auto div = inner.getDefiningOp<arith::DivFOp>();
      div && matchSplat(div.getRhs()) == beta)
    inner = div.getLhs();
  else if (beta != 1.0)
    return {};
  auto softplus = inner.getDefiningOp<ssm::SoftplusOp>();
  return softplus && softplus.getX() == scaled ? result : Value();
}

/// The operand of a clamp that never acts.
static Value skipClamp(Operation *op) {
  std::optional<double> limit = matchSplat(op->getOperand(1));
  Value x = op->getOperand(0);
  if (!limit) {
    limit = matchSplat(x);
    x = op->getOperand(1);
  }
  if (!limit)
    return {};
  if (isa<arith::MinimumFOp, arith::MinNumFOp>(op))
    return std::isinf(*limit) && *limit > 0 ? x : Value();
  if (std::isinf(*limit) && *limit < 0)
    return x;
  return x.getDefiningOp<ssm::SoftplusOp>() && *limit <= 0 ? x : Value();
}

//===----------------------------------------------------------------------===//
// Gelu
//===----------------------------------------------------------------------===//

namespace {
/// coefficient[j][i] is that of E^j x^i.
struct Polynomial {
  std::array<std::array<double, 4>, 2> coefficient{};

  static Polynomial term(unsigned i, unsigned j, double value) {
    Polynomial result;
    result.coefficient[j][i] = value;
    return result;
  }
  Polynomial plus(const Polynomial &other, double sign) const {
    Polynomial result = *this;
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < 4; ++i)
        result.coefficient[j][i] += sign * other.coefficient[j][i];
    return result;
  }
  /// Nothing when the degree gets too high.
  std::optional<Polynomial> times(const Polynomial &other) const {
    Polynomial result;
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < 4; ++i)
        for (unsigned l = 0; l < 2; ++l)
          for (unsigned k = 0; k < 4; ++k) {
            double value = coefficient[j][i] * other.coefficient[l][k];
            if (value == 0)
              continue;
            if (j + l > 1 || i + k > 3)
              return std::nullopt;
            result.coefficient[j + l][i + k] += value;
          }
    return result;
  }
  bool isNear(const Polynomial &expected, double tolerance) const {
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned i = 0; i < 4; ++i)
        if (!itera::raise::isNear(coefficient[j][i], expected.coefficient[j][i],
                                  tolerance))
          return false;
    return true;
  }
};

/// Reads a value as a polynomial in x and E.
struct PolynomialReader {
  Value x, e;
  /// Ops that may still be looked at.
  unsigned budget = 24;

  std::optional<Polynomial> read(Value value) {
    if (value == x)
      return Polynomial::term(1, 0, 1.0);
    if (e && value == e)
      return Polynomial::term(0, 1, 1.0);
    if (std::optional<double> splat = matchSplat(value))
      return Polynomial::term(0, 0, *splat);
    Operation *op = value.getDefiningOp();
    if (!op || budget == 0)
      return std::nullopt;
    --budget;
    if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op)) {
      std::optional<Polynomial> lhs = read(op->getOperand(0));
      std::optional<Polynomial> rhs =
          lhs ? read(op->getOperand(1)) : std::nullopt;
      if (!rhs)
        return std::nullopt;
      if (isa<arith::MulFOp>(op))
        return lhs->times(*rhs);
      return lhs->plus(*rhs, isa<arith::AddFOp>(op) ? 1.0 : -1.0);
    }
    if (auto negation = dyn_cast<arith::NegFOp>(op)) {
      std::optional<Polynomial> operand = read(negation.getOperand());
      return operand ? operand->times(Polynomial::term(0, 0, -1.0))
                     : std::nullopt;
    }
    if (isa<arith::DivFOp, math::PowFOp>(op)) {
      std::optional<double> number = matchSplat(op->getOperand(1));
      if (!number || *number == 0)
        return std::nullopt;
      std::optional<Polynomial> base = read(op->getOperand(0));
      if (!base)
        return std::nullopt;
      if (isa<arith::DivFOp>(op))
        return base->times(Polynomial::term(0, 0, 1.0 / *number));
      if (*number != 2.0 && *number != 3.0)
        return std::nullopt;
      std::optional<Polynomial> power = base->times(*base);
      return power && *number == 3.0 ? power->times(*base) : power;
    }
    return std::nullopt;
  }
};
} // namespace

/// Adds the values that u may be a polynomial of.
static void collectCandidates(Value u, unsigned depth,
                              SmallVectorImpl<Value> &candidates) {
  if (matchSplat(u) || llvm::is_contained(candidates, u))
    return;
  candidates.push_back(u);
  Operation *op = u.getDefiningOp();
  if (depth == 0 || !isa_and_nonnull<arith::AddFOp, arith::MulFOp,
                                     arith::DivFOp, math::PowFOp>(op))
    return;
  for (Value operand : op->getOperands())
    collectCandidates(operand, depth - 1, candidates);
}

/// Raises the gelu that `e`, an erf or a tanh, belongs to.
static bool raiseGelu(Operation *e) {
  bool tanh = isa<math::TanhOp>(e);
  double tolerance = constantTolerance(e->getResult(0));
  Polynomial inner;
  if (tanh) {
    double scale = std::sqrt(2.0 / M_PI);
    inner = Polynomial::term(1, 0, scale)
                .plus(Polynomial::term(3, 0, 0.044715 * scale), 1.0);
  } else {
    inner = Polynomial::term(1, 0, std::sqrt(0.5));
  }
  Value u = e->getOperand(0), x;
  SmallVector<Value> candidates;
  collectCandidates(u, 6, candidates);
  for (Value candidate : candidates) {
    std::optional<Polynomial> read = PolynomialReader{candidate, {}}.read(u);
    if (read && read->isNear(inner, 2 * tolerance)) {
      x = candidate;
      break;
    }
  }
  if (!x)
    return false;
  Polynomial outer =
      Polynomial::term(1, 0, 0.5).plus(Polynomial::term(1, 1, 0.5), 1.0);
  // The polynomial grows along the only use of E, op by op.
  Value value = e->getResult(0);
  for (unsigned step = 0; step < 8 && value.hasOneUse(); ++step) {
    Operation *user = *value.user_begin();
    if (!isa<arith::AddFOp, arith::MulFOp, arith::DivFOp>(user))
      return false;
    value = user->getResult(0);
    std::optional<Polynomial> read =
        PolynomialReader{x, e->getResult(0)}.read(value);
    if (!read || !read->isNear(outer, tolerance))
      continue;
    OpBuilder builder(user);
    value.replaceAllUsesWith(
        ssm::GeluOp::create(builder, user->getLoc(), x, tanh));
    return true;
  }
  return false;
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

/// The value that replaces the op's result, or nothing.
static Value raiseOp(Operation *op) {
  OpBuilder builder(op);
  if (auto div = dyn_cast<arith::DivFOp>(op))
    return raiseDivision(builder, div);
  if (auto mul = dyn_cast<arith::MulFOp>(op))
    return raiseProduct(builder, mul);
  if (auto add = dyn_cast<arith::AddFOp>(op))
    return raiseStableSoftplus(builder, add);
  if (isa<math::LogOp, math::Log1pOp>(op))
    return raiseLogarithm(builder, op);
  if (auto select = dyn_cast<arith::SelectOp>(op))
    return skipSoftplusGuard(select);
  if (isa<arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
          arith::MinNumFOp>(op))
    return skipClamp(op);
  return {};
}

namespace {
struct RecognizeActivationsPass
    : itera::impl::RecognizeActivationsPassBase<RecognizeActivationsPass> {
  void runOnOperation() override {
    visitAndClean(getOperation(), [&](Operation *op) {
      if (op->getNumResults() != 1 || op->use_empty() ||
          !isa<RankedTensorType>(op->getResult(0).getType()))
        return;
      if (isa<math::ErfOp, math::TanhOp>(op)) {
        numRaised += raiseGelu(op);
      } else if (Value value = raiseOp(op)) {
        op->getResult(0).replaceAllUsesWith(value);
        ++numRaised;
      }
    });
  }
};
} // namespace
