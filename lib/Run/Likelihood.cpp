// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Likelihood.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>

using namespace llvm;
using namespace itera;

static constexpr size_t maxLogitBytes = size_t(256) << 20;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

/// log(sum(exp(row))): nothing overflows, as the largest is taken out first.
static double getLogSumExp(ArrayRef<double> row) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (double value : row)
    largest = value > largest ? value : largest;
  for (double value : row)
    sum += std::exp(value - largest);
  return largest + std::log(sum);
}

double itera::getNegativeLogLikelihood(ArrayRef<double> row, uint32_t id) {
  return getLogSumExp(row) - row[id];
}

RowDifference itera::compareRows(ArrayRef<double> reference,
                                 ArrayRef<double> row) {
  RowDifference result;
  double referenceSum = getLogSumExp(reference), rowSum = getLogSumExp(row);
  double kl = 0, dot = 0, referenceNorm = 0, rowNorm = 0;
  for (auto [r, x] : zip_equal(reference, row)) {
    double logP = r - referenceSum;
    if (double p = std::exp(logP))
      kl += p * (logP - (x - rowSum));
    if (r != x)
      result.maxAbs = std::max(result.maxAbs, std::abs(r - x));
    dot += r * x;
    referenceNorm += r * r;
    rowNorm += x * x;
  }
  // What is left of nothing after rounding may be negative; a NaN stays one.
  result.kl = kl < 0 ? 0 : kl;
  result.sameTop =
      std::max_element(reference.begin(), reference.end()) -
          reference.begin() ==
      std::max_element(row.begin(), row.end()) - row.begin();
  if (referenceNorm || rowNorm)
    result.cosine =
        dot ? dot / std::sqrt(referenceNorm) / std::sqrt(rowNorm) : 0;
  return result;
}

namespace {

/// Walks over the text. What was fed since the last restart is a window; the
/// token at `place` is scored when it was fed, as its window may end before it.
class Walk {
public:
  Walk(ArrayRef<LogitSource *> sources, ArrayRef<uint32_t> ids,
       const LikelihoodOptions &options, LogitVisitor visit)
      : sources(sources), ids(ids), options(options), visit(visit),
        tails(sources.size()), rows(sources.size()) {
    result.nll.resize(sources.size());
    result.seconds.resize(sources.size());
    for (auto [source, row] : zip(sources, rows)) {
      uint64_t window = source->getWindow();
      limit = window ? std::min<size_t>(limit, window) : limit;
      largestChunk = std::min<size_t>(
          largestChunk, maxLogitBytes / (source->getVocabulary() * 4));
      row.resize(source->getVocabulary());
    }
    largestChunk = std::max<size_t>(largestChunk, 1);
  }

  Expected<TextLikelihood> run();

private:
  Error restart();
  Expected<size_t> feed(ArrayRef<uint32_t> tokens);
  Error score(size_t fed);
  Error scoreToken(size_t place);
  void keepTails(size_t fed);

  ArrayRef<LogitSource *> sources;
  ArrayRef<uint32_t> ids;
  const LikelihoodOptions &options;
  LogitVisitor visit;
  TextLikelihood result;
  size_t limit = std::numeric_limits<size_t>::max(); // of a window
  size_t largestChunk = limit;
  size_t begin = 0; // of the window
  size_t next = 0;  // the place of the token to be fed
  /// Of each source the logits of the last tokens before `next`, for those that
  /// are predicted `ahead`.
  std::vector<std::deque<std::vector<double>>> tails;
  std::vector<std::vector<double>> rows;
};

} // namespace

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Error Walk::restart() {
  for (LogitSource *source : sources)
    if (Error error = source->restart())
      return error;
  begin = next;
  for (auto &tail : tails)
    tail.clear();
  ++result.windows;
  return Error::success();
}

/// How many tokens all sources have taken.
Expected<size_t> Walk::feed(ArrayRef<uint32_t> tokens) {
  size_t fed = tokens.size();
  for (auto [source, seconds] : zip(sources, result.seconds)) {
    double start = now();
    Expected<size_t> count = source->feed(tokens);
    seconds += now() - start;
    if (!count)
      return count;
    fed = std::min(fed, *count);
  }
  return fed;
}

Error Walk::scoreToken(size_t place) {
  size_t from = place - options.ahead;
  for (auto [i, source] : enumerate(sources)) {
    if (from >= next)
      source->getRow(from - next, rows[i]);
    else
      rows[i] = tails[i][tails[i].size() - (next - from)];
    double nll = getNegativeLogLikelihood(rows[i], ids[place]);
    if (std::isnan(nll))
      return failure("the logits after token " + Twine(from) +
                     " of the text are not finite");
    result.nll[i].push_back(nll);
  }
  result.places.push_back(place);
  return visit ? visit(place, rows) : Error::success();
}

Error Walk::score(size_t fed) {
  size_t first = std::max({next, begin + options.ahead, options.prefix});
  for (size_t place = first; place < next + fed; ++place)
    if (Error error = scoreToken(place))
      return error;
  return Error::success();
}

void Walk::keepTails(size_t fed) {
  for (auto [source, tail] : zip(sources, tails)) {
    for (size_t i = fed - std::min(fed, options.ahead); i < fed; ++i) {
      tail.emplace_back(source->getVocabulary());
      source->getRow(i, tail.back());
    }
    while (tail.size() > options.ahead)
      tail.pop_front();
  }
}

Expected<TextLikelihood> Walk::run() {
  if (ids.size() <= std::max(options.ahead, options.prefix))
    return failure("expected a text of at least " +
                   Twine(std::max(options.ahead, options.prefix) + 1) +
                   " tokens, but got " + Twine(ids.size()));
  // A window is fed whole to what takes only whole ones.
  bool whole = any_of(sources, [](LogitSource *s) { return s->getWindow(); });
  size_t chunk = whole ? limit : std::min(options.chunk, largestChunk);
  if (Error error = restart())
    return std::move(error);
  while (next < ids.size()) {
    size_t room = limit - (next - begin);
    size_t count = std::min({chunk, room, ids.size() - next});
    Expected<size_t> fed = feed(ids.slice(next, count));
    if (!fed)
      return fed.takeError();
    if (Error error = score(*fed))
      return std::move(error);
    keepTails(*fed);
    next += *fed;
    if (*fed < count)
      limit = next - begin;
    if (limit <= options.ahead && next < ids.size())
      return failure("expected windows of at least " +
                     Twine(options.ahead + 1) +
                     " tokens, but the model ends after " + Twine(limit));
    if (next - begin == limit && next < ids.size()) {
      result.window = limit;
      if (Error error = restart())
        return std::move(error);
    }
  }
  if (result.places.empty())
    return failure("no token of the text can be predicted");
  return std::move(result);
}

Expected<TextLikelihood>
itera::measureLikelihood(ArrayRef<LogitSource *> sources,
                         ArrayRef<uint32_t> ids,
                         const LikelihoodOptions &options,
                         LogitVisitor visit) {
  return Walk(sources, ids, options, visit).run();
}
