// SPDX-License-Identifier: Apache-2.0
// Colours are classes of the page's style, so that light and dark need one plot.

#include "Html.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace itera;

namespace {

/// One axis: values to places.
struct Axis {
  double low = 0, high = 1;
  double from = 0, to = 1;
  bool isLog = false;

  double place(double value) const {
    double a = isLog ? std::log10(low) : low, b = isLog ? std::log10(high) : high;
    double v = isLog ? std::log10(value) : value;
    double part = b > a ? (v - a) / (b - a) : 0.5;
    return from + std::clamp(part, 0.0, 1.0) * (to - from);
  }
  /// Round values between its ends.
  std::vector<double> ticks() const;
};

/// A frame with axes; points are added by the caller.
class Plot {
public:
  Plot(StringRef label, Axis x, Axis y);

  void line(ArrayRef<std::pair<double, double>> points, StringRef attributes,
            StringRef title = "");
  void dot(double px, double py, StringRef kind, StringRef title);
  void bar(double px, double width, double value, StringRef kind,
           StringRef title);
  void text(double left, double top, StringRef what, StringRef anchor);
  void yTicks(function_ref<std::string(double)> format);
  void xTicks(function_ref<std::string(double)> format);
  std::string finish();

  static constexpr double kWidth = 720, kHeight = 270, kLeft = 62, kRight = 12,
                          kTop = 14, kBottom = 40;
  Axis x, y;

private:
  std::string result;
  raw_string_ostream out{result};
};

} // namespace

static std::string place(double value) { return formatv("{0:F1}", value).str(); }

std::vector<double> Axis::ticks() const {
  std::vector<double> result;
  if (isLog) {
    int first = std::ceil(std::log10(low) - 1e-9),
        last = std::floor(std::log10(high) + 1e-9);
    int step = std::max(1, (last - first) / 5);
    for (int power = first; power <= last; power += step)
      result.push_back(std::pow(10.0, power));
    return result;
  }
  double span = high - low;
  if (!(span > 0))
    return {low};
  double step = std::pow(10.0, std::floor(std::log10(span / 4)));
  for (double factor : {1.0, 2.0, 5.0, 10.0})
    if (span / (step * factor) <= 6) {
      step *= factor;
      break;
    }
  for (double value = std::ceil(low / step - 1e-9) * step;
       value <= high + step * 1e-9; value += step)
    result.push_back(std::abs(value) < step * 1e-9 ? 0 : value);
  return result;
}

Plot::Plot(StringRef label, Axis xAxis, Axis yAxis) : x(xAxis), y(yAxis) {
  x.from = kLeft;
  x.to = kWidth - kRight;
  y.from = kHeight - kBottom;
  y.to = kTop;
  out << "<svg viewBox=\"0 0 " << kWidth << " " << kHeight
      << "\" role=\"img\" aria-label=\"" << escape(label) << "\">\n";
}

void Plot::line(ArrayRef<std::pair<double, double>> points,
                StringRef attributes, StringRef title) {
  out << "<polyline fill=\"none\" " << attributes << " points=\"";
  for (auto [px, py] : points)
    out << place(x.place(px)) << "," << place(y.place(py)) << " ";
  out << "\">";
  if (!title.empty())
    out << "<title>" << escape(title) << "</title>";
  out << "</polyline>\n";
}

void Plot::dot(double px, double py, StringRef kind, StringRef title) {
  out << "<circle class=\"" << kind << "\" cx=\"" << place(x.place(px))
      << "\" cy=\"" << place(y.place(py)) << "\" r=\"3.5\"><title>"
      << escape(title) << "</title></circle>\n";
}

void Plot::bar(double px, double width, double value, StringRef kind,
               StringRef title) {
  double center = x.place(px), top = y.place(value);
  out << "<rect class=\"" << kind << "\" x=\"" << place(center - width / 2)
      << "\" width=\"" << place(width) << "\" y=\"" << place(top)
      << "\" height=\"" << place(std::max(0.0, y.from - top)) << "\"><title>"
      << escape(title) << "</title></rect>\n";
}

void Plot::text(double left, double top, StringRef what, StringRef anchor) {
  out << "<text x=\"" << place(left) << "\" y=\"" << place(top)
      << "\" text-anchor=\"" << anchor << "\">" << escape(what) << "</text>\n";
}

void Plot::yTicks(function_ref<std::string(double)> format) {
  for (double tick : y.ticks()) {
    double top = y.place(tick);
    out << "<line class=\"grid\" x1=\"" << kLeft << "\" x2=\""
        << kWidth - kRight << "\" y1=\"" << place(top) << "\" y2=\""
        << place(top) << "\"/>\n";
    text(kLeft - 8, top + 4, format(tick), "end");
  }
}

void Plot::xTicks(function_ref<std::string(double)> format) {
  for (double tick : x.ticks())
    text(x.place(tick), kHeight - kBottom + 18, format(tick), "middle");
}

std::string Plot::finish() {
  out << "</svg>\n";
  return result;
}

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
  plot.text((plot.x.from + plot.x.to) / 2, Plot::kHeight - 4,
            "weight, in the order of the model", "middle");
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
    plot.line(points, isLocal ? "class=\"local thin\""
                              : "class=\"cumulative thin\"");
    for (auto [i, weight] : enumerate(report.weights))
      if (double ratio = isLocal ? weight.localRatio : weight.cumulativeRatio;
          std::isfinite(ratio))
        plot.dot(i + 1, ratio, isLocal ? "local" : "cumulative",
                 titleOf(weight) + ": " + formatRatio(ratio) +
                     (isLocal ? " local" : " cumulative"));
  }
  plot.text((plot.x.from + plot.x.to) / 2, Plot::kHeight - 4,
            "weight, in the order of the model", "middle");
  return plot.finish();
}

/// From the first of the model to its last; of middle lightness, for both.
static std::string depthColor(double part) {
  constexpr int kFirst[3] = {0x2a, 0x78, 0xd6}, kLast[3] = {0xe0, 0x5a, 0x2b};
  std::string color = "#";
  for (int i = 0; i < 3; ++i)
    color += formatv("{0:x-2}", unsigned(kFirst[i] + part * (kLast[i] -
                                                             kFirst[i])))
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
              state.name + ": " +
                  formatNumber(100 * state.errors.back(), 3) +
                  " % at the end");
  }
  plot.text((plot.x.from + plot.x.to) / 2, Plot::kHeight - 4, "frames fed",
            "middle");
  return plot.finish();
}

std::string itera::plotParts(const LanguageReport &language) {
  double low = 1e9, high = 0;
  for (const auto *parts : {&language.partsBefore, &language.partsAfter})
    for (double part : *parts)
      if (std::isfinite(part)) {
        low = std::min(low, part);
        high = std::max(high, part);
      }
  double space = std::max((high - low) * 0.15, high * 0.01);
  Plot plot("Loss along the text", orderAxis(language.partsBefore.size()),
            {low - space, high + space, 0, 1, false});
  plot.yTicks([](double tick) { return formatNumber(tick, 3); });
  plot.xTicks(wholeNumber);
  for (bool isAfter : {false, true}) {
    const auto &parts = isAfter ? language.partsAfter : language.partsBefore;
    std::vector<std::pair<double, double>> points;
    for (auto [i, part] : enumerate(parts))
      if (std::isfinite(part))
        points.push_back({i + 1, part});
    StringRef kind = isAfter ? "after" : "reference";
    plot.line(points, ("class=\"" + kind + "\"").str());
    for (auto [px, py] : points)
      plot.dot(px, py, kind,
               formatNumber(py, 4) + (isAfter ? " after" : " before"));
  }
  plot.text((plot.x.from + plot.x.to) / 2, Plot::kHeight - 4,
            "tenth of the text", "middle");
  return plot.finish();
}
