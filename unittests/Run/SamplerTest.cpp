// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Sampler.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace llvm;
using namespace itera;

static bool any(uint32_t) { return true; }

/// How often each token is picked, of `count` times.
static std::vector<unsigned> pickMany(SamplingOptions options,
                                      std::vector<double> logits,
                                      unsigned count) {
  Sampler sampler(options);
  std::vector<unsigned> counts(logits.size());
  for (unsigned i = 0; i < count; ++i)
    ++counts[cantFail(sampler.pick(logits, any))];
  return counts;
}

TEST(Sampler, ExponentialIsExactToTheLastDigits) {
  for (double x = 0; x > -745; x -= 0.37) {
    double exact = std::exp(x);
    EXPECT_NEAR(portableExp(x), exact, 4e-16 * exact + 5e-324) << x;
  }
  EXPECT_EQ(portableExp(0), 1);
  EXPECT_EQ(portableExp(-INFINITY), 0);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLikeliest) {
  Sampler sampler({});
  EXPECT_EQ(cantFail(sampler.pick({1, 3, 2, 3}, any)), 1u);
  EXPECT_EQ(cantFail(sampler.pick({1, 3, 2, 3},
                                  [](uint32_t id) { return id % 2 == 0; })),
            2u);
  EXPECT_EQ(cantFail(sampler.pick({-INFINITY, -1e30}, any)), 1u);
}

TEST(Sampler, FollowsTheProbabilities) {
  SamplingOptions options;
  options.temperature = 1;
  std::vector<double> logits{std::log(1.0), std::log(2.0), std::log(7.0)};
  std::vector<unsigned> counts = pickMany(options, logits, 100000);
  // Three standard deviations.
  EXPECT_NEAR(counts[0], 10000, 300);
  EXPECT_NEAR(counts[1], 20000, 400);
  EXPECT_NEAR(counts[2], 70000, 450);
  // Half the temperature squares them: 1, 4, 49.
  options.temperature = 0.5;
  counts = pickMany(options, logits, 100000);
  EXPECT_NEAR(counts[1], 100000 * 4 / 54., 300);
}

TEST(Sampler, TopKAndTopP) {
  SamplingOptions options;
  options.temperature = 1;
  std::vector<double> logits{std::log(1.0), std::log(4.0), std::log(2.0),
                             std::log(3.0)};
  options.topK = 2;
  std::vector<unsigned> counts = pickMany(options, logits, 7000);
  EXPECT_EQ(counts[0] + counts[2], 0u);
  EXPECT_NEAR(counts[1], 4000, 130);
  options.topK = 0;
  options.topP = 0.75; // 0.4 + 0.3 is not enough, 0.4 + 0.3 + 0.2 is
  counts = pickMany(options, logits, 9000);
  EXPECT_EQ(counts[0], 0u);
  EXPECT_NEAR(counts[2], 2000, 130);
  options.topP = 1e-9; // one token stays
  counts = pickMany(options, logits, 100);
  EXPECT_EQ(counts[1], 100u);
}

TEST(Sampler, SameSeedSameTokens) {
  auto sequence = [](uint64_t seed) {
    SamplingOptions options;
    options.temperature = 1;
    options.seed = seed;
    Sampler sampler(options);
    std::vector<uint32_t> ids;
    for (unsigned i = 0; i < 12; ++i)
      ids.push_back(cantFail(sampler.pick(std::vector<double>(10, 0.5), any)));
    return ids;
  };
  EXPECT_EQ(sequence(1), sequence(1));
  EXPECT_NE(sequence(1), sequence(2));
  // The first numbers of splitmix64 from 0, as tenths.
  EXPECT_EQ(sequence(0),
            (std::vector<uint32_t>{8, 4, 0, 9, 1, 3, 1, 7, 2, 9, 3, 7}));
}

TEST(Sampler, RefusesLogitsWithoutAChoice) {
  Sampler sampler({});
  EXPECT_EQ(toString(sampler.pick({0, NAN}, any).takeError()),
            "the logit of token 1 is NaN");
  EXPECT_EQ(toString(sampler.pick({-INFINITY}, any).takeError()),
            "no token is possible: the logits exclude all");
  SamplingOptions options;
  options.temperature = 1;
  EXPECT_EQ(cantFail(Sampler(options).pick({0, INFINITY, 1}, any)), 1u);
}
