// SPDX-License-Identifier: Apache-2.0
//
// What comes before a tokenizer's model: text becomes the pieces that the
// model's tokens never cross.

#ifndef ITERA_LIB_RUN_TOKENIZER_SPLIT_H
#define ITERA_LIB_RUN_TOKENIZER_SPLIT_H

#include "JsonPlace.h"
#include <functional>
#include <vector>

namespace itera {

struct Piece {
  std::string text;
  /// It stands at the beginning of the whole text.
  bool first = false;
};

/// A part of a text that is, or is not, what a pattern looks for.
struct Span {
  size_t begin, end;
  bool match;
};

/// Finds the spans of a text: all of it, in order, none empty.
using Pattern = std::function<std::vector<Span>(llvm::StringRef)>;
/// One step: replaces pieces by smaller ones.
using PreTokenizer = std::function<void(std::vector<Piece> &)>;
/// Changes a text, or says why it cannot.
using Normalizer = std::function<llvm::Error(std::string &)>;

/// A pattern that is a fixed string.
Pattern makeStringPattern(std::string what);
/// A known regular expression; null for any other.
Pattern findRegexPattern(llvm::StringRef regex);
/// GPT-2's, which the step ByteLevel has built in.
std::vector<Span> findGpt2Spans(llvm::StringRef text);
/// Runs of characters that have a property, or with `single` one at a time.
Pattern makeClassPattern(bool (*has)(uint32_t code), bool single);

/// Adds the steps of a tokenizer.json's "pre_tokenizer" or "normalizer".
llvm::Error readPreTokenizer(const JsonPlace &place,
                             std::vector<PreTokenizer> &steps);
llvm::Error readNormalizer(const JsonPlace &place,
                           std::vector<Normalizer> &steps);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_SPLIT_H
