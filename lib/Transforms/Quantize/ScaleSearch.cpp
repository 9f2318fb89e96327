// SPDX-License-Identifier: Apache-2.0

#include "ScaleSearch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace itera;
using llvm::ArrayRef;

float itera::roundToBFloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits += 0x7fff + ((bits >> 16) & 1);
  bits &= 0xffff0000;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// Nearest integer, ties to even, for |x| < 2^22, without a library call that
/// would keep loops from being vectorised.
static float nearest(float x) {
  constexpr float kShift = 12582912.0f; // 1.5 * 2^23
  return (x + kShift) - kShift;
}

int8_t itera::roundToInteger(float weight, float scale, int low, int high) {
  if (scale == 0)
    return 0;
  float ratio = std::clamp(weight / scale, -1024.0f, 1024.0f);
  return std::clamp<int>(nearest(ratio), low, high);
}

static float absmax(ArrayRef<float> weights) {
  float highest = 0;
  for (float w : weights)
    highest = std::max(highest, std::abs(w));
  return highest;
}

float itera::findScale8(ArrayRef<float> weights) {
  float exact = absmax(weights) / 127, scale = roundToBFloat16(exact);
  // Rounded down, the largest weight would not fit.
  return scale < exact ? roundToBFloat16(exact * (1 + 0x1p-8f)) : scale;
}

/// Sum of squared errors with the integers that are nearest.
static double errorOf(ArrayRef<float> weights, ArrayRef<float> importance,
                      float scale) {
  float inverse = 1 / scale, sum = 0;
  const float *of = importance.empty() ? nullptr : importance.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    float q = nearest(weights[i] * inverse);
    q = std::min(std::max(q, -8.0f), 7.0f);
    float error = weights[i] - q * scale;
    sum += error * error * (of ? of[i] : 1.0f);
  }
  return sum;
}

float itera::findScale4(ArrayRef<float> weights, ScaleRule rule,
                        ArrayRef<float> importance) {
  float highest = absmax(weights);
  // Below this a reciprocal would not be finite.
  if (highest < 1e-30f)
    return 0;
  if (rule == ScaleRule::absmax)
    return roundToBFloat16(highest / 7);
  float largest = *std::max_element(
      weights.begin(), weights.end(),
      [](float a, float b) { return std::abs(a) < std::abs(b); });
  float best = roundToBFloat16(largest / -8);
  if (rule == ScaleRule::max)
    return best;
  constexpr int kFactors = 51;
  constexpr float kLeast = 0.6f, kMost = 1.1f;
  double least = errorOf(weights, importance, best);
  for (int i = 0; i < kFactors; ++i) {
    float factor = kLeast + (kMost - kLeast) * i / (kFactors - 1);
    float magnitude = roundToBFloat16(highest / 7 * factor);
    for (float scale : {magnitude, -magnitude}) {
      double error = errorOf(weights, importance, scale);
      if (error < least) {
        least = error;
        best = scale;
      }
    }
  }
  return best;
}
