// SPDX-License-Identifier: Apache-2.0
#include "itera/Report/Report.h"
std::string itera::formatHtml(const QuantizationReport &report) { return ""; }
