// SPDX-License-Identifier: Apache-2.0
// Elementwise ops: exactly what the element type gives.

#include "Evaluated.h"

#include <cmath>
#include <functional>

using namespace itera::ssm;

namespace {

// More elements than one block of the evaluator, and not a multiple of it.
TEST(EvaluateElementwise, FloatsAreRoundedLikeFloats) {
  constexpr int64_t n = 1100;
  Floats a(n), b(n), expected(n);
  for (int64_t i = 0; i < n; ++i) {
    a[i] = std::sin(i) * 3, b[i] = std::cos(i) + 1.5f;
    float product = a[i] * b[i], sum = product + a[i];
    expected[i] = sum / b[i];
  }
  Evaluated e(constant("a", "1100", a) + constant("b", "1100", b) + R"(
    %p = arith.mulf %a, %b : tensor<1100xf32>
    %s = arith.addf %p, %a : tensor<1100xf32>
    %y = arith.divf %s, %b : tensor<1100xf32>)");
  EXPECT_EQ(e.floats(), expected);
}

TEST(EvaluateElementwise, FunctionsAreTheirFormulas) {
  Floats x = {-80, -3, -0.5f, 0, 0.25f, 2, 80};
  struct Case {
    const char *op;
    std::function<double(double)> formula;
  } cases[] = {
      {"math.exp", [](double v) { return std::exp(v); }},
      {"math.roundeven", [](double v) { return std::nearbyint(v); }},
      {"ssm.sigmoid", [](double v) { return 1 / (1 + std::exp(-v)); }},
      {"ssm.silu", [](double v) { return v / (1 + std::exp(-v)); }},
      {"ssm.softplus",
       [](double v) { return v > 40 ? v : std::log1p(std::exp(v)); }},
      {"ssm.gelu",
       [](double v) { return v / 2 * std::erfc(-v / std::sqrt(2.0)); }},
  };
  for (const Case &c : cases) {
    Evaluated e(constant("x", "7", x) + "%y = " + c.op + " %x : tensor<7xf32>");
    Floats y = e.floats();
    ASSERT_EQ(y.size(), x.size());
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(y[i], static_cast<float>(c.formula(x[i])),
                  1e-6 * std::fabs(c.formula(x[i])) + 1e-7)
          << c.op << " of " << x[i];
  }
}

// maximumf hands NaN on, maxnumf the number.
TEST(EvaluateElementwise, NanInMaximum) {
  std::string operands = constant("a", "2", Floats{NAN, 1}) +
                         constant("b", "2", Floats{2, NAN});
  for (float v : Evaluated(operands + "%y = arith.maximumf %a, %b : tensor<2xf32>").floats())
    EXPECT_TRUE(std::isnan(v));
  EXPECT_EQ(Evaluated(operands + "%y = arith.maxnumf %a, %b : tensor<2xf32>").floats(),
            (Floats{2, 1}));
}

// Half of the last place goes to the even neighbour: 1 + 1/256 and 1 + 3/256.
TEST(EvaluateElementwise, NarrowFloatsRoundToEven) {
  Evaluated e(constant("a", "2", Floats{1.00390625f, 1.01171875f}) +
              "%y = arith.truncf %a : tensor<2xf32> to tensor<2xbf16>");
  EXPECT_EQ(e.floats(), (Floats{1.0f, 1.015625f}));
}

TEST(EvaluateElementwise, IntegerDivisions) {
  Ints a = {7, -7, 7, -7, 6, -6}, b = {2, 2, -2, -2, 3, 3};
  struct Case {
    const char *op;
    std::function<int64_t(int64_t, int64_t)> formula;
  } cases[] = {
      {"divsi", [](int64_t x, int64_t y) { return x / y; }},
      {"remsi", [](int64_t x, int64_t y) { return x % y; }},
      {"floordivsi",
       [](int64_t x, int64_t y) { return int64_t(std::floor(double(x) / y)); }},
      {"ceildivsi",
       [](int64_t x, int64_t y) { return int64_t(std::ceil(double(x) / y)); }},
  };
  for (const Case &c : cases) {
    Ints expected;
    for (size_t i = 0; i < a.size(); ++i)
      expected.push_back(c.formula(a[i], b[i]));
    Evaluated e(constant("a", "6", a) + constant("b", "6", b) + "%y = arith." +
                c.op + " %a, %b : tensor<6xi64>");
    EXPECT_EQ(e.ints(), expected) << c.op;
  }
}

// Narrow integers wrap, and unsigned ops read the same bits without a sign.
TEST(EvaluateElementwise, NarrowIntegers) {
  using Bytes = std::vector<int8_t>;
  std::string operands = constant("a", "3", Bytes{127, -128, -1}) +
                         constant("b", "3", Bytes{1, 2, 2});
  auto run = [&](std::string op) {
    return Evaluated(operands + "%y = arith." + op + " %a, %b : tensor<3xi8>").ints();
  };
  EXPECT_EQ(run("addi"), (Ints{-128, -126, 1}));
  EXPECT_EQ(run("muli"), (Ints{127, 0, -2}));
  EXPECT_EQ(run("divsi"), (Ints{127, -64, 0}));
  EXPECT_EQ(run("divui"), (Ints{127, 64, 127}));
  EXPECT_EQ(run("shrsi"), (Ints{63, -32, -1}));
  EXPECT_EQ(run("shrui"), (Ints{63, 32, 63}));
  EXPECT_EQ(run("maxui"), (Ints{127, -128, -1}));
}

TEST(EvaluateElementwise, Casts) {
  Evaluated toInt(constant("a", "4", Floats{2.9f, -2.9f, NAN, 0}) +
                  "%y = arith.fptosi %a : tensor<4xf32> to tensor<4xi32>");
  EXPECT_EQ(toInt.ints(), (Ints{2, -2, 0, 0}));
  std::string byte = constant("a", "2", std::vector<int8_t>{-1, 5});
  EXPECT_EQ(Evaluated(byte + "%y = arith.extsi %a : tensor<2xi8> to tensor<2xi64>").ints(),
            (Ints{-1, 5}));
  EXPECT_EQ(Evaluated(byte + "%y = arith.extui %a : tensor<2xi8> to tensor<2xi64>").ints(),
            (Ints{255, 5}));
  EXPECT_EQ(Evaluated(byte + "%y = arith.uitofp %a : tensor<2xi8> to tensor<2xf32>").floats(),
            (Floats{255, 5}));
  // A set bool is 1, or -1 where a sign is read.
  std::string flag = "%a = arith.constant dense<[true, false]> : tensor<2xi1>\n";
  EXPECT_EQ(Evaluated(flag + "%y = arith.uitofp %a : tensor<2xi1> to tensor<2xf32>").floats(),
            (Floats{1, 0}));
  EXPECT_EQ(Evaluated(flag + "%y = arith.sitofp %a : tensor<2xi1> to tensor<2xf32>").floats(),
            (Floats{-1, 0}));
}

// Ordered comparisons with NaN are false, unordered ones true.
TEST(EvaluateElementwise, FloatComparisons) {
  Floats a = {1, 2, 3, NAN}, b = {2, 2, 2, 2};
  struct Case {
    const char *suffix;
    std::function<bool(float, float)> compare;
  } cases[] = {
      {"eq", [](float x, float y) { return x == y; }},
      {"ne", [](float x, float y) { return x != y; }},
      {"lt", [](float x, float y) { return x < y; }},
      {"le", [](float x, float y) { return x <= y; }},
      {"gt", [](float x, float y) { return x > y; }},
      {"ge", [](float x, float y) { return x >= y; }},
  };
  for (const Case &c : cases)
    for (bool unordered : {false, true}) {
      Ints expected;
      for (int i = 0; i < 4; ++i)
        expected.push_back(std::isnan(a[i]) ? unordered : c.compare(a[i], b[i]));
      std::string predicate = (unordered ? "u" : "o") + std::string(c.suffix);
      Evaluated e(constant("a", "4", a) + constant("b", "4", b) +
                  "%y = arith.cmpf " + predicate + ", %a, %b : tensor<4xf32>");
      EXPECT_EQ(e.ints(), expected) << predicate;
    }
}

TEST(EvaluateElementwise, IntegerComparisonsWithAndWithoutSign) {
  std::string operands = constant("a", "3", std::vector<int32_t>{-1, 0, 5}) +
                         constant("b", "3", std::vector<int32_t>{1, 0, 6});
  EXPECT_EQ(Evaluated(operands + "%y = arith.cmpi slt, %a, %b : tensor<3xi32>").ints(),
            (Ints{1, 0, 1}));
  EXPECT_EQ(Evaluated(operands + "%y = arith.cmpi ult, %a, %b : tensor<3xi32>").ints(),
            (Ints{0, 0, 1}));
}

// The condition is one per element, or one for all.
TEST(EvaluateElementwise, Select) {
  std::string operands = constant("a", "3", Floats{1, 2, 3}) +
                         constant("b", "3", Floats{4, 5, 6});
  EXPECT_EQ(Evaluated(operands + R"(
    %c = arith.constant dense<[true, false, true]> : tensor<3xi1>
    %y = arith.select %c, %a, %b : tensor<3xi1>, tensor<3xf32>)").floats(),
            (Floats{1, 5, 3}));
  EXPECT_EQ(Evaluated(operands + R"(
    %c = arith.constant false
    %y = arith.select %c, %a, %b : tensor<3xf32>)").floats(),
            (Floats{4, 5, 6}));
}

} // namespace
