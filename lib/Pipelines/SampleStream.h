// SPDX-License-Identifier: Apache-2.0
// Two models side by side over one stream, of which only the last call is kept.

#ifndef ITERA_LIB_PIPELINES_SAMPLESTREAM_H
#define ITERA_LIB_PIPELINES_SAMPLESTREAM_H

#include "itera/Run/SampleData.h"

namespace itera {

/// A sample as a stream, call by call: of at most 512 frames, and as many as
/// have outputs of 256 MiB. Model and sample must outlive it.
class SampleStream {
public:
  SampleStream(const LoadedModel &model, const Sample &sample);

  /// Begins with what of the sample has no time.
  llvm::Error begin();
  /// Feeds the next frames in one call and returns how many: at most `most`, 0
  /// if the model has no more positions.
  llvm::Expected<uint64_t> feed(uint64_t most);
  llvm::Error finish();
  uint64_t getFed() const { return fed; }

  /// Of each output, in the order of the model, what the last call delivered.
  llvm::ArrayRef<std::vector<char>> getOutputs() const { return outputs; }

private:
  llvm::Error failure() const;
  llvm::Expected<bool> feedAtOnce(uint64_t count);

  const LoadedModel &model;
  const Sample &sample;
  uint64_t fed = 0, callFrames;
  std::vector<std::vector<char>> outputs;
};

/// The same stream of a model and of another one made of it.
class StreamPair {
public:
  StreamPair(const LoadedModel &before, const LoadedModel &after,
             const Sample &sample)
      : before(before, sample), after(after, sample) {}

  llvm::Error begin();
  /// Feeds what is left of the first `end` frames, or of the models' positions,
  /// and calls `visit` after each call.
  llvm::Error feedUntil(uint64_t end, llvm::function_ref<llvm::Error()> visit);
  llvm::Error finish();

  SampleStream before, after;
};

} // namespace itera

#endif // ITERA_LIB_PIPELINES_SAMPLESTREAM_H
