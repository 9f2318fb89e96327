// SPDX-License-Identifier: Apache-2.0
// Kernels of ssm.hadamard against the matrix in double, and against the
// butterflies in the order that the op promises, bit for bit.

#include "KernelRunner.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>

using namespace itera::test;

namespace {

std::string rotation(int block, const std::string &type) {
  return "ssm.hadamard %x block " + std::to_string(block) + " : " + type;
}

/// A row in blocks, in the order of the op's description.
std::vector<float> butterflies(const float *x, int depth, int block) {
  std::vector<float> y(x, x + depth);
  for (int half = 1; half < block; half *= 2)
    for (int i = 0; i < depth; ++i)
      if ((i & half) == 0) {
        float a = y[i], b = y[i + half];
        y[i] = a + b;
        y[i + half] = a - b;
      }
  for (float &value : y)
    value *= float(1 / std::sqrt(double(block)));
  return y;
}

TEST(Hadamard, IsTheMatrixWithTheBitsOfTheButterflies) {
  for (const std::string &cpu : runnableCpus())
    for (int block : {1, 2, 4, 8, 16, 32, 64, 256, 512})
      for (int tokens : {1, 3}) {
        int depth = block * (block < 64 ? 3 : 1);
        std::string type = tensorType({tokens, depth});
        LoadedKernel kernel(
            kernelText("%x: " + type, type,
                       "%y = " + rotation(block, type) + "\nreturn %y : " + type),
            cpu);
        Guarded x = randomTensor(size_t(tokens) * depth, block + tokens),
                y(size_t(tokens) * depth);
        kernel({x, y});
        for (int t = 0; t < tokens; ++t) {
          std::vector<float> expected =
              butterflies(x.data() + t * depth, depth, block);
          for (int k = 0; k < depth; ++k) {
            double sum = 0, magnitude = 0;
            for (int j = 0; j < block; ++j) {
              double term = x[t * depth + k / block * block + j];
              sum += __builtin_parity(k % block & j) ? -term : term;
              magnitude += std::abs(term);
            }
            ASSERT_EQ(y[t * depth + k], expected[k])
                << cpu << " block " << block << " token " << t << " place " << k;
            ASSERT_NEAR(y[t * depth + k], sum / std::sqrt(double(block)),
                        11 * 0x1p-24 * magnitude / std::sqrt(double(block)));
          }
        }
        EXPECT_TRUE(y.intact());
      }
}

/// What comes before and after is in the same kernel, and several results are.
TEST(Hadamard, PrologueAndEpilogue) {
  for (const std::string &cpu : runnableCpus())
    for (int block : {8, 64}) {
      const int tokens = 5, depth = 3 * block;
      std::string type = tensorType({1, tokens, depth});
      LoadedKernel kernel(
          kernelText("%u: " + type + ", %g: " + type, type + ", " + type,
                     "%x = arith.mulf %u, %g : " + type + "\n%y = " +
                         rotation(block, type) + "\n%z = arith.addf %y, %u : " +
                         type + "\nreturn %y, %z : " + type + ", " + type),
          cpu);
      size_t count = tokens * depth;
      Guarded u = randomTensor(count, 1), g = randomTensor(count, 2), x(count),
              y(count), z(count);
      for (size_t i = 0; i < count; ++i)
        x[i] = u[i] * g[i];
      kernel({u, g, y, z});
      for (int t = 0; t < tokens; ++t) {
        std::vector<float> expected =
            butterflies(x.data() + t * depth, depth, block);
        for (int k = 0; k < depth; ++k) {
          ASSERT_EQ(y[t * depth + k], expected[k]);
          ASSERT_EQ(z[t * depth + k], expected[k] + u[t * depth + k]);
        }
      }
      EXPECT_TRUE(y.intact() && z.intact());
    }
}

} // namespace
