// SPDX-License-Identifier: Apache-2.0
// Scales and integers for the elements of a group.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_SCALESEARCH_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_SCALESEARCH_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>

namespace itera {

/// The bf16 nearest to `value`, ties to even, as a float.
float roundToBFloat16(float value);

/// round_even(weight / scale) in [low, high]; 0 for a scale of 0.
int8_t roundToInteger(float weight, float scale, int low, int high);

/// How a scale of four bits is found.
enum class ScaleRule {
  absmax, ///< max |w| / 7
  max,    ///< the largest weight, with its sign, / -8
  mse     ///< the least squared error: that of max, or of 51 factors of absmax
          ///< with either sign
};

/// A bf16 scale for the `weights` of a group, to be stored as integers -8 to
/// 7. 0 if all are 0. `importance`, if any, weighs the squared errors.
float findScale4(llvm::ArrayRef<float> weights, ScaleRule rule,
                 llvm::ArrayRef<float> importance = {});

/// A bf16 scale, not below max |w| / 127, for integers -127 to 127.
float findScale8(llvm::ArrayRef<float> weights);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_SCALESEARCH_H
