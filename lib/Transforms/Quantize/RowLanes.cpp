// SPDX-License-Identifier: Apache-2.0

#include "RowLanes.h"

using namespace itera;
using llvm::ArrayRef;

/// Half of the lanes; unaligned, over doubles.
using Vector [[gnu::vector_size(kRowLanes / 2 * sizeof(double)),
               gnu::aligned(alignof(double)), gnu::may_alias]] = double;

/// Rows whose multiples are subtracted while the sums are in registers.
static constexpr int64_t kTogether = 8;

/// For the instructions of whatever function it is inlined into.
template <int64_t kRows>
[[gnu::always_inline]] static inline void
subtractRows(double *to, const RowLane *factors, const double *rows,
             int64_t stride, int64_t count) {
#pragma clang fp contract(off)
  Vector first[kRows], second[kRows];
  for (int64_t m = 0; m < kRows; ++m) {
    const auto *halves = reinterpret_cast<const Vector *>(factors[m].data());
    first[m] = halves[0];
    second[m] = halves[1];
  }
  auto *sums = reinterpret_cast<Vector *>(to);
  for (int64_t c = 0; c < count; ++c) {
    Vector one = sums[2 * c], other = sums[2 * c + 1];
#pragma clang loop unroll(full)
    for (int64_t m = 0; m < kRows; ++m) {
      one -= first[m] * rows[m * stride + c];
      other -= second[m] * rows[m * stride + c];
    }
    sums[2 * c] = one;
    sums[2 * c + 1] = other;
  }
}

[[gnu::always_inline]] static inline void
subtract(double *to, ArrayRef<RowLane> factors, const double *rows,
         int64_t stride, int64_t count) {
  const RowLane *next = factors.begin();
  for (; factors.end() - next >= kTogether; next += kTogether) {
    subtractRows<kTogether>(to, next, rows, stride, count);
    rows += kTogether * stride;
  }
  for (; next != factors.end(); ++next, rows += stride)
    subtractRows<1>(to, next, rows, stride, count);
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] static void
subtractWith512(double *to, ArrayRef<RowLane> factors, const double *rows,
                int64_t stride, int64_t count) {
  subtract(to, factors, rows, stride, count);
}

[[gnu::target("avx")]] static void
subtractWith256(double *to, ArrayRef<RowLane> factors, const double *rows,
                int64_t stride, int64_t count) {
  subtract(to, factors, rows, stride, count);
}
#endif

void itera::subtractMultiples(double *to, ArrayRef<RowLane> factors,
                              const double *rows, int64_t stride,
                              int64_t count) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return subtractWith512(to, factors, rows, stride, count);
  if (__builtin_cpu_supports("avx"))
    return subtractWith256(to, factors, rows, stride, count);
#endif
  subtract(to, factors, rows, stride, count);
}
