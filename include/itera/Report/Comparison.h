// SPDX-License-Identifier: Apache-2.0
// How far values are from their references, and what a quantised linear loses.
// Sums are in double.

#ifndef ITERA_REPORT_COMPARISON_H
#define ITERA_REPORT_COMPARISON_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <optional>
#include <vector>

namespace itera {

/// Sums over pairs of numbers.
class Comparison {
public:
  void add(double reference, double value);
  void add(llvm::ArrayRef<float> references, llvm::ArrayRef<float> values);
  /// Adds what another one has seen.
  void add(const Comparison &other);

  uint64_t getCount() const { return count; }
  /// Of the reference, relative to the difference, in dB: infinite if nothing
  /// differs, NaN if there is nothing or something is not finite.
  double getDecibels() const;
  /// |value - reference| / |reference| of all as vectors; 0 if nothing differs.
  double getRelativeError() const;
  /// 1 if both are zero.
  double getCosine() const;
  /// NaN if either is NaN somewhere; equal infinities do not differ.
  double getMaxAbs() const { return maxAbs; }

private:
  uint64_t count = 0;
  double signal = 0, noise = 0, dot = 0, norm = 0, maxAbs = 0;
};

/// A weight [N, K] as it is stored: integers and a scale per row and `group`
/// elements (0: the row), or `values` as they are.
struct StoredMatrix {
  int64_t n = 0, k = 0, group = 0;
  std::vector<int8_t> integers;
  std::vector<float> scales;
  std::vector<int8_t> zeroPoints; // none: zeros
  std::vector<float> values;      // if there are no integers

  /// What it stands for.
  std::vector<float> dequantize() const;
};

/// How a linear of integers rounds its input.
enum class InputRounding { none, token, group };

/// x as such a linear sees it: rounded to int8 by the largest of its elements,
/// or of each group's, and scaled back.
std::vector<double> roundInput(llvm::ArrayRef<float> x, InputRounding rounding,
                               int64_t group);

/// Of one linear for the same inputs: results with the stored weight and the
/// rounded input, against those with the original weight. `rows` are [R, K],
/// `results` [R, N] what the original gives, with its bias; `chosen` the rows
/// that are computed.
Comparison compareLinear(llvm::ArrayRef<float> original,
                         const StoredMatrix &stored, InputRounding rounding,
                         llvm::ArrayRef<float> rows,
                         llvm::ArrayRef<float> results,
                         llvm::ArrayRef<int64_t> chosen);

/// At most `limit` of `count` places, evenly spread.
std::vector<int64_t> chooseEvenly(int64_t count, int64_t limit);

} // namespace itera

#endif // ITERA_REPORT_COMPARISON_H
