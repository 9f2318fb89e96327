// SPDX-License-Identifier: Apache-2.0
// Matrices that com.microsoft operators hold in blocks of few bits: row i,
// column j is
//
//   scale[i, b] * (number[i, j] - zero[i, b]),  b = j / block size
//
// That is what ssm.linear and ssm.embedding store, so the integers are kept,
// less the middle of their range, and the product is the layer's own. Where
// the layer cannot say it (activations that are no f32, zero points between
// the integers, columns in another order) the matrix is multiplied out here.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {

struct Blocked {
  int64_t n = 0, k = 0, bits = 4, size = 32;
  int64_t perRow() const { return llvm::divideCeil(k, size); }
};

/// Numbers of a file, `stride` in a row: of `bits` bits, the first in the
/// lowest bits of a byte, or one to a byte if `bits` is zero.
struct Numbers {
  ssm::HostTensor data;
  int64_t bits, stride;

  int64_t at(int64_t i, int64_t j) const {
    int64_t index = i * stride + j;
    if (bits == 0)
      return data.getInt(index);
    int64_t perByte = 8 / bits;
    auto byte = static_cast<uint8_t>(data.bytes[index / perByte]);
    return (byte >> (index % perByte * bits)) & ((1 << bits) - 1);
  }
};

/// The matrix, its numbers and zero points less the middle of their range.
struct Contents {
  ssm::HostTensor numbers, scales;
  std::vector<double> zeros; // one per scale, or none
};

} // namespace

static FailureOr<ssm::HostTensor> readConstant(Node &n, size_t input,
                                               StringRef what) {
  ssm::Evaluator evaluator;
  std::optional<ssm::HostTensor> data = evaluator.evaluate(n.in(input));
  if (!data)
    return n.error() << "expected a constant as " << what;
  return *data;
}

static FailureOr<ssm::HostTensor> readScales(Node &n, const Blocked &w) {
  FailureOr<ssm::HostTensor> scales = readConstant(n, 2, "the scales");
  if (failed(scales) || failed(n.expectFinite(2, "scales")))
    return failure();
  if (scales->size() != w.n * w.perRow() || !ssm::isFloat(scales->kind))
    return n.error() << "expected " << w.n * w.perRow() << " scales, but got "
                     << scales->type;
  scales->type = RankedTensorType::get({w.n, w.perRow()},
                                       scales->type.getElementType());
  return scales;
}

static ssm::HostTensor readNumbers(Node &n, const Blocked &w,
                                   const Numbers &from, int64_t middle) {
  Type element = n.b.builder.getIntegerType(w.bits <= 4 ? 4 : 8);
  char *data;
  ssm::HostTensor result = ssm::HostTensor::allocate(
      RankedTensorType::get({w.n, w.k}, element), ssm::ElementKind::I8, data);
  for (int64_t i = 0; i < w.n; ++i)
    for (int64_t j = 0; j < w.k; ++j)
      data[i * w.k + j] = static_cast<char>(from.at(i, j) - middle);
  return result;
}

static std::vector<double> readZeros(const Blocked &w, const Numbers &from,
                                     int64_t middle) {
  std::vector<double> zeros;
  for (int64_t i = 0; i < w.n; ++i)
    for (int64_t b = 0; b < w.perRow(); ++b)
      zeros.push_back(from.at(i, b) - middle);
  return zeros;
}

/// Packed zero points begin a new byte per row.
static int64_t zeroBytes(const Blocked &w) {
  return llvm::divideCeil(w.perRow() * w.bits, 8);
}

static LogicalResult refuseZeros(Node &n, int64_t wanted, Type got) {
  return n.error() << "expected " << wanted << " zero points, but got " << got;
}

//===----------------------------------------------------------------------===//
// Stored as they are
//===----------------------------------------------------------------------===//

static bool canStore(const Contents &contents) {
  return contents.scales.kind != ssm::ElementKind::F64 &&
         llvm::all_of(contents.zeros, [](double zero) {
           return zero == std::rint(zero) && zero >= -128 && zero <= 127;
         });
}

/// Names the matrix by the tensors that it is read from; empty if one of them
/// is made in the graph.
static std::vector<int64_t> keyOf(Node &n, const Blocked &w) {
  std::vector<int64_t> key{w.n, w.k, w.bits, w.size};
  for (size_t input = 1; input <= 3; ++input) {
    Attribute value;
    if (n.has(input)) {
      Operation *op = n.in(input).getDefiningOp();
      if (!isa_and_nonnull<arith::ConstantOp, ssm::WeightOp>(op))
        return {};
      value = op->getAttr("value");
    }
    key.push_back(reinterpret_cast<intptr_t>(value.getAsOpaquePointer()));
  }
  return key;
}

static StoredMatrix store(Node &n, const Blocked &w, const Contents &contents,
                          size_t weightInput) {
  auto build = [&](const ssm::HostTensor &value, size_t input) {
    return n.importer.buildWeight(value, n.loc, n.proto.input(input));
  };
  StoredMatrix stored;
  stored.integers = build(contents.numbers, weightInput);
  stored.scales = build(contents.scales, 2);
  if (llvm::all_of(contents.zeros, [](double zero) { return zero == 0; }))
    return stored;
  char *data;
  ssm::HostTensor zeros = ssm::HostTensor::allocate(
      RankedTensorType::get({w.n, w.perRow()}, n.b.builder.getI8Type()),
      ssm::ElementKind::I8, data);
  for (auto [i, zero] : llvm::enumerate(contents.zeros))
    data[i] = static_cast<char>(zero);
  stored.zeroPoints = build(zeros, n.has(3) ? 3 : 2);
  return stored;
}

static IntegerAttr groupOf(Node &n, const Blocked &w) {
  return w.perRow() > 1 ? n.b.builder.getI64IntegerAttr(w.size) : nullptr;
}

//===----------------------------------------------------------------------===//
// MatMulNBits
//===----------------------------------------------------------------------===//

static FailureOr<Contents> readMatMulNBits(Node &n, const Blocked &w) {
  FailureOr<ssm::HostTensor> packed = readConstant(n, 1, "the weight"),
                             scales = readScales(n, w);
  if (failed(packed) || failed(scales))
    return failure();
  int64_t bytes = w.n * w.perRow() * (w.size * w.bits / 8);
  if (packed->kind != ssm::ElementKind::I8 || packed->size() != bytes)
    return n.error() << "expected " << bytes << " bytes of weight, but got "
                     << packed->type;
  int64_t middle = 1 << (w.bits - 1);
  Contents contents;
  contents.scales = *scales;
  contents.numbers =
      readNumbers(n, w, {*packed, w.bits, w.perRow() * w.size}, middle);
  if (!n.has(3))
    return contents;
  FailureOr<ssm::HostTensor> zeros = readConstant(n, 3, "the zero points");
  if (failed(zeros) || failed(n.expectFinite(3, "zero points")))
    return failure();
  if (!ssm::isFloat(zeros->kind)) {
    if (zeros->size() != w.n * zeroBytes(w) ||
        zeros->kind != ssm::ElementKind::I8)
      return refuseZeros(n, w.n * zeroBytes(w), zeros->type);
    contents.zeros =
        readZeros(w, {*zeros, w.bits, zeroBytes(w) * 8 / w.bits}, middle);
    return contents;
  }
  if (zeros->size() != w.n * w.perRow())
    return refuseZeros(n, w.n * w.perRow(), zeros->type);
  for (int64_t i = 0; i < zeros->size(); ++i)
    contents.zeros.push_back(zeros->getFloat(i) - middle);
  return contents;
}

/// The block of every column; empty if each is in the block that it lies in.
static FailureOr<Shape> readOrder(Node &n, const Blocked &w) {
  if (!n.has(4))
    return Shape();
  FailureOr<ssm::HostTensor> order = readConstant(n, 4, "g_idx");
  if (failed(order))
    return failure();
  if (ssm::isFloat(order->kind) ||
      (order->size() != w.k && order->size() != w.perRow() * w.size))
    return n.error() << "expected " << w.k << " integers as g_idx, but got "
                     << order->type;
  Shape blocks = order->getInts();
  blocks.resize(w.k);
  bool isNatural = true;
  for (auto [j, block] : llvm::enumerate(blocks)) {
    if (block < 0 || block >= w.perRow())
      return n.error() << "expected g_idx in [0, " << w.perRow() - 1
                       << "], but got " << block;
    isNatural &= block == static_cast<int64_t>(j) / w.size;
  }
  return isNatural ? Shape() : blocks;
}

/// The matrix in floats of type `element`.
static Value multiplyOut(Node &n, const Blocked &w, const Contents &contents,
                         Dims order, Type element) {
  char *data;
  ssm::HostTensor result = ssm::HostTensor::allocate(
      RankedTensorType::get({w.n, w.k}, element), *ssm::getElementKind(element),
      data);
  std::vector<double> row(w.k);
  for (int64_t i = 0; i < w.n; ++i) {
    for (int64_t j = 0; j < w.k; ++j) {
      int64_t at = i * w.perRow() + (order.empty() ? j / w.size : order[j]);
      double zero = contents.zeros.empty() ? 0 : contents.zeros[at];
      double number = static_cast<int8_t>(contents.numbers.bytes[i * w.k + j]);
      row[j] = (number - zero) * contents.scales.getFloat(at);
    }
    ssm::storeFloats(result.kind, data, i * w.k, w.k, row.data());
  }
  return n.importer.buildWeight(result, n.loc, n.proto.input(1));
}

static FailureOr<Value> multiply(Node &n, const Blocked &w) {
  Value x = n.in(0);
  Type element = n.b.elementOf(x);
  Shape shape(n.b.shapeOf(x));
  shape.back() = w.n;
  if (failed(n.checkShape(shape)))
    return failure();
  FailureOr<Shape> order = readOrder(n, w);
  if (failed(order))
    return failure();
  std::vector<int64_t> key = keyOf(n, w);
  auto known = n.importer.storedMatrices.find(key);
  StoredMatrix stored;
  bool isKnown = known != n.importer.storedMatrices.end();
  if (isKnown && order->empty() && element.isF32()) {
    stored = known->second;
  } else {
    FailureOr<Contents> contents = readMatMulNBits(n, w);
    if (failed(contents))
      return failure();
    if (!element.isF32() || !order->empty() || !canStore(*contents)) {
      Value weight = multiplyOut(n, w, *contents, *order, element);
      int64_t rank = n.b.rankOf(x);
      SmallVector<int64_t> labels(numbersFrom(0, rank)), result(labels);
      result.back() = rank;
      return n.b.contract(x, labels, weight, {rank, rank - 1}, result);
    }
    stored = store(n, w, *contents, 1);
    if (!key.empty())
      n.importer.storedMatrices[key] = stored;
  }
  if (n.b.typeOf(x).getNumElements() == 0)
    return n.b.splat(shape, element, 0);
  return ssm::LinearOp::create(n.b.builder, n.loc,
                               RankedTensorType::get(shape, element), x,
                               stored.integers, stored.scales,
                               stored.zeroPoints, /*bias=*/Value(),
                               groupOf(n, w), /*int8_input=*/nullptr,
                               /*packed=*/nullptr)
      .getResult();
}

static LogicalResult matMulNBits(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  Blocked w;
  w.n = n.intAttr("N", 0);
  w.k = n.intAttr("K", 0);
  w.bits = n.intAttr("bits", 4);
  w.size = n.intAttr("block_size", 32);
  if (w.n < 1 || w.k < 1 || w.n > INT32_MAX || w.k > INT32_MAX ||
      (w.bits != 2 && w.bits != 4 && w.bits != 8) || w.size < 16 ||
      w.size > 1 << 20 || (w.size & (w.size - 1)))
    return n.error() << "expected N and K, 2, 4 or 8 bits and a block size that "
                        "is a power of two of at least 16";
  if (n.intAttr("weight_prepacked", 0) != 0)
    return n.error() << "expected a weight in natural order, not prepacked";
  if (n.b.rankOf(x) < 1 || n.b.shapeOf(x).back() != w.k)
    return n.error() << "expected an input with " << w.k
                     << " entries in the last dimension, but got "
                     << x.getType();
  FailureOr<Value> product = multiply(n, w);
  if (failed(product))
    return failure();
  Value y = *product;
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
// GatherBlockQuantized
//===----------------------------------------------------------------------===//

static LogicalResult gatherBlockQuantized(Node &n) {
  Value table = n.in(0), indices = n.in(1);
  if (failed(n.expectInteger(0)) || failed(n.expectInteger(1)) ||
      failed(n.expectFloat(2)))
    return failure();
  Blocked w;
  w.bits = n.intAttr("bits", 4);
  w.size = n.intAttr("block_size", 128);
  if ((w.bits != 2 && w.bits != 4 && w.bits != 8) || w.size < 16 ||
      w.size > 1 << 20 || (w.size & (w.size - 1)))
    return n.error() << "expected 2, 4 or 8 bits and a block size that is a "
                        "power of two of at least 16";
  int64_t rank = n.b.rankOf(table);
  FailureOr<int64_t> gathered = n.axis(n.intAttr("gather_axis", 0), rank),
                     blocked = n.axis(n.intAttr("quantize_axis", 1), rank);
  if (failed(gathered) || failed(blocked))
    return failure();
  if (rank != 2 || *gathered != 0 || *blocked != 1 ||
      !n.b.elementOf(table).isInteger(8))
    return n.error() << "expected rows of a matrix with blocks along them, but "
                        "got "
                     << table.getType() << " gathered along " << *gathered
                     << " with blocks along " << *blocked;
  // Bytes hold several numbers, and their zero point is the middle; tensors of
  // four bits hold one per element, around zero.
  int type = n.fileType(table);
  bool isSigned = !n.isUnsigned(table);
  bool isPacked = !isSigned && type != onnx::TensorProto::UINT4;
  int64_t perElement = isPacked ? 8 / w.bits : 1;
  w.n = n.b.shapeOf(table)[0];
  w.k = n.b.shapeOf(table)[1] * perElement;
  if (w.n < 1 || w.k < 1 || (!isPacked && w.bits != 4))
    return n.error() << "expected rows of " << w.bits << "-bit numbers, but got "
                     << table.getType();
  FailureOr<ssm::HostTensor> data = readConstant(n, 0, "the table"),
                             scales = readScales(n, w);
  if (failed(data) || failed(scales))
    return failure();
  int64_t middle = isSigned ? 0 : 1 << (w.bits - 1);
  Contents contents;
  contents.scales = *scales;
  contents.numbers =
      readNumbers(n, w, {*data, isPacked ? w.bits : 0, w.k}, middle);
  if (n.has(3)) {
    FailureOr<ssm::HostTensor> zeros = readConstant(n, 3, "the zero points");
    if (failed(zeros))
      return failure();
    int64_t perRow = isPacked ? zeroBytes(w) : w.perRow();
    if (zeros->size() != w.n * perRow || zeros->kind != ssm::ElementKind::I8)
      return refuseZeros(n, w.n * perRow, zeros->type);
    contents.zeros = readZeros(
        w, {*zeros, isPacked ? w.bits : 0, perRow * perElement}, middle);
  } else if (!isPacked && middle != 0) {
    contents.zeros.assign(w.n * w.perRow(), -middle);
  }
  if (!canStore(contents))
    return n.error() << "expected scales of f32, f16 or bf16, but got "
                     << n.in(2).getType();
  Shape shape(n.b.shapeOf(indices));
  shape.push_back(w.k);
  if (failed(n.checkShape(shape)))
    return failure();
  auto result = RankedTensorType::get(shape, n.b.elementOf(n.in(2)));
  if (result.getNumElements() == 0) {
    n.out(n.b.splat(shape, result.getElementType(), 0));
    return success();
  }
  StoredMatrix stored = store(n, w, contents, 0);
  n.out(ssm::EmbeddingOp::create(n.b.builder, n.loc, result, indices,
                                 stored.integers, stored.scales,
                                 stored.zeroPoints, groupOf(n, w),
                                 /*rows=*/nullptr, /*packed=*/nullptr));
  return success();
}

ArrayRef<OpEntry> onnx_import::blockQuantizedOps() {
  constexpr const char *kMs = "com.microsoft";
  static const OpEntry kOps[] = {
      {kMs, "GatherBlockQuantized", 1, 1, 3, 4, gatherBlockQuantized, false,
       "rows of a constant matrix of 2, 4 or 8 bits, blocks along them"},
      {kMs, "MatMulNBits", 1, 1, 3, 6, matMulNBits, false,
       "constant weight of 2, 4 or 8 bits, not prepacked"},
  };
  return kOps;
}
