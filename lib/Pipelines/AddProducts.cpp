// SPDX-License-Identifier: Apache-2.0

#include "AddProducts.h"

using namespace itera;

/// For the instructions of whatever function it is inlined into; kRows rows
/// while the sums are in registers.
template <int64_t kRows>
[[gnu::always_inline]] static inline void
addRows(float *__restrict sums, const float *__restrict rows, int64_t size) {
#pragma clang fp contract(off)
  for (int64_t i = 0; i < size; ++i) {
    float *__restrict sum = sums + i * size;
    float factors[kRows];
    for (int64_t m = 0; m < kRows; ++m)
      factors[m] = rows[m * size + i];
    for (int64_t j = 0; j <= i; ++j) {
      float value = sum[j];
#pragma clang loop unroll(full)
      for (int64_t m = 0; m < kRows; ++m)
        value += factors[m] * rows[m * size + j];
      sum[j] = value;
    }
  }
}

[[gnu::always_inline]] static inline void add(float *sums, const float *rows,
                                              int64_t count, int64_t size) {
  constexpr int64_t kTogether = 8;
  for (; count >= kTogether; count -= kTogether, rows += kTogether * size)
    addRows<kTogether>(sums, rows, size);
  for (; count > 0; --count, rows += size)
    addRows<1>(sums, rows, size);
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] static void
addWith512(float *sums, const float *rows, int64_t count, int64_t size) {
  add(sums, rows, count, size);
}

[[gnu::target("avx")]] static void addWith256(float *sums, const float *rows,
                                              int64_t count, int64_t size) {
  add(sums, rows, count, size);
}
#endif

void itera::addProducts(llvm::MutableArrayRef<float> sums, const float *rows,
                        int64_t count, int64_t size) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return addWith512(sums.data(), rows, count, size);
  if (__builtin_cpu_supports("avx"))
    return addWith256(sums.data(), rows, count, size);
#endif
  add(sums.data(), rows, count, size);
}
