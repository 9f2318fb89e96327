// SPDX-License-Identifier: Apache-2.0
//
// Tokens in, logits out: by a session that carries its state along, or in
// windows that know nothing of each other.

#ifndef ITERA_RUN_LOGITSOURCE_H
#define ITERA_RUN_LOGITSOURCE_H

#include "itera/Run/LanguageModel.h"
#include "llvm/Support/Error.h"
#include <memory>

namespace itera {

/// Gives the logits after each token of a text. V is the vocabulary.
class LogitSource {
public:
  virtual ~LogitSource() = default;

  virtual uint64_t getVocabulary() const = 0;
  /// After how many tokens it must be restarted; 0 if that is not known, or
  /// never.
  virtual uint64_t getWindow() const { return 0; }

  /// Forgets what was fed: the next token is the first.
  virtual llvm::Error restart() = 0;
  /// Feeds tokens, all below V, and returns after how many of them the logits
  /// are known. If these are not all, the model's positions ended there, and
  /// nothing but restart may follow.
  virtual llvm::Expected<size_t> feed(llvm::ArrayRef<uint32_t> tokens) = 0;
  /// The V logits after token `index` of the last call of feed.
  virtual void getRow(size_t index,
                      llvm::MutableArrayRef<double> row) const = 0;
};

/// One session of a model that streams.
class StreamLogits : public LogitSource {
public:
  /// `staticInputs` are the buffers of inputs without time, empty elsewhere;
  /// they must outlive this.
  StreamLogits(const LoadedModel &model, const LanguageModel &tensors,
               llvm::ArrayRef<std::vector<char>> staticInputs);

  uint64_t getVocabulary() const override { return tensors.vocabulary; }
  llvm::Error restart() override;
  llvm::Expected<size_t> feed(llvm::ArrayRef<uint32_t> tokens) override;
  void getRow(size_t index, llvm::MutableArrayRef<double> row) const override;

  /// Feeds tokens in one call of step or prefill; their logits are those from
  /// `first` on. False, and nothing changed, if the positions end before them.
  llvm::Expected<bool> feedAtOnce(llvm::ArrayRef<uint32_t> tokens,
                                  size_t first = 0);

private:
  const LoadedModel &model;
  LanguageModel tensors;
  llvm::ArrayRef<std::vector<char>> staticInputs;
  std::vector<char> idBuffer;
  std::vector<std::vector<char>> outputs;
  std::vector<const void *> inputPointers;
  std::vector<void *> outputPointers;
  std::vector<size_t> inputBytes, outputBytes;
  std::vector<uint64_t> frames;
};

/// Whole windows by forward, each from the model's first state. What a window
/// has less than its length is filled up; that this does not matter, that no
/// logit depends on a later token, is tried out for a model that cannot stream.
class WindowLogits : public LogitSource {
public:
  /// `window` is the length of the file, or any if the model streams.
  WindowLogits(const LoadedModel &model, const LanguageModel &tensors,
               llvm::ArrayRef<std::vector<char>> staticInputs, uint64_t window);

  uint64_t getVocabulary() const override { return tensors.vocabulary; }
  uint64_t getWindow() const override { return window; }
  llvm::Error restart() override;
  /// One window: a second call before restart gets no logits.
  llvm::Expected<size_t> feed(llvm::ArrayRef<uint32_t> tokens) override;
  void getRow(size_t index, llvm::MutableArrayRef<double> row) const override;

private:
  llvm::Error forward(llvm::ArrayRef<uint32_t> tokens);
  llvm::Error checkCausal(llvm::ArrayRef<uint32_t> tokens);

  const LoadedModel &model;
  LanguageModel tensors;
  uint64_t window;
  std::vector<std::vector<char>> inputs, outputs;
  bool used = false, checked;
};

} // namespace itera

#endif // ITERA_RUN_LOGITSOURCE_H
