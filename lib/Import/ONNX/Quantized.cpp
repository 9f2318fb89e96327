// SPDX-License-Identifier: Apache-2.0
// Weights that a file holds in few bits, and linear quantisation.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

//===----------------------------------------------------------------------===//
// MatMulNBits
//===----------------------------------------------------------------------===//

namespace {
/// A matrix [N, K] in blocks of `blockSize` along K, each with a scale and a
/// zero point; numbers of `bits` bits, the first in the lowest bits of a byte.
struct Blocked {
  int64_t n = 0, k = 0, bits = 4, blockSize = 32, blocks = 0;
};
} // namespace

/// Number `index` of the packed numbers in `data`, `bits` divides 8.
static int64_t unpack(const ssm::HostTensor &data, int64_t index, int64_t bits) {
  int64_t perByte = 8 / bits;
  auto byte = static_cast<uint8_t>(data.bytes[index / perByte]);
  return (byte >> (index % perByte * bits)) & ((1 << bits) - 1);
}

static FailureOr<ssm::HostTensor> readWeight(Node &n, size_t input,
                                             StringRef what) {
  ssm::Evaluator evaluator;
  std::optional<ssm::HostTensor> data = evaluator.evaluate(n.in(input));
  if (!data)
    return n.error() << "expected a constant as " << what;
  return *data;
}

static FailureOr<Value> dequantize(Node &n, const Blocked &w) {
  FailureOr<ssm::HostTensor> packed = readWeight(n, 1, "the weight"),
                             scales = readWeight(n, 2, "the scales");
  if (failed(packed) || failed(scales))
    return failure();
  int64_t bytesPerBlock = w.blockSize * w.bits / 8;
  if (packed->kind != ssm::ElementKind::I8 ||
      packed->size() != w.n * w.blocks * bytesPerBlock ||
      scales->size() != w.n * w.blocks || !ssm::isFloat(scales->kind))
    return n.error() << "expected " << w.n * w.blocks * bytesPerBlock
                     << " bytes of weight and " << w.n * w.blocks
                     << " scales, but got " << packed->type << " and "
                     << scales->type;
  std::optional<ssm::HostTensor> zeros;
  // Packed zero points begin a new byte per row.
  int64_t zeroRow = (w.blocks * w.bits + 7) / 8 * (8 / w.bits);
  if (n.has(3)) {
    FailureOr<ssm::HostTensor> given = readWeight(n, 3, "the zero points");
    if (failed(given))
      return failure();
    zeros = *given;
    int64_t wanted = ssm::isFloat(zeros->kind) ? w.n * w.blocks
                                               : w.n * zeroRow * w.bits / 8;
    if (zeros->size() != wanted ||
        (!ssm::isFloat(zeros->kind) && zeros->kind != ssm::ElementKind::I8))
      return n.error() << "expected " << wanted << " zero points, but got "
                       << zeros->type;
  }
  char *data;
  auto type = RankedTensorType::get({w.n, w.k}, n.b.elementOf(n.in(0)));
  ssm::HostTensor result = ssm::HostTensor::allocate(
      type, *ssm::getElementKind(type.getElementType()), data);
  std::vector<double> row(w.k);
  for (int64_t i = 0; i < w.n; ++i) {
    for (int64_t j = 0; j < w.k; ++j) {
      int64_t block = j / w.blockSize, at = i * w.blocks + block;
      double zero = 1 << (w.bits - 1);
      if (zeros)
        zero = ssm::isFloat(zeros->kind)
                   ? zeros->getFloat(at)
                   : unpack(*zeros, i * zeroRow + block, w.bits);
      int64_t number =
          unpack(*packed, at * w.blockSize + j % w.blockSize, w.bits);
      row[j] = (number - zero) * scales->getFloat(at);
    }
    ssm::storeFloats(result.kind, data, i * w.k, w.k, row.data());
  }
  std::string name = n.proto.input(1);
  return ssm::buildConstant(n.b.builder, n.loc, result, name);
}

static LogicalResult matMulNBits(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  Blocked w;
  w.n = n.intAttr("N", 0);
  w.k = n.intAttr("K", 0);
  w.bits = n.intAttr("bits", 4);
  w.blockSize = n.intAttr("block_size", 32);
  if (w.n < 1 || w.k < 1 || w.n > INT32_MAX || w.k > INT32_MAX ||
      (w.bits != 2 && w.bits != 4 && w.bits != 8) || w.blockSize < 16 ||
      w.blockSize > 1 << 20 || (w.blockSize & (w.blockSize - 1)))
    return n.error() << "expected N and K, 2, 4 or 8 bits and a block size that "
                        "is a power of two of at least 16";
  if (n.has(4) || n.intAttr("weight_prepacked", 0) != 0)
    return n.error() << "expected a weight in natural order, without g_idx and "
                        "not prepacked";
  w.blocks = (w.k + w.blockSize - 1) / w.blockSize;
  if (n.b.rankOf(x) < 1 || n.b.shapeOf(x).back() != w.k)
    return n.error() << "expected an input with " << w.k
                     << " entries in the last dimension, but got "
                     << x.getType();
  FailureOr<Value> weight = dequantize(n, w);
  if (failed(weight))
    return failure();
  int64_t rank = n.b.rankOf(x);
  SmallVector<int64_t> labels(numbersFrom(0, rank)), result(labels);
  result.back() = rank;
  Value y = n.b.contract(x, labels, *weight, {rank, rank - 1}, result);
  if (n.has(5)) {
    if (n.b.shapeOf(n.in(5)) != Dims({w.n}) || failed(n.expectSameElement(0, 5)))
      return n.error() << "expected a bias of " << w.n << " entries, but got "
                       << n.in(5).getType();
    y = n.b.add(y, n.b.broadcast(n.in(5), n.b.shapeOf(y)));
  }
  n.out(y);
  return success();
}

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
  if (block < 1 || s[*axis] % block)
    return n.error() << "expected blocks that divide " << s[*axis]
                     << ", but got " << block;
  wanted[*axis] = s[*axis] / block;
  if (own != Dims(wanted))
    return n.error() << "expected a " << what << " per block of " << block
                     << ", but got " << value.getType();
  split[*axis] = wanted[*axis];
  split.insert(split.begin() + *axis + 1, block);
  return n.b.reshape(n.b.broadcastInto(value, split, {*axis + 1}), s);
}

static LogicalResult dequantizeLinear(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectInteger(0)) || failed(n.expectFloat(1)))
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
  n.out(n.b.mul(y, *scale));
  return success();
}

static LogicalResult quantizeLinear(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)))
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

ArrayRef<OpEntry> onnx_import::quantizedOps() {
  constexpr int kNew = kNewestOpset;
  constexpr const char *kMs = "com.microsoft";
  static const OpEntry kOps[] = {
      {"", "DequantizeLinear", 10, kNew, 2, 3, dequantizeLinear},
      {"", "QuantizeLinear", 10, kNew, 2, 3, quantizeLinear, false,
       "to 8 or 16 bits"},
      {kMs, "DequantizeLinear", 1, 1, 2, 3, dequantizeLinear},
      {kMs, "MatMulNBits", 1, 1, 3, 6, matMulNBits, false,
       "constant weight of 2, 4 or 8 bits, without g_idx"},
      {kMs, "QuantizeLinear", 1, 1, 2, 3, quantizeLinear, false,
       "to 8 or 16 bits"},
  };
  return kOps;
}
