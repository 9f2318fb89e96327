// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_ADDPRODUCTS_H
#define ITERA_LIB_PIPELINES_ADDPRODUCTS_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>

namespace itera {

/// sums[i * size + j] += row[i] * row[j], j <= i, for each of `count` rows of
/// `size` elements, in order; each product is rounded before it is added, on
/// every machine.
void addProducts(llvm::MutableArrayRef<float> sums, const float *rows,
                 int64_t count, int64_t size);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_ADDPRODUCTS_H
