// SPDX-License-Identifier: Apache-2.0

#include "PackedLayout.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

using namespace mlir;
using namespace itera;

ssm::HostTensor itera::packRows(const ssm::HostTensor &table, int64_t height) {
  int64_t count = table.shape()[0], depth = table.shape()[1];
  int64_t bytes = ssm::getElementBytes(table.kind);
  auto type = RankedTensorType::get(
      {int64_t(llvm::divideCeil(count, height)), depth, height},
      table.type.getElementType());
  char *packed = nullptr;
  ssm::HostTensor result = ssm::HostTensor::allocate(type, table.kind, packed);
  std::memset(packed, 0, type.getNumElements() * bytes);
  for (int64_t n = 0; n < count; ++n) {
    char *to = packed + (n / height * depth * height + n % height) * bytes;
    const char *from = table.bytes.data() + n * depth * bytes;
    for (int64_t k = 0; k < depth; ++k)
      std::memcpy(to + k * height * bytes, from + k * bytes, bytes);
  }
  return result;
}

ssm::HostTensor itera::packIntegers(const ssm::HostTensor &weight,
                                    unsigned bits, int64_t group,
                                    int64_t height) {
  int64_t count = weight.shape()[0], depth = weight.shape()[1];
  int64_t perStep = bits == 4 ? 8 : 4;
  auto type = RankedTensorType::get(
      {int64_t(llvm::divideCeil(count, height)),
       int64_t(llvm::divideCeil(depth, group) *
               llvm::divideCeil(group, perStep)),
       height, 4},
      IntegerType::get(weight.type.getContext(), 8));
  char *packed = nullptr;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(type, ssm::ElementKind::I8, packed);
  auto *bytes = reinterpret_cast<uint8_t *>(packed);
  // Zero is stored as the middle of the range.
  std::memset(bytes, bits == 4 ? 0x88 : 0x80, type.getNumElements());
  int64_t steps = type.getDimSize(1);
  for (int64_t n = 0; n < count; ++n)
    for (int64_t k = 0; k < depth; ++k) {
      auto value = static_cast<int8_t>(weight.bytes[n * depth + k]);
      uint8_t &byte =
          bytes[((n / height * steps + k / perStep) * height + n % height) * 4 +
                k % 4];
      if (bits == 8)
        byte = value + 128;
      else if (k % 8 < 4)
        byte = (byte & 0xf0) | ((value + 8) & 15);
      else
        byte = (byte & 0x0f) | (((value + 8) & 15) << 4);
    }
  return result;
}
