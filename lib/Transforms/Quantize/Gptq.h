// SPDX-License-Identifier: Apache-2.0
// Integers for a weight by the error of the layer's output, not of the weight.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <vector>

namespace itera {

/// For each j, with what the rounding error of column j is compensated in the
/// columns after it: row j of the upper Cholesky factor of the inverse of the
/// damped second moments H of the input.
class ErrorSpread {
public:
  /// H = sum of x x^T, [K, K] row-major. False if it is not finite.
  bool compute(llvm::ArrayRef<float> moments, int64_t k);

  double at(int64_t j, int64_t column) const { return factor[j * size + column]; }
  int64_t getSize() const { return size; }
  /// The mean square of input feature j, relative to the mean of all.
  float importance(int64_t j) const { return diagonal[j]; }

private:
  int64_t size = 0;
  std::vector<double> factor;
  std::vector<float> diagonal;
};

/// One row of W, [K], as integers -8 to 7 and one bf16 scale per group of
/// `group` columns, so that |(W - W') x|^2 is small over the inputs that H was
/// made of (Frantar et al. 2023, GPTQ, in the order of the columns). A group's
/// scale is searched when its first column is reached, for the weights as the
/// errors before have left them.
void quantizeRow4(llvm::ArrayRef<float> weights, const ErrorSpread &spread,
                  int64_t group, llvm::MutableArrayRef<int8_t> integers,
                  llvm::MutableArrayRef<float> scales);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H
