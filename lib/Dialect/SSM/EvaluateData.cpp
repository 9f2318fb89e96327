// SPDX-License-Identifier: Apache-2.0
// Host data of the evaluator: typed access, strided copies, attributes.

#include "itera/Dialect/SSM/Evaluate.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/APFloat.h"
#include <cstring>

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

std::optional<ElementKind> ssm::getElementKind(Type type) {
  if (type.isInteger(1))
    return ElementKind::I1;
  if (type.isInteger(8) || type.isInteger(4))
    return ElementKind::I8;
  if (type.isInteger(16))
    return ElementKind::I16;
  if (type.isInteger(32))
    return ElementKind::I32;
  if (type.isInteger(64) || type.isIndex())
    return ElementKind::I64;
  if (type.isF16())
    return ElementKind::F16;
  if (type.isBF16())
    return ElementKind::BF16;
  if (type.isF32())
    return ElementKind::F32;
  if (type.isF64())
    return ElementKind::F64;
  return std::nullopt;
}

int64_t ssm::getElementBytes(ElementKind kind) {
  switch (kind) {
  case ElementKind::I1:
  case ElementKind::I8:
    return 1;
  case ElementKind::I16:
  case ElementKind::F16:
  case ElementKind::BF16:
    return 2;
  case ElementKind::I32:
  case ElementKind::F32:
    return 4;
  case ElementKind::I64:
  case ElementKind::F64:
    return 8;
  }
  llvm_unreachable("all kinds are listed");
}

HostTensor HostTensor::allocate(RankedTensorType type, ElementKind kind,
                                char *&data) {
  size_t bytes = type.getNumElements() * getElementBytes(kind);
  // A vector of the widest type keeps the memory aligned for every kind.
  auto memory = std::make_shared<std::vector<int64_t>>((bytes + 7) / 8);
  data = reinterpret_cast<char *>(memory->data());
  HostTensor result;
  result.type = type;
  result.kind = kind;
  result.bytes = ArrayRef<char>(data, bytes);
  result.owner = std::move(memory);
  return result;
}

//===----------------------------------------------------------------------===//
// Typed access
//===----------------------------------------------------------------------===//

static double halfToDouble(const llvm::fltSemantics &semantics, uint16_t bits) {
  llvm::APFloat value(semantics, llvm::APInt(16, bits));
  bool lost;
  value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven,
                &lost);
  return value.convertToDouble();
}

static uint16_t doubleToHalf(const llvm::fltSemantics &semantics, double from) {
  llvm::APFloat value(from);
  bool lost;
  value.convert(semantics, llvm::APFloat::rmNearestTiesToEven, &lost);
  return value.bitcastToAPInt().getZExtValue();
}

/// Loads `count` elements of type S as type T. Weights may lie unaligned.
template <typename S, typename T>
static void loadAs(const char *from, int64_t count, T *to) {
  for (int64_t i = 0; i < count; ++i) {
    S value;
    std::memcpy(&value, from + i * sizeof(S), sizeof(S));
    to[i] = static_cast<T>(value);
  }
}

template <typename S, typename T>
static void storeAs(char *to, int64_t count, const T *from) {
  for (int64_t i = 0; i < count; ++i) {
    S value = static_cast<S>(from[i]);
    std::memcpy(to + i * sizeof(S), &value, sizeof(S));
  }
}

/// A double as an integer: saturating, zero for NaN, never undefined.
static int64_t toInt(double value) {
  if (!(value == value))
    return 0;
  if (value >= 9223372036854775808.0)
    return INT64_MAX;
  if (value < -9223372036854775808.0)
    return INT64_MIN;
  return static_cast<int64_t>(value);
}

void ssm::loadFloats(const HostTensor &t, int64_t begin, int64_t count,
                     double *to) {
  const char *from = t.bytes.data() + begin * getElementBytes(t.kind);
  switch (t.kind) {
  case ElementKind::I1:
    for (int64_t i = 0; i < count; ++i)
      to[i] = from[i] != 0;
    return;
  case ElementKind::I8:
    return loadAs<int8_t>(from, count, to);
  case ElementKind::I16:
    return loadAs<int16_t>(from, count, to);
  case ElementKind::I32:
    return loadAs<int32_t>(from, count, to);
  case ElementKind::I64:
    return loadAs<int64_t>(from, count, to);
  case ElementKind::F32:
    return loadAs<float>(from, count, to);
  case ElementKind::F64:
    return loadAs<double>(from, count, to);
  case ElementKind::F16:
  case ElementKind::BF16: {
    const llvm::fltSemantics &semantics = t.kind == ElementKind::F16
                                              ? llvm::APFloat::IEEEhalf()
                                              : llvm::APFloat::BFloat();
    for (int64_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, from + 2 * i, 2);
      to[i] = halfToDouble(semantics, bits);
    }
    return;
  }
  }
}

void ssm::loadInts(const HostTensor &t, int64_t begin, int64_t count,
                   int64_t *to) {
  const char *from = t.bytes.data() + begin * getElementBytes(t.kind);
  switch (t.kind) {
  case ElementKind::I1:
    for (int64_t i = 0; i < count; ++i)
      to[i] = from[i] != 0;
    return;
  case ElementKind::I8:
    return loadAs<int8_t>(from, count, to);
  case ElementKind::I16:
    return loadAs<int16_t>(from, count, to);
  case ElementKind::I32:
    return loadAs<int32_t>(from, count, to);
  case ElementKind::I64:
    return loadAs<int64_t>(from, count, to);
  default:
    for (int64_t i = 0; i < count; ++i) {
      double value;
      loadFloats(t, begin + i, 1, &value);
      to[i] = toInt(value);
    }
  }
}

void ssm::storeInts(ElementKind kind, char *data, int64_t begin, int64_t count,
                    const int64_t *from) {
  char *to = data + begin * getElementBytes(kind);
  switch (kind) {
  case ElementKind::I1:
    for (int64_t i = 0; i < count; ++i)
      to[i] = from[i] & 1;
    return;
  case ElementKind::I8:
    return storeAs<int8_t>(to, count, from);
  case ElementKind::I16:
    return storeAs<int16_t>(to, count, from);
  case ElementKind::I32:
    return storeAs<int32_t>(to, count, from);
  case ElementKind::I64:
    return storeAs<int64_t>(to, count, from);
  default:
    for (int64_t i = 0; i < count; ++i) {
      double value = static_cast<double>(from[i]);
      storeFloats(kind, data, begin + i, 1, &value);
    }
  }
}

void ssm::storeFloats(ElementKind kind, char *data, int64_t begin,
                      int64_t count, const double *from) {
  char *to = data + begin * getElementBytes(kind);
  switch (kind) {
  case ElementKind::F32:
    return storeAs<float>(to, count, from);
  case ElementKind::F64:
    return storeAs<double>(to, count, from);
  case ElementKind::F16:
  case ElementKind::BF16: {
    const llvm::fltSemantics &semantics = kind == ElementKind::F16
                                              ? llvm::APFloat::IEEEhalf()
                                              : llvm::APFloat::BFloat();
    for (int64_t i = 0; i < count; ++i) {
      uint16_t bits = doubleToHalf(semantics, from[i]);
      std::memcpy(to + 2 * i, &bits, 2);
    }
    return;
  }
  default:
    for (int64_t i = 0; i < count; ++i) {
      int64_t value = toInt(from[i]);
      storeInts(kind, data, begin + i, 1, &value);
    }
  }
}

int64_t HostTensor::getInt(int64_t index) const {
  int64_t value;
  loadInts(*this, index, 1, &value);
  return value;
}

double HostTensor::getFloat(int64_t index) const {
  double value;
  loadFloats(*this, index, 1, &value);
  return value;
}

SmallVector<int64_t> HostTensor::getInts() const {
  SmallVector<int64_t> result(size());
  loadInts(*this, 0, size(), result.data());
  return result;
}

//===----------------------------------------------------------------------===//
// Strided copies
//===----------------------------------------------------------------------===//

SmallVector<int64_t> ssm::getRowMajorStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t i = static_cast<int64_t>(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

template <typename T>
static void copyRow(char *to, int64_t toStride, const char *from,
                    int64_t fromStride, int64_t count) {
  constexpr int64_t kBytes = sizeof(T); // signed, as strides are
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(to + i * toStride * kBytes, from + i * fromStride * kBytes,
                kBytes);
}

void ssm::copyStrided(char *to, ArrayRef<int64_t> toStrides, const char *from,
                      ArrayRef<int64_t> fromStrides, ArrayRef<int64_t> shape,
                      int64_t bytes) {
  if (llvm::is_contained(shape, 0))
    return;
  if (shape.empty()) {
    std::memcpy(to, from, bytes);
    return;
  }
  int64_t inner = shape.size() - 1;
  int64_t toStep = toStrides[inner], fromStep = fromStrides[inner];
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t toOffset = 0, fromOffset = 0;
  while (true) {
    char *t = to + toOffset * bytes;
    const char *f = from + fromOffset * bytes;
    if (toStep == 1 && fromStep == 1)
      std::memcpy(t, f, shape[inner] * bytes);
    else if (bytes == 1)
      copyRow<char>(t, toStep, f, fromStep, shape[inner]);
    else if (bytes == 2)
      copyRow<uint16_t>(t, toStep, f, fromStep, shape[inner]);
    else if (bytes == 4)
      copyRow<uint32_t>(t, toStep, f, fromStep, shape[inner]);
    else
      copyRow<uint64_t>(t, toStep, f, fromStep, shape[inner]);
    // The next index of the outer dimensions, as an odometer.
    int64_t dim = inner - 1;
    for (; dim >= 0; --dim) {
      toOffset += toStrides[dim];
      fromOffset += fromStrides[dim];
      if (++index[dim] < shape[dim])
        break;
      toOffset -= toStrides[dim] * shape[dim];
      fromOffset -= fromStrides[dim] * shape[dim];
      index[dim] = 0;
    }
    if (dim < 0)
      return;
  }
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// Fills `data` with `count` copies of its first element.
static void repeatFirst(char *data, int64_t count, int64_t bytes) {
  for (int64_t i = 1; i < count; ++i)
    std::memcpy(data + i * bytes, data, bytes);
}

static HostTensor readDense(DenseElementsAttr dense, ElementKind kind) {
  auto type = cast<RankedTensorType>(dense.getType());
  char *data;
  HostTensor result = HostTensor::allocate(type, kind, data);
  int64_t count = type.getNumElements();
  if (count == 0)
    return result;
  int64_t bytes = getElementBytes(kind);
  if (kind == ElementKind::I1) {
    int64_t i = 0;
    for (llvm::APInt value : dense.getValues<llvm::APInt>())
      data[i++] = value.getBoolValue();
  } else if (dense.isSplat()) {
    std::memcpy(data, dense.getRawData().data(), bytes);
    repeatFirst(data, count, bytes);
  } else {
    std::memcpy(data, dense.getRawData().data(), count * bytes);
  }
  return result;
}

std::optional<HostTensor> ssm::readAttribute(Attribute attribute) {
  auto typed = dyn_cast_or_null<TypedAttr>(attribute);
  if (!typed)
    return std::nullopt;
  Type type = typed.getType();
  std::optional<ElementKind> kind = getElementKind(getElementTypeOrSelf(type));
  if (!kind)
    return std::nullopt;
  // A scalar constant.
  if (!isa<ShapedType>(type)) {
    char *data;
    HostTensor result =
        HostTensor::allocate(RankedTensorType::get({}, type), *kind, data);
    if (auto integer = dyn_cast<IntegerAttr>(attribute)) {
      int64_t value = integer.getValue().getSExtValue();
      storeInts(*kind, data, 0, 1, &value);
      return result;
    }
    if (auto real = dyn_cast<FloatAttr>(attribute)) {
      double value = real.getValueAsDouble();
      storeFloats(*kind, data, 0, 1, &value);
      return result;
    }
    return std::nullopt;
  }
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape())
    return std::nullopt;
  if (auto dense = dyn_cast<DenseElementsAttr>(attribute))
    return readDense(dense, *kind);
  auto resource = dyn_cast<DenseResourceElementsAttr>(attribute);
  if (!resource)
    return std::nullopt;
  AsmResourceBlob *blob = resource.getRawHandle().getBlob();
  int64_t bytes = tensor.getNumElements() * getElementBytes(*kind);
  if (!blob || static_cast<int64_t>(blob->getData().size()) != bytes)
    return std::nullopt;
  HostTensor result;
  result.type = tensor;
  result.kind = *kind;
  result.bytes = blob->getData();
  return result;
}

bool ssm::isSplat(const HostTensor &value) {
  int64_t bytes = getElementBytes(value.kind), size = value.bytes.size();
  // All bytes equal those one element earlier.
  return size > 0 && std::memcmp(value.bytes.data(), value.bytes.data() + bytes,
                                 size - bytes) == 0;
}

DenseElementsAttr ssm::toDenseAttribute(const HostTensor &value) {
  if (value.kind == ElementKind::I1) {
    SmallVector<bool> bits;
    if (isSplat(value))
      bits.push_back(value.bytes[0] != 0);
    else
      for (char byte : value.bytes)
        bits.push_back(byte != 0);
    return DenseElementsAttr::get(value.type, bits);
  }
  ArrayRef<char> bytes = value.bytes;
  if (isSplat(value))
    bytes = bytes.take_front(getElementBytes(value.kind));
  return DenseElementsAttr::getFromRawBuffer(value.type, bytes);
}

TypedAttr ssm::toResourceAttribute(const HostTensor &value, StringRef name) {
  HostTensor kept = value;
  size_t align = getElementBytes(value.kind);
  if (!value.owner ||
      reinterpret_cast<uintptr_t>(value.bytes.data()) % align != 0) {
    char *data;
    kept = HostTensor::allocate(value.type, value.kind, data);
    std::memcpy(data, value.bytes.data(), value.bytes.size());
  }
  AsmResourceBlob blob(
      kept.bytes, align,
      [owner = kept.owner](void *, size_t, size_t) mutable { owner.reset(); },
      /*dataIsMutable=*/false);
  return cast<TypedAttr>(static_cast<Attribute>(
      DenseResourceElementsAttr::get(kept.type, name, std::move(blob))));
}

Value ssm::buildConstant(OpBuilder &builder, Location loc,
                         const HostTensor &value, StringRef name) {
  if (value.size() <= kMaxInlineElements || isSplat(value))
    return arith::ConstantOp::create(builder, loc, toDenseAttribute(value));
  return WeightOp::create(builder, loc, builder.getStringAttr(name),
                          toResourceAttribute(value, name), nullptr, nullptr);
}
