// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Likelihood.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace llvm;
using namespace itera;

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr unsigned vocabulary = 5;

/// The logits after the tokens from the last restart on: they depend on all.
static std::vector<double> predict(ArrayRef<uint32_t> tokens, unsigned seed) {
  std::vector<double> row(vocabulary);
  double state = seed;
  for (uint32_t token : tokens)
    state = 0.7 * state + std::sin(token + seed);
  for (unsigned i = 0; i < vocabulary; ++i)
    row[i] = 4 * std::sin(state * (i + 1));
  return row;
}

static double getNaiveNll(ArrayRef<double> row, uint32_t id) {
  double sum = 0;
  for (double value : row)
    sum += std::exp(value);
  return -std::log(std::exp(row[id]) / sum);
}

namespace {

/// A model whose positions end after `limit` tokens. It says so before if
/// `window`.
class FakeSource : public LogitSource {
public:
  FakeSource(unsigned seed, size_t limit, bool window)
      : seed(seed), limit(limit), window(window) {}
  uint64_t getVocabulary() const override { return vocabulary; }
  uint64_t getWindow() const override { return window ? limit : 0; }
  Error restart() override {
    history.clear();
    ended = false;
    return Error::success();
  }
  Expected<size_t> feed(ArrayRef<uint32_t> tokens) override {
    EXPECT_FALSE(ended) << "nothing but restart may follow the end";
    EXPECT_FALSE(tokens.empty());
    largest = std::max(largest, tokens.size());
    rows.clear();
    for (uint32_t token : tokens) {
      if (history.size() == limit) {
        ended = true;
        break;
      }
      history.push_back(token);
      rows.push_back(predict(history, seed));
    }
    return rows.size();
  }
  void getRow(size_t index, MutableArrayRef<double> row) const override {
    ASSERT_LT(index, rows.size());
    std::copy(rows[index].begin(), rows[index].end(), row.begin());
  }

  size_t largest = 0; // tokens that were fed at once

private:
  unsigned seed;
  size_t limit;
  bool window, ended = true;
  std::vector<uint32_t> history;
  std::vector<std::vector<double>> rows;
};

} // namespace

static std::vector<uint32_t> makeText(size_t length) {
  std::vector<uint32_t> ids;
  uint32_t state = 1;
  for (size_t i = 0; i < length; ++i) {
    state = state * 1664525 + 1013904223;
    ids.push_back((state >> 16) % vocabulary);
  }
  return ids;
}

/// Scores a text in windows of `limit` by definition: each token from all that
/// stand at least `ahead` before it in its window.
static void getNaive(ArrayRef<uint32_t> ids, unsigned seed, size_t limit,
                     const LikelihoodOptions &options,
                     std::vector<size_t> &places, std::vector<double> &nll) {
  for (size_t place = options.prefix; place < ids.size(); ++place) {
    size_t begin = place / limit * limit;
    if (place < begin + options.ahead)
      continue;
    places.push_back(place);
    nll.push_back(getNaiveNll(
        predict(ids.slice(begin, place - options.ahead + 1 - begin), seed),
        ids[place]));
  }
}

TEST(Likelihood, OfARow) {
  std::vector<double> row{0.5, -3, 2, 0};
  for (uint32_t id = 0; id < 4; ++id)
    EXPECT_NEAR(getNegativeLogLikelihood(row, id), getNaiveNll(row, id), 1e-14);
  // A constant on all logits changes nothing, even where exp would overflow.
  for (double shift : {1000., -1000., 1e5}) {
    std::vector<double> shifted = row;
    for (double &value : shifted)
      value += shift;
    EXPECT_NEAR(getNegativeLogLikelihood(shifted, 1), getNaiveNll(row, 1),
                1e-10);
  }
  EXPECT_EQ(getNegativeLogLikelihood({0, -infinity}, 0), 0);
  EXPECT_EQ(getNegativeLogLikelihood({0, -infinity}, 1), infinity);
  EXPECT_TRUE(std::isnan(getNegativeLogLikelihood({0, NAN}, 0)));
  EXPECT_TRUE(std::isnan(getNegativeLogLikelihood({0, infinity}, 0)));
  EXPECT_TRUE(std::isnan(getNegativeLogLikelihood({-infinity, -infinity}, 0)));
}

TEST(Likelihood, DifferenceOfRows) {
  std::vector<double> p{0.5, -3, 2, 0}, q{1, -1, 0.5, 0.25};
  RowDifference difference = compareRows(p, q);
  double kl = 0, dot = 0, pp = 0, qq = 0;
  for (unsigned i = 0; i < 4; ++i) {
    double pNll = getNaiveNll(p, i);
    kl += std::exp(-pNll) * (getNaiveNll(q, i) - pNll);
    dot += p[i] * q[i];
    pp += p[i] * p[i];
    qq += q[i] * q[i];
  }
  EXPECT_NEAR(difference.kl, kl, 1e-14);
  EXPECT_GT(std::abs(compareRows(q, p).kl - kl), 1e-3); // it has a direction
  EXPECT_FALSE(difference.sameTop);
  EXPECT_EQ(difference.maxAbs, 2);
  EXPECT_NEAR(difference.cosine, dot / std::sqrt(pp * qq), 1e-15);

  RowDifference same = compareRows(p, p);
  EXPECT_EQ(same.kl, 0);
  EXPECT_TRUE(same.sameTop);
  EXPECT_EQ(same.maxAbs, 0);
  EXPECT_NEAR(same.cosine, 1, 1e-15);
  // Tokens that the reference excludes weigh nothing.
  RowDifference masked = compareRows({1, 2, -infinity}, {1, 2, -infinity});
  EXPECT_EQ(masked.kl, 0);
  EXPECT_EQ(masked.maxAbs, 0);
  EXPECT_EQ(compareRows({1, 2}, {1, -infinity}).kl, infinity);
}

TEST(Likelihood, OfATextInAnyChunksAndWindows) {
  std::vector<uint32_t> ids = makeText(41);
  for (size_t limit : {4, 7, 40, 41, 1000})
    for (bool window : {false, true})
      for (size_t ahead : {1, 2, 3})
        for (size_t chunk : {1, 2, 5, 512}) {
          LikelihoodOptions options;
          options.chunk = chunk;
          options.ahead = ahead;
          options.prefix = chunk == 2 ? 2 : 0;
          FakeSource source(1, limit, window);
          TextLikelihood result =
              cantFail(measureLikelihood({&source}, ids, options));
          std::vector<size_t> places;
          std::vector<double> nll;
          getNaive(ids, 1, limit, options, places, nll);
          std::string what = "limit " + std::to_string(limit) + " ahead " +
                             std::to_string(ahead) + " chunk " +
                             std::to_string(chunk);
          ASSERT_EQ(result.places, places) << what;
          for (size_t i = 0; i < nll.size(); ++i)
            ASSERT_NEAR(result.nll[0][i], nll[i], 1e-12) << what << ' ' << i;
          EXPECT_EQ(result.windows, (41 + limit - 1) / limit) << what;
          EXPECT_EQ(result.window, limit < 41 ? limit : 0) << what;
          EXPECT_LE(source.largest, window ? limit : chunk) << what;
        }
}

TEST(Likelihood, TwoModelsKnowTheSame) {
  // The one whose positions end first ends the windows of both.
  std::vector<uint32_t> ids = makeText(30);
  LikelihoodOptions options;
  options.chunk = 4;
  for (bool window : {false, true}) {
    FakeSource first(1, 17, false), second(2, 7, window);
    std::vector<size_t> visited;
    auto visit = [&](size_t place, ArrayRef<std::vector<double>> rows) {
      visited.push_back(place);
      size_t begin = place / 7 * 7;
      for (unsigned i : {0, 1})
        EXPECT_EQ(rows[i], predict(ArrayRef(ids).slice(begin, place - begin),
                                   i + 1));
      return Error::success();
    };
    TextLikelihood result =
        cantFail(measureLikelihood({&first, &second}, ids, options, visit));
    EXPECT_EQ(visited, result.places);
    for (unsigned i : {0, 1}) {
      std::vector<size_t> places;
      std::vector<double> nll;
      getNaive(ids, i + 1, 7, options, places, nll);
      EXPECT_EQ(result.places, places);
      for (size_t k = 0; k < nll.size(); ++k)
        EXPECT_NEAR(result.nll[i][k], nll[k], 1e-12);
    }
  }
}

TEST(Likelihood, RefusesWhatCannotBeScored) {
  auto refuse = [](size_t length, size_t limit, bool window, size_t ahead) {
    FakeSource source(1, limit, window);
    LikelihoodOptions options;
    options.ahead = ahead;
    return toString(
        measureLikelihood({&source}, makeText(length), options).takeError());
  };
  EXPECT_EQ(refuse(1, 100, false, 1),
            "expected a text of at least 2 tokens, but got 1");
  EXPECT_EQ(refuse(3, 100, false, 3),
            "expected a text of at least 4 tokens, but got 3");
  for (bool window : {false, true}) {
    EXPECT_EQ(refuse(9, 1, window, 1), "expected windows of at least 2 tokens, "
                                       "but the model ends after 1");
    EXPECT_EQ(refuse(9, 3, window, 3), "expected windows of at least 4 tokens, "
                                       "but the model ends after 3");
  }
  EXPECT_EQ(refuse(9, 0, false, 1),
            "expected windows of at least 2 tokens, but the model ends after "
            "0");

  class Broken : public FakeSource {
    using FakeSource::FakeSource;
    void getRow(size_t index, MutableArrayRef<double> row) const override {
      FakeSource::getRow(index, row);
      if (index == 3)
        row[2] = NAN;
    }
  } broken(1, 100, false);
  EXPECT_EQ(toString(measureLikelihood({&broken}, makeText(9), {}).takeError()),
            "the logits after token 3 of the text are not finite");
}
