// SPDX-License-Identifier: Apache-2.0
// Sixteen rows at a time, side by side: element [column][lane].

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_ROWLANES_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_ROWLANES_H

#include "llvm/ADT/ArrayRef.h"
#include <array>
#include <cstdint>

namespace itera {

inline constexpr int64_t kRowLanes = 16;

/// A number of each row.
using RowLane = std::array<double, kRowLanes>;

/// to[c][lane] -= factors[m][lane] * rows[m * stride + c], c < count, for each
/// m in order; each product is rounded before it is subtracted, on every
/// machine. A row that is read once from memory serves all lanes.
void subtractMultiples(double *to, llvm::ArrayRef<RowLane> factors,
                       const double *rows, int64_t stride, int64_t count);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_ROWLANES_H
