// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Comparison.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace itera;

namespace {

std::vector<float> randomFloats(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = float(engine() % 20001) / 10000 - 1;
  return values;
}

TEST(Comparison, Ratio) {
  Comparison comparison;
  EXPECT_TRUE(std::isnan(comparison.getDecibels()));
  EXPECT_EQ(comparison.getRelativeError(), 0);
  comparison.add(3, 3);
  EXPECT_EQ(comparison.getDecibels(), INFINITY);
  comparison.add(4, 4.5);
  // 25 against 0.25.
  EXPECT_NEAR(comparison.getDecibels(), 20, 1e-12);
  EXPECT_NEAR(comparison.getRelativeError(), 0.1, 1e-12);
  EXPECT_EQ(comparison.getMaxAbs(), 0.5);
  EXPECT_NEAR(comparison.getCosine(),
              (9 + 18) / std::sqrt(25 * (9 + 20.25)), 1e-12);
}

TEST(Comparison, Zeros) {
  Comparison comparison;
  comparison.add(0, 0);
  EXPECT_EQ(comparison.getDecibels(), INFINITY);
  EXPECT_EQ(comparison.getCosine(), 1);
  comparison.add(0, 1);
  EXPECT_EQ(comparison.getDecibels(), -INFINITY);
  EXPECT_EQ(comparison.getRelativeError(), INFINITY);
  EXPECT_EQ(comparison.getCosine(), 0);
}

TEST(Comparison, NotFinite) {
  Comparison comparison;
  comparison.add(INFINITY, INFINITY);
  EXPECT_EQ(comparison.getMaxAbs(), 0);
  comparison.add(1, NAN);
  comparison.add(1, 5);
  EXPECT_TRUE(std::isnan(comparison.getMaxAbs()));
  EXPECT_TRUE(std::isnan(comparison.getDecibels()));
}

TEST(Comparison, SumOfTwo) {
  std::vector<float> a = randomFloats(40, 1), b = randomFloats(40, 2);
  Comparison whole, first, second;
  whole.add(a, b);
  first.add(llvm::ArrayRef(a).take_front(13), llvm::ArrayRef(b).take_front(13));
  second.add(llvm::ArrayRef(a).drop_front(13), llvm::ArrayRef(b).drop_front(13));
  first.add(second);
  EXPECT_EQ(first.getCount(), 40u);
  EXPECT_NEAR(first.getDecibels(), whole.getDecibels(), 1e-12);
  EXPECT_EQ(first.getMaxAbs(), whole.getMaxAbs());
  EXPECT_NEAR(first.getCosine(), whole.getCosine(), 1e-12);
}

StoredMatrix makeStored(int64_t n, int64_t k, int64_t group, bool asymmetric) {
  StoredMatrix stored{n, k, group, {}, {}, {}, {}};
  int64_t groups = group ? (k + group - 1) / group : 1;
  for (int64_t i = 0; i < n * k; ++i)
    stored.integers.push_back(int8_t(i * 7 % 15 - 7));
  for (int64_t i = 0; i < n * groups; ++i) {
    stored.scales.push_back((i % 3 + 1) * (i % 2 ? -0.125f : 0.25f));
    if (asymmetric)
      stored.zeroPoints.push_back(int8_t(i % 5 - 2));
  }
  return stored;
}

TEST(StoredMatrix, GroupsAndZeroPoints) {
  for (int64_t group : {0, 8, 16})
    for (bool asymmetric : {false, true}) {
      // The last group of 8 of 20 has four.
      StoredMatrix stored = makeStored(3, 20, group, asymmetric);
      std::vector<float> values = stored.dequantize();
      for (int64_t row = 0; row < 3; ++row)
        for (int64_t i = 0; i < 20; ++i) {
          int64_t groups = group == 0 ? 1 : group == 8 ? 3 : 2;
          int64_t g = row * groups + (group ? i / group : 0);
          int zero = asymmetric ? stored.zeroPoints[g] : 0;
          EXPECT_EQ(values[row * 20 + i],
                    stored.scales[g] * (stored.integers[row * 20 + i] - zero));
        }
    }
}

TEST(RoundInput, TokenAndGroup) {
  std::vector<float> x{1, -127, 63.6f, 0.4f, 1e-31f, 0, 0, 0, 2, 1};
  std::vector<double> none = roundInput(x, InputRounding::none, 4);
  EXPECT_EQ(none[2], double(63.6f));
  std::vector<double> token = roundInput(x, InputRounding::token, 4);
  EXPECT_EQ(token, (std::vector<double>{1, -127, 64, 0, 0, 0, 0, 0, 2, 1}));
  std::vector<double> group = roundInput(x, InputRounding::group, 4);
  EXPECT_EQ(group[2], 64);
  // Less than 1e-30 counts as nothing.
  EXPECT_EQ(group[4], 0);
  EXPECT_EQ(group[8], double(2.0f / 127) * 127);
  // 63.5 goes to the even 64.
  EXPECT_EQ(group[9], double(2.0f / 127) * 64);
}

/// Against sums over sums in long double.
TEST(CompareLinear, NaiveOracle) {
  constexpr int64_t n = 5, k = 24, rows = 7;
  for (InputRounding rounding :
       {InputRounding::none, InputRounding::token, InputRounding::group}) {
    StoredMatrix stored = makeStored(n, k, 8, true);
    std::vector<float> original = stored.dequantize();
    std::vector<float> noise = randomFloats(original.size(), 3);
    for (size_t i = 0; i < original.size(); ++i)
      original[i] += 0.05f * noise[i];
    std::vector<float> x = randomFloats(rows * k, 4);
    std::vector<float> results(rows * n);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < k; ++j)
          results[row * n + i] += x[row * k + j] * original[i * k + j];
    long double signal = 0, difference = 0;
    std::vector<int64_t> chosen{0, 3, 6};
    for (int64_t row : chosen)
      for (int64_t i = 0; i < n; ++i) {
        long double value = 0, reference = 0;
        for (int64_t j = 0; j < k; ++j) {
          int64_t begin = rounding == InputRounding::group ? j / 8 * 8 : 0;
          int64_t end = rounding == InputRounding::group ? begin + 8 : k;
          float most = 0;
          for (int64_t l = begin; l < end; ++l)
            most = std::max(most, std::abs(x[row * k + l]));
          long double seen = x[row * k + j];
          if (rounding != InputRounding::none)
            seen = std::nearbyint(x[row * k + j] * (127 / most)) *
                   (long double)(most) / 127;
          int64_t g = i * 3 + j / 8;
          value += seen * stored.scales[g] *
                   (stored.integers[i * k + j] - stored.zeroPoints[g]);
          reference += (long double)(x[row * k + j]) * original[i * k + j];
        }
        signal += (long double)(results[row * n + i]) * results[row * n + i];
        difference += (value - reference) * (value - reference);
      }
    Comparison comparison =
        compareLinear(original, stored, rounding, x, results, chosen);
    EXPECT_EQ(comparison.getCount(), chosen.size() * n);
    EXPECT_NEAR(comparison.getDecibels(),
                double(10 * std::log10(signal / difference)), 1e-4);
  }
}

TEST(ChooseEvenly, Places) {
  EXPECT_TRUE(chooseEvenly(0, 4).empty());
  EXPECT_EQ(chooseEvenly(3, 4), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(chooseEvenly(100, 4), (std::vector<int64_t>{0, 25, 50, 75}));
}

} // namespace
