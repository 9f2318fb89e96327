// SPDX-License-Identifier: Apache-2.0
//
// A language model as a stream: the prompt at once, then token after token, each
// picked by the logits of the one before.

#ifndef ITERA_RUN_GENERATE_H
#define ITERA_RUN_GENERATE_H

#include "itera/Run/LogitSource.h"
#include "itera/Run/Sampler.h"
#include "itera/Run/Tokenizer.h"
#include <deque>

namespace itera {

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
  void keepLogits(size_t count);

  StreamLogits source;
  unsigned ahead;
  std::deque<std::vector<double>> logits; // of the last `ahead` tokens
};

} // namespace itera

#endif // ITERA_RUN_GENERATE_H
