// SPDX-License-Identifier: Apache-2.0

#include "Html.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace llvm;
using namespace itera;

std::string itera::escape(StringRef text) {
  std::string result;
  for (char c : json::fixUTF8(text)) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (c == '\'')
      result += "&#39;";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      result += "\xEF\xBF\xBD"; // the replacement character
    else
      result += c;
  }
  return result;
}

std::string itera::formatCount(int64_t count) {
  std::string digits = std::to_string(std::abs(count)), result;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % 3 == 0)
      result += ',';
    result += digits[i];
  }
  return count < 0 ? "-" + result : result;
}

std::string itera::formatNumber(double value, int digits) {
  if (std::isnan(value))
    return "\xE2\x80\x93"; // a dash
  std::string result;
  raw_string_ostream stream(result);
  stream << format("%.*g", digits, value);
  return result;
}

std::string itera::formatRatio(double ratio) {
  if (std::isinf(ratio))
    return ratio > 0 ? "exact" : "0";
  if (std::isnan(ratio))
    return formatNumber(ratio);
  std::string result;
  raw_string_ostream stream(result);
  stream << format("%.1f dB", ratio);
  return result;
}
