// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Compare.h"
#include "gtest/gtest.h"
#include <cmath>
#include <limits>

using namespace itera;

template <typename T>
static NpyArray make(NpyType type, std::vector<T> values) {
  NpyArray array{type, {int64_t(values.size())}, {}};
  const char *bytes = reinterpret_cast<const char *>(values.data());
  array.data.assign(bytes, bytes + values.size() * sizeof(T));
  return array;
}

static NpyArray floats(std::vector<float> values) {
  return make(NpyType::Float32, std::move(values));
}

static NpyArray doubles(std::vector<double> values) {
  return make(NpyType::Float64, std::move(values));
}

TEST(Compare, UsesBothTolerances) {
  NpyArray value = floats({1.0f, 101.0f}), reference = doubles({1.0, 100.0});
  EXPECT_EQ(compareArrays(value, reference, {0, 0}).maxAbs, 1.0);
  EXPECT_FALSE(compareArrays(value, reference, {0, 0}).withinTolerance);
  EXPECT_FALSE(compareArrays(value, reference, {0.99, 0}).withinTolerance);
  EXPECT_TRUE(compareArrays(value, reference, {1.0, 0}).withinTolerance);
  EXPECT_FALSE(compareArrays(value, reference, {0, 0.0099}).withinTolerance);
  EXPECT_TRUE(compareArrays(value, reference, {0, 0.0101}).withinTolerance);
  EXPECT_TRUE(compareArrays(value, reference, {0.5, 0.005}).withinTolerance);
}

TEST(Compare, NaNIsNeverWithinTolerance) {
  float nan = std::nanf("");
  for (auto [v, r] : {std::pair(nan, 1.0f), {1.0f, nan}, {nan, nan}}) {
    // The NaN in front of a number, and behind it.
    for (bool first : {true, false}) {
      Difference difference = compareArrays(
          floats(first ? std::vector<float>{v, 3} : std::vector<float>{3, v}),
          floats(first ? std::vector<float>{r, 2} : std::vector<float>{2, r}),
          {1e30, 1});
      EXPECT_TRUE(std::isnan(difference.maxAbs));
      EXPECT_FALSE(difference.withinTolerance);
    }
  }
}

TEST(Compare, InfinitiesMustBeEqual) {
  float inf = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(compareArrays(floats({inf, -inf}), floats({inf, -inf}), {0, 0})
                  .withinTolerance);
  EXPECT_EQ(compareArrays(floats({inf}), floats({inf}), {0, 0}).maxAbs, 0.0);
  EXPECT_FALSE(
      compareArrays(floats({inf}), floats({-inf}), {1, 1}).withinTolerance);
  EXPECT_FALSE(
      compareArrays(floats({1.0f}), floats({inf}), {1, 1}).withinTolerance);
  EXPECT_FALSE(
      compareArrays(floats({inf}), floats({1.0f}), {1, 1}).withinTolerance);
}

TEST(Compare, LargeIntegersAreExact) {
  int64_t big = int64_t(1) << 62;
  EXPECT_EQ(compareArrays(make<int64_t>(NpyType::Int64, {big + 1}),
                          make<int64_t>(NpyType::Int64, {big}), {0, 0})
                .maxAbs,
            1.0);
}

TEST(Compare, EmptyArraysAgree) {
  Difference difference = compareArrays(floats({}), floats({}), {0, 0});
  EXPECT_EQ(difference.maxAbs, 0.0);
  EXPECT_TRUE(difference.withinTolerance);
}
