// SPDX-License-Identifier: Apache-2.0

#include "AddProducts.h"

#include <gtest/gtest.h>
#include <random>

using namespace itera;

// Bit for bit what plain loops give, for counts and sizes that are multiples of
// nothing, added to what is there; the upper half is left alone.
TEST(AddProducts, IsThatOfPlainLoops) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int size : {1, 2, 7, 16, 33, 100})
    for (int count : {0, 1, 7, 8, 9, 27}) {
      std::vector<float> rows(size * count), sums(size * size);
      for (float &value : rows)
        value = normal(random);
      for (float &value : sums)
        value = normal(random);
      std::vector<float> expected = sums;
      for (int row = 0; row < count; ++row)
        for (int i = 0; i < size; ++i)
          for (int j = 0; j <= i; ++j) {
            volatile float product = rows[row * size + i] * rows[row * size + j];
            expected[i * size + j] += product;
          }
      addProducts(sums, rows.data(), count, size);
      EXPECT_EQ(sums, expected) << size << ", " << count;
    }
}
