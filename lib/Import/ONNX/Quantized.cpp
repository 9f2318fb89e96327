// SPDX-License-Identifier: Apache-2.0
// Linear quantisation, and products of integers.
//
// Everything is written as the arithmetic that defines it. That a constant is
// a weight of few bits is seen later, from its use, whoever wrote it.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

//===----------------------------------------------------------------------===//
// QuantizeLinear, DequantizeLinear
//===----------------------------------------------------------------------===//

/// Scale or zero point, broadcast to x: one, one per entry of an axis, or one
/// per block of an axis.
static FailureOr<Value> perAxis(Node &n, Value value, Value x, StringRef what) {
  Dims s = n.b.shapeOf(x), own = n.b.shapeOf(value);
  if (n.b.typeOf(value).getNumElements() == 1)
    return n.b.broadcast(n.b.reshape(value, {}), s);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 1), s.size());
  if (failed(axis))
    return failure();
  int64_t block = n.intAttr("block_size", 0);
  if (block == 0) {
    if (own != Dims({s[*axis]}))
      return n.error() << "expected a " << what << " of " << s[*axis]
                       << " entries, but got " << value.getType();
    Shape others;
    for (int64_t i = 0; i < static_cast<int64_t>(s.size()); ++i)
      if (i != *axis)
        others.push_back(i);
    return n.b.broadcastInto(value, s, others);
  }
  Shape wanted(s), split(s);
  if (block < 1 || block > std::max<int64_t>(s[*axis], 1) * 2)
    return n.error() << "expected blocks of 1 to " << s[*axis]
                     << " entries, but got " << block;
  wanted[*axis] = llvm::divideCeil(s[*axis], block);
  if (own != Dims(wanted))
    return n.error() << "expected a " << what << " per block of " << block
                     << ", but got " << value.getType();
  split[*axis] = wanted[*axis];
  split.insert(split.begin() + *axis + 1, block);
  Value wide = n.b.broadcastInto(value, split, {*axis + 1});
  // The last block may be short.
  Shape whole(s);
  whole[*axis] = wanted[*axis] * block;
  return n.b.sliceDim(n.b.reshape(wide, whole), *axis, 0, s[*axis]);
}

static LogicalResult dequantizeLinear(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectInteger(0)) || failed(n.expectFloat(1)) ||
      failed(n.expectFinite(1, "scales")))
    return failure();
  Type element = n.b.elementOf(n.in(1));
  FailureOr<Value> scale = perAxis(n, n.in(1), x, "scale");
  if (failed(scale))
    return failure();
  Value y = n.b.cast(x, element, n.isUnsigned(x));
  if (n.has(2)) {
    if (failed(n.expectSameElement(0, 2)))
      return failure();
    Value zero = n.b.cast(n.in(2), element, n.isUnsigned(n.in(2)));
    FailureOr<Value> wide = perAxis(n, zero, x, "zero point");
    if (failed(wide))
      return failure();
    y = n.b.sub(y, *wide);
  }
  y = n.b.mul(y, *scale);
  if (int64_t type = n.intAttr("output_dtype", 0)) {
    Type to = getElementType(type, n.importer.context);
    if (!isa_and_nonnull<FloatType>(to))
      return n.error() << "expected floats as the result, but got "
                       << describeType(type);
    y = n.b.cast(y, to);
  }
  n.out(y);
  return success();
}

static LogicalResult quantizeLinear(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)) ||
      failed(n.expectFinite(1, "scales")))
    return failure();
  Type element = n.b.elementOf(x), to = n.b.builder.getIntegerType(8);
  bool isUnsigned = true;
  if (n.has(2)) {
    to = n.b.elementOf(n.in(2));
    isUnsigned = n.isUnsigned(n.in(2));
  } else if (n.intAttr("output_dtype", 0) != 0) {
    to = getElementType(n.intAttr("output_dtype", 0), n.importer.context);
    isUnsigned = isUnsignedType(n.intAttr("output_dtype", 0));
  }
  auto type = dyn_cast_or_null<IntegerType>(to);
  if (!type || type.getWidth() < 8 || type.getWidth() > 16)
    return n.error() << "expected 8 or 16 bit integers as the result";
  FailureOr<Value> scale = perAxis(n, n.in(1), x, "scale");
  if (failed(scale))
    return failure();
  Value y = n.b.make<math::RoundEvenOp>(n.b.div(x, *scale));
  if (n.has(2)) {
    FailureOr<Value> zero = perAxis(
        n, n.b.cast(n.in(2), element, isUnsigned), x, "zero point");
    if (failed(zero))
      return failure();
    y = n.b.add(y, *zero);
  }
  double span = std::ldexp(1.0, type.getWidth());
  double low = isUnsigned ? 0 : -span / 2, high = low + span - 1;
  y = n.b.make<arith::MaximumFOp>(y, n.b.splatLike(y, low));
  y = n.b.make<arith::MinimumFOp>(y, n.b.splatLike(y, high));
  Value result = n.b.cast(y, to, false, isUnsigned);
  if (isUnsigned)
    n.setUnsigned(result);
  n.out(result);
  return success();
}

/// Scale and zero point of the whole tensor, of a range that holds zero.
static LogicalResult dynamicQuantizeLinear(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  Type element = n.b.elementOf(x), i8 = n.b.builder.getIntegerType(8);
  if (n.b.typeOf(x).getNumElements() == 0)
    return n.error() << "expected at least one element, but got " << x.getType();
  Shape all = numbersFrom(0, n.b.rankOf(x));
  auto scalar = [&](double value) { return n.b.splat({}, element, value); };
  auto clip = [&](Value value) {
    value = n.b.make<arith::MaximumFOp>(value, n.b.splatLike(value, 0));
    return n.b.make<arith::MinimumFOp>(value, n.b.splatLike(value, 255));
  };
  Value low = n.b.reduce(x, all, Reduction::Min, false),
        high = n.b.reduce(x, all, Reduction::Max, false);
  low = n.b.make<arith::MinimumFOp>(low, scalar(0));
  high = n.b.make<arith::MaximumFOp>(high, scalar(0));
  Value scale = n.b.div(n.b.sub(high, low), scalar(255));
  // Of nothing but zeros all is zero, not NaN.
  Value isZero =
      n.b.make<arith::CmpFOp>(arith::CmpFPredicate::OEQ, scale, scalar(0));
  Value divisor = n.b.make<arith::SelectOp>(isZero, scalar(1), scale);
  Value zero = clip(n.b.sub(scalar(0), n.b.div(low, divisor)));
  zero = n.b.make<math::RoundEvenOp>(zero);
  Dims shape = n.b.shapeOf(x);
  Value y = n.b.div(x, n.b.broadcast(divisor, shape));
  y = n.b.make<math::RoundEvenOp>(y);
  y = clip(n.b.add(y, n.b.broadcast(zero, shape)));
  y = n.b.cast(y, i8, false, /*toUnsigned=*/true);
  Value zeroPoint = n.b.cast(zero, i8, false, /*toUnsigned=*/true);
  n.setUnsigned(y);
  n.setUnsigned(zeroPoint);
  n.out(y);
  n.out(scale);
  n.out(zeroPoint);
  return success();
}

//===----------------------------------------------------------------------===//
// MatMulInteger
//
// sum_k (a - za) (b - zb), exact in 32 bits. The differences fit in 16 bits,
// and are formed of activations. A constant stays a byte per element: of its
// zero point, which is one per row or column, only zb * sum_k (a - za) is
// subtracted from the product.
//===----------------------------------------------------------------------===//

namespace {
/// One operand of the product: a matrix, and what is still to be subtracted
/// from each of its integers (i32; null if nothing).
struct Factor {
  Value integers, rest;
  bool isTransposed = false;
};
} // namespace

/// A zero point of the matrix at input `i`: a scalar, one per entry of `dim`
/// (counted from the end, 1 or 2), or shaped for broadcasting. As i32, of rank
/// 0 or the matrix' rank.
static FailureOr<Value> readZeroPoint(Node &n, size_t input, size_t matrix,
                                      int64_t dim) {
  Value zero = n.in(input);
  Dims shape = n.b.shapeOf(n.in(matrix)), own = n.b.shapeOf(zero);
  if (failed(n.expectSameElement(matrix, input)))
    return failure();
  Value wide =
      n.b.cast(zero, n.b.builder.getI32Type(), n.isUnsigned(zero));
  int64_t rank = shape.size();
  if (n.b.typeOf(zero).getNumElements() == 1)
    return n.b.reshape(wide, {});
  Shape wanted(shape);
  bool fits = rank >= 2;
  if (fits) {
    wanted[rank - 3 + dim] = 1;
    Shape flat(rank, 1);
    flat[rank - dim] = shape[rank - dim];
    if (own == Dims({shape[rank - dim]}))
      return n.b.reshape(wide, flat);
    fits = own == Dims(wanted);
  }
  if (!fits)
    return n.error() << "expected a zero point for all, or one per "
                     << (dim == 2 ? "row" : "column") << " of "
                     << n.in(matrix).getType() << ", but got " << zero.getType();
  return wide;
}

/// The constant with every element less `middle`, read as signed; a matrix
/// transposed, so that its columns lie in one piece.
static Value storeBytes(Node &n, size_t input, int64_t middle,
                        bool isTransposed) {
  ssm::Evaluator evaluator;
  ssm::HostTensor from = *evaluator.evaluate(n.in(input));
  int64_t rows = isTransposed ? from.shape()[0] : 1;
  int64_t columns = from.size() / std::max<int64_t>(rows, 1);
  Shape shape(from.shape());
  if (isTransposed)
    std::swap(shape[0], shape[1]);
  char *data;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(from.type.clone(shape), from.kind, data);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      data[j * rows + i] = from.bytes[i * columns + j] - char(middle);
  return n.importer.buildWeight(result, n.loc, n.proto.input(input));
}

static FailureOr<Factor> readFactor(Node &n, size_t input, size_t zeroInput,
                                    int64_t dim) {
  Factor factor{n.in(input), {}};
  if (n.has(zeroInput)) {
    FailureOr<Value> zero = readZeroPoint(n, zeroInput, input, dim);
    if (failed(zero))
      return failure();
    factor.rest = *zero;
  }
  bool isUnsigned = n.isUnsigned(factor.integers);
  Type i16 = n.b.builder.getIntegerType(16), i32 = n.b.builder.getI32Type();
  Operation *op = factor.integers.getDefiningOp();
  if (!isa_and_nonnull<ssm::WeightOp, arith::ConstantOp>(op)) {
    factor.integers = n.b.cast(factor.integers, i16, isUnsigned);
    if (factor.rest) {
      Value zero = n.b.cast(factor.rest, i16);
      factor.integers = n.b.sub(
          factor.integers, n.b.broadcast(zero, n.b.shapeOf(factor.integers)));
      factor.rest = {};
    }
    return factor;
  }
  factor.isTransposed = input == 1 && n.b.rankOf(n.in(input)) == 2;
  if (factor.isTransposed || isUnsigned)
    factor.integers =
        storeBytes(n, input, isUnsigned ? 128 : 0, factor.isTransposed);
  if (!isUnsigned)
    return factor;
  if (!factor.rest)
    factor.rest = n.b.intSplat({}, i32, 0);
  factor.rest =
      n.b.sub(factor.rest, n.b.intSplat(n.b.shapeOf(factor.rest), i32, 128));
  return factor;
}

/// sum_k (a - ra) (b - rb) = ab - rb sum (a - ra) - ra sum b, of `shape`.
static Value multiply(Node &n, Factor a, Factor b, Dims shape) {
  Type i32 = n.b.builder.getI32Type();
  if (n.b.rankOf(a.integers) == 1)
    a.integers = n.b.unsqueeze(a.integers, {0});
  if (n.b.rankOf(b.integers) == 1)
    b.integers = n.b.unsqueeze(b.integers, {1});
  int64_t rank = n.b.rankOf(a.integers), k = n.b.shapeOf(a.integers).back();
  Value y;
  if (b.isTransposed) {
    Shape labels = numbersFrom(0, rank), result(labels);
    result.back() = rank;
    y = n.b.contract(a.integers, labels, b.integers, {rank, rank - 1}, result,
                     i32);
  } else {
    y = n.b.matmul(a.integers, b.integers, i32);
  }
  auto subtract = [&](Value first, Value second) {
    y = n.b.sub(y, n.b.mul(n.b.broadcast(first, shape),
                           n.b.broadcast(second, shape)));
  };
  if (b.rest) {
    Value sums = n.b.reduce(n.b.cast(a.integers, i32), {rank - 1},
                            Reduction::Sum, /*keepDims=*/true);
    if (a.rest) {
      Dims own = n.b.shapeOf(sums);
      Value all = n.b.mul(a.rest, n.b.intSplat(n.b.shapeOf(a.rest), i32, k));
      sums = n.b.sub(sums, n.b.broadcast(all, own));
    }
    subtract(sums, b.rest);
  }
  if (a.rest) {
    int64_t dim = b.isTransposed ? 1 : n.b.rankOf(b.integers) - 2;
    Value sums = n.b.reduce(n.b.cast(b.integers, i32), {dim}, Reduction::Sum,
                            /*keepDims=*/true);
    subtract(a.rest, b.isTransposed ? n.b.transpose(sums, {1, 0}) : sums);
  }
  return y;
}

static LogicalResult matMulInteger(Node &n) {
  Value a = n.in(0), b = n.in(1);
  Dims s = n.b.shapeOf(a), t = n.b.shapeOf(b);
  for (size_t input : {0, 1})
    if (!n.b.elementOf(n.in(input)).isInteger(8))
      return n.error() << "expected 8-bit integers as input " << input
                       << ", but got " << n.in(input).getType();
  if (s.empty() || t.empty())
    return n.error() << "expected tensors of rank 1 or more, but got "
                     << a.getType() << " and " << b.getType();
  int64_t k = s.back(), other = t.size() == 1 ? t[0] : t[t.size() - 2];
  auto batchOf = [](Dims shape) {
    return shape.size() > 2 ? shape.drop_back(2) : Dims();
  };
  std::optional<Shape> shape = broadcastShapes(batchOf(s), batchOf(t));
  if (k != other || !shape)
    return n.mismatch(k, other)
           << "expected matrices that can be multiplied, but got "
           << a.getType() << " and " << b.getType();
  Shape results(*shape);
  if (s.size() > 1)
    results.push_back(s[s.size() - 2]);
  if (t.size() > 1)
    results.push_back(t.back());
  shape->push_back(s.size() > 1 ? s[s.size() - 2] : 1);
  shape->push_back(t.size() > 1 ? t.back() : 1);
  if (failed(n.checkShape(*shape)))
    return failure();
  FailureOr<Factor> left = readFactor(n, 0, 2, 2), right = readFactor(n, 1, 3, 1);
  if (failed(left) || failed(right))
    return failure();
  Value product = multiply(n, *left, *right, *shape);
  n.out(n.b.reshape(product, results));
  return success();
}

ArrayRef<OpEntry> onnx_import::quantizedOps() {
  constexpr int kNew = kNewestOpset;
  constexpr const char *kMs = "com.microsoft";
  static const OpEntry kOps[] = {
      {"", "DequantizeLinear", 10, kNew, 2, 3, dequantizeLinear},
      {"", "DynamicQuantizeLinear", 11, kNew, 1, 1, dynamicQuantizeLinear},
      {"", "MatMulInteger", 10, kNew, 2, 4, matMulInteger},
      {"", "QuantizeLinear", 10, kNew, 2, 3, quantizeLinear, false,
       "to 8 or 16 bits"},
      {kMs, "DequantizeLinear", 1, 1, 2, 3, dequantizeLinear},
      {kMs, "QuantizeLinear", 1, 1, 2, 3, quantizeLinear, false,
       "to 8 or 16 bits"},
  };
  return kOps;
}
