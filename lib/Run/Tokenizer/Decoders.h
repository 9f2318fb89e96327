// SPDX-License-Identifier: Apache-2.0
//
// A tokenizer's "decoder": how tokens become text again.

#ifndef ITERA_LIB_RUN_TOKENIZER_DECODERS_H
#define ITERA_LIB_RUN_TOKENIZER_DECODERS_H

#include "JsonPlace.h"
#include <functional>
#include <vector>

namespace itera {

/// What a tokenizer does to its tokens, in this order.
struct DecoderSteps {
  /// Changes the text of a token; `first` if it is the first of the text.
  using Change = std::function<std::string(std::string token, bool first)>;
  std::vector<Change> changes;
  /// Of the whole text: take away this many of this string at the beginning.
  std::string stripped;
  uint64_t stripCount = 0;
  /// Stands between two tokens.
  std::string separator;
};

llvm::Error readDecoder(const JsonPlace &place, DecoderSteps &steps);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_DECODERS_H
