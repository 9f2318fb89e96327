// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/StreamRun.h"
#include "itera/Run/Tensors.h"
#include <algorithm>

using namespace llvm;
using namespace itera;

static bool isStreamed(const itera_tensor_info &info) {
  return info.role == ITERA_ROLE_STREAM;
}

/// The product of the dimensions before time.
static uint64_t getOuter(const itera_tensor_info &info) {
  uint64_t outer = 1;
  for (int32_t i = 0; i < info.time_dim; ++i)
    outer *= info.dims[i];
  return outer;
}

/// Moves [outer][length] frames to [call][outer][frames of the call], or back.
/// `calls` gives the frames of each call, `row` the bytes of a frame at one
/// place of `outer`.
static std::vector<char> regroup(const std::vector<char> &from, uint64_t outer,
                                 uint64_t row, uint64_t length,
                                 ArrayRef<uint64_t> calls, bool back) {
  std::vector<char> to(from.size());
  uint64_t start = 0;
  for (uint64_t count : calls) {
    for (uint64_t i = 0; i < outer; ++i) {
      uint64_t whole = (i * length + start) * row;
      uint64_t grouped = (start * outer + i * count) * row;
      std::copy_n(from.begin() + (back ? grouped : whole), count * row,
                  to.begin() + (back ? whole : grouped));
    }
    start += count;
  }
  return to;
}

StreamRun::StreamRun(const LoadedModel &model,
                     ArrayRef<std::vector<char>> buffers, uint64_t length,
                     uint64_t chunk)
    : model(model), length(length), chunk(chunk) {
  std::vector<uint64_t> calls(length / chunk, chunk);
  if (length % chunk)
    calls.push_back(length % chunk);
  for (auto [info, buffer] : zip(model.getInputs(), buffers)) {
    Tensor tensor;
    tensor.data = buffer;
    if (isStreamed(*info) && length) {
      tensor.outer = getOuter(*info);
      tensor.frame = buffer.size() / length;
      if (tensor.frame)
        tensor.data = regroup(buffer, tensor.outer, tensor.frame / tensor.outer,
                              length, calls, /*back=*/false);
    }
    inputs.push_back(std::move(tensor));
  }
  for (auto [index, info] : enumerate(model.getOutputs())) {
    Tensor tensor;
    tensor.frame = info->bytes;
    uint64_t total = 1;
    if (isStreamed(*info)) {
      tensor.outer = getOuter(*info);
      tensor.frame = getFrameBytes(*info);
      total = model.getApi().frames_total(length, index);
    }
    tensor.data.resize(total * tensor.frame);
    outputs.push_back(std::move(tensor));
  }
  inputPointers.resize(inputs.size());
  inputBytes.resize(inputs.size());
  outputPointers.resize(outputs.size());
  outputBytes.resize(outputs.size());
  written.resize(outputs.size());
  frames.resize(outputs.size());
}

Error StreamRun::check(itera_status status) const {
  if (status == ITERA_OK)
    return Error::success();
  return createStringError(inconvertibleErrorCode(),
                           model.getApi().last_error(model.getSession()));
}

Error StreamRun::begin() {
  for (size_t i = 0; i < inputs.size(); ++i) {
    // Of a streamed input this is more than begin wants, but it looks at none.
    bool given = !inputs[i].data.empty();
    inputPointers[i] = given ? inputs[i].data.data() : nullptr;
    inputBytes[i] = inputs[i].data.size();
  }
  std::fill(written.begin(), written.end(), 0);
  for (Tensor &output : outputs)
    output.calls.clear();
  return check(model.getApi().begin(model.getSession(), inputPointers.data(),
                                    inputBytes.data(), inputBytes.size()));
}

Error StreamRun::reset() {
  std::fill(written.begin(), written.end(), 0);
  for (Tensor &output : outputs)
    output.calls.clear();
  return check(model.getApi().state_reset(model.getSession()));
}

/// The next call may write whatever is left of the outputs.
void StreamRun::pointAtOutputs() {
  for (auto [i, output] : enumerate(outputs)) {
    outputPointers[i] = output.data.data() + written[i];
    outputBytes[i] = output.data.size() - written[i];
  }
}

/// Notes what a call has written.
void StreamRun::keepOutputs() {
  for (auto [i, output] : enumerate(outputs)) {
    output.calls.push_back(frames[i]);
    written[i] += frames[i] * output.frame;
  }
}

Error StreamRun::feed() {
  const itera_model_api &api = model.getApi();
  for (uint64_t start = 0; start < length; start += chunk) {
    uint64_t count = std::min(chunk, length - start);
    for (auto [i, input] : enumerate(inputs)) {
      inputPointers[i] = input.data.data() + start * input.frame;
      inputBytes[i] = count * input.frame;
    }
    pointAtOutputs();
    itera_status status =
        chunk == 1
            ? api.step(model.getSession(), inputPointers.data(),
                       inputBytes.data(), inputBytes.size(),
                       outputPointers.data(), outputBytes.data(),
                       outputBytes.size(), frames.data())
            : api.prefill(model.getSession(), count, inputPointers.data(),
                          inputBytes.data(), inputBytes.size(),
                          outputPointers.data(), outputBytes.data(),
                          outputBytes.size(), frames.data());
    if (status != ITERA_OK)
      return check(status);
    keepOutputs();
  }
  return Error::success();
}

Error StreamRun::finish() {
  pointAtOutputs();
  itera_status status = model.getApi().finish(
      model.getSession(), outputPointers.data(), outputBytes.data(),
      outputBytes.size(), frames.data());
  if (status != ITERA_OK)
    return check(status);
  keepOutputs();
  return Error::success();
}

std::vector<std::vector<char>> StreamRun::takeOutputs() {
  std::vector<std::vector<char>> buffers;
  for (auto [info, output] : zip(model.getOutputs(), outputs)) {
    if (isStreamed(*info) && output.frame)
      output.data =
          regroup(output.data, output.outer, output.frame / output.outer,
                  output.data.size() / output.frame, output.calls,
                  /*back=*/true);
    buffers.push_back(std::move(output.data));
  }
  return buffers;
}
