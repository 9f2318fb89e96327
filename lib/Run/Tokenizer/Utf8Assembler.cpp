// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Tokenizer.h"
#include "llvm/Support/ConvertUTF.h"

using namespace llvm;
using namespace itera;

static constexpr StringLiteral replacement = "\xEF\xBF\xBD";

/// How many bytes at the beginning are a character (valid), or can never become
/// one (not valid); 0 if more bytes decide it.
static size_t classify(StringRef bytes, bool &valid) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  unsigned char first = byte(0);
  valid = true;
  if (first < 0x80)
    return 1;
  size_t length = getNumBytesForUTF8(first);
  valid = false;
  if (first < 0xC2 || first > 0xF4)
    return 1;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size())
      return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (i == 1) { // no long forms, surrogates or numbers beyond Unicode
      low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : low;
      high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : high;
    }
    if (byte(i) < low || byte(i) > high)
      return i;
  }
  valid = true;
  return length;
}

std::string Utf8Assembler::add(StringRef bytes) {
  pending += bytes;
  std::string result;
  StringRef rest(pending);
  while (!rest.empty()) {
    bool valid;
    size_t count = classify(rest, valid);
    if (!count)
      break;
    result += valid ? rest.take_front(count) : StringRef(replacement);
    rest = rest.drop_front(count);
  }
  pending = rest.str();
  return result;
}

std::string Utf8Assembler::finish() {
  if (pending.empty())
    return "";
  pending.clear();
  return replacement.str();
}
