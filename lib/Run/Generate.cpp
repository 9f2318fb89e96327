// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Generate.h"

using namespace llvm;
using namespace itera;

/// Tokens of a prompt that are fed at once: their logits need memory.
static constexpr size_t maxChunk = 512;

Generation::Generation(const LoadedModel &model, const LanguageModel &tensors,
                       ArrayRef<std::vector<char>> staticInputs, unsigned ahead)
    : source(model, tensors, staticInputs), ahead(ahead) {}

Error Generation::begin() { return source.restart(); }

Expected<bool> Generation::feed(ArrayRef<uint32_t> tokens) {
  while (!tokens.empty()) {
    size_t count = std::min(tokens.size(), maxChunk);
    Expected<bool> fed = source.feedAtOnce(tokens.take_front(count));
    if (!fed || !*fed)
      return fed;
    keepLogits(count);
    tokens = tokens.drop_front(count);
  }
  return true;
}

/// Of the `count` tokens that were fed, as far as they will be asked for.
void Generation::keepLogits(size_t count) {
  for (size_t i = count - std::min<size_t>(count, ahead); i < count; ++i) {
    logits.emplace_back(source.getVocabulary());
    source.getRow(i, logits.back());
  }
  while (logits.size() > ahead)
    logits.pop_front();
}
