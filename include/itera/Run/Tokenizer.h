// SPDX-License-Identifier: Apache-2.0
//
// Text to the ids that a language model takes, and back.

#ifndef ITERA_RUN_TOKENIZER_H
#define ITERA_RUN_TOKENIZER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace itera {

/// Makes text of tokens, one after another. The text comes as bytes: a
/// character may be split over tokens.
class TokenDecoder {
public:
  virtual ~TokenDecoder() = default;
  /// The bytes that the token adds; none for tokens that are not text, such as
  /// the end of a text.
  virtual std::string decode(uint32_t id) = 0;
};

class Tokenizer {
public:
  virtual ~Tokenizer() = default;

  /// The tokens of a text, without those that may stand around it.
  virtual llvm::Expected<std::vector<uint32_t>>
  encode(llvm::StringRef text) const = 0;
  /// The tokens that stand before a text, such as its beginning.
  virtual std::vector<uint32_t> getPrefix() const = 0;
  /// What a text of nothing begins with, if there is such a token.
  virtual std::optional<uint32_t> getBegin() const = 0;
  /// Whether the token says that the text is over.
  virtual bool isEnd(uint32_t id) const = 0;
  /// Whether there is such a token: a model may have more.
  virtual bool contains(uint32_t id) const = 0;
  /// A decoder of its own for each text.
  virtual std::unique_ptr<TokenDecoder> makeDecoder() const = 0;
};

/// Each byte is a token: 256 of them.
std::unique_ptr<Tokenizer> makeByteTokenizer();

/// Reads a tokenizer.json of Hugging Face's library, or a table of words:
/// {"token_to_id": {"word": 4, ...}}.
llvm::Expected<std::unique_ptr<Tokenizer>> readTokenizer(llvm::StringRef path);
/// The same of a text.
llvm::Expected<std::unique_ptr<Tokenizer>> parseTokenizer(llvm::StringRef json);

/// Lets whole characters through and keeps the rest until it is complete. Bytes
/// that cannot become a character turn into U+FFFD.
class Utf8Assembler {
public:
  std::string add(llvm::StringRef bytes);
  /// At the end of the text: what was kept.
  std::string finish();

private:
  std::string pending;
};

} // namespace itera

#endif // ITERA_RUN_TOKENIZER_H
