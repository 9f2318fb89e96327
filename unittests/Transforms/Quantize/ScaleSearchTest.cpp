// SPDX-License-Identifier: Apache-2.0

#include "ScaleSearch.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace itera;

static std::vector<float> randomGroup(unsigned seed, int size = 32) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weights(size);
  for (float &w : weights)
    w = normal(random);
  return weights;
}

static double errorOf(const std::vector<float> &weights, float scale) {
  double sum = 0;
  for (float w : weights) {
    double q = roundToInteger(w, scale, -8, 7);
    sum += (w - q * scale) * (w - q * scale);
  }
  return sum;
}

TEST(ScaleSearch, RoundsToBFloat16TiesToEven) {
  EXPECT_EQ(roundToBFloat16(1.0f), 1.0f);
  EXPECT_EQ(roundToBFloat16(1.0f + 0x1p-8f), 1.0f);
  EXPECT_EQ(roundToBFloat16(1.0f + 3 * 0x1p-8f), 1.0f + 0x1p-6f);
  EXPECT_EQ(roundToBFloat16(1.0f + 0x1p-8f + 0x1p-20f), 1.0f + 0x1p-7f);
  EXPECT_EQ(roundToBFloat16(-3.14159f), -3.140625f);
}

TEST(ScaleSearch, IntegersAreRoundedToEvenAndKeptInRange) {
  EXPECT_EQ(roundToInteger(2.5f, 1, -8, 7), 2);
  EXPECT_EQ(roundToInteger(3.5f, 1, -8, 7), 4);
  EXPECT_EQ(roundToInteger(100, 1, -8, 7), 7);
  EXPECT_EQ(roundToInteger(-100, 1, -8, 7), -8);
  EXPECT_EQ(roundToInteger(-100, -1, -8, 7), 7);
  EXPECT_EQ(roundToInteger(3e30f, 1e-30f, -8, 7), 7);
  EXPECT_EQ(roundToInteger(5, 0, -8, 7), 0);
}

// The search is never worse than the two simple rules, and mostly better.
TEST(ScaleSearch, LeastSquaresBeatTheExtremes) {
  int better = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::vector<float> weights = randomGroup(seed);
    double found = errorOf(weights, findScale4(weights, ScaleRule::mse));
    double max = errorOf(weights, findScale4(weights, ScaleRule::max));
    double absmax = errorOf(weights, findScale4(weights, ScaleRule::absmax));
    // The search adds up in float.
    ASSERT_LE(found, std::min(max, absmax) * (1 + 1e-5)) << seed;
    better += found < 0.95 * std::min(max, absmax);
  }
  EXPECT_GT(better, 50);
}

TEST(ScaleSearch, LargestWeightIsRepresented) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::vector<float> weights = randomGroup(seed);
    float largest = 0;
    for (float w : weights)
      largest = std::abs(w) > std::abs(largest) ? w : largest;
    EXPECT_EQ(roundToInteger(largest, findScale4(weights, ScaleRule::max), -8, 7), -8);
    float scale = findScale8(weights);
    EXPECT_LE(std::abs(largest), 127 * scale * (1 + 1e-6f));
    EXPECT_EQ(roundToBFloat16(scale), scale);
  }
}

TEST(ScaleSearch, NothingHasNoScale) {
  std::vector<float> zeros(32, 0.0f);
  for (ScaleRule rule : {ScaleRule::absmax, ScaleRule::max, ScaleRule::mse})
    EXPECT_EQ(findScale4(zeros, rule), 0);
  EXPECT_EQ(findScale8(zeros), 0);
}
