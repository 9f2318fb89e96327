// SPDX-License-Identifier: Apache-2.0
// How many bytes weights may take, and which of them get more.

#ifndef ITERA_TRANSFORMS_QUANTIZE_MIXEDPRECISION_H
#define ITERA_TRANSFORMS_QUANTIZE_MIXEDPRECISION_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <vector>

namespace itera {

/// The most bytes of all weights: a number, or a part of what they take in f32.
struct WeightBudget {
  int64_t bytes = 0;
  double ratio = 0;

  bool isGiven() const { return bytes > 0 || ratio > 0; }
};

/// Reads 450k, 2.5M, 1G (thousands of bytes, their thousands, and theirs) or
/// 450000: bytes; or, with a point and no letter, 0.2: a part, at most 1.0.
llvm::Expected<WeightBudget> parseWeightBudget(llvm::StringRef text);

/// One way to store a weight, and what it costs the outputs.
struct StorageOption {
  int64_t bytes = 0;
  double loss = 0; // finite
};

/// Of each weight, which of its options (at least one each) to take: those with
/// the least sum of losses whose bytes are at most `budget`, and of these the
/// ones with the fewest bytes. Nothing if not even the smallest ones fit. Exact
/// as long as there are not many thousand different sums of bytes; beyond that
/// sums that are nearly the same are not all followed.
std::optional<std::vector<unsigned>>
chooseStorage(llvm::ArrayRef<std::vector<StorageOption>> weights,
              int64_t budget);

} // namespace itera

#endif // ITERA_TRANSFORMS_QUANTIZE_MIXEDPRECISION_H
