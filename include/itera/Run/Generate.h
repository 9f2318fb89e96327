// SPDX-License-Identifier: Apache-2.0
//
// A language model as a stream: the prompt at once, then token after token, each
// picked by the logits of the one before.

#ifndef ITERA_RUN_GENERATE_H
#define ITERA_RUN_GENERATE_H

#include "itera/Run/LoadedModel.h"
#include "itera/Run/Sampler.h"
#include "itera/Run/Tokenizer.h"
#include <deque>

namespace itera {

/// The tensors of a model that takes ids of tokens and gives logits.
struct LanguageModel {
  uint32_t ids = 0, logits = 0; // which input and output
  uint64_t vocabulary = 0;
};

/// Finds them: one streamed input of one integer per frame, and one streamed
/// output of one real number per token and frame (called "logits" if there are
/// several). Other inputs may only be first values of states, or be given.
llvm::Expected<LanguageModel>
findLanguageModel(const LoadedModel &model,
                  llvm::ArrayRef<std::vector<char>> staticInputs);

/// One text, token by token.
class Generation {
public:
  /// `staticInputs` are the buffers of inputs without time, empty elsewhere.
  /// The logits of a token are those of the token `ahead` places after it.
  Generation(const LoadedModel &model, const LanguageModel &tensors,
             llvm::ArrayRef<std::vector<char>> staticInputs, unsigned ahead);

  llvm::Error begin();
  /// Feeds tokens. False if the model's positions end before them.
  llvm::Expected<bool> feed(llvm::ArrayRef<uint32_t> tokens);
  /// The logits of the next token; empty if too few were fed to know any.
  llvm::ArrayRef<double> getLogits() const {
    if (logits.size() < ahead)
      return {};
    return logits.front();
  }

private:
  llvm::Expected<bool> feedChunk(llvm::ArrayRef<uint32_t> tokens);
  llvm::Error keepLogits(size_t count);

  const LoadedModel &model;
  LanguageModel tensors;
  llvm::ArrayRef<std::vector<char>> staticInputs;
  std::vector<char> idBuffer;
  std::vector<std::vector<char>> outputs;
  std::vector<const void *> inputPointers;
  std::vector<void *> outputPointers;
  std::vector<size_t> inputBytes, outputBytes;
  std::vector<uint64_t> frames;
  unsigned ahead;
  std::deque<std::vector<double>> logits; // of the last `ahead` tokens
};

} // namespace itera

#endif // ITERA_RUN_GENERATE_H
