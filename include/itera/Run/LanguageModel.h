// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_RUN_LANGUAGEMODEL_H
#define ITERA_RUN_LANGUAGEMODEL_H

#include "itera/Run/LoadedModel.h"

namespace itera {

/// The tensors of a model that takes ids of tokens and gives logits.
struct LanguageModel {
  uint32_t ids = 0, logits = 0; // which input and output
  uint64_t vocabulary = 0;
  /// Tokens of the text that the file was exported for.
  uint64_t length = 0;
};

/// Finds them. Of a model that streams: one streamed input of one integer per
/// frame, and one streamed output of one real number per token and frame
/// (called "logits" if there are several). Of any other: one input of integers
/// that was not given, with all dimensions but one 1, and one output of reals
/// whose last dimension is the tokens and whose others are the input's length.
/// Other inputs may only be first values of states, or be given.
llvm::Expected<LanguageModel>
findLanguageModel(const LoadedModel &model,
                  llvm::ArrayRef<std::vector<char>> staticInputs);

} // namespace itera

#endif // ITERA_RUN_LANGUAGEMODEL_H
