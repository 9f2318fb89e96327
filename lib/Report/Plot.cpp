// SPDX-License-Identifier: Apache-2.0

#include "Plot.h"

#include "Html.h"
#include "llvm/Support/FormatVariadic.h"
#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace itera;

static std::string place(double value) {
  return formatv("{0:F1}", value).str();
}

double Axis::place(double value) const {
  double a = isLog ? std::log10(low) : low, b = isLog ? std::log10(high) : high;
  double v = isLog ? std::log10(value) : value;
  double part = b > a ? (v - a) / (b - a) : 0.5;
  return from + std::clamp(part, 0.0, 1.0) * (to - from);
}

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

void Plot::label(StringRef what) {
  text((x.from + x.to) / 2, kHeight - 4, what, "middle");
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
