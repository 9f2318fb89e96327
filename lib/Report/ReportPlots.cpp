// SPDX-License-Identifier: Apache-2.0
// What is drawn weight by weight.

#include "Html.h"
#include "Plot.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace itera;

static std::string shortCount(double count) {
  for (auto [unit, name] : {std::pair(1e9, " GB"), {1e6, " MB"}, {1e3, " kB"}})
    if (count >= unit)
      return formatNumber(count / unit, 3) + name;
  return formatNumber(count, 3);
}

static std::string titleOf(const WeightReport &weight) {
  return weight.name + " (" + weight.kind + ", " + weight.storage + ")";
}

static Axis orderAxis(size_t count) {
  return {0.5, double(count) + 0.5, 0, 1, false};
}

static std::string wholeNumber(double value) {
  return value == std::floor(value) ? formatCount(value) : "";
}

std::string itera::plotBytes(const QuantizationReport &report) {
  double most = 1;
  for (const WeightReport &weight : report.weights)
    most = std::max<double>(most, weight.bytesBefore);
  Plot plot("Bytes of each weight before and after",
            orderAxis(report.weights.size()), {0, most * 1.05, 0, 1, false});
  plot.yTicks(shortCount);
  plot.xTicks(wholeNumber);
  double room = (plot.x.to - plot.x.from) / report.weights.size();
  double width = std::clamp(room * 0.62, 1.0, 34.0);
  for (auto [i, weight] : enumerate(report.weights)) {
    std::string title = titleOf(weight) + ": ";
    plot.bar(i + 1, width, weight.bytesBefore, "before",
             title + formatCount(weight.bytesBefore) + " bytes before");
    plot.bar(i + 1, width, weight.bytesAfter, "s-" + weight.storage,
             title + formatCount(weight.bytesAfter) + " bytes after");
  }
  plot.label("weight, in the order of the model");
  return plot.finish();
}

std::string itera::plotRatios(const QuantizationReport &report) {
  double low = 20, high = 40;
  for (const WeightReport &weight : report.weights)
    for (double ratio : {weight.localRatio, weight.cumulativeRatio})
      if (std::isfinite(ratio)) {
        low = std::min(low, ratio);
        high = std::max(high, ratio);
      }
  low = std::max(std::floor(low / 5) * 5, -20.0);
  Plot plot("Ratio of signal and quantisation noise of each weight",
            orderAxis(report.weights.size()),
            {low, std::ceil(high / 5) * 5, 0, 1, false});
  plot.yTicks([](double tick) { return formatNumber(tick, 3) + " dB"; });
  plot.xTicks(wholeNumber);
  for (bool isLocal : {true, false}) {
    std::vector<std::pair<double, double>> points;
    for (auto [i, weight] : enumerate(report.weights))
      if (double ratio = isLocal ? weight.localRatio : weight.cumulativeRatio;
          std::isfinite(ratio))
        points.push_back({i + 1, ratio});
    plot.line(points,
              isLocal ? "class=\"local thin\"" : "class=\"cumulative thin\"");
    for (auto [i, weight] : enumerate(report.weights))
      if (double ratio = isLocal ? weight.localRatio : weight.cumulativeRatio;
          std::isfinite(ratio))
        plot.dot(i + 1, ratio, isLocal ? "local" : "cumulative",
                 titleOf(weight) + ": " + formatRatio(ratio) +
                     (isLocal ? " local" : " cumulative"));
  }
  plot.label("weight, in the order of the model");
  return plot.finish();
}
