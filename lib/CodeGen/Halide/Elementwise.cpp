// SPDX-License-Identifier: Apache-2.0
// Scalar meaning of the arith, math and ssm ops, and of constants.

#include "Builder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace itera;
using namespace itera::halide;
namespace arith = mlir::arith;
namespace math = mlir::math;

static Expr zeroLike(Expr x) {
  return Halide::Internal::make_const(x.type(), 0);
}

static Expr isNan(Expr x) { return !equal(x, x); }

/// The larger value; NaN if either is.
static Expr maximum(Expr a, Expr b) {
  return select(isNan(b), b, select(lessThan(a, b), b, a));
}

static Expr minimum(Expr a, Expr b) {
  return select(isNan(b), b, select(lessThan(b, a), b, a));
}

/// The larger value; the other one if one is NaN.
static Expr maxnum(Expr a, Expr b) {
  return select(isNan(a), b, select(lessThan(a, b), b, a));
}

static Expr minnum(Expr a, Expr b) {
  return select(isNan(a), b, select(lessThan(b, a), b, a));
}

static bool isConstantNumber(Expr x) {
  while (const auto *broadcast = x.as<Halide::Internal::Broadcast>())
    x = broadcast->value;
  const auto *number = x.as<Halide::Internal::FloatImm>();
  return number && number->value == number->value;
}

static Expr compareFloats(arith::CmpFPredicate predicate, Expr a, Expr b) {
  using P = arith::CmpFPredicate;
  Expr ordered = equal(a, a) && equal(b, b);
  switch (predicate) {
  case P::AlwaysFalse:
    return Halide::Internal::const_false();
  case P::AlwaysTrue:
    return Halide::Internal::const_true();
  case P::OEQ:
    return equal(a, b);
  case P::OGT:
    return lessThan(b, a);
  case P::OGE:
    return lessEqual(b, a);
  case P::OLT:
    return lessThan(a, b);
  case P::OLE:
    return lessEqual(a, b);
  case P::ONE:
    return lessThan(a, b) || lessThan(b, a);
  case P::ORD:
    return ordered;
  case P::UEQ:
    return !(lessThan(a, b) || lessThan(b, a));
  case P::UGT:
    return !lessEqual(a, b);
  case P::UGE:
    return !lessThan(a, b);
  case P::ULT:
    return !lessEqual(b, a);
  case P::ULE:
    return !lessThan(b, a);
  case P::UNE:
    return !equal(a, b);
  case P::UNO:
    return !ordered;
  }
  fail("unknown comparison");
}

static Expr asUnsigned(Expr x) {
  return Halide::reinterpret(x.type().with_code(halide_type_uint), x);
}

static Expr compareIntegers(arith::CmpIPredicate predicate, Expr a, Expr b) {
  using P = arith::CmpIPredicate;
  // Halide's booleans are unsigned and have no order.
  if (a.type().is_bool()) {
    if (predicate == P::eq)
      return a == b;
    if (predicate == P::ne)
      return a != b;
    a = cast(Halide::UInt(8), a), b = cast(Halide::UInt(8), b);
  }
  bool wantsUnsigned = predicate == P::ult || predicate == P::ule ||
                       predicate == P::ugt || predicate == P::uge;
  if (wantsUnsigned)
    a = asUnsigned(a), b = asUnsigned(b);
  switch (predicate) {
  case P::eq:
    return a == b;
  case P::ne:
    return a != b;
  case P::slt:
  case P::ult:
    return a < b;
  case P::sle:
  case P::ule:
    return a <= b;
  case P::sgt:
  case P::ugt:
    return a > b;
  case P::sge:
  case P::uge:
    return a >= b;
  }
  fail("unknown comparison");
}

bool KernelBuilder::isElementwise(mlir::Operation *op) {
  if (mlir::isa<arith::ConstantOp>(op) || op->getNumResults() != 1 ||
      op->getNumRegions() != 0)
    return false;
  return mlir::isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) ||
         mlir::isa<ssm::SigmoidOp, ssm::SiluOp, ssm::SoftplusOp, ssm::GeluOp>(
             op);
}

/// x^n for a small integer constant, by multiplication.
static Expr integerPower(Expr x, int n) {
  if (n < 0)
    return div(Halide::Internal::make_const(x.type(), 1), integerPower(x, -n));
  if (n == 0)
    return Halide::Internal::make_const(x.type(), 1);
  Expr half = integerPower(x, n / 2);
  if (n == 1)
    return x;
  Expr square = mul(half, half);
  return n % 2 ? mul(square, x) : square;
}

static Expr power(Expr x, Expr y) {
  if (const auto *number = y.as<Halide::Internal::FloatImm>()) {
    double n = number->value;
    if (n == 0.5)
      return Halide::sqrt(x);
    if (n == -0.5)
      return fp::rsqrt(x);
    if (n == int(n) && std::abs(n) <= 8)
      return integerPower(x, int(n));
  }
  return fp::pow(x, y);
}

Expr KernelBuilder::scalarOp(mlir::Operation *op, const std::vector<Expr> &v) {
  Halide::Type type = halideType(op->getResult(0).getType());
  auto single = [&](Expr e) {
    if (!e.type().is_float() || e.type().bits() != 32)
      fail("'" + op->getName().getStringRef() + "' on other types than f32");
    return e;
  };
  using Halide::cast;
  return llvm::TypeSwitch<mlir::Operation *, Expr>(op)
      .Case<arith::AddFOp, arith::AddIOp>(
          [&](auto) { return type.is_bool() ? v[0] != v[1] : add(v[0], v[1]); })
      .Case<arith::SubFOp, arith::SubIOp>(
          [&](auto) { return type.is_bool() ? v[0] != v[1] : sub(v[0], v[1]); })
      .Case<arith::MulFOp, arith::MulIOp>(
          [&](auto) { return type.is_bool() ? v[0] && v[1] : mul(v[0], v[1]); })
      .Case([&](arith::DivFOp) { return div(v[0], v[1]); })
      .Case([&](arith::NegFOp) { return neg(v[0]); })
      .Case([&](arith::MaximumFOp) {
        // Against a constant one comparison does; NaN falls through.
        if (isConstantNumber(v[1]))
          return clampBelow(v[0], v[1]);
        if (isConstantNumber(v[0]))
          return clampBelow(v[1], v[0]);
        return maximum(v[0], v[1]);
      })
      .Case([&](arith::MinimumFOp) {
        if (isConstantNumber(v[1]))
          return clampAbove(v[0], v[1]);
        if (isConstantNumber(v[0]))
          return clampAbove(v[1], v[0]);
        return minimum(v[0], v[1]);
      })
      .Case([&](arith::MaxNumFOp) { return maxnum(v[0], v[1]); })
      .Case([&](arith::MinNumFOp) { return minnum(v[0], v[1]); })
      .Case([&](arith::CmpFOp cmp) {
        return compareFloats(cmp.getPredicate(), v[0], v[1]);
      })
      .Case([&](arith::CmpIOp cmp) {
        return compareIntegers(cmp.getPredicate(), v[0], v[1]);
      })
      .Case([&](arith::SelectOp) { return select(v[0], v[1], v[2]); })
      .Case([&](arith::AndIOp) {
        return type.is_bool() ? v[0] && v[1] : v[0] & v[1];
      })
      .Case([&](arith::OrIOp) {
        return type.is_bool() ? v[0] || v[1] : v[0] | v[1];
      })
      .Case([&](arith::XOrIOp) {
        return type.is_bool() ? v[0] != v[1] : v[0] ^ v[1];
      })
      .Case([&](arith::MaxSIOp) { return select(v[0] < v[1], v[1], v[0]); })
      .Case([&](arith::MinSIOp) { return select(v[1] < v[0], v[1], v[0]); })
      .Case<arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp>([&](auto) {
        if (v[0].type().is_bool()) // the signed value of a true bit is -1
          return select(v[0], Halide::Internal::make_const(type, -1),
                        Halide::Internal::make_const(type, 0));
        return cast(type, v[0]);
      })
      .Case([&](arith::UIToFPOp) {
        return cast(type, v[0].type().is_bool() ? v[0] : asUnsigned(v[0]));
      })
      .Case<arith::TruncIOp, arith::ExtSIOp>([&](auto) {
        if (type.is_bool())
          return (v[0] & 1) != zeroLike(v[0]);
        if (v[0].type().is_bool())
          return cast(type, v[0]) * Halide::Internal::make_const(type, -1);
        return cast(type, v[0]);
      })
      .Case([&](arith::ExtUIOp) {
        return cast(type, v[0].type().is_bool() ? v[0] : asUnsigned(v[0]));
      })
      .Case([&](arith::FPToSIOp) { return cast(type, v[0]); })
      .Case([&](math::AbsFOp) { return abs(v[0]); })
      .Case([&](math::ExpOp) { return fp::exp(single(v[0])); })
      .Case([&](math::Exp2Op) { return fp::exp2(single(v[0])); })
      .Case([&](math::ExpM1Op) { return fp::expm1(single(v[0])); })
      .Case([&](math::LogOp) { return fp::log(single(v[0])); })
      .Case([&](math::Log1pOp) { return fp::log1p(single(v[0])); })
      .Case([&](math::Log2Op) {
        return mul(fp::log(single(v[0])),
                   Halide::Internal::make_const(type, 1.4426950408889634));
      })
      .Case([&](math::SqrtOp) { return Halide::sqrt(single(v[0])); })
      .Case([&](math::RsqrtOp) { return fp::rsqrt(single(v[0])); })
      .Case([&](math::TanhOp) { return fp::tanh(single(v[0])); })
      .Case([&](math::ErfOp) { return fp::erf(single(v[0])); })
      .Case([&](math::SinOp) { return fp::sin(single(v[0])); })
      .Case([&](math::CosOp) { return fp::cos(single(v[0])); })
      .Case([&](math::PowFOp) { return power(single(v[0]), v[1]); })
      .Case([&](math::FloorOp) { return Halide::floor(single(v[0])); })
      .Case([&](math::CeilOp) { return Halide::ceil(single(v[0])); })
      .Case([&](math::RoundEvenOp) { return Halide::round(single(v[0])); })
      .Case([&](math::TruncOp) { return Halide::trunc(single(v[0])); })
      .Case([&](math::FmaOp) { return fma(v[0], v[1], v[2]); })
      .Case([&](ssm::SigmoidOp) { return fp::sigmoid(single(v[0])); })
      .Case([&](ssm::SiluOp) { return fp::silu(single(v[0])); })
      .Case([&](ssm::SoftplusOp) { return fp::softplus(single(v[0])); })
      .Case([&](ssm::GeluOp gelu) {
        return fp::gelu(single(v[0]), gelu.getTanh());
      })
      .Default([&](mlir::Operation *) -> Expr {
        fail("'" + op->getName().getStringRef() +
             "' is not supported in a kernel");
      });
}

static Expr number(mlir::Attribute value, Halide::Type type) {
  if (auto real = mlir::dyn_cast<mlir::FloatAttr>(value)) {
    // Infinities and NaN go by their bits: Halide prints constants as decimals.
    llvm::APFloat f = real.getValue();
    if (type.bits() == 32 && !f.isFinite())
      return Halide::reinterpret(
          type, Expr(int32_t(f.bitcastToAPInt().getZExtValue())));
    bool lost;
    f.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven,
              &lost);
    return Halide::Internal::make_const(type, f.convertToDouble());
  }
  if (auto integer = mlir::dyn_cast<mlir::IntegerAttr>(value)) {
    if (type.is_bool())
      return Halide::Internal::make_bool(!integer.getValue().isZero());
    return Halide::Internal::make_const(type,
                                        integer.getValue().getSExtValue());
  }
  fail("a constant of this kind is not supported");
}

Expr KernelBuilder::constant(mlir::Attribute value, mlir::Type type,
                             const Index &index) {
  Halide::Type element = halideType(type);
  auto dense = mlir::dyn_cast<mlir::DenseElementsAttr>(value);
  if (!dense)
    return number(value, element);
  if (dense.isSplat())
    return number(dense.getSplatValue<mlir::Attribute>(), element);
  if (dense.getNumElements() > 64)
    fail("a constant of more than 64 elements inside a kernel");
  // A small table is a tree of selects.
  auto tensor = mlir::cast<mlir::RankedTensorType>(type);
  Shape shape(tensor.getShape().begin(), tensor.getShape().end());
  Expr offset = linearize(index, shape);
  std::vector<Expr> entries;
  for (mlir::Attribute entry : dense.getValues<mlir::Attribute>())
    entries.push_back(number(entry, element));
  std::function<Expr(int, int)> tree = [&](int begin, int end) -> Expr {
    if (end - begin == 1)
      return entries[begin];
    int middle = (begin + end) / 2;
    return select(offset < middle, tree(begin, middle), tree(middle, end));
  };
  return tree(0, entries.size());
}
