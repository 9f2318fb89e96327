// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_RUN_TOKENIZER_UNICODE_H
#define ITERA_LIB_RUN_TOKENIZER_UNICODE_H

#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace itera {

struct Char {
  uint32_t code = 0;
  unsigned bytes = 0; // 0 at the end of the text
};

/// The character at `at` of a text that is valid UTF-8.
Char readChar(llvm::StringRef text, size_t at);
/// The one that ends at `end`.
Char readCharBefore(llvm::StringRef text, size_t end);
void appendChar(std::string &text, uint32_t code);
bool isUtf8(llvm::StringRef text);

// The classes of regular expressions: \p{L}, \p{N}, \s, \w and \p{P}.
bool isLetter(uint32_t code);
bool isNumber(uint32_t code);
bool isWhiteSpace(uint32_t code);
bool isWordChar(uint32_t code);
bool isPunctuation(uint32_t code);

// GPT-2's way to write bytes as characters that can be seen: printable bytes as
// themselves, the others from U+0100 on.
void appendByteChar(std::string &text, unsigned char byte);
std::optional<unsigned char> getByteOfChar(uint32_t code);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_UNICODE_H
