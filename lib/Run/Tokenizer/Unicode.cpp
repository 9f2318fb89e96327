// SPDX-License-Identifier: Apache-2.0

#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"
#include <algorithm>
#include <iterator>

using namespace llvm;
using namespace itera;

Char itera::readChar(StringRef text, size_t at) {
  if (at >= text.size())
    return {};
  auto *bytes = reinterpret_cast<const UTF8 *>(text.data()) + at;
  if (bytes[0] < 0x80)
    return {bytes[0], 1};
  const UTF8 *next = bytes;
  UTF32 code;
  if (convertUTF8Sequence(&next, text.bytes_end(), &code, strictConversion) !=
      conversionOK)
    return {0xFFFD, 1};
  return {code, unsigned(next - bytes)};
}

Char itera::readCharBefore(StringRef text, size_t end) {
  size_t start = end;
  while (start && end - start < 4) {
    --start;
    if ((text[start] & 0xC0) != 0x80)
      return readChar(text, start);
  }
  return {};
}

void itera::appendChar(std::string &text, uint32_t code) {
  char buffer[UNI_MAX_UTF8_BYTES_PER_CODE_POINT];
  char *end = buffer;
  if (ConvertCodePointToUTF8(code, end))
    text.append(buffer, end);
}

bool itera::isUtf8(StringRef text) {
  const UTF8 *start = text.bytes_begin();
  return isLegalUTF8String(&start, text.bytes_end());
}

//===----------------------------------------------------------------------===//
// Classes
//===----------------------------------------------------------------------===//

namespace {

enum Class : uint8_t { None, Letter, Mark, Number, OtherNumber, Punctuation };

struct Range {
  uint32_t first, last;
  Class kind;
};

} // namespace

static constexpr Range ranges[] = {
#include "UnicodeRanges.inc"
};

static Class getClass(uint32_t code) {
  const Range *range = std::partition_point(
      std::begin(ranges), std::end(ranges),
      [&](const Range &range) { return range.last < code; });
  return range != std::end(ranges) && range->first <= code ? range->kind : None;
}

bool itera::isLetter(uint32_t code) { return getClass(code) == Letter; }

bool itera::isNumber(uint32_t code) {
  Class kind = getClass(code);
  return kind == Number || kind == OtherNumber;
}

bool itera::isWhiteSpace(uint32_t code) {
  return code == ' ' || (code >= 9 && code <= 13) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

bool itera::isWordChar(uint32_t code) {
  Class kind = getClass(code);
  if (kind == Letter || kind == Mark || kind == Number)
    return true;
  auto in = [&](uint32_t first, uint32_t last) {
    return code >= first && code <= last;
  };
  // Connectors, joiners, and symbols that count as letters (in circles and
  // squares).
  return code == '_' || in(0x203F, 0x2040) || code == 0x2054 ||
         in(0xFE33, 0xFE34) || in(0xFE4D, 0xFE4F) || code == 0xFF3F ||
         in(0x200C, 0x200D) || in(0x24B6, 0x24E9) || in(0x1F130, 0x1F149) ||
         in(0x1F150, 0x1F169) || in(0x1F170, 0x1F189);
}

bool itera::isPunctuation(uint32_t code) {
  // Of ASCII, symbols like + and < are punctuation too.
  return code < 0x80 ? isPunct(char(code)) : getClass(code) == Punctuation;
}

//===----------------------------------------------------------------------===//
// Bytes as characters
//===----------------------------------------------------------------------===//

static bool isVisible(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

void itera::appendByteChar(std::string &text, unsigned char byte) {
  uint32_t code = byte;
  if (!isVisible(byte)) {
    code = 0x100;
    for (unsigned other = 0; other < byte; ++other)
      code += !isVisible(other);
  }
  appendChar(text, code);
}

std::optional<unsigned char> itera::getByteOfChar(uint32_t code) {
  if (code < 0x100)
    return isVisible(code) ? std::optional<unsigned char>(code) : std::nullopt;
  uint32_t left = code - 0x100;
  for (unsigned byte = 0; byte < 0x100; ++byte)
    if (!isVisible(byte) && left-- == 0)
      return byte;
  return std::nullopt;
}
