// SPDX-License-Identifier: Apache-2.0
//
// What may be asked of a tensor description.

#include "runtime.h"

size_t itera_dtype_size(itera_dtype dtype) {
  switch (dtype) {
  case ITERA_UINT8:
  case ITERA_INT8:
  case ITERA_BOOL:
    return 1;
  case ITERA_UINT16:
  case ITERA_INT16:
  case ITERA_FLOAT16:
  case ITERA_BFLOAT16:
    return 2;
  case ITERA_FLOAT32:
  case ITERA_INT32:
  case ITERA_UINT32:
    return 4;
  case ITERA_INT64:
  case ITERA_FLOAT64:
  case ITERA_UINT64:
    return 8;
  default:
    return 0;
  }
}

int itera_tensor_is_consistent(const itera_tensor_info *info) {
  uint64_t bytes = itera_dtype_size(info->dtype);
  if (info->struct_size != sizeof(*info) || !info->name || !bytes ||
      (info->rank && !info->dims))
    return 0;
  for (uint32_t i = 0; i < info->rank; ++i)
    if (info->dims[i] < 0 ||
        __builtin_mul_overflow(bytes, (uint64_t)info->dims[i], &bytes))
      return 0;
  return bytes == info->bytes;
}

uint64_t itera_times(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}
