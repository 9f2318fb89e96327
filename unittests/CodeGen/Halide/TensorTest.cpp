// SPDX-License-Identifier: Apache-2.0
// Generic kernels: pointwise with movements, reductions, norms, softmax and
// contractions, against plain loops.

#include "KernelRunner.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

using namespace itera::test;

namespace {

const int kLengths[] = {1, 2, 3, 7, 8, 63, 64, 128, 131};

TEST(Tensor, PointwiseWithBroadcastAndSlice) {
  for (const std::string &cpu : runnableCpus())
    for (int t : {1, 3, 8})
      for (int d : {1, 2, 7, 16, 37}) {
        std::string x = tensorType({1, t, 2 * d}), y = tensorType({1, t, d}),
                    s = tensorType({d});
        std::string body =
            "%a = tensor.extract_slice %x[0, 0, 0] [1, " + std::to_string(t) +
            ", " + std::to_string(d) + "] [1, 1, 1] : " + x + " to " + y +
            "\n" + "%b = tensor.extract_slice %x[0, 0, " + std::to_string(d) +
            "] [1, " + std::to_string(t) + ", " + std::to_string(d) +
            "] [1, 1, 1] : " + x + " to " + y + "\n" +
            "%g = arith.mulf %a, %b : " + y + "\n" +
            "%e = tensor.empty() : " + y + "\n" +
            "%w = linalg.broadcast ins(%s : " + s + ") outs(%e : " + y +
            ") dimensions = [0, 1]\n" + "%r = arith.addf %g, %w : " + y +
            "\nreturn %r : " + y;
        LoadedKernel kernel(kernelText("%x: " + x + ", %s: " + s, y, body),
                            cpu);
        Guarded in = randomTensor(2 * t * d, 1), scale = randomTensor(d, 2),
                out(t * d);
        kernel({in, scale, out});
        for (int i = 0; i < t; ++i)
          for (int j = 0; j < d; ++j)
            ASSERT_EQ(out[i * d + j],
                      in[i * 2 * d + j] * in[i * 2 * d + d + j] + scale[j]);
        EXPECT_TRUE(out.intact());
      }
}

TEST(Tensor, TransposeReshapeConcatPad) {
  // [3, 10] -> transposed [10, 3] -> [5, 2, 3] -> concat with [5, 1, 3] and a
  // padded row.
  std::string body = R"(
    %e = tensor.empty() : tensor<10x3xf32>
    %t = linalg.transpose ins(%x : tensor<3x10xf32>) outs(%e : tensor<10x3xf32>) permutation = [1, 0]
    %r = tensor.expand_shape %t [[0, 1], [2]] output_shape [5, 2, 3] : tensor<10x3xf32> into tensor<5x2x3xf32>
    %c = tensor.concat dim(1) %r, %z : (tensor<5x2x3xf32>, tensor<5x1x3xf32>) -> tensor<5x3x3xf32>
    %zero = arith.constant -1.0 : f32
    %p = tensor.pad %c low[1, 0, 0] high[0, 0, 2] {
    ^bb0(%i: index, %j: index, %k: index):
      tensor.yield %zero : f32
    } : tensor<5x3x3xf32> to tensor<6x3x5xf32>
    return %c, %p : tensor<5x3x3xf32>, tensor<6x3x5xf32>)";
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel kernel(
        kernelText("%x: tensor<3x10xf32>, %z: tensor<5x1x3xf32>",
                   "tensor<5x3x3xf32>, tensor<6x3x5xf32>", body),
        cpu);
    Guarded x = randomTensor(30, 1), z = randomTensor(15, 2), c(45), p(90);
    kernel({x, z, c, p});
    auto concat = [&](int i, int j, int k) {
      return j < 2 ? x[k * 10 + i * 2 + j] : z[i * 3 + k];
    };
    for (int i = 0; i < 5; ++i)
      for (int j = 0; j < 3; ++j)
        for (int k = 0; k < 3; ++k)
          ASSERT_EQ(c[(i * 3 + j) * 3 + k], concat(i, j, k));
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 3; ++j)
        for (int k = 0; k < 5; ++k)
          ASSERT_EQ(p[(i * 3 + j) * 5 + k],
                    i == 0 || k >= 3 ? -1.0f : concat(i - 1, j, k));
    EXPECT_TRUE(c.intact() && p.intact());
  }
}

TEST(Tensor, CompareSelectAndIntegers) {
  std::string body = R"(
    %c0 = arith.constant dense<0.25> : tensor<19xf32>
    %m = arith.cmpf ogt, %x, %c0 : tensor<19xf32>
    %s = arith.select %m, %x, %c0 : tensor<19xi1>, tensor<19xf32>
    %i = arith.fptosi %s : tensor<19xf32> to tensor<19xi32>
    %one = arith.constant dense<1> : tensor<19xi32>
    %j = arith.addi %i, %one : tensor<19xi32>
    %f = arith.sitofp %j : tensor<19xi32> to tensor<19xf32>
    %r = arith.mulf %f, %s : tensor<19xf32>
    return %r, %m : tensor<19xf32>, tensor<19xi1>)";
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel kernel(
        kernelText("%x: tensor<19xf32>", "tensor<19xf32>, tensor<19xi1>", body),
        cpu);
    Guarded x = randomTensor(19, 1, -5, 5), y(19);
    std::vector<uint8_t> mask(19);
    kernel({x, y, mask.data()});
    for (int i = 0; i < 19; ++i) {
      float s = x[i] > 0.25f ? x[i] : 0.25f;
      EXPECT_EQ(y[i], float(int(s) + 1) * s);
      EXPECT_EQ(mask[i], x[i] > 0.25f);
    }
  }
}

/// A sum of n terms in any order is off by at most (n - 1) half ulps of the
/// sum of magnitudes.
TEST(Tensor, ReduceEitherWay) {
  for (const std::string &cpu : runnableCpus())
    for (int n : kLengths) {
      std::string x = tensorType({5, n}), r = tensorType({5}),
                  c = tensorType({n});
      std::string body =
          "%z = arith.constant 0.0 : f32\n%e = tensor.empty() : " + r +
          "\n%i = linalg.fill ins(%z : f32) outs(%e : " + r + ") -> " + r +
          "\n%a = linalg.reduce {arith.addf} ins(%x : " + x +
          ") outs(%i : " + r +
          ") dimensions = [1]\n%e1 = tensor.empty() : " + c +
          "\n%m = arith.constant 0xFF800000 : f32\n%i1 = linalg.fill ins(%m : "
          "f32) outs(%e1 : " +
          c + ") -> " + c +
          "\n%b = linalg.reduce {arith.maximumf} ins(%x : " + x +
          ") outs(%i1 : " + c + ") dimensions = [0]\nreturn %a, %b : " + r +
          ", " + c;
      LoadedKernel kernel(kernelText("%x: " + x, r + ", " + c, body), cpu);
      Guarded in = randomTensor(5 * n, n), rows(5), columns(n);
      kernel({in, rows, columns});
      for (int i = 0; i < 5; ++i) {
        double sum = 0, magnitude = 0;
        for (int j = 0; j < n; ++j)
          sum += in[i * n + j], magnitude += std::abs(in[i * n + j]);
        EXPECT_NEAR(rows[i], sum, n * 0x1p-24 * magnitude);
      }
      for (int j = 0; j < n; ++j) {
        float largest = -INFINITY;
        for (int i = 0; i < 5; ++i)
          largest = std::max(largest, in[i * n + j]);
        EXPECT_EQ(columns[j], largest);
      }
      EXPECT_TRUE(rows.intact() && columns.intact());
    }
}

TEST(Tensor, Norms) {
  for (const std::string &cpu : runnableCpus())
    for (bool layer : {false, true})
      for (int t : {1, 3, 9})
        for (int d : kLengths) {
          if (d == 1)
            continue;
          std::string x = tensorType({1, t, d}), s = tensorType({d});
          std::string body = std::string("%y = ssm.norm ") +
                             (layer ? "layer" : "rms") + " %x scale(%s : " + s +
                             ") bias(%b : " + s + ") epsilon 1.0e-5 : " + x +
                             "\nreturn %y : " + x;
          LoadedKernel kernel(
              kernelText("%x: " + x + ", %s: " + s + ", %b: " + s, x, body),
              cpu);
          Guarded in = randomTensor(t * d, d), scale = randomTensor(d, 2),
                  bias = randomTensor(d, 3), out(t * d);
          kernel({in, scale, bias, out});
          for (int i = 0; i < t; ++i) {
            const float *row = in.data() + i * d;
            double mean = 0, var = 0;
            for (int j = 0; j < d && layer; ++j)
              mean += row[j] / double(d);
            for (int j = 0; j < d; ++j)
              var += (row[j] - mean) * (row[j] - mean) / d;
            // Sums of d terms, then six roundings.
            for (int j = 0; j < d; ++j) {
              double unit = (std::abs(row[j]) + 1) / std::sqrt(var + 1e-5);
              ASSERT_NEAR(out[i * d + j],
                          (row[j] - mean) / std::sqrt(var + 1e-5) * scale[j] +
                              bias[j],
                          (d + 8) * 0x1p-24 * (unit + 1))
                  << "t " << t << " d " << d;
            }
          }
          EXPECT_TRUE(out.intact());
        }
}

TEST(Tensor, Softmax) {
  for (const std::string &cpu : runnableCpus())
    for (int n : kLengths) {
      std::string x = tensorType({2, 3, n});
      std::string body = "%e = tensor.empty() : " + x +
                         "\n%y = linalg.softmax dimension(2) ins(%x : " + x +
                         ") outs(%e : " + x + ") -> " + x +
                         "\nreturn %y : " + x;
      LoadedKernel kernel(kernelText("%x: " + x, x, body), cpu);
      Guarded in = randomTensor(6 * n, n, -30, 30), out(6 * n);
      kernel({in, out});
      for (int i = 0; i < 6; ++i) {
        double largest = -INFINITY, sum = 0;
        for (int j = 0; j < n; ++j)
          largest = std::max<double>(largest, in[i * n + j]);
        for (int j = 0; j < n; ++j)
          sum += std::exp(in[i * n + j] - largest);
        for (int j = 0; j < n; ++j) {
          double expected = std::exp(in[i * n + j] - largest) / sum;
          // x - max is rounded before exp: |x - max| half ulps.
          ASSERT_NEAR(out[i * n + j], expected,
                      (n + 70) * 0x1p-24 * expected + 1e-37);
        }
      }
      EXPECT_TRUE(out.intact());
    }
}

struct Contraction {
  int m, n, k;
  bool transposeA, transposeB;
};

TEST(Tensor, BatchedContractions) {
  for (const std::string &cpu : runnableCpus())
    for (Contraction c : {Contraction{1, 1, 1, false, false},
                          {3, 5, 7, false, true},
                          {16, 32, 8, false, false},
                          {33, 17, 20, true, false},
                          {64, 64, 64, true, true},
                          {1, 40, 64, false, true}}) {
      std::string a =
          c.transposeA ? tensorType({2, c.k, c.m}) : tensorType({2, c.m, c.k});
      std::string b =
          c.transposeB ? tensorType({2, c.n, c.k}) : tensorType({2, c.k, c.n});
      std::string y = tensorType({2, c.m, c.n});
      std::string body =
          "%z = arith.constant 0.0 : f32\n%e = tensor.empty() : " + y +
          "\n%i = linalg.fill ins(%z : f32) outs(%e : " + y + ") -> " + y +
          "\n%y = linalg.contract indexing_maps = [affine_map<(b, m, n, k) -> "
          "(b, " +
          (c.transposeA ? "k, m" : "m, k") +
          ")>, affine_map<(b, m, n, k) -> (b, " +
          (c.transposeB ? "n, k" : "k, n") +
          ")>, affine_map<(b, m, n, k) -> (b, m, n)>] ins(%a, %b : " + a +
          ", " + b + ") outs(%i : " + y + ") -> " + y + "\nreturn %y : " + y;
      LoadedKernel kernel(kernelText("%a: " + a + ", %b: " + b, y, body), cpu);
      Guarded left = randomTensor(2 * c.m * c.k, 1),
              right = randomTensor(2 * c.k * c.n, 2), out(2 * c.m * c.n);
      kernel({left, right, out});
      for (int s = 0; s < 2; ++s)
        for (int m = 0; m < c.m; ++m)
          for (int n = 0; n < c.n; ++n) {
            double sum = 0, magnitude = 0;
            for (int k = 0; k < c.k; ++k) {
              double p =
                  double(left[s * c.m * c.k +
                              (c.transposeA ? k * c.m + m : m * c.k + k)]) *
                  right[s * c.k * c.n +
                        (c.transposeB ? n * c.k + k : k * c.n + n)];
              sum += p, magnitude += std::abs(p);
            }
            ASSERT_NEAR(out[(s * c.m + m) * c.n + n], sum,
                        c.k * 0x1p-24 * magnitude + 1e-37);
          }
      EXPECT_TRUE(out.intact());
    }
}

// A softmax over the product of two tensors, then another product: attention.
TEST(Tensor, ContractSoftmaxContract) {
  std::string body = R"(
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<9x11xf32>
    %i = linalg.fill ins(%z : f32) outs(%e : tensor<9x11xf32>) -> tensor<9x11xf32>
    %s = linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%q, %k : tensor<9x16xf32>, tensor<11x16xf32>) outs(%i : tensor<9x11xf32>) -> tensor<9x11xf32>
    %p = linalg.softmax dimension(1) ins(%s : tensor<9x11xf32>) outs(%e : tensor<9x11xf32>) -> tensor<9x11xf32>
    %e2 = tensor.empty() : tensor<9x5xf32>
    %i2 = linalg.fill ins(%z : f32) outs(%e2 : tensor<9x5xf32>) -> tensor<9x5xf32>
    %y = linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%p, %v : tensor<9x11xf32>, tensor<11x5xf32>) outs(%i2 : tensor<9x5xf32>) -> tensor<9x5xf32>
    return %y : tensor<9x5xf32>)";
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel kernel(
        kernelText(
            "%q: tensor<9x16xf32>, %k: tensor<11x16xf32>, %v: tensor<11x5xf32>",
            "tensor<9x5xf32>", body),
        cpu);
    Guarded q = randomTensor(144, 1), k = randomTensor(176, 2),
            v = randomTensor(55, 3), y(45);
    kernel({q, k, v, y});
    for (int i = 0; i < 9; ++i) {
      double p[11], sum = 0;
      for (int j = 0; j < 11; ++j) {
        double s = 0;
        for (int x = 0; x < 16; ++x)
          s += double(q[i * 16 + x]) * k[j * 16 + x];
        sum += p[j] = std::exp(s);
      }
      for (int c = 0; c < 5; ++c) {
        double expected = 0;
        for (int j = 0; j < 11; ++j)
          expected += p[j] / sum * v[j * 5 + c];
        EXPECT_NEAR(y[i * 5 + c], expected, 2e-6);
      }
    }
  }
}

/// Sign, 5 bits of exponent, 10 of mantissa.
float halfAsFloat(uint16_t bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  float magnitude = exponent == 0 ? std::ldexp(float(mantissa), -24)
                    : exponent == 31
                        ? (mantissa ? NAN : INFINITY)
                        : std::ldexp(1024.0f + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// Every number there is, also on CPUs that must convert by integer arithmetic.
TEST(Tensor, WidenedHalves) {
  constexpr int kCount = 65536;
  const char *body = R"(
    %w = arith.extf %h : tensor<65536xf16> to tensor<65536xf32>
    %y = arith.addf %x, %w : tensor<65536xf32>
    return %y : tensor<65536xf32>)";
  std::vector<uint16_t> halves(kCount);
  std::iota(halves.begin(), halves.end(), 0);
  for (const std::string &cpu : allCpus()) {
    LoadedKernel kernel(
        kernelText("%x: tensor<65536xf32>, %h: tensor<65536xf16>",
                   "tensor<65536xf32>", body),
        cpu);
    Guarded x(kCount), y(kCount);
    kernel({x, halves.data(), y});
    EXPECT_TRUE(y.intact());
    for (int i = 0; i < kCount; ++i) {
      float expected = halfAsFloat(halves[i]);
      if (std::isnan(expected))
        ASSERT_TRUE(std::isnan(y[i])) << cpu << " " << i;
      else
        ASSERT_EQ(y[i], expected) << cpu << " " << i;
    }
  }
}

} // namespace
