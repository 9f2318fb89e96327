// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Tensors.h"
#include "llvm/ADT/APFloat.h"
#include <cstring>
#include <optional>
#include <random>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

static std::optional<NpyType> getNpyType(itera_dtype dtype) {
  switch (dtype) {
  case ITERA_BOOL:
    return NpyType::Bool;
  case ITERA_INT8:
    return NpyType::Int8;
  case ITERA_UINT8:
    return NpyType::UInt8;
  case ITERA_INT16:
    return NpyType::Int16;
  case ITERA_UINT16:
    return NpyType::UInt16;
  case ITERA_INT32:
    return NpyType::Int32;
  case ITERA_UINT32:
    return NpyType::UInt32;
  case ITERA_INT64:
    return NpyType::Int64;
  case ITERA_UINT64:
    return NpyType::UInt64;
  case ITERA_FLOAT16:
    return NpyType::Float16;
  case ITERA_FLOAT32:
    return NpyType::Float32;
  case ITERA_FLOAT64:
    return NpyType::Float64;
  default:
    return std::nullopt;
  }
}

static std::vector<int64_t> getShape(const itera_tensor_info &info) {
  return std::vector<int64_t>(info.dims, info.dims + info.rank);
}

static unsigned getElementBytes(itera_dtype dtype) {
  std::optional<NpyType> type = getNpyType(dtype);
  return type ? getNpyTypeSize(*type) : 2; // bfloat16
}

std::string itera::getCaseName(StringRef name, unsigned caseIndex) {
  std::string result = name.str();
  if (caseIndex)
    result += "@case" + std::to_string(caseIndex);
  return result;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static float fromHalf(uint16_t bits) {
  return APFloat(APFloat::IEEEhalf(), APInt(16, bits)).convertToFloat();
}

static uint16_t toHalf(float value) {
  APFloat half(value);
  bool inexact;
  half.convert(APFloat::IEEEhalf(), APFloat::rmNearestTiesToEven, &inexact);
  return half.bitcastToAPInt().getZExtValue();
}

template <typename T> static T load(const char *data, size_t index) {
  T value;
  memcpy(&value, data + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
static void store(std::vector<char> &data, size_t index, T value) {
  memcpy(data.data() + index * sizeof(T), &value, sizeof(T));
}

long double itera::getElement(const NpyArray &array, size_t index) {
  const char *data = array.data.data();
  switch (array.type) {
  case NpyType::Bool:
  case NpyType::UInt8:
    return load<uint8_t>(data, index);
  case NpyType::Int8:
    return load<int8_t>(data, index);
  case NpyType::Int16:
    return load<int16_t>(data, index);
  case NpyType::UInt16:
    return load<uint16_t>(data, index);
  case NpyType::Int32:
    return load<int32_t>(data, index);
  case NpyType::UInt32:
    return load<uint32_t>(data, index);
  case NpyType::Int64:
    return load<int64_t>(data, index);
  case NpyType::UInt64:
    return load<uint64_t>(data, index);
  case NpyType::Float16:
    return fromHalf(load<uint16_t>(data, index));
  case NpyType::Float32:
    return load<float>(data, index);
  case NpyType::Float64:
    return load<double>(data, index);
  }
  llvm_unreachable("unknown array type");
}

static void setElement(std::vector<char> &data, itera_dtype type, size_t index,
                       long double value) {
  switch (type) {
  case ITERA_BOOL:
  case ITERA_UINT8:
    return store<uint8_t>(data, index, value);
  case ITERA_INT8:
    return store<int8_t>(data, index, value);
  case ITERA_INT16:
    return store<int16_t>(data, index, value);
  case ITERA_UINT16:
    return store<uint16_t>(data, index, value);
  case ITERA_INT32:
    return store<int32_t>(data, index, value);
  case ITERA_UINT32:
    return store<uint32_t>(data, index, value);
  case ITERA_INT64:
    return store<int64_t>(data, index, value);
  case ITERA_UINT64:
    return store<uint64_t>(data, index, value);
  case ITERA_FLOAT16:
    return store<uint16_t>(data, index, toHalf(value));
  case ITERA_BFLOAT16: {
    // Only called with values that a bfloat16 holds, or random ones.
    float single = value;
    return store<uint16_t>(
        data, index,
        load<uint32_t>(reinterpret_cast<char *>(&single), 0) >> 16);
  }
  case ITERA_FLOAT32:
    return store<float>(data, index, value);
  case ITERA_FLOAT64:
    return store<double>(data, index, value);
  }
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

namespace {

/// What decides whether one type's values are among another's.
struct Range {
  bool real;
  bool isSigned;
  unsigned bits; // of an integer's magnitude, or of a real's significand
};

} // namespace

static Range getRange(NpyType type) {
  unsigned width = getNpyTypeSize(type) * 8;
  switch (type) {
  case NpyType::Float16:
    return {true, true, 11};
  case NpyType::Float32:
    return {true, true, 24};
  case NpyType::Float64:
    return {true, true, 53};
  case NpyType::Int8:
  case NpyType::Int16:
  case NpyType::Int32:
  case NpyType::Int64:
    return {false, true, width - 1};
  default:
    return {false, false, width};
  }
}

/// Numbers convert to wider numbers of their kind. Integers never turn into
/// reals by themselves, nor numbers into truth values: that is a mistake more
/// often than a wish.
static bool isLossless(NpyType from, NpyType to) {
  if (from == to)
    return true;
  if (from == NpyType::Bool || to == NpyType::Bool)
    return false;
  Range a = getRange(from), b = getRange(to);
  return a.real == b.real && (b.isSigned || !a.isSigned) && a.bits <= b.bits;
}

Expected<std::vector<char>> itera::toBuffer(const itera_tensor_info &info,
                                            NpyArray array) {
  auto refuse = [&](const Twine &expected, const Twine &got) {
    return failure("input '" + Twine(info.name) + "': expected " + expected +
                   ", but got " + got);
  };
  if (array.shape != getShape(info))
    return refuse("shape " + formatShape(getShape(info)),
                  formatShape(array.shape));
  std::optional<NpyType> type = getNpyType(info.dtype);
  if (!type)
    return refuse("a type that an array file holds", "bfloat16");
  if (*type == array.type)
    return std::move(array.data);
  if (!isLossless(array.type, *type))
    return refuse("type " + getNpyTypeName(*type), getNpyTypeName(array.type));
  std::vector<char> buffer(info.bytes);
  for (size_t i = 0, e = info.bytes / getNpyTypeSize(*type); i < e; ++i)
    setElement(buffer, info.dtype, i, getElement(array, i));
  return buffer;
}

Expected<uint64_t> itera::getFrameCount(const itera_tensor_info &info,
                                        const NpyArray &array) {
  std::vector<int64_t> expected = getShape(info);
  if (array.shape.size() == expected.size()) {
    expected[info.time_dim] = array.shape[info.time_dim];
    if (array.shape == expected)
      return uint64_t(array.shape[info.time_dim]);
  }
  std::string shape;
  for (uint32_t i = 0; i < info.rank; ++i) {
    shape += i ? "x" : "";
    shape += int32_t(i) == info.time_dim ? "T" : std::to_string(info.dims[i]);
  }
  return failure("input '" + Twine(info.name) + "': expected shape " + shape +
                 " for any T, but got " + formatShape(array.shape));
}

uint64_t itera::getFrameBytes(const itera_tensor_info &info) {
  uint64_t bytes = getElementBytes(info.dtype);
  for (uint32_t i = 0; i < info.rank; ++i)
    if (int32_t(i) != info.time_dim)
      bytes *= info.dims[i];
  return bytes;
}

ResizedInfo::ResizedInfo(const itera_tensor_info &original, uint64_t frames)
    : dims(getShape(original)), info(original) {
  info.dims = dims.data();
  if (info.role != ITERA_ROLE_STREAM)
    return;
  dims[info.time_dim] = frames;
  info.bytes = frames * getFrameBytes(info);
}

std::vector<char> itera::makeRandomBuffer(const itera_tensor_info &info,
                                          uint32_t seed) {
  std::vector<char> buffer(info.bytes);
  std::mt19937 random(seed); // its sequence is fixed by the C++ standard
  std::optional<NpyType> type = getNpyType(info.dtype);
  bool real = !type || getRange(*type).real;
  unsigned limit = info.dtype == ITERA_BOOL ? 2 : 8;
  for (size_t i = 0, e = info.bytes / getElementBytes(info.dtype); i < e; ++i)
    setElement(buffer, info.dtype, i,
               real ? random() / 2147483648.0L - 1 : random() % limit);
  return buffer;
}

Expected<NpyArray> itera::toArray(const itera_tensor_info &info,
                                  std::vector<char> buffer) {
  if (std::optional<NpyType> type = getNpyType(info.dtype))
    return NpyArray{*type, getShape(info), std::move(buffer)};
  if (info.dtype != ITERA_BFLOAT16)
    return failure("output '" + Twine(info.name) + "': unknown type " +
                   Twine(info.dtype));
  // A bfloat16 is the upper half of a float.
  NpyArray array{NpyType::Float32, getShape(info), {}};
  array.data.resize(buffer.size() * 2);
  for (size_t i = 0, e = buffer.size() / 2; i < e; ++i)
    store<uint32_t>(array.data, i,
                    uint32_t(load<uint16_t>(buffer.data(), i)) << 16);
  return array;
}
