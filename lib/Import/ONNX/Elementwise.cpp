// SPDX-License-Identifier: Apache-2.0
// Arithmetic, comparisons, logic, casts: broadcast, then one op of arith or
// math.

#include "Common.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

FailureOr<SmallVector<Value>>
onnx_import::broadcastInputs(Node &n, ArrayRef<size_t> which) {
  Shape shape(n.b.shapeOf(n.in(which[0])));
  for (size_t i : which.drop_front()) {
    std::optional<Shape> both = broadcastShapes(shape, n.b.shapeOf(n.in(i)));
    if (!both)
      return n.shapeMismatch(shape, n.b.shapeOf(n.in(i)))
             << "expected shapes that broadcast, but got "
             << n.in(which[0]).getType() << " and " << n.in(i).getType();
    shape = *both;
  }
  if (failed(n.checkShape(shape)))
    return failure();
  SmallVector<Value> result;
  for (size_t i : which) {
    result.push_back(n.b.broadcast(n.in(i), shape));
    if (n.isUnsigned(n.in(i)))
      n.setUnsigned(result.back());
  }
  return result;
}

LogicalResult onnx_import::carryCounted(Node &n, Value result) {
  if (n.importer.counted.empty())
    return success();
  std::optional<Counted> known;
  int64_t rank = n.b.rankOf(result);
  for (const Entry &input : n.inputs) {
    if (!input.value)
      continue;
    std::optional<Counted> own = n.counted(input.value);
    if (!own)
      continue;
    own->dim += rank - n.b.rankOf(input.value);
    bool stretched = n.b.shapeOf(input.value)[own->dim - rank +
                                              n.b.rankOf(input.value)] !=
                     n.b.shapeOf(result)[own->dim];
    if (stretched || (known && (known->dim != own->dim ||
                                known->count != own->count)))
      return n.refuseCounted();
    known = own;
  }
  if (known)
    n.setCounted(result, *known);
  return success();
}

LogicalResult onnx_import::finishElementwise(Node &n, Value result,
                                             bool keepsSign) {
  if (keepsSign && llvm::any_of(n.inputs, [&](const Entry &input) {
        return input.value && n.isUnsigned(input.value);
      }))
    n.setUnsigned(result);
  if (failed(carryCounted(n, result)))
    return failure();
  n.out(result);
  return success();
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// Two operands of one element type, broadcast.
static FailureOr<std::pair<Value, Value>> operands(Node &n) {
  if (failed(n.expectSameElement(0, 1)))
    return failure();
  FailureOr<SmallVector<Value>> values = broadcastInputs(n, {0, 1});
  if (failed(values))
    return failure();
  return std::pair((*values)[0], (*values)[1]);
}

template <typename FloatOp, typename IntOp>
static LogicalResult binary(Node &n) {
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  return finishElementwise(n, n.b.isFloat(v->first)
                                  ? n.b.make<FloatOp>(v->first, v->second)
                                  : n.b.make<IntOp>(v->first, v->second));
}

static LogicalResult div(Node &n) {
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  return finishElementwise(
      n, n.b.div(v->first, v->second, n.isUnsigned(n.in(0))));
}

static Value compare(TensorBuilder &b, Value x, Value y,
                     arith::CmpFPredicate floats, arith::CmpIPredicate ints) {
  return b.isFloat(x) ? b.make<arith::CmpFOp>(floats, x, y)
                      : b.make<arith::CmpIOp>(ints, x, y);
}

/// The remainder with the sign of the divisor, as Python's %.
static Value floorMod(TensorBuilder &b, Value x, Value y) {
  bool isFloat = b.isFloat(x);
  Value r =
      isFloat ? b.make<arith::RemFOp>(x, y) : b.make<arith::RemSIOp>(x, y);
  Value zero = b.splatLike(x, 0);
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  Value nonzero = compare(b, r, zero, F::UNE, I::ne);
  Value rNegative = compare(b, r, zero, F::OLT, I::slt);
  Value yNegative = compare(b, y, zero, F::OLT, I::slt);
  Value differ = b.make<arith::XOrIOp>(rNegative, yNegative);
  Value fix = b.make<arith::AndIOp>(nonzero, differ);
  return b.make<arith::SelectOp>(fix, b.add(r, y), r);
}

static LogicalResult mod(Node &n) {
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  auto [x, y] = *v;
  Value result;
  if (n.isUnsigned(n.in(0)))
    result = n.b.make<arith::RemUIOp>(x, y);
  else if (n.intAttr("fmod", 0) == 0)
    result = floorMod(n.b, x, y);
  else
    result = n.b.isFloat(x) ? n.b.make<arith::RemFOp>(x, y)
                            : n.b.make<arith::RemSIOp>(x, y);
  return finishElementwise(n, result);
}

static LogicalResult pow(Node &n) {
  FailureOr<SmallVector<Value>> v = broadcastInputs(n, {0, 1});
  if (failed(v))
    return failure();
  Value x = (*v)[0], y = (*v)[1];
  Type element = n.b.elementOf(x);
  if (element.isInteger(1))
    return n.error() << "expected numbers, but got " << x.getType();
  if (isa<FloatType>(element)) {
    y = n.b.cast(y, element, n.isUnsigned(y));
    return finishElementwise(n, n.b.make<math::PowFOp>(x, y), false);
  }
  // An integer power is a float power; exact up to 2^53.
  Type wide = n.b.builder.getF64Type();
  Value power = n.b.make<math::PowFOp>(n.b.cast(x, wide, n.isUnsigned(x)),
                                       n.b.cast(y, wide, n.isUnsigned(y)));
  return finishElementwise(
      n, n.b.cast(power, element, false, n.isUnsigned(x)));
}

enum class Variadic { Max, Min, Sum, Mean };

template <Variadic how>
static LogicalResult variadic(Node &n) {
  SmallVector<size_t> all;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    if (!n.has(i))
      return n.error() << "expected input " << i << " to be given";
    if (failed(n.expectSameElement(0, i)))
      return failure();
    all.push_back(i);
  }
  FailureOr<SmallVector<Value>> v = broadcastInputs(n, all);
  if (failed(v))
    return failure();
  Value result = v->front();
  bool isFloat = n.b.isFloat(result), isUnsigned = n.isUnsigned(n.in(0));
  for (Value next : ArrayRef<Value>(*v).drop_front()) {
    if (how == Variadic::Sum || how == Variadic::Mean)
      result = n.b.add(result, next);
    else if (how == Variadic::Max)
      result = isFloat      ? n.b.make<arith::MaximumFOp>(result, next)
               : isUnsigned ? n.b.make<arith::MaxUIOp>(result, next)
                            : n.b.make<arith::MaxSIOp>(result, next);
    else
      result = isFloat      ? n.b.make<arith::MinimumFOp>(result, next)
               : isUnsigned ? n.b.make<arith::MinUIOp>(result, next)
                            : n.b.make<arith::MinSIOp>(result, next);
  }
  if (how == Variadic::Mean) {
    if (failed(n.expectFloat(0)))
      return failure();
    result = n.b.div(result, n.b.splatLike(result, all.size()));
  }
  return finishElementwise(n, result);
}

static LogicalResult neg(Node &n) {
  Value x = n.in(0);
  return finishElementwise(n, n.b.isFloat(x)
                                  ? n.b.make<arith::NegFOp>(x)
                                  : n.b.sub(n.b.splatLike(x, 0), x));
}

static LogicalResult abs(Node &n) {
  Value x = n.in(0);
  if (n.isUnsigned(x))
    return finishElementwise(n, x);
  return finishElementwise(n, n.b.isFloat(x) ? n.b.make<math::AbsFOp>(x)
                                             : n.b.make<math::AbsIOp>(x));
}

static LogicalResult reciprocal(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  return finishElementwise(n, n.b.div(n.b.splatLike(n.in(0), 1), n.in(0)));
}

static LogicalResult sign(Node &n) {
  Value x = n.in(0), zero = n.b.splatLike(x, 0);
  Type element = n.b.elementOf(x);
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  Value above = compare(n.b, x, zero, F::OGT,
                        n.isUnsigned(x) ? I::ugt : I::sgt);
  Value below = compare(n.b, x, zero, F::OLT,
                        n.isUnsigned(x) ? I::ult : I::slt);
  return finishElementwise(
      n, n.b.sub(n.b.cast(above, element), n.b.cast(below, element)));
}

static LogicalResult identity(Node &n) {
  // Counts and signs belong to the value itself.
  n.outputs.push_back(n.inputs[0]);
  return success();
}

static LogicalResult dropout(Node &n) {
  if (n.has(2)) {
    std::optional<ssm::HostTensor> training = n.constant(n.in(2));
    if (!training || training->getInt(0))
      return n.error() << "expected inference, but its training mode is "
                       << (training ? "on" : "only known at run time");
  }
  return identity(n);
}

//===----------------------------------------------------------------------===//
// Comparisons and logic
//===----------------------------------------------------------------------===//

template <arith::CmpFPredicate floats, arith::CmpIPredicate ints,
          arith::CmpIPredicate unsignedInts>
static LogicalResult comparison(Node &n) {
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  // A bool orders as 0 < 1, like an unsigned number.
  bool isUnsigned = n.isUnsigned(n.in(0)) ||
                    n.b.elementOf(n.in(0)).isInteger(1);
  return finishElementwise(n,
                           compare(n.b, v->first, v->second, floats,
                                   isUnsigned ? unsignedInts : ints),
                           false);
}

template <typename Op>
static LogicalResult integerBinary(Node &n) {
  if (failed(n.expectInteger(0)) || failed(n.expectInteger(1)))
    return failure();
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  return finishElementwise(n, n.b.make<Op>(v->first, v->second));
}

/// A shift by the width or more, or by less than zero, shifts all bits out;
/// the shift ops leave it undefined.
static LogicalResult bitShift(Node &n) {
  if (failed(n.expectInteger(0)) || failed(n.expectInteger(1)))
    return failure();
  FailureOr<std::pair<Value, Value>> v = operands(n);
  if (failed(v))
    return failure();
  Value x = v->first, by = v->second;
  unsigned width = n.b.elementOf(x).getIntOrFloatBitWidth();
  auto splat = [&](int64_t value) {
    return n.b.intSplat(n.b.shapeOf(x), n.b.elementOf(x), value);
  };
  bool left = n.stringAttr("direction", "") == "LEFT";
  if (!left && !n.isUnsigned(n.in(0)))
    return finishElementwise(
        n, n.b.make<arith::ShRSIOp>(
               x, n.b.make<arith::MinUIOp>(by, splat(width - 1))));
  Value shifted = left ? n.b.make<arith::ShLIOp>(x, by)
                       : n.b.make<arith::ShRUIOp>(x, by);
  Value inside = n.b.make<arith::CmpIOp>(arith::CmpIPredicate::ult, by,
                                         splat(width));
  return finishElementwise(
      n, n.b.make<arith::SelectOp>(inside, shifted, splat(0)));
}

static LogicalResult bitwiseNot(Node &n) {
  if (failed(n.expectInteger(0)))
    return failure();
  Value x = n.in(0);
  Value ones = n.b.intSplat(n.b.shapeOf(x), n.b.elementOf(x), -1);
  return finishElementwise(n, n.b.make<arith::XOrIOp>(x, ones));
}

static LogicalResult isNaN(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  return finishElementwise(
      n, n.b.make<arith::CmpFOp>(arith::CmpFPredicate::UNO, n.in(0), n.in(0)),
      false);
}

static LogicalResult isInf(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  Value x = n.in(0), result;
  auto type = cast<FloatType>(n.b.elementOf(x));
  auto test = [&](StringRef attribute, bool negative) {
    if (!n.intAttr(attribute, 1))
      return;
    Value infinity = n.b.attributeSplat(
        n.b.shapeOf(x),
        n.b.builder.getFloatAttr(
            type, llvm::APFloat::getInf(type.getFloatSemantics(), negative)));
    Value equal =
        n.b.make<arith::CmpFOp>(arith::CmpFPredicate::OEQ, x, infinity);
    result = result ? n.b.make<arith::OrIOp>(result, equal) : equal;
  };
  test("detect_positive", false);
  test("detect_negative", true);
  if (!result)
    result = n.b.splat(n.b.shapeOf(x), n.b.builder.getI1Type(), 0);
  return finishElementwise(n, result, false);
}

static LogicalResult where(Node &n) {
  if (!n.b.elementOf(n.in(0)).isInteger(1))
    return n.error() << "expected a bool condition, but got "
                     << n.in(0).getType();
  if (failed(n.expectSameElement(1, 2)))
    return failure();
  FailureOr<SmallVector<Value>> v = broadcastInputs(n, {0, 1, 2});
  if (failed(v))
    return failure();
  return finishElementwise(
      n, n.b.make<arith::SelectOp>((*v)[0], (*v)[1], (*v)[2]));
}

static LogicalResult clip(Node &n) {
  Value x = n.in(0);
  bool isFloat = n.b.isFloat(x), isUnsigned = n.isUnsigned(x);
  auto bound = [&](size_t i, StringRef name) -> FailureOr<Value> {
    if (n.has(i)) {
      if (failed(n.expectSameElement(0, i)))
        return failure();
      if (n.b.typeOf(n.in(i)).getNumElements() != 1)
        return n.error() << "expected a scalar as " << name << ", but got "
                         << n.in(i).getType();
      return n.b.broadcast(n.b.reshape(n.in(i), {}), n.b.shapeOf(x));
    }
    if (!n.attribute(name))
      return Value();
    return n.b.splatLike(x, n.floatAttr(name, 0));
  };
  FailureOr<Value> low = bound(1, "min"), high = bound(2, "max");
  if (failed(low) || failed(high))
    return failure();
  if (*low)
    x = isFloat      ? n.b.make<arith::MaximumFOp>(x, *low)
        : isUnsigned ? n.b.make<arith::MaxUIOp>(x, *low)
                     : n.b.make<arith::MaxSIOp>(x, *low);
  if (*high)
    x = isFloat      ? n.b.make<arith::MinimumFOp>(x, *high)
        : isUnsigned ? n.b.make<arith::MinUIOp>(x, *high)
                     : n.b.make<arith::MinSIOp>(x, *high);
  // The bounds carry no count: only the first input decides.
  if (std::optional<Counted> counted = n.counted(n.in(0)))
    n.setCounted(x, *counted);
  if (isUnsigned)
    n.setUnsigned(x);
  n.out(x);
  return success();
}

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

static FailureOr<Type> castTarget(Node &n, bool &toUnsigned) {
  int to = n.intAttr("to", 0);
  Type type = getElementType(to, n.importer.context);
  if (!type)
    return n.error() << "expected a cast to floats, integers or bool, but got "
                     << describeType(to);
  toUnsigned = isUnsignedType(to);
  return type;
}

static LogicalResult castTo(Node &n, Type type, bool toUnsigned) {
  Value x = n.in(0);
  bool fromUnsigned = n.isUnsigned(x);
  Value result = n.b.cast(x, type, fromUnsigned, toUnsigned);
  if (result == x && fromUnsigned != toUnsigned) {
    // The same bits read otherwise need a value of their own.
    result = arith::BitcastOp::create(n.b.builder, n.loc, x.getType(), x);
  }
  if (toUnsigned)
    n.setUnsigned(result);
  if (std::optional<Counted> counted = n.counted(x))
    n.setCounted(result, *counted);
  n.out(result);
  return success();
}

static LogicalResult cast(Node &n) {
  bool toUnsigned;
  FailureOr<Type> type = castTarget(n, toUnsigned);
  if (failed(type))
    return failure();
  return castTo(n, *type, toUnsigned);
}

static LogicalResult castLike(Node &n) {
  return castTo(n, n.b.elementOf(n.in(1)), n.isUnsigned(n.in(1)));
}

ArrayRef<OpEntry> onnx_import::elementwiseOps() {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "Abs", kOld, kNew, 1, 1, abs, true},
      {"", "Acos", kOld, kNew, 1, 1, floatUnary<math::AcosOp>, true},
      {"", "Acosh", 9, kNew, 1, 1, floatUnary<math::AcoshOp>, true},
      {"", "Add", kOld, kNew, 2, 2, binary<arith::AddFOp, arith::AddIOp>, true},
      {"", "And", kOld, kNew, 2, 2, integerBinary<arith::AndIOp>, true},
      {"", "Asin", kOld, kNew, 1, 1, floatUnary<math::AsinOp>, true},
      {"", "Asinh", 9, kNew, 1, 1, floatUnary<math::AsinhOp>, true},
      {"", "Atan", kOld, kNew, 1, 1, floatUnary<math::AtanOp>, true},
      {"", "Atanh", 9, kNew, 1, 1, floatUnary<math::AtanhOp>, true},
      {"", "BitShift", 11, kNew, 2, 2, bitShift, true},
      {"", "BitwiseAnd", 18, kNew, 2, 2, integerBinary<arith::AndIOp>, true},
      {"", "BitwiseNot", 18, kNew, 1, 1, bitwiseNot, true},
      {"", "BitwiseOr", 18, kNew, 2, 2, integerBinary<arith::OrIOp>, true},
      {"", "BitwiseXor", 18, kNew, 2, 2, integerBinary<arith::XOrIOp>, true},
      {"", "Cast", kOld, kNew, 1, 1, cast, true, "not to or from string, float8"},
      {"", "CastLike", 15, kNew, 2, 2, castLike, true},
      {"", "Ceil", kOld, kNew, 1, 1, floatUnary<math::CeilOp>, true},
      {"", "Clip", kOld, kNew, 1, 3, clip, true},
      {"", "Cos", kOld, kNew, 1, 1, floatUnary<math::CosOp>, true},
      {"", "Cosh", 9, kNew, 1, 1, floatUnary<math::CoshOp>, true},
      {"", "Div", kOld, kNew, 2, 2, div, true},
      {"", "Dropout", kOld, kNew, 1, 3, dropout, true, "inference only"},
      {"", "Equal", kOld, kNew, 2, 2, comparison<F::OEQ, I::eq, I::eq>, true},
      {"", "Erf", 9, kNew, 1, 1, floatUnary<math::ErfOp>, true},
      {"", "Exp", kOld, kNew, 1, 1, floatUnary<math::ExpOp>, true},
      {"", "Floor", kOld, kNew, 1, 1, floatUnary<math::FloorOp>, true},
      {"", "Greater", kOld, kNew, 2, 2, comparison<F::OGT, I::sgt, I::ugt>, true},
      {"", "GreaterOrEqual", 12, kNew, 2, 2, comparison<F::OGE, I::sge, I::uge>, true},
      {"", "Identity", kOld, kNew, 1, 1, identity, true},
      {"", "IsInf", 10, kNew, 1, 1, isInf, true},
      {"", "IsNaN", 9, kNew, 1, 1, isNaN, true},
      {"", "Less", kOld, kNew, 2, 2, comparison<F::OLT, I::slt, I::ult>, true},
      {"", "LessOrEqual", 12, kNew, 2, 2, comparison<F::OLE, I::sle, I::ule>, true},
      {"", "Log", kOld, kNew, 1, 1, floatUnary<math::LogOp>, true},
      {"", "Max", kOld, kNew, 1, kUnlimited, variadic<Variadic::Max>, true},
      {"", "Mean", kOld, kNew, 1, kUnlimited, variadic<Variadic::Mean>, true},
      {"", "Min", kOld, kNew, 1, kUnlimited, variadic<Variadic::Min>, true},
      {"", "Mod", 10, kNew, 2, 2, mod, true},
      {"", "Mul", kOld, kNew, 2, 2, binary<arith::MulFOp, arith::MulIOp>, true},
      {"", "Neg", kOld, kNew, 1, 1, neg, true},
      {"", "Not", kOld, kNew, 1, 1, bitwiseNot, true},
      {"", "Or", kOld, kNew, 2, 2, integerBinary<arith::OrIOp>, true},
      {"", "Pow", kOld, kNew, 2, 2, pow, true},
      {"", "Reciprocal", kOld, kNew, 1, 1, reciprocal, true},
      {"", "Round", 11, kNew, 1, 1, floatUnary<math::RoundEvenOp>, true},
      {"", "Sign", 9, kNew, 1, 1, sign, true},
      {"", "Sin", kOld, kNew, 1, 1, floatUnary<math::SinOp>, true},
      {"", "Sinh", 9, kNew, 1, 1, floatUnary<math::SinhOp>, true},
      {"", "Sqrt", kOld, kNew, 1, 1, floatUnary<math::SqrtOp>, true},
      {"", "Sub", kOld, kNew, 2, 2, binary<arith::SubFOp, arith::SubIOp>, true},
      {"", "Sum", 8, kNew, 1, kUnlimited, variadic<Variadic::Sum>, true},
      {"", "Tan", kOld, kNew, 1, 1, floatUnary<math::TanOp>, true},
      {"", "Tanh", kOld, kNew, 1, 1, floatUnary<math::TanhOp>, true},
      {"", "Where", 9, kNew, 3, 3, where, true},
      {"", "Xor", kOld, kNew, 2, 2, integerBinary<arith::XOrIOp>, true},
  };
  return kOps;
}
