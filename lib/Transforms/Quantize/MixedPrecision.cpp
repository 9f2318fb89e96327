// SPDX-License-Identifier: Apache-2.0
// A knapsack of which one thing per weight is taken. Layers repeat, and with
// them the sums of bytes, so the sums that any choice can have are few: it is
// enough to keep, weight after weight, those that no smaller sum beats.

#include "itera/Transforms/Quantize/MixedPrecision.h"

#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <tuple>

using namespace itera;

static constexpr int64_t kMostBytes = int64_t(1) << 50;

llvm::Expected<WeightBudget> itera::parseWeightBudget(llvm::StringRef text) {
  auto refuse = [&] {
    return llvm::createStringError(
        "expected bytes, such as 450k or 2.5M, or a part of the f32 weights, "
        "such as 0.2, but got '%s'",
        text.str().c_str());
  };
  llvm::StringRef number = text;
  int64_t unit = number.consume_back("k")   ? 1000
                 : number.consume_back("M") ? 1000000
                 : number.consume_back("G") ? 1000000000
                                            : 0;
  double value = 0;
  // No signs, exponents or names of numbers.
  if (number.find_first_not_of("0123456789.") != llvm::StringRef::npos ||
      number.getAsDouble(value, /*AllowInexact=*/true) || !(value > 0))
    return refuse();
  WeightBudget budget;
  if (unit == 0 && number.contains('.')) {
    if (value > 1)
      return refuse();
    budget.ratio = value;
    return budget;
  }
  value *= unit ? unit : 1;
  if (!(value >= 1 && value <= kMostBytes))
    return refuse();
  budget.bytes = int64_t(value);
  return budget;
}

namespace {

/// What some choice for the first weights comes to.
struct Sum {
  int64_t bytes = 0;
  double loss = 0;
  uint32_t parent = 0; // the sum without the last of these weights
  uint32_t option = 0; // of that weight

  auto key() const { return std::tie(bytes, loss, parent, option); }
};

} // namespace

/// Keeps the sums that none of fewer bytes beats, in the order of their bytes.
static void keepBest(std::vector<Sum> &sums) {
  llvm::sort(sums, [](const Sum &a, const Sum &b) { return a.key() < b.key(); });
  size_t kept = 0;
  for (const Sum &sum : sums)
    if (kept == 0 || sum.loss < sums[kept - 1].loss)
      sums[kept++] = sum;
  sums.resize(kept);
  constexpr size_t kMost = 8192;
  if (kept <= kMost)
    return;
  // The smallest, with which the rest certainly fits, and the best of each
  // interval.
  int64_t first = sums.front().bytes, range = sums.back().bytes - first + 1;
  auto interval = [&](const Sum &sum) {
    return int64_t(double(sum.bytes - first) / double(range) * (kMost - 1));
  };
  kept = 1;
  for (size_t i = 1; i < sums.size(); ++i)
    if (i + 1 == sums.size() || interval(sums[i]) != interval(sums[i + 1]))
      sums[kept++] = sums[i];
  sums.resize(kept);
}

std::optional<std::vector<unsigned>>
itera::chooseStorage(llvm::ArrayRef<std::vector<StorageOption>> weights,
                     int64_t budget) {
  // What the weights from each one on take at least.
  std::vector<int64_t> least(weights.size() + 1, 0);
  for (size_t i = weights.size(); i-- > 0;) {
    auto smallest = llvm::min_element(weights[i], [](const StorageOption &a, const StorageOption &b) {
      return a.bytes < b.bytes;
    });
    least[i] = least[i + 1] + smallest->bytes;
  }
  if (least[0] > budget)
    return std::nullopt;
  std::vector<std::vector<Sum>> steps{{Sum()}};
  for (auto [i, options] : llvm::enumerate(weights)) {
    std::vector<Sum> next;
    for (auto [parent, sum] : llvm::enumerate(steps.back()))
      for (auto [option, stored] : llvm::enumerate(options))
        if (sum.bytes + stored.bytes + least[i + 1] <= budget)
          next.push_back({sum.bytes + stored.bytes, sum.loss + stored.loss,
                          uint32_t(parent), uint32_t(option)});
    keepBest(next);
    steps.push_back(std::move(next));
  }
  // The last has the most bytes and the least loss.
  std::vector<unsigned> chosen(weights.size());
  size_t at = steps.back().size() - 1;
  for (size_t i = weights.size(); i > 0; --i) {
    const Sum &sum = steps[i][at];
    chosen[i - 1] = sum.option;
    at = sum.parent;
  }
  return chosen;
}
