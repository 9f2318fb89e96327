// SPDX-License-Identifier: Apache-2.0

#include "Arrival.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace itera;

int64_t Arrival::getLatency() const {
  int64_t most = lookahead;
  for (int64_t j = 0; j < burst; ++j)
    most = std::max(most, inputOf(j) - stride * j / burst);
  return most;
}

Arrival Arrival::delivered() const {
  if (lookahead >= 0)
    return *this;
  // All bursts whole, unless one would then come before it is known.
  Arrival later = *this;
  later.lookahead = 0;
  if (stride + lookahead <= 0)
    later.skip = 0;
  return later;
}

std::optional<Arrival>
itera::fitArrival(function_ref<int64_t(int64_t)> inputOf, int64_t period) {
  SmallVector<int64_t> starts;
  for (int64_t j = 0; j <= 2 * period && starts.size() < 2; ++j)
    if (inputOf(j) > inputOf(j - 1))
      starts.push_back(j);
  if (starts.size() < 2)
    return std::nullopt;
  Arrival found;
  found.burst = starts[1] - starts[0];
  found.stride = inputOf(starts[1]) - inputOf(starts[0]);
  found.skip = (found.burst - starts[0] % found.burst) % found.burst;
  found.lookahead = inputOf(starts[0]) -
                    found.stride * ((starts[0] + found.skip) / found.burst);
  for (int64_t j = 0; j <= 2 * period; ++j)
    if (found.inputOf(j) != inputOf(j))
      return std::nullopt;
  return found;
}

void itera::addStep(FrameCount &count, const CountStep &step) {
  if (step.isIdentity())
    return;
  // floor((floor((n + a) / d) + b) / e) = floor((n + a + b*d) / (d*e)), where
  // nothing is clamped or multiplied in between.
  if (!count.empty() && count.back().multiply == 1) {
    CountStep &last = count.back();
    last = {last.add + step.add * last.divide, last.divide * step.divide,
            step.multiply};
    if (last.isIdentity())
      count.pop_back();
    return;
  }
  // floor(n * m / m) = n.
  if (!count.empty() && step.add == 0 && step.multiply == 1 &&
      count.back().multiply % step.divide == 0) {
    count.back().multiply /= step.divide;
    if (count.back().isIdentity())
      count.pop_back();
    return;
  }
  count.push_back(step);
}

int64_t itera::countFrames(const FrameCount &count, int64_t inputs) {
  for (const CountStep &step : count)
    inputs = std::max<int64_t>(0, floorDiv(inputs + step.add, step.divide)) *
             step.multiply;
  return inputs;
}

int64_t itera::inputsFor(const FrameCount &count, int64_t frames) {
  for (const CountStep &step : llvm::reverse(count))
    frames = -floorDiv(-frames, step.multiply) * step.divide - step.add;
  return frames;
}

int64_t itera::periodInFrames(const FrameCount &count) {
  int64_t period = 1;
  for (const CountStep &step : count)
    period *= step.multiply;
  return period;
}

int64_t itera::periodInInputs(const FrameCount &count) {
  int64_t period = 1;
  for (const CountStep &step : count)
    period *= step.divide;
  return period;
}

int64_t itera::inputsToSettle(const FrameCount &count) {
  // The steps before one must bring what it takes away.
  int64_t most = 0;
  FrameCount before;
  for (const CountStep &step : count) {
    most = std::max(most, inputsFor(before, std::max<int64_t>(0, -step.add)));
    before.push_back(step);
  }
  return most;
}

std::optional<FrameCount> itera::smallerCount(const FrameCount &a,
                                              const FrameCount &b) {
  if (a == b)
    return a;
  constexpr int64_t kMost = 1 << 16;
  int64_t last = std::max(inputsToSettle(a), inputsToSettle(b)) +
                 std::lcm(periodInInputs(a), periodInInputs(b));
  bool less = false, more = false;
  if (last > kMost)
    return std::nullopt;
  for (int64_t n = 0; n <= last; ++n) {
    int64_t difference = countFrames(a, n) - countFrames(b, n);
    less |= difference < 0;
    more |= difference > 0;
  }
  if (less && more)
    return std::nullopt;
  return more ? b : a;
}

int64_t itera::inputsWithin(const FrameCount &count, int64_t frames) {
  // A count grows without end, and never falls.
  int64_t low = 0, high = 1;
  while (countFrames(count, high) <= frames)
    high *= 2;
  while (high - low > 1) {
    int64_t middle = (low + high) / 2;
    (countFrames(count, middle) <= frames ? low : high) = middle;
  }
  return low;
}

int64_t itera::framesBehindEnd(const Arrival &arrival,
                               const FrameCount &count) {
  int64_t most = 0, last = inputsToSettle(count) +
                           std::lcm(periodInInputs(count), arrival.stride);
  for (int64_t n = 0; n <= last; ++n)
    if (int64_t frames = countFrames(count, n))
      most = std::max(most, arrival.inputOf(frames - 1) - n + 1);
  return most;
}
