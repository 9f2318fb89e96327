// SPDX-License-Identifier: Apache-2.0
// What is drawn along time.

#include "Html.h"
#include "Plot.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace itera;

/// From the first of the model to its last; of middle lightness, for both.
static std::string depthColor(double part) {
  constexpr int kFirst[3] = {0x2a, 0x78, 0xd6}, kLast[3] = {0xe0, 0x5a, 0x2b};
  std::string color = "#";
  for (int i = 0; i < 3; ++i)
    color +=
        formatv("{0:x-2}", unsigned(kFirst[i] + part * (kLast[i] - kFirst[i])))
            .str();
  return color;
}

std::string itera::plotStates(const StatesReport &states) {
  double low = 1, high = 1e-6, last = 1;
  for (const StateReport &state : states.states)
    for (double error : state.errors)
      if (std::isfinite(error) && error > 0) {
        low = std::min(low, error);
        high = std::max(high, error);
      }
  low = std::pow(10.0, std::floor(std::log10(std::min(low, high))));
  high = std::max(std::pow(10.0, std::ceil(std::log10(high))), low * 10);
  if (!states.frames.empty())
    last = states.frames.back();
  Plot plot("Relative error of each state along time", {0, last, 0, 1, false},
            {low, high, 0, 1, true});
  plot.yTicks([](double tick) { return formatNumber(tick * 100, 10) + " %"; });
  plot.xTicks([](double tick) { return formatCount(tick); });
  size_t count = states.states.size();
  for (auto [i, state] : enumerate(states.states)) {
    std::vector<std::pair<double, double>> points;
    for (auto [frame, error] : zip(states.frames, state.errors))
      if (std::isfinite(error))
        points.push_back({frame, std::max(error, low)});
    if (points.empty())
      continue;
    std::string color = depthColor(count > 1 ? double(i) / (count - 1) : 0);
    plot.line(points, "class=\"curve\" stroke=\"" + color + "\"",
              state.name + ": " + formatNumber(100 * state.errors.back(), 3) +
                  " % at the end");
  }
  plot.label("frames fed");
  return plot.finish();
}

namespace {

/// A plot of means over the parts of a text, each at its end.
class PartsPlot {
public:
  PartsPlot(StringRef label, ArrayRef<uint64_t> ends, double low, double high)
      : ends(ends),
        plot(label, {0, ends.empty() ? 1 : double(ends.back())}, {low, high}) {
    plot.yTicks([](double tick) { return formatNumber(tick, 3); });
    plot.xTicks([](double tick) { return formatCount(tick); });
    plot.label("tokens fed, at the end of each part");
  }
  void draw(ArrayRef<double> means, StringRef kind, StringRef title);
  std::string finish() { return plot.finish(); }

private:
  ArrayRef<uint64_t> ends;
  Plot plot;
};

} // namespace

void PartsPlot::draw(ArrayRef<double> means, StringRef kind, StringRef title) {
  std::vector<std::pair<double, double>> points;
  for (auto [end, mean] : zip(ends, means))
    if (std::isfinite(mean))
      points.push_back({end, mean});
  plot.line(points, ("class=\"" + kind + "\"").str());
  for (auto [end, mean] : points)
    plot.dot(end, mean, kind,
             formatNumber(mean, 4) + title.str() + ", up to token " +
                 formatCount(end));
}

/// The least and the largest that is finite.
static std::pair<double, double> findRange(ArrayRef<double> values,
                                           std::pair<double, double> range) {
  for (double value : make_filter_range(
           values, [](double value) { return std::isfinite(value); }))
    range = {std::min(range.first, value), std::max(range.second, value)};
  return range;
}

std::string itera::plotLoss(const LanguageReport &language) {
  auto [low, high] =
      findRange(language.partsAfter, findRange(language.partsBefore, {1e9, 0}));
  double space = std::max((high - low) * 0.15, high * 0.01);
  PartsPlot plot("Loss along the text", language.partEnds, low - space,
                 high + space);
  plot.draw(language.partsBefore, "reference", " before");
  plot.draw(language.partsAfter, "after", " after");
  return plot.finish();
}

std::string itera::plotDivergence(const LanguageReport &language) {
  double high = findRange(language.partsKl, {0, 0}).second;
  PartsPlot plot("KL divergence along the text", language.partEnds, 0,
                 high > 0 ? high * 1.15 : 1);
  plot.draw(language.partsKl, "after", "");
  return plot.finish();
}
