// SPDX-License-Identifier: Apache-2.0
// Kernels of ssm.linear with integer weights against loops over integers, for
// shapes that are multiples of nothing.

#include "KernelRunner.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <string>

using namespace itera;
using namespace itera::test;

namespace {

struct Case {
  int tokens, depth, rows, bits;
  int group = 0;               // 0: the whole row
  const char *input = "token"; // null: floats
  bool zeros = false;
  int size() const { return group ? group : depth; }
  int groups() const { return (depth + size() - 1) / size(); }
  int height() const { return rows <= 8 ? 8 : 16; }
  int blocks() const { return (rows + height() - 1) / height(); }
  int perStep() const { return bits == 4 ? 8 : 4; }
  int steps() const { return (size() + perStep() - 1) / perStep(); }
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.tokens << "x" << c.depth << "x" << c.rows << " int" << c.bits
            << " group " << c.group << " input " << (c.input ? c.input : "f32")
            << (c.zeros ? " with zero points" : "");
}

std::string bytesType(std::initializer_list<int> shape) {
  std::string type = tensorType(shape);
  return type.replace(type.rfind("f32"), 3, "i8");
}

std::string linearText(const Case &c, bool epilogue = false) {
  std::string x = tensorType({c.tokens, c.depth}),
              y = tensorType({c.tokens, c.rows});
  std::string w = bytesType({c.blocks(), c.groups() * c.steps(), c.height(), 4});
  std::string s = tensorType({c.blocks(), c.groups(), c.height()});
  std::string z = bytesType({c.blocks(), c.groups(), c.height()});
  std::string body = "%y = ssm.linear %x, %w scales(%s : " + s + ")";
  if (c.zeros)
    body += " zero_points(%z : " + z + ")";
  if (c.group)
    body += " group " + std::to_string(c.group);
  if (c.input)
    body += std::string(" int8_input ") + c.input;
  body += " packed i" + std::to_string(c.bits) + " : " + x + ", " + w + " -> " +
          y + "\n";
  if (epilogue)
    body += "%a = ssm.silu %y : " + y + "\n%q = arith.addf %a, %y : " + y +
            "\nreturn %q : " + y;
  else
    body += "return %y : " + y;
  std::string arguments = "%x: " + x + ", %w: " + w + ", %s: " + s;
  if (c.zeros)
    arguments += ", %z: " + z;
  return kernelText(arguments, y, body);
}

/// A weight with everything that belongs to it, plain and packed.
struct Weight {
  std::vector<int> integers, zeros; // [rows, depth], [rows, groups]
  std::vector<float> scales;        // [rows, groups]
  std::vector<uint8_t> bytes;
  std::vector<int8_t> packedZeros;
  Guarded packedScales;

  Weight(const Case &c, unsigned seed, std::optional<float> scale = {})
      : packedScales(size_t(c.blocks()) * c.groups() * c.height()) {
    std::mt19937 random(seed);
    int low = c.bits == 4 ? -8 : -128, high = -low - 1, groups = c.groups();
    auto draw = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    int height = c.height();
    bytes.assign(size_t(c.blocks()) * groups * c.steps() * height * 4,
                 c.bits == 4 ? 0x88 : 0x80);
    packedZeros.assign(packedScales.size(), 0);
    for (int n = 0; n < c.rows; ++n) {
      for (int g = 0; g < groups; ++g) {
        zeros.push_back(c.zeros ? draw(low, high) : 0);
        scales.push_back(scale ? *scale
                               : std::ldexp(draw(-1000, 1000) | 1, -16));
        size_t at = (size_t(n / height) * groups + g) * height + n % height;
        packedScales[at] = scales.back();
        packedZeros[at] = zeros.back();
      }
      for (int k = 0; k < c.depth; ++k) {
        // The ends of the range are where 16 bits would saturate.
        int value = draw(0, 3) ? draw(low, high) : draw(0, 1) ? low : high;
        integers.push_back(value);
        int step = k / c.perStep();
        size_t at =
            ((size_t(n / height) * groups * c.steps() + step) * height +
             n % height) *
                4 +
            k % 4;
        if (c.bits == 8)
          bytes[at] = value + 128;
        else if (k % 8 < 4)
          bytes[at] = (bytes[at] & 0xf0) | (value + 8);
        else
          bytes[at] = (bytes[at] & 0x0f) | ((value + 8) << 4);
      }
    }
  }

  std::vector<const void *> arguments(const Case &c, const void *x,
                                      const void *y) const {
    std::vector<const void *> list = {x, bytes.data(), packedScales};
    if (c.zeros)
      list.push_back(packedZeros.data());
    list.push_back(y);
    return list;
  }
  int at(const Case &c, int n, int k) const {
    return integers[size_t(n) * c.depth + k] -
           zeros[size_t(n) * c.groups() + k / c.size()];
  }
};

bool fuses(const std::string &cpu) {
  TargetSpec target = targetFor("", cpu);
  return target.arch != "x86_64" || target.hasFeature("fma");
}

const Case kShapes[] = {{1, 64, 32, 4, 32},
                        {1, 128, 48, 4, 32, "group"},
                        {7, 96, 37, 4, 32},
                        {9, 100, 40, 4, 32, "group"},
                        {3, 100, 5, 4, 64},
                        {64, 64, 16, 4, 16},
                        {1, 33, 17, 4},
                        {5, 40, 130, 4, 128, "token", true},
                        {13, 72, 33, 4, 24, "group", true},
                        {1, 256, 40, 8},
                        {8, 8, 256, 8},
                        {11, 13, 19, 8},
                        {2, 100, 1, 8, 32, "group"},
                        {6, 50, 20, 8, 16, "token", true},
                        {65, 30, 31, 8},
                        {1, 1, 1, 8},
                        {1, 2, 3, 4, 8},
                        {5, 64, 8, 4, 32},
                        {2, 2100, 16, 4, 32},
                        // More than is rounded at a time.
                        {500, 768, 20, 4, 32, "group"},
                        {333, 1000, 24, 8},
                        {4, 4, 16, 4}};

// With inputs that are integers up to 127 and scales of 1 nothing is rounded:
// the sums of the integers themselves come out.
TEST(QuantizedLinear, SumsAreTheIntegersOfALoop) {
  for (const std::string &cpu : allCpus()) {
    int seed = 0;
    for (const Case &c : kShapes) {
      LoadedKernel kernel(linearText(c), cpu);
      Weight w(c, ++seed, 1.0f);
      std::mt19937 random(seed);
      Guarded x(size_t(c.tokens) * c.depth), y(size_t(c.tokens) * c.rows, 7.0f);
      for (int t = 0; t < c.tokens; ++t)
        for (int k = 0; k < c.depth; ++k)
          // Each group has one of 127, so that its scale is 1.
          x[t * c.depth + k] = k % c.size() % 8 == 0
                                   ? (random() % 2 ? 127 : -127)
                                   : int(random() % 255) - 127;
      kernel(w.arguments(c, x, y));
      for (int t = 0; t < c.tokens; ++t)
        for (int n = 0; n < c.rows; ++n) {
          int64_t sum = 0;
          for (int k = 0; k < c.depth; ++k)
            sum += int64_t(x[t * c.depth + k]) * w.at(c, n, k);
          ASSERT_LT(std::abs(sum), 1 << 24) << "not exact in a float";
          ASSERT_EQ(y[t * c.rows + n], float(sum))
              << cpu << " " << c << ": token " << t << " row " << n;
        }
      EXPECT_TRUE(y.intact());
    }
  }
}

/// y as the op's description defines it, each operation in float.
std::vector<float> reference(const Case &c, const Weight &w, const Guarded &x,
                             bool isFused) {
  std::vector<float> y;
  auto fma = [&](float a, float b, float sum) {
    return isFused ? std::fma(a, b, sum) : sum + a * b;
  };
  int size = c.size(), groups = c.groups();
  bool perGroup = c.input && std::string(c.input) == "group";
  for (int t = 0; t < c.tokens; ++t) {
    const float *row = x.data() + size_t(t) * c.depth;
    std::vector<int> q(c.depth);
    std::vector<float> scales(groups);
    for (int g = 0; c.input && g < groups; ++g) {
      int begin = perGroup ? g * size : 0;
      int end = perGroup ? std::min(begin + size, c.depth) : c.depth;
      float m = 0;
      for (int k = begin; k < end; ++k)
        m = std::max(m, std::abs(row[k]));
      float factor = m < 1e-30f ? 0 : 127 / m;
      scales[g] = m / 127;
      for (int k = begin; k < end; ++k)
        q[k] = std::nearbyintf(row[k] * factor);
    }
    for (int n = 0; n < c.rows; ++n) {
      float sum = 0;
      for (int g = 0; c.input && g < groups; ++g) {
        int dot = 0;
        for (int k = g * size; k < std::min((g + 1) * size, c.depth); ++k)
          dot += q[k] * w.at(c, n, k);
        float real = perGroup ? scales[g] * float(dot) : float(dot);
        sum = fma(real, w.scales[n * groups + g], sum);
      }
      if (c.input && !perGroup)
        sum *= scales[0];
      for (int k = 0; !c.input && k < c.depth; ++k)
        sum = fma(float(w.at(c, n, k)) * w.scales[n * groups + k / size],
                  row[k], sum);
      y.push_back(sum);
    }
  }
  return y;
}

std::vector<Case> withFloats() {
  std::vector<Case> cases(std::begin(kShapes), std::end(kShapes));
  for (Case c : kShapes) {
    c.input = nullptr;
    cases.push_back(c);
  }
  return cases;
}

TEST(QuantizedLinear, BitsAreThoseOfTheDefinition) {
  for (const std::string &cpu : allCpus()) {
    int seed = 100;
    for (const Case &c : withFloats()) {
      LoadedKernel kernel(linearText(c), cpu);
      Weight w(c, ++seed);
      Guarded x = randomTensor(size_t(c.tokens) * c.depth, seed, -3, 3);
      // A token of zeros, a token of what is too small to have a scale.
      for (int k = 0; c.tokens > 2 && k < c.depth; ++k) {
        x[k] = 0;
        x[c.depth + k] = 1e-33f;
      }
      Guarded y(size_t(c.tokens) * c.rows, 7.0f);
      kernel(w.arguments(c, x, y));
      std::vector<float> expected = reference(c, w, x, fuses(cpu));
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(y[i], expected[i]) << cpu << " " << c << ": token "
                                     << i / c.rows << " row " << i % c.rows;
      EXPECT_TRUE(y.intact());
    }
  }
}

TEST(QuantizedLinear, OneTokenHasTheBitsOfMany) {
  for (const std::string &cpu : allCpus())
    for (Case c :
         {Case{13, 96, 85, 4, 32}, Case{64, 128, 96, 8},
          Case{9, 64, 50, 4, 32, "group"}, Case{11, 33, 29, 8, 0, nullptr}}) {
      Case one = c;
      one.tokens = 1;
      LoadedKernel many(linearText(c, true), cpu),
          single(linearText(one, true), cpu);
      Weight w(c, 5);
      Guarded x = randomTensor(size_t(c.tokens) * c.depth, 1);
      Guarded all(size_t(c.tokens) * c.rows), each(c.rows);
      many(w.arguments(c, x, all));
      for (int t = 0; t < c.tokens; ++t) {
        single(w.arguments(one, x.data() + size_t(t) * c.depth, each));
        for (int n = 0; n < c.rows; ++n)
          ASSERT_EQ(each[n], all[t * c.rows + n]) << c << ": token " << t;
      }
    }
}

// What is not finite in a token must show in all of that token's results, and
// in no other token's.
TEST(QuantizedLinear, NotANumberIsNotLost) {
  for (const std::string &cpu : runnableCpus())
    for (Case c : {Case{3, 64, 20, 4, 32}, Case{3, 64, 20, 8},
                   Case{3, 64, 20, 4, 32, "group"}})
      for (float poison : {NAN, INFINITY}) {
        LoadedKernel kernel(linearText(c), cpu);
        Weight w(c, 9);
        Guarded x = randomTensor(size_t(c.tokens) * c.depth, 1);
        Guarded y(size_t(c.tokens) * c.rows);
        x[c.depth + 40] = poison;
        kernel(w.arguments(c, x, y));
        for (int i = 0; i < c.tokens * c.rows; ++i)
          ASSERT_EQ(std::isfinite(y[i]), i / c.rows != 1) << cpu << " " << c;
      }
}

} // namespace
