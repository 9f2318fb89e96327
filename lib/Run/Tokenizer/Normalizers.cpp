// SPDX-License-Identifier: Apache-2.0
//
// Unicode's normal forms need large tables, and most text is in them already.
// So they are not computed: a text that might change is refused.

#include "Split.h"
#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Unicode.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace itera;

static Error refuseChar(StringRef step, uint32_t code) {
  std::string text;
  raw_string_ostream(text) << "the tokenizer's step " << step
                           << " is not supported for the character U+"
                           << format_hex_no_prefix(code, 4, /*Upper=*/true);
  return createStringError(inconvertibleErrorCode(), text);
}

/// Characters that NFC leaves alone, whatever stands before or after them.
static bool isStableInNfc(uint32_t code) {
  static constexpr std::pair<uint32_t, uint32_t> stable[] = {
      {0x0, 0x2FF}, {0x370, 0x373}, {0x375, 0x37D}, {0x37F, 0x386},
      {0x388, 0x482}, {0x48A, 0x52F}, {0x5D0, 0x5EA}, {0x620, 0x64A},
      {0x660, 0x66F}, {0xE01, 0xE37}, {0xE40, 0xE47}, {0x1E00, 0x1EFF},
      {0x200B, 0x200F}, {0x2010, 0x2027}, {0x202F, 0x205E}, {0x20A0, 0x20BF},
      {0x2100, 0x2125}, {0x2150, 0x218B}, {0x2190, 0x2328}, {0x232B, 0x23FF},
      {0x2460, 0x24FF}, {0x2500, 0x2ADB}, {0x3000, 0x3029}, {0x3030, 0x3096},
      {0x309B, 0x30FF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xFE00, 0xFE0F},
      {0xFF00, 0xFFEF},
      {0x1F300, 0x1FAFF}};
  return any_of(stable, [&](auto range) {
    return range.first <= code && code <= range.second;
  });
}

static Normalizer makeNormalForm(std::string name) {
  return [name](std::string &text) -> Error {
    // The others take characters apart, and some of Latin 1 as well.
    uint32_t end = name == "NFD" ? 0xC0 : 0xA0;
    for (size_t at = 0; at < text.size();) {
      Char c = readChar(text, at);
      if (name == "NFC" ? !isStableInNfc(c.code) : c.code >= end)
        return refuseChar(name, c.code);
      at += c.bytes;
    }
    return Error::success();
  };
}

static Error lowercase(std::string &text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    Char c = readChar(text, at);
    at += c.bytes;
    int folded = sys::unicode::foldCharSimple(c.code);
    // Characters that are small already and fold all the same: micro, long s,
    // and variants of Greek letters.
    bool small = is_contained({0xB5, 0x17F, 0x3C2, 0x3D0, 0x3D1, 0x3D5, 0x3D6,
                               0x3F0, 0x3F1, 0x3F5, 0x1E9B},
                              int(c.code));
    bool plain = c.code < 0x530 || (c.code >= 0x1E00 && c.code < 0x1F00);
    if (!small && ((folded != int(c.code) && !plain) || c.code == 0x130))
      return refuseChar("Lowercase", c.code);
    appendChar(result, small ? c.code : uint32_t(folded));
  }
  text = std::move(result);
  return Error::success();
}

/// A pattern of Replace; a regular expression only if it is a known one.
static Expected<Pattern> readPattern(const JsonPlace &place) {
  Expected<JsonPlace> where = place.get("pattern");
  if (!where)
    return where.takeError();
  if (where->find("String")) {
    Expected<std::string> text = where->getString("String");
    return text ? Expected<Pattern>(makeStringPattern(*text))
                : text.takeError();
  }
  Expected<std::string> regex = where->getString("Regex");
  if (!regex)
    return regex.takeError();
  if (Pattern pattern = findRegexPattern(*regex))
    return pattern;
  return where->refuse("unsupported regular expression '" +
                       StringRef(*regex).take_front(200) + "'");
}

static Error readReplace(const JsonPlace &place,
                         std::vector<Normalizer> &steps) {
  Expected<Pattern> pattern = readPattern(place);
  if (!pattern)
    return pattern.takeError();
  Expected<std::string> content = place.getString("content");
  if (!content)
    return content.takeError();
  steps.push_back([pattern = *pattern, content = *content](std::string &text) {
    std::string result;
    for (Span span : pattern(text))
      result += span.match ? content
                           : text.substr(span.begin, span.end - span.begin);
    text = std::move(result);
    return Error::success();
  });
  return Error::success();
}

static Error readStrip(const JsonPlace &place, std::vector<Normalizer> &steps) {
  Expected<bool> left = place.getBool("strip_left", true);
  if (!left)
    return left.takeError();
  Expected<bool> right = place.getBool("strip_right", true);
  if (!right)
    return right.takeError();
  steps.push_back([left = *left, right = *right](std::string &text) {
    size_t begin = 0, end = text.size();
    while (left && begin < end && isWhiteSpace(readChar(text, begin).code))
      begin += readChar(text, begin).bytes;
    while (right && end > begin && isWhiteSpace(readCharBefore(text, end).code))
      end -= readCharBefore(text, end).bytes;
    text = text.substr(begin, end - begin);
    return Error::success();
  });
  return Error::success();
}

Error itera::readNormalizer(const JsonPlace &place,
                            std::vector<Normalizer> &steps) {
  Expected<std::string> type = place.getString("type");
  if (!type)
    return type.takeError();
  if (*type == "Sequence")
    return place.forEachOf("normalizers", [&](const JsonPlace &step) {
      return readNormalizer(step, steps);
    });
  if (*type == "Replace")
    return readReplace(place, steps);
  if (*type == "Strip")
    return readStrip(place, steps);
  if (*type == "Prepend") {
    Expected<std::string> what = place.getString("prepend");
    if (!what)
      return what.takeError();
    steps.push_back([what = *what](std::string &text) {
      if (!text.empty())
        text = what + text;
      return Error::success();
    });
    return Error::success();
  }
  if (*type == "Lowercase")
    steps.push_back(lowercase);
  else if (*type == "NFC" || *type == "NFD" || *type == "NFKC" ||
           *type == "NFKD")
    steps.push_back(makeNormalForm(*type));
  else
    return place.refuse("unsupported normalizer '" + *type + "'");
  return Error::success();
}
