// SPDX-License-Identifier: Apache-2.0
//
// Tokens that are looked for in the text before anything else, such as the end
// of a text or a line of a dialogue.

#ifndef ITERA_LIB_RUN_TOKENIZER_ADDEDTOKENS_H
#define ITERA_LIB_RUN_TOKENIZER_ADDEDTOKENS_H

#include "Split.h"
#include <variant>

namespace itera {

struct AddedToken {
  std::string content;
  uint32_t id = 0;
  /// Not a part of the text: it is not shown.
  bool special = false;
  /// Looked for in the normalised text.
  bool normalized = false;
  /// Only where no word goes on before or after it.
  bool singleWord = false;
  /// Takes the space before or after it along.
  bool stripLeft = false, stripRight = false;
};

llvm::Expected<std::vector<AddedToken>> readAddedTokens(const JsonPlace &place);

/// Text between added tokens, and their ids.
using Part = std::variant<Piece, uint32_t>;

/// Cuts the texts among `parts` at the tokens: of several at one place, the
/// longest counts.
std::vector<Part> cutAtTokens(std::vector<Part> parts,
                              llvm::ArrayRef<const AddedToken *> tokens);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_ADDEDTOKENS_H
