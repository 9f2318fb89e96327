// SPDX-License-Identifier: Apache-2.0
//
// A whole stream by calls of prefill or step: what forward gives at once.

#ifndef ITERA_RUN_STREAMRUN_H
#define ITERA_RUN_STREAMRUN_H

#include "itera/Run/LoadedModel.h"

namespace itera {

/// Inputs and outputs of one stream. They lie in memory call by call, so that
/// nothing but the model works while the stream runs.
class StreamRun {
public:
  /// `inputs` are the buffers of the model's inputs, of which the streamed ones
  /// have `length` frames; an empty buffer of an initial state means zeros. A
  /// call takes `chunk` frames, and the last one what is left. With `chunk` 1
  /// each call is a step.
  StreamRun(const LoadedModel &model, llvm::ArrayRef<std::vector<char>> inputs,
            uint64_t length, uint64_t chunk);

  /// Begins the stream with the inputs that have no time.
  llvm::Error begin();
  /// Begins it again, with what begin has computed.
  llvm::Error reset();
  /// Feeds all frames.
  llvm::Error feed();
  llvm::Error finish();

  /// The buffers of all outputs, in the order of the model. To be called once,
  /// after finish.
  std::vector<std::vector<char>> takeOutputs();

private:
  struct Tensor {
    uint64_t outer = 1, frame = 0; // frame: bytes of one frame
    std::vector<char> data;
    std::vector<uint64_t> calls; // of an output: the frames of each call
  };
  llvm::Error check(itera_status status) const;
  void pointAtOutputs();
  void keepOutputs();

  const LoadedModel &model;
  uint64_t length, chunk;
  std::vector<Tensor> inputs, outputs;
  std::vector<const void *> inputPointers;
  std::vector<void *> outputPointers;
  std::vector<size_t> inputBytes, outputBytes, written;
  std::vector<uint64_t> frames;
};

} // namespace itera

#endif // ITERA_RUN_STREAMRUN_H
