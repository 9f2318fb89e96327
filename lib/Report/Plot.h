// SPDX-License-Identifier: Apache-2.0
// A plot as SVG. Colours are classes of the page's style, so that light and
// dark need one plot.

#ifndef ITERA_LIB_REPORT_PLOT_H
#define ITERA_LIB_REPORT_PLOT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace itera {

/// One axis: values to places.
struct Axis {
  double low = 0, high = 1;
  double from = 0, to = 1;
  bool isLog = false;

  double place(double value) const;
  /// Round values between its ends.
  std::vector<double> ticks() const;
};

/// A frame with axes; points are added by the caller.
class Plot {
public:
  Plot(llvm::StringRef label, Axis x, Axis y);

  void line(llvm::ArrayRef<std::pair<double, double>> points,
            llvm::StringRef attributes, llvm::StringRef title = "");
  void dot(double px, double py, llvm::StringRef kind, llvm::StringRef title);
  void bar(double px, double width, double value, llvm::StringRef kind,
           llvm::StringRef title);
  void text(double left, double top, llvm::StringRef what,
            llvm::StringRef anchor);
  /// Below the x axis.
  void label(llvm::StringRef what);
  void yTicks(llvm::function_ref<std::string(double)> format);
  void xTicks(llvm::function_ref<std::string(double)> format);
  std::string finish();

  static constexpr double kWidth = 720, kHeight = 270, kLeft = 62, kRight = 12,
                          kTop = 14, kBottom = 40;
  Axis x, y;

private:
  std::string result;
  llvm::raw_string_ostream out{result};
};

} // namespace itera

#endif // ITERA_LIB_REPORT_PLOT_H
