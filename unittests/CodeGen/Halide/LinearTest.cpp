// SPDX-License-Identifier: Apache-2.0
// ssm.linear kernels against a loop in double, for shapes that are multiples
// of nothing.

#include "KernelRunner.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>

using namespace itera::test;

namespace {

struct Case {
  int tokens, depth, rows, height; // height 0: a plain weight
};

std::string linearText(Case c, const std::string &epilogue = "") {
  std::string w =
      c.height
          ? tensorType({(c.rows + c.height - 1) / c.height, c.depth, c.height})
          : tensorType({c.rows, c.depth});
  std::string x = tensorType({c.tokens, c.depth}),
              y = tensorType({c.tokens, c.rows});
  std::string body =
      "%y = ssm.linear %x, %w bias(%b : " + tensorType({c.rows}) + ") : " + x +
      ", " + w + " -> " + y + "\n";
  body += epilogue.empty() ? "return %y : " + y : epilogue;
  return kernelText("%x: " + x + ", %w: " + w + ", %b: " + tensorType({c.rows}),
                    y, body);
}

Guarded packRows(const Guarded &w, Case c) {
  if (!c.height)
    return w;
  int blocks = (c.rows + c.height - 1) / c.height;
  Guarded packed(size_t(blocks) * c.depth * c.height);
  for (int n = 0; n < c.rows; ++n)
    for (int k = 0; k < c.depth; ++k)
      packed[(size_t(n / c.height) * c.depth + k) * c.height + n % c.height] =
          w[size_t(n) * c.depth + k];
  return packed;
}

/// A chain of K fused multiply-adds and the bias: at most (K + 1) roundings,
/// each of a partial sum that is at most `magnitude`.
void expectLinear(const Guarded &x, const Guarded &w, const Guarded &b,
                  const Guarded &y, Case c) {
  for (int t = 0; t < c.tokens; ++t)
    for (int n = 0; n < c.rows; ++n) {
      double sum = 0, magnitude = std::abs(b[n]);
      for (int k = 0; k < c.depth; ++k) {
        double product = double(x[t * c.depth + k]) * w[n * c.depth + k];
        sum += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(y[t * c.rows + n], sum + b[n],
                  (c.depth + 1) * 0x1p-24 * magnitude + 1e-37)
          << "token " << t << " row " << n << " of " << c.tokens << "x"
          << c.depth << "x" << c.rows << " height " << c.height;
    }
}

TEST(Linear, MatchesDouble) {
  for (const std::string &cpu : runnableCpus()) {
    int index = 0;
    for (Case c :
         {Case{1, 1, 1, 0}, Case{1, 64, 256, 16}, Case{7, 13, 37, 16},
          Case{3, 5, 3, 8}, Case{8, 64, 100, 24}, Case{63, 33, 40, 24},
          Case{64, 8, 61, 16}, Case{128, 64, 8, 8}, Case{2, 1, 50, 48},
          Case{5, 17, 130, 64}, Case{1, 40, 64, 0}, Case{9, 31, 45, 0},
          Case{128, 16, 7, 0}, Case{1, 3, 2, 4}, Case{4, 20, 24, 12}}) {
      LoadedKernel kernel(linearText(c), cpu);
      Guarded x = randomTensor(c.tokens * c.depth, ++index);
      Guarded w = randomTensor(c.rows * c.depth, ++index);
      Guarded b = randomTensor(c.rows, ++index);
      Guarded packed = packRows(w, c), y(c.tokens * c.rows, 7.0f);
      kernel({x, packed, b, y});
      expectLinear(x, w, b, y, c);
      EXPECT_TRUE(y.intact());
    }
  }
}

// One token through its own kernel gives the bits of the many-token kernel.
TEST(Linear, OneTokenHasTheBitsOfMany) {
  for (const std::string &cpu : runnableCpus())
    for (Case c : {Case{13, 67, 85, 16}, Case{64, 128, 96, 48},
                   Case{8, 96, 50, 24}, Case{11, 33, 29, 0}}) {
      Case one = c;
      one.tokens = 1;
      std::string y = tensorType({c.tokens, c.rows}),
                  y1 = tensorType({1, c.rows});
      auto epilogue = [&](const std::string &type) {
        return "%s = ssm.silu %y : " + type +
               "\n%p = arith.mulf %s, %s : " + type +
               "\n%q = arith.addf %p, %y : " + type + "\nreturn %q : " + type;
      };
      LoadedKernel many(linearText(c, epilogue(y)), cpu);
      LoadedKernel single(linearText(one, epilogue(y1)), cpu);
      Guarded x = randomTensor(c.tokens * c.depth, 1);
      Guarded w = packRows(randomTensor(c.rows * c.depth, 2), c);
      Guarded b = randomTensor(c.rows, 3);
      Guarded all(c.tokens * c.rows), each(c.rows);
      many({x, w, b, all});
      for (int t = 0; t < c.tokens; ++t) {
        single({x.data() + t * c.depth, w, b, each});
        for (int n = 0; n < c.rows; ++n)
          ASSERT_EQ(each[n], all[t * c.rows + n])
              << "token " << t << " row " << n;
      }
    }
}

} // namespace
