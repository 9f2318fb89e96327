// SPDX-License-Identifier: Apache-2.0
// Ops that combine elements, against naive loops. The operands are quarters, so
// sums and products are exact and any order of them gives the same number.

#include "Evaluated.h"

#include <algorithm>
#include <cmath>

using namespace itera::ssm;

namespace {

// The init takes part; the reduced dimensions are the first and the last.
TEST(EvaluateReduction, Reduce) {
  Floats x = someFloats(24), init = {1, -2, 3};
  auto run = [&](std::string op) {
    return Evaluated(constant("x", "2x3x4", x) + constant("c", "3", init) +
                     "%y = linalg.reduce { " + op + " } ins(%x : tensor<2x3x4xf32>)"
                     " outs(%c : tensor<3xf32>) dimensions = [0, 2]").floats();
  };
  Floats sum = init, largest = init;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) {
        sum[j] += x[i * 12 + j * 4 + k];
        largest[j] = std::max(largest[j], x[i * 12 + j * 4 + k]);
      }
  EXPECT_EQ(run("arith.addf"), sum);
  EXPECT_EQ(run("arith.maximumf"), largest);
}

TEST(EvaluateReduction, ReduceOfIntegersWraps) {
  Evaluated e(constant("x", "3", std::vector<int8_t>{100, 100, 1}) +
              constant("c", "1", std::vector<int8_t>{0}) +
              "%s = tensor.collapse_shape %c [] : tensor<1xi8> into tensor<i8>\n"
              "%y = linalg.reduce { arith.addi } ins(%x : tensor<3xi8>)"
              " outs(%s : tensor<i8>) dimensions = [0]");
  EXPECT_EQ(e.ints(), Ints{201 - 256});
}

// The widest integers too, whose sums are not computed in a wider type.
TEST(EvaluateReduction, TheWidestIntegersWrap) {
  const int64_t most = INT64_MAX;
  std::string x = constant("x", "2", Ints{most, 2}) + constant("c", "1", Ints{0}) +
                  "%s = tensor.collapse_shape %c [] : tensor<1xi64> into tensor<i64>\n";
  Evaluated sum(x + "%y = linalg.reduce { arith.addi } ins(%x : tensor<2xi64>)"
                    " outs(%s : tensor<i64>) dimensions = [0]");
  EXPECT_EQ(sum.ints(), Ints{INT64_MIN + 1});
  Evaluated sums(x + "%y = ssm.cumsum %x dim 0 : tensor<2xi64>");
  EXPECT_EQ(sums.ints(), (Ints{most, INT64_MIN + 1}));
  Evaluated product(x + "%y = linalg.contract indexing_maps = ["
                        "affine_map<(k) -> (k)>, affine_map<(k) -> (k)>,"
                        "affine_map<(k) -> ()>]"
                        " ins(%x, %x : tensor<2xi64>, tensor<2xi64>)"
                        " outs(%s : tensor<i64>) -> tensor<i64>");
  EXPECT_EQ(product.ints(), Ints{1 + 4});
}

// A sum is rounded once: 2^24 + 1 + 1 is not 2^24.
TEST(EvaluateReduction, ASumIsRoundedOnce) {
  Evaluated e(constant("x", "3", Floats{16777216, 1, 1}) + R"(
    %c = arith.constant dense<0.0> : tensor<f32>
    %y = linalg.reduce { arith.addf } ins(%x : tensor<3xf32>)
      outs(%c : tensor<f32>) dimensions = [0])");
  EXPECT_EQ(e.floats(), Floats{16777218});
}

// A combiner of more than one op is left to the run time.
TEST(EvaluateReduction, AnotherCombinerIsNamed) {
  Evaluated e(constant("x", "3", Floats{1, 2, 3}) + R"(
    %c = arith.constant dense<0.0> : tensor<f32>
    %y = linalg.reduce ins(%x : tensor<3xf32>) outs(%c : tensor<f32>) dimensions = [0]
      (%in: f32, %out: f32) {
        %s = arith.mulf %in, %in : f32
        %t = arith.addf %s, %out : f32
        linalg.yield %t : f32
      })");
  EXPECT_EQ(e.refusal(), "op 'linalg.reduce'");
}

// A batched product with a transposed right operand on a nonzero init.
template <typename T>
void checkContract(const char *element) {
  std::vector<T> a, b, c;
  for (int i = 0; i < 12; ++i)
    a.push_back(i % 5 - 2);
  for (int i = 0; i < 24; ++i)
    b.push_back(i * 3 % 7 - 3);
  for (int i = 0; i < 16; ++i)
    c.push_back(i);
  std::string t = element;
  Evaluated e(constant("a", "2x2x3", a) + constant("b", "2x4x3", b) +
              constant("c", "2x2x4", c) +
              "%y = linalg.contract indexing_maps = ["
              "affine_map<(n, i, j, k) -> (n, i, k)>,"
              "affine_map<(n, i, j, k) -> (n, j, k)>,"
              "affine_map<(n, i, j, k) -> (n, i, j)>]"
              " ins(%a, %b : tensor<2x2x3x" + t + ">, tensor<2x4x3x" + t +
              ">) outs(%c : tensor<2x2x4x" + t + ">) -> tensor<2x2x4x" + t + ">");
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 3; ++k)
          c[n * 8 + i * 4 + j] +=
              a[n * 6 + i * 3 + k] * b[n * 12 + j * 3 + k];
  EXPECT_EQ(e.get<T>(), c);
}

TEST(EvaluateReduction, Contract) {
  checkContract<float>("f32");
  checkContract<int32_t>("i32");
}

TEST(EvaluateReduction, Cumsum) {
  Floats x = someFloats(24);
  for (bool exclusive : {false, true})
    for (bool reverse : {false, true}) {
      Floats expected(24);
      for (int i = 0; i < 2; ++i)
        for (int t = 0; t < 3; ++t)
          for (int k = 0; k < 4; ++k)
            for (int s = 0; s < 3; ++s)
              if ((reverse ? s > t : s < t) || (s == t && !exclusive))
                expected[i * 12 + t * 4 + k] += x[i * 12 + s * 4 + k];
      Evaluated e(constant("x", "2x3x4", x) + "%y = ssm.cumsum %x dim 1" +
                  (exclusive ? " exclusive" : "") + (reverse ? " reverse" : "") +
                  " : tensor<2x3x4xf32>");
      EXPECT_EQ(e.floats(), expected) << exclusive << reverse;
    }
}

// h = a h + u, with the steps of `u` along its second dimension, the states
// stacked along that too, and `a` from outside of the body.
TEST(EvaluateReduction, Scan) {
  constexpr int n = 3, length = 4;
  Floats a = {0.5f, -1, 2}, h0 = someFloats(n), u = someFloats(n * length, 3);
  for (bool reverse : {false, true}) {
    Floats h = h0, stacked(n * length);
    for (int step = 0; step < length; ++step) {
      int t = reverse ? length - 1 - step : step;
      for (int i = 0; i < n; ++i) {
        h[i] = a[i] * h[i] + u[i * length + t];
        stacked[i * length + t] = h[i];
      }
    }
    Evaluated e(constant("a", "3", a) + constant("h", "3", h0) +
                constant("u", "3x4", u) + R"(
      %last, %all = ssm.scan init(%h : tensor<3xf32>)
          sequences(%u : tensor<3x4xf32>) length 4 )" +
                (reverse ? "reverse" : "") + R"( {
      ^bb0(%s: tensor<3xf32>, %ut: tensor<3xf32>):
        %m = arith.mulf %a, %s : tensor<3xf32>
        %t = arith.addf %m, %ut : tensor<3xf32>
        ssm.yield %t, %t : tensor<3xf32>, tensor<3xf32>
      } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>}
        -> tensor<3xf32>, tensor<3x4xf32>)");
    EXPECT_EQ(e.floats(0), h) << reverse;
    EXPECT_EQ(e.floats(1), stacked) << reverse;
  }
}

// Equal values come by lower index first, NaN before every number.
TEST(EvaluateReduction, TopK) {
  std::string x = constant("x", "5", Floats{2, 3, NAN, 3, 1});
  std::string type = " dim 0 : tensor<5xf32> -> tensor<4xf32>, tensor<4xi64>";
  EXPECT_EQ(Evaluated(x + "%v, %i = ssm.top_k %x" + type).ints(1),
            (Ints{2, 1, 3, 0}));
  Evaluated smallest(x + "%v, %i = ssm.top_k smallest %x" + type);
  EXPECT_EQ(smallest.ints(1), (Ints{4, 0, 1, 3}));
  EXPECT_EQ(smallest.floats(0), (Floats{1, 2, 3, 3}));
}

// Two groups, and everything else different from its default.
TEST(EvaluateReduction, Conv) {
  constexpr int length = 7, taps = 3, stride = 2, dilation = 2, low = 3, high = 1;
  constexpr int steps = (length + low + high - dilation * (taps - 1) - 1) / stride + 1;
  static_assert(steps == 4);
  Floats x = someFloats(4 * length), w = someFloats(2 * 2 * taps, 4), bias = {1, -1};
  Floats expected;
  for (int m = 0; m < 2; ++m)
    for (int t = 0; t < steps; ++t) {
      float sum = bias[m];
      for (int c = 0; c < 2; ++c)
        for (int k = 0; k < taps; ++k) {
          int at = t * stride + k * dilation - low;
          if (at >= 0 && at < length)
            sum += x[(m * 2 + c) * length + at] * w[(m * 2 + c) * taps + k];
        }
      expected.push_back(sum);
    }
  Evaluated e(constant("x", "1x4x7", x) + constant("w", "2x2x3", w) +
              constant("b", "2", bias) + R"(
    %y = ssm.conv %x, %w bias(%b : tensor<2xf32>) {dilations = array<i64: 2>,
        groups = 2 : i64, pads_high = array<i64: 1>, pads_low = array<i64: 3>,
        strides = array<i64: 2>}
      : tensor<1x4x7xf32>, tensor<2x2x3xf32> -> tensor<1x2x4xf32>)");
  EXPECT_EQ(e.floats(), expected);
}

// Large inputs do not overflow.
TEST(EvaluateReduction, Softmax) {
  Floats x = {1000, 1001, -5, 0, 2, 2};
  Evaluated e(constant("x", "2x3", x) + R"(
    %e = tensor.empty() : tensor<2x3xf32>
    %y = linalg.softmax dimension(0) ins(%x : tensor<2x3xf32>)
      outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>)");
  Floats y = e.floats();
  ASSERT_EQ(y.size(), 6u);
  for (int j = 0; j < 3; ++j) {
    double first = 1 / (1 + std::exp(double(x[3 + j]) - x[j]));
    EXPECT_NEAR(y[j], first, 1e-6);
    EXPECT_NEAR(y[3 + j], 1 - first, 1e-6);
  }
}

TEST(EvaluateReduction, Norm) {
  Floats x = someFloats(8), scale = {1, 2, -1, 0.5f}, bias = {0, 1, 0, -1};
  for (bool isLayer : {false, true}) {
    Evaluated e(constant("x", "2x4", x) + constant("s", "4", scale) +
                constant("b", "4", bias) + "%y = ssm.norm " +
                (isLayer ? "layer" : "rms") +
                " %x scale(%s : tensor<4xf32>) bias(%b : tensor<4xf32>)"
                " epsilon 0.25 : tensor<2x4xf32>");
    Floats y = e.floats();
    ASSERT_EQ(y.size(), 8u);
    for (int row = 0; row < 2; ++row) {
      double mean = 0, square = 0;
      for (int j = 0; j < 4; ++j)
        mean += isLayer ? x[row * 4 + j] / 4 : 0;
      for (int j = 0; j < 4; ++j)
        square += (x[row * 4 + j] - mean) * (x[row * 4 + j] - mean) / 4;
      for (int j = 0; j < 4; ++j)
        EXPECT_NEAR(y[row * 4 + j],
                    (x[row * 4 + j] - mean) / std::sqrt(square + 0.25) * scale[j] +
                        bias[j],
                    1e-6);
    }
  }
}

} // namespace
