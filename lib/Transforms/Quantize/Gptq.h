// SPDX-License-Identifier: Apache-2.0
// Integers for a weight by the error of the layer's output, not of the weight.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <vector>

namespace itera {

/// The second moments H = sum of x x^T of a linear's input, with a hundredth of
/// the mean of its diagonal added to it, and what follows from them.
class InputMoments {
public:
  /// `moments` is H, [K, K] row-major. False if it is not finite.
  bool compute(llvm::ArrayRef<float> moments, int64_t k);

  int64_t getSize() const { return size; }
  /// Row j of H.
  const double *row(int64_t j) const { return &damped[j * size]; }
  /// How an error in column j is made up for in those after it: row j of the
  /// upper Cholesky factor of the inverse of H.
  const double *spreadRow(int64_t j) const { return &spread[j * size]; }

private:
  int64_t size = 0;
  std::vector<double> damped, spread;
};

/// Rows of W, [N, K], as integers -8 to 7 and bf16 scales [N, ceil(K / group)],
/// so that (W - W') H (W - W')^T is small for each. Column by column an integer
/// is chosen and its error made up for in the columns after it (Frantar et al.
/// 2023, GPTQ); a group's scale is searched when its first column is reached.
/// Then scales and integers are improved in turns, each for the others as they
/// are. What a row becomes does not depend on those beside it; sixteen at a
/// time take the least time.
void quantizeRows4(llvm::ArrayRef<float> weights, const InputMoments &moments,
                   int64_t group, llvm::MutableArrayRef<int8_t> integers,
                   llvm::MutableArrayRef<float> scales);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_GPTQ_H
