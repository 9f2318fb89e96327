// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Quantize/MixedPrecision.h"

#include <gtest/gtest.h>
#include <random>

using namespace itera;

using Weights = std::vector<std::vector<StorageOption>>;

static StorageOption sumOf(const Weights &weights,
                           const std::vector<unsigned> &chosen) {
  StorageOption sum;
  for (size_t i = 0; i < weights.size(); ++i) {
    sum.bytes += weights[i][chosen[i]].bytes;
    sum.loss += weights[i][chosen[i]].loss;
  }
  return sum;
}

/// The least loss, and with it the fewest bytes, of all choices.
static std::optional<StorageOption> tryAll(const Weights &weights,
                                           int64_t budget) {
  std::optional<StorageOption> best;
  std::vector<unsigned> chosen(weights.size(), 0);
  while (true) {
    StorageOption sum = sumOf(weights, chosen);
    if (sum.bytes <= budget &&
        (!best || sum.loss < best->loss ||
         (sum.loss == best->loss && sum.bytes < best->bytes)))
      best = sum;
    size_t i = 0;
    while (i < weights.size() && ++chosen[i] == weights[i].size())
      chosen[i++] = 0;
    if (i == weights.size())
      return best;
  }
}

// Losses are whole numbers, so that sums are exact in any order.
TEST(MixedPrecision, ChoiceIsTheBestOfAll) {
  std::mt19937 random(1);
  for (unsigned run = 0; run < 400; ++run) {
    Weights weights(random() % 7);
    int64_t most = 0;
    for (auto &options : weights) {
      options.resize(1 + random() % 3);
      int64_t bytes = 1 + random() % 20;
      for (StorageOption &option : options) {
        option = {bytes, double(random() % 50)};
        bytes += random() % 20;
      }
      most += options.back().bytes;
    }
    int64_t budget = random() % (most + 2);
    std::optional<StorageOption> best = tryAll(weights, budget);
    std::optional<std::vector<unsigned>> chosen =
        chooseStorage(weights, budget);
    ASSERT_EQ(bool(chosen), bool(best)) << run;
    if (!best)
      continue;
    ASSERT_EQ(chosen->size(), weights.size());
    StorageOption sum = sumOf(weights, *chosen);
    EXPECT_EQ(sum.loss, best->loss) << run;
    EXPECT_EQ(sum.bytes, best->bytes) << run;
  }
}

TEST(MixedPrecision, MoreBytesThatGainNothingAreNotSpent) {
  EXPECT_EQ(chooseStorage(Weights{{{10, 1.0}, {20, 1.0}, {40, 2.0}}}, 100),
            std::vector<unsigned>{0});
}

// Of two weights with room for one, the one that gains more per byte need not be
// the one that gains more.
TEST(MixedPrecision, RoomGoesWhereItGainsMost) {
  Weights weights{{{10, 5.0}, {20, 0.0}}, {{10, 4.0}, {12, 0.0}},
                  {{10, 3.0}, {18, 0.0}}};
  EXPECT_EQ(chooseStorage(weights, 29), std::nullopt);
  EXPECT_EQ(chooseStorage(weights, 30), (std::vector<unsigned>{0, 0, 0}));
  EXPECT_EQ(chooseStorage(weights, 32), (std::vector<unsigned>{0, 1, 0}));
  EXPECT_EQ(chooseStorage(weights, 40), (std::vector<unsigned>{0, 1, 1}));
  EXPECT_EQ(chooseStorage(weights, 42), (std::vector<unsigned>{1, 1, 0}));
}

// So many different sums that some are dropped: still within the budget, and
// better than what one pass by gain per byte gives.
TEST(MixedPrecision, ManyWeights) {
  std::mt19937 random(2);
  Weights weights(120);
  struct Step {
    double gain;
    int64_t bytes;
  };
  std::vector<Step> steps;
  StorageOption greedy;
  for (auto &options : weights) {
    int64_t bytes = 100000 + random() % 1000003;
    double loss = 1 + double(random() % 1000);
    options = {{bytes, loss}, {2 * bytes, 0.0}};
    steps.push_back({loss, bytes});
    greedy.bytes += bytes;
    greedy.loss += loss;
  }
  int64_t budget = greedy.bytes * 3 / 2;
  std::sort(steps.begin(), steps.end(), [](const Step &a, const Step &b) {
    return a.gain / a.bytes > b.gain / b.bytes;
  });
  for (const Step &step : steps)
    if (greedy.bytes + step.bytes <= budget) {
      greedy.bytes += step.bytes;
      greedy.loss -= step.gain;
    }
  std::optional<std::vector<unsigned>> chosen = chooseStorage(weights, budget);
  ASSERT_TRUE(chosen);
  StorageOption sum = sumOf(weights, *chosen);
  EXPECT_LE(sum.bytes, budget);
  EXPECT_LE(sum.loss, greedy.loss * 1.001);
  // Even where nothing but the smallest fits.
  int64_t least = 0;
  for (auto &options : weights)
    least += options[0].bytes;
  EXPECT_EQ(chooseStorage(weights, least), std::vector<unsigned>(120, 0));
}

TEST(MixedPrecision, BudgetsAreBytesOrParts) {
  auto bytesOf = [](const char *text) {
    return llvm::cantFail(parseWeightBudget(text)).bytes;
  };
  auto ratioOf = [](const char *text) {
    return llvm::cantFail(parseWeightBudget(text)).ratio;
  };
  EXPECT_EQ(bytesOf("450k"), 450000);
  EXPECT_EQ(bytesOf("2.5M"), 2500000);
  EXPECT_EQ(bytesOf("1G"), 1000000000);
  EXPECT_EQ(bytesOf("0.5k"), 500);
  EXPECT_EQ(bytesOf("123456"), 123456);
  EXPECT_EQ(bytesOf("1"), 1);
  EXPECT_EQ(ratioOf("450k"), 0);
  EXPECT_EQ(bytesOf("0.2"), 0);
  EXPECT_EQ(ratioOf("0.2"), 0.2);
  EXPECT_EQ(ratioOf(".5"), 0.5);
  EXPECT_EQ(ratioOf("1.0"), 1.0);
  for (const char *text :
       {"", "k", ".", "0", "0.0", "0k", "-1", "-0.5", "1.5", "20%", "1e3",
        "nan", "inf", "450K", "450kB", "450 k", "1..5", "1.5.2", "0x10",
        "0.0001k", "99999999G"}) {
    llvm::Expected<WeightBudget> budget = parseWeightBudget(text);
    EXPECT_FALSE(bool(budget)) << text;
    llvm::consumeError(budget.takeError());
  }
  EXPECT_FALSE(WeightBudget().isGiven());
}
