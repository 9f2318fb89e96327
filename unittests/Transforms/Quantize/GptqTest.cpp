// SPDX-License-Identifier: Apache-2.0

#include "Gptq.h"
#include "ScaleSearch.h"

#include "llvm/ADT/STLExtras.h"
#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace itera;

namespace {

/// A row of weights and inputs that depend on each other.
struct Problem {
  int k, group;
  std::vector<float> weights, moments;
  std::vector<std::vector<double>> inputs;

  Problem(int k, int group, unsigned seed, int tokens = 200)
      : k(k), group(group), weights(k), moments(k * k) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (float &w : weights)
      w = normal(random);
    std::vector<double> mix(k * 4);
    for (double &m : mix)
      m = normal(random);
    for (int t = 0; t < tokens; ++t) {
      double common[4];
      for (double &c : common)
        c = normal(random);
      std::vector<double> x(k);
      for (int i = 0; i < k; ++i) {
        x[i] = 0.3 * normal(random);
        for (int c = 0; c < 4; ++c)
          x[i] += mix[i * 4 + c] * common[c];
      }
      for (int i = 0; i < k; ++i)
        for (int j = 0; j < k; ++j)
          moments[i * k + j] += x[i] * x[j];
      inputs.push_back(x);
    }
  }

  /// Sum over the inputs of the squared error of the output.
  double errorOf(const std::vector<int8_t> &integers,
                 const std::vector<float> &scales) const {
    double sum = 0;
    for (const std::vector<double> &x : inputs) {
      double error = 0;
      for (int i = 0; i < k; ++i)
        error += (weights[i] - double(integers[i]) * scales[i / group]) * x[i];
      sum += error * error;
    }
    return sum;
  }
};

} // namespace

// On inputs that depend on each other the output's error is a small part of
// that of rounding each weight by itself.
TEST(Gptq, OutputErrorIsSmallerThanByRounding) {
  for (auto [k, group] :
       {std::pair(96, 32), std::pair(40, 32), std::pair(33, 16)}) {
    double before = 0, after = 0;
    for (unsigned seed = 0; seed < 20; ++seed) {
      Problem p(k, group, seed);
      int groups = (k + group - 1) / group;
      std::vector<int8_t> nearest(k), found(k);
      std::vector<float> simple(groups), scales(groups);
      for (int g = 0; g < groups; ++g) {
        llvm::ArrayRef<float> members = llvm::ArrayRef(p.weights).slice(
            g * group, std::min(group, k - g * group));
        simple[g] = findScale4(members, ScaleRule::mse);
        for (size_t i = 0; i < members.size(); ++i)
          nearest[g * group + i] = roundToInteger(members[i], simple[g], -8, 7);
      }
      InputMoments moments;
      ASSERT_TRUE(moments.compute(p.moments, k));
      quantizeRows4(p.weights, moments, group, found, scales);
      before += p.errorOf(nearest, simple);
      after += p.errorOf(found, scales);
      for (int8_t q : found)
        EXPECT_TRUE(q >= -8 && q <= 7);
      for (float scale : scales)
        EXPECT_EQ(roundToBFloat16(scale), scale);
    }
    EXPECT_LT(after, 0.3 * before) << "k " << k;
  }
}

// U^T U is the inverse of the damped moments, U upper; at sizes that are and
// that are not multiples of sixteen. Rounding errors grow with the condition,
// here below 1e4.
TEST(Gptq, SpreadIsTheFactorOfTheInverse) {
  for (int k : {1, 2, 15, 16, 17, 48, 61}) {
    Problem p(k, 32, 7);
    InputMoments moments;
    ASSERT_TRUE(moments.compute(p.moments, k));
    ASSERT_EQ(moments.getSize(), k);
    // H U^T U = 1
    for (int i = 0; i < k; ++i)
      for (int j = 0; j < k; ++j) {
        double sum = 0;
        for (int a = 0; a < k; ++a)
          for (int b = 0; b <= std::min(a, j); ++b)
            sum += moments.row(i)[a] * moments.spreadRow(b)[a] *
                   moments.spreadRow(b)[j];
        EXPECT_NEAR(sum, i == j, 1e-10) << k << ": " << i << ", " << j;
        if (j < i)
          EXPECT_EQ(moments.spreadRow(i)[j], 0);
      }
  }
}

// What a row becomes does not depend on the rows beside it.
TEST(Gptq, RowsAreIndependent) {
  constexpr int kRows = 19, kSize = 40, kGroups = 2;
  std::vector<float> weights;
  Problem p(kSize, 32, 0);
  for (unsigned row = 0; row < kRows; ++row)
    llvm::append_range(weights, Problem(kSize, 32, row).weights);
  InputMoments moments;
  ASSERT_TRUE(moments.compute(p.moments, kSize));
  std::vector<int8_t> all(kRows * kSize), one(kSize);
  std::vector<float> scales(kRows * kGroups), own(kGroups);
  quantizeRows4(weights, moments, 32, all, scales);
  for (int row = 0; row < kRows; ++row) {
    quantizeRows4(llvm::ArrayRef(weights).slice(row * kSize, kSize), moments,
                  32, one, own);
    EXPECT_EQ(llvm::ArrayRef(all).slice(row * kSize, kSize),
              llvm::ArrayRef(one));
    EXPECT_EQ(llvm::ArrayRef(scales).slice(row * kGroups, kGroups),
              llvm::ArrayRef(own));
  }
}

// What four bits hold exactly stays what it is.
TEST(Gptq, ExactWeightsAreKept) {
  Problem p(64, 32, 3);
  for (int i = 0; i < 64; ++i)
    p.weights[i] = 0.25f * (i % 16 - 8);
  InputMoments moments;
  ASSERT_TRUE(moments.compute(p.moments, 64));
  std::vector<int8_t> integers(64);
  std::vector<float> scales(2);
  quantizeRows4(p.weights, moments, 32, integers, scales);
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(integers[i] * scales[i / 32], p.weights[i]) << i;
}

// Inputs that were never seen, or always the same, leave nothing to divide by.
TEST(Gptq, SingularMomentsAreDamped) {
  for (float value : {0.0f, 1.0f}) {
    std::vector<float> all(16 * 16, value), weights(16, 1.5f);
    InputMoments moments;
    ASSERT_TRUE(moments.compute(all, 16));
    std::vector<int8_t> integers(16);
    std::vector<float> scales(1);
    quantizeRows4(weights, moments, 16, integers, scales);
    for (int8_t q : integers)
      EXPECT_NEAR(q * scales[0], 1.5, 0.02);
  }
}

// Of the largest floats the errors are made up for in what is then no float.
TEST(Gptq, ScalesOfTheLargestWeightsAreFinite) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Problem p(64, 16, seed);
    for (float &w : p.weights)
      w = std::copysign(FLT_MAX, w);
    InputMoments moments;
    ASSERT_TRUE(moments.compute(p.moments, 64));
    std::vector<int8_t> integers(64);
    std::vector<float> scales(4);
    quantizeRows4(p.weights, moments, 16, integers, scales);
    for (float scale : scales)
      EXPECT_TRUE(std::isfinite(scale)) << "seed " << seed;
  }
}

TEST(Gptq, MomentsThatAreNotFiniteAreRefused) {
  std::vector<float> all(16, NAN);
  EXPECT_FALSE(InputMoments().compute(all, 4));
}
