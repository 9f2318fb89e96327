// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Comparison.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <limits>

using namespace llvm;
using namespace itera;

void Comparison::add(double reference, double value) {
  ++count;
  signal += reference * reference;
  norm += value * value;
  dot += reference * value;
  if (reference == value)
    return;
  double difference = value - reference;
  noise += difference * difference;
  // Not std::max: a NaN must win.
  if (!(std::abs(difference) <= maxAbs))
    maxAbs = std::isnan(maxAbs) ? maxAbs : std::abs(difference);
}

void Comparison::add(ArrayRef<float> references, ArrayRef<float> values) {
  for (auto [reference, value] : zip_equal(references, values))
    add(reference, value);
}

void Comparison::add(const Comparison &other) {
  count += other.count;
  signal += other.signal;
  noise += other.noise;
  dot += other.dot;
  norm += other.norm;
  if (!(other.maxAbs <= maxAbs))
    maxAbs = std::isnan(maxAbs) ? maxAbs : other.maxAbs;
}

double Comparison::getDecibels() const {
  if (!count || !std::isfinite(signal) || !std::isfinite(noise))
    return std::numeric_limits<double>::quiet_NaN();
  if (noise == 0)
    return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal) - 10 * std::log10(noise);
}

double Comparison::getRelativeError() const {
  return noise == 0 ? 0 : std::sqrt(noise / signal);
}

double Comparison::getCosine() const {
  if (signal == 0 && norm == 0)
    return 1;
  return dot == 0 ? 0 : dot / std::sqrt(signal) / std::sqrt(norm);
}

std::vector<float> StoredMatrix::dequantize() const {
  if (integers.empty())
    return values;
  int64_t size = group ? group : k, groups = divideCeilSigned(k, size);
  std::vector<float> result(n * k);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t i = 0; i < k; ++i) {
      int64_t g = row * groups + i / size;
      int zero = zeroPoints.empty() ? 0 : zeroPoints[g];
      result[row * k + i] = scales[g] * float(integers[row * k + i] - zero);
    }
  return result;
}

std::vector<double> itera::roundInput(ArrayRef<float> x, InputRounding rounding,
                                      int64_t group) {
  std::vector<double> result(x.begin(), x.end());
  if (rounding == InputRounding::none)
    return result;
  size_t size = rounding == InputRounding::group && group ? group : x.size();
  for (size_t begin = 0; begin < x.size(); begin += size) {
    ArrayRef<float> part = x.slice(begin, std::min(size, x.size() - begin));
    float largest = 0;
    for (float value : part)
      largest = std::max(largest, std::abs(value));
    float factor = 127 / largest;
    for (auto [i, value] : enumerate(part))
      result[begin + i] = largest < 1e-30f ? 0
                                           : double(std::nearbyint(value * factor)) *
                                                 double(largest / 127);
  }
  return result;
}

Comparison itera::compareLinear(ArrayRef<float> original,
                                const StoredMatrix &stored,
                                InputRounding rounding, ArrayRef<float> rows,
                                ArrayRef<float> results,
                                ArrayRef<int64_t> chosen) {
  Comparison comparison;
  std::vector<float> weight = stored.dequantize();
  int64_t n = stored.n, k = stored.k;
  for (int64_t row : chosen) {
    ArrayRef<float> x = rows.slice(row * k, k);
    std::vector<double> rounded = roundInput(x, rounding, stored.group);
    for (int64_t i = 0; i < n; ++i) {
      const float *before = &original[i * k], *after = &weight[i * k];
      double difference = 0;
      for (int64_t j = 0; j < k; ++j)
        difference += rounded[j] * after[j] - double(x[j]) * before[j];
      double reference = results[row * n + i];
      comparison.add(reference, reference + difference);
    }
  }
  return comparison;
}

std::vector<int64_t> itera::chooseEvenly(int64_t count, int64_t limit) {
  std::vector<int64_t> places;
  int64_t number = std::min(count, limit);
  for (int64_t i = 0; i < number; ++i)
    places.push_back(i * count / number);
  return places;
}
