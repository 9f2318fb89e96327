// SPDX-License-Identifier: Apache-2.0
// Pieces of the page. What comes out is well-formed XML too.

#ifndef ITERA_LIB_REPORT_HTML_H
#define ITERA_LIB_REPORT_HTML_H

#include "itera/Report/Report.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace itera {

/// Any bytes as text: markup and what XML forbids are replaced.
std::string escape(llvm::StringRef text);
/// "1,234,567"
std::string formatCount(int64_t count);
/// "12.3 dB", "exact" or, if it was not measured, a dash.
std::string formatRatio(double ratio);
/// With `digits` significant ones; a dash if it was not measured.
std::string formatNumber(double value, int digits = 4);

// Plots, each a whole <svg>.
std::string plotBytes(const QuantizationReport &report);
std::string plotRatios(const QuantizationReport &report);
std::string plotStates(const StatesReport &states);
std::string plotLoss(const LanguageReport &language);
std::string plotDivergence(const LanguageReport &language);

} // namespace itera

#endif // ITERA_LIB_REPORT_HTML_H
