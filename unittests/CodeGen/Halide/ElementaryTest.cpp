// SPDX-License-Identifier: Apache-2.0
// Elementary functions against double precision, in units in the last place.

#include "KernelRunner.h"

#include <cfloat>
#include <cmath>
#include <gtest/gtest.h>

using namespace itera::test;

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double silu(double x) { return x * sigmoid(x); }
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}
double gelu(double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); }
double geluTanh(double x) {
  return x / 2 *
         (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double rsqrt(double x) { return 1 / std::sqrt(x); }

struct Function {
  const char *op;
  double (*reference)(double);
  float low, high;
  double ulps;     // of the result
  double absolute; // besides, where the formula itself cancels
};

// Absolute errors: sin and cos near their zeros lose to the rounding of the
// reduced argument; 1 + erf(x) cancels for negative x in gelu's own formula.
const Function kFunctions[] = {
    {"math.exp", std::exp, -87.0f, 88.0f, 2, 0},
    {"math.exp", std::exp, -1.0f, 1.0f, 2, 0},
    {"math.exp2", std::exp2, -125.0f, 127.0f, 2, 0},
    {"math.expm1", std::expm1, -2.0f, 3.0f, 3, 0},
    {"math.log", std::log, 1e-30f, 10.0f, 2, 0},
    {"math.log", std::log, 0.9f, 1.1f, 2, 0},
    {"math.log1p", std::log1p, -0.5f, 1.0f, 3, 0},
    {"math.tanh", std::tanh, -9.0f, 9.0f, 2, 0},
    {"math.tanh", std::tanh, -0.7f, 0.7f, 2, 0},
    {"math.erf", std::erf, -4.0f, 4.0f, 2, 0},
    {"math.sin", std::sin, -30.0f, 30.0f, 2, 1e-10},
    {"math.cos", std::cos, -30.0f, 30.0f, 2, 1e-10},
    {"math.sin", std::sin, -50000.0f, 50000.0f, 2, 1e-10},
    {"math.sqrt", std::sqrt, 0.0f, 100.0f, 0.51, 0},
    {"math.rsqrt", rsqrt, 1e-6f, 100.0f, 1.6, 0},
    {"ssm.sigmoid", sigmoid, -80.0f, 80.0f, 3, 0},
    {"ssm.silu", silu, -80.0f, 80.0f, 3, 0},
    {"ssm.softplus", softplus, -80.0f, 80.0f, 3, 0},
    {"ssm.softplus", softplus, -2.0f, 2.0f, 3, 0},
    {"ssm.gelu", gelu, -1.0f, 5.0f, 4, 1e-7},
    {"ssm.gelu", gelu, -6.0f, -1.0f, 4, 4e-7},
    {"ssm.gelu tanh", geluTanh, -6.0f, 5.0f, 4, 4e-7},
};

double ulpOf(double value) {
  float magnitude = std::max(std::abs(float(value)), FLT_MIN);
  return double(std::nextafterf(magnitude, INFINITY)) - magnitude;
}

TEST(Elementary, WithinUlps) {
  constexpr int n = 20011; // a prime: the last vector is partial
  std::string type = tensorType({n});
  for (const std::string &cpu : runnableCpus())
    for (const Function &f : kFunctions) {
      LoadedKernel kernel(kernelText("%x: " + type, type,
                                     std::string("%y = ") + f.op + " %x : " +
                                         type + "\nreturn %y : " + type),
                          cpu);
      Guarded x = randomTensor(n, 5, f.low, f.high), y(n);
      x[0] = f.low;
      kernel({x, y});
      double worst = 0;
      for (int i = 0; i < n; ++i) {
        double expected = f.reference(x[i]);
        double error = std::max(0.0, std::abs(y[i] - expected) - f.absolute) /
                       ulpOf(expected);
        if (error > worst)
          worst = error;
        ASSERT_LE(error, f.ulps) << f.op << " " << x[i] << ": " << y[i]
                                 << " instead of " << expected;
      }
      RecordProperty(f.op, std::to_string(worst));
      EXPECT_TRUE(y.intact());
    }
}

TEST(Elementary, KeepsSpecialValues) {
  std::string type = tensorType({4});
  float inf = INFINITY;
  struct Special {
    const char *op;
    float in[4], out[4];
  } cases[] = {
      {"math.exp", {inf, -inf, 100.0f, -200.0f}, {inf, 0.0f, inf, 0.0f}},
      {"math.log", {0.0f, inf, 1.0f, 1e-40f}, {-inf, inf, 0.0f, -92.10340f}},
      {"math.tanh", {inf, -inf, 0.0f, 30.0f}, {1.0f, -1.0f, 0.0f, 1.0f}},
      {"ssm.softplus",
       {-200.0f, 200.0f, 0.0f, 1e30f},
       {0.0f, 200.0f, 0.6931472f, 1e30f}},
      {"ssm.sigmoid", {-inf, inf, 0.0f, -100.0f}, {0.0f, 1.0f, 0.5f, 0.0f}},
  };
  for (const std::string &cpu : runnableCpus())
    for (const Special &c : cases) {
      LoadedKernel kernel(kernelText("%x: " + type, type,
                                     std::string("%y = ") + c.op + " %x : " +
                                         type + "\nreturn %y : " + type),
                          cpu);
      Guarded y(4), x(4);
      std::copy_n(c.in, 4, x.data());
      kernel({x, y});
      for (int i = 0; i < 4; ++i)
        EXPECT_FLOAT_EQ(y[i], c.out[i]) << c.op << " " << c.in[i];
      x[1] = NAN;
      kernel({x, y});
      EXPECT_TRUE(std::isnan(y[1])) << c.op;
    }
}

TEST(Elementary, Power) {
  constexpr int n = 1009;
  std::string type = tensorType({n});
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel kernel(
        kernelText("%x: " + type + ", %e: " + type, type,
                   "%y = math.powf %x, %e : " + type + "\nreturn %y : " + type),
        cpu);
    Guarded x = randomTensor(n, 1, 0.01f, 20.0f),
            e = randomTensor(n, 2, -8.0f, 8.0f), y(n);
    x[0] = -2.0f, e[0] = 3.0f;
    x[1] = -2.0f, e[1] = 4.0f;
    x[2] = -2.0f, e[2] = 0.5f;
    x[3] = 0.0f, e[3] = 2.0f;
    x[4] = 5.0f, e[4] = 0.0f;
    x[5] = 0.0f, e[5] = -1.0f;
    kernel({x, e, y});
    for (int i = 0; i < n; ++i) {
      double expected = std::pow(double(x[i]), double(e[i]));
      if (std::isnan(expected) || std::isinf(expected))
        EXPECT_EQ(std::isnan(expected), std::isnan(y[i])) << i;
      else
        EXPECT_NEAR(y[i], expected, 2 * ulpOf(expected)) << x[i] << "^" << e[i];
    }
  }
  // A constant square is a product, exactly rounded.
  std::string body = "%c = arith.constant dense<2.0> : " + type +
                     "\n%y = math.powf %x, %c : " + type +
                     "\nreturn %y : " + type;
  for (const std::string &cpu : runnableCpus()) {
    LoadedKernel kernel(kernelText("%x: " + type, type, body), cpu);
    Guarded x = randomTensor(n, 1, -20.0f, 20.0f), y(n);
    kernel({x, y});
    for (int i = 0; i < n; ++i)
      EXPECT_EQ(y[i], x[i] * x[i]);
  }
}

} // namespace
