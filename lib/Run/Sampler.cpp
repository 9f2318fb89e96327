// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Sampler.h"
#include <algorithm>
#include <cmath>

// A product and a sum must not become one instruction on some machines only.
#pragma STDC FP_CONTRACT OFF

using namespace llvm;
using namespace itera;

double itera::portableExp(double x) {
  if (!(x > -745))
    return 0;
  // x = k ln 2 + r with |r| <= ln 2 / 2, where the series is short. ln 2 is two
  // numbers, so that k times the first is exact.
  constexpr double upper = 0x1.62e42fee00000p-1, lower = 0x1.a39ef35793c76p-33;
  double k = std::floor(x / (upper + lower) + 0.5);
  double r = (x - k * upper) - k * lower;
  double sum = 1;
  for (int i = 14; i > 0; --i)
    sum = 1 + sum * r / i;
  return std::ldexp(sum, int(k));
}

Sampler::Sampler(const SamplingOptions &options)
    : options(options), state(options.seed) {}

/// Uniform in [0, 1), by splitmix64.
double Sampler::random() {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return double(z >> 11) * 0x1p-53;
}

/// Sorts the tokens, the likeliest first, and applies top-k and top-p. Their
/// values become weights.
void Sampler::keepLikeliest() {
  auto before = [](const Token &a, const Token &b) {
    return a.value != b.value ? a.value > b.value : a.id < b.id;
  };
  if (options.topK && options.topK < tokens.size()) {
    std::nth_element(tokens.begin(), tokens.begin() + options.topK,
                     tokens.end(), before);
    tokens.resize(options.topK);
  }
  std::sort(tokens.begin(), tokens.end(), before);
  double largest = tokens.front().value, total = 0;
  for (Token &token : tokens) {
    token.value = portableExp((token.value - largest) / options.temperature);
    total += token.value;
  }
  if (options.topP >= 1)
    return;
  double sum = 0;
  size_t count = 0;
  do
    sum += tokens[count++].value;
  while (count < tokens.size() && sum < options.topP * total);
  tokens.resize(count);
}

Expected<uint32_t> Sampler::pick(ArrayRef<double> logits,
                                 function_ref<bool(uint32_t)> allowed) {
  tokens.clear();
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (std::isnan(logits[id]))
      return createStringError(inconvertibleErrorCode(),
                               "the logit of token " + Twine(id) + " is NaN");
    if (logits[id] != -INFINITY && allowed(id))
      tokens.push_back({id, logits[id]});
  }
  if (tokens.empty())
    return createStringError(inconvertibleErrorCode(),
                             "no token is possible: the logits exclude all");
  auto best = std::max_element(
      tokens.begin(), tokens.end(),
      [](const Token &a, const Token &b) { return a.value < b.value; });
  // Of infinite logits none is likelier than another.
  if (options.temperature == 0 || std::isinf(best->value))
    return best->id;
  keepLikeliest();
  double total = 0;
  for (const Token &token : tokens)
    total += token.value;
  double left = random() * total;
  for (const Token &token : tokens)
    if ((left -= token.value) < 0)
      return token.id;
  return tokens.back().id; // rounding
}
