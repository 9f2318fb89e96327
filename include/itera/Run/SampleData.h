// SPDX-License-Identifier: Apache-2.0
//
// What a model is tried out on: to calibrate weights, or to compare two models.

#ifndef ITERA_RUN_SAMPLEDATA_H
#define ITERA_RUN_SAMPLEDATA_H

#include "itera/Run/LoadedModel.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <string>

namespace itera {

/// Buffers for the inputs of one run, in the order of the model. Streamed ones
/// have `frames` frames, or, of a model without a stream, all of their length.
struct Sample {
  std::vector<std::vector<char>> inputs;
  uint64_t frames = 0;
};

struct SampleOptions {
  /// A .npz file with the model's inputs (any number of frames, and the cases
  /// `name@case1`, ... as further samples), or a text for a language model.
  std::string path;
  /// A tokenizer.json, for a text; empty: bytes.
  std::string tokenizer;
  /// The most frames, or tokens, of all samples together; at least 1.
  uint64_t frames = 32768;
};

/// Reads samples for `model`. Texts are cut into pieces of at most 1024 tokens,
/// or of the model's length if it does not stream. An error, of one line, if
/// the file does not suit the model or holds nothing.
llvm::Expected<std::vector<Sample>> readSamples(const LoadedModel &model,
                                                const SampleOptions &options);

/// Runs the model over a sample, as a stream if it can, from its first state.
/// Returns the buffers of all outputs.
llvm::Expected<std::vector<std::vector<char>>> runSample(const LoadedModel &model,
                                                         const Sample &sample);

} // namespace itera

#endif // ITERA_RUN_SAMPLEDATA_H
