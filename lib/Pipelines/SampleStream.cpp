// SPDX-License-Identifier: Apache-2.0

#include "SampleStream.h"

#include "ReportRuns.h"
#include "itera/Run/Tensors.h"

using namespace llvm;
using namespace itera;

SampleStream::SampleStream(const LoadedModel &model, const Sample &sample)
    : model(model), sample(sample), outputs(model.getOutputs().size()) {
  constexpr uint64_t kMost = 512;
  callFrames = fitFrames(model, kMost);
}

Error SampleStream::failure() const {
  return createStringError(model.getApi().last_error(model.getSession()));
}

Error SampleStream::begin() {
  std::vector<const void *> pointers;
  std::vector<size_t> bytes;
  for (const std::vector<char> &buffer : sample.inputs) {
    pointers.push_back(buffer.empty() ? nullptr : buffer.data());
    bytes.push_back(buffer.size());
  }
  fed = 0;
  if (model.getApi().begin(model.getSession(), pointers.data(), bytes.data(),
                           bytes.size()) != ITERA_OK)
    return failure();
  return Error::success();
}

/// False, and nothing changed, if the positions end before.
Expected<bool> SampleStream::feedAtOnce(uint64_t count) {
  const itera_model_api &api = model.getApi();
  Sample slice = sliceSample(model, sample, fed, count);
  std::vector<const void *> inputs;
  std::vector<size_t> inputBytes, outputBytes;
  for (const std::vector<char> &buffer : slice.inputs) {
    inputs.push_back(buffer.data());
    inputBytes.push_back(buffer.size());
  }
  std::vector<void *> pointers;
  for (auto [i, info] : enumerate(model.getOutputs())) {
    outputs[i].resize(api.frames_after(model.getSession(), count, i) *
                      getFrameBytes(*info));
    pointers.push_back(outputs[i].data());
    outputBytes.push_back(outputs[i].size());
  }
  std::vector<uint64_t> frames(outputs.size());
  itera_status status =
      api.prefill(model.getSession(), count, inputs.data(), inputBytes.data(),
                  inputBytes.size(), pointers.data(), outputBytes.data(),
                  outputBytes.size(), frames.data());
  if (status == ITERA_ERROR_END_OF_POSITIONS)
    return false;
  if (status != ITERA_OK)
    return failure();
  fed += count;
  return true;
}

Expected<uint64_t> SampleStream::feed(uint64_t most) {
  // Where the positions end is not known: halves find the place.
  for (uint64_t count = std::min(most, callFrames); count; count /= 2) {
    Expected<bool> done = feedAtOnce(count);
    if (!done)
      return done.takeError();
    if (*done)
      return count;
  }
  return 0;
}

Error SampleStream::finish() {
  const itera_model_api &api = model.getApi();
  std::vector<void *> pointers;
  std::vector<size_t> bytes;
  for (auto [i, info] : enumerate(model.getOutputs())) {
    outputs[i].resize(info->role == ITERA_ROLE_STREAM
                          ? api.frames_left(model.getSession(), i) *
                                getFrameBytes(*info)
                          : info->bytes);
    pointers.push_back(outputs[i].data());
    bytes.push_back(outputs[i].size());
  }
  std::vector<uint64_t> frames(outputs.size());
  if (api.finish(model.getSession(), pointers.data(), bytes.data(),
                 bytes.size(), frames.data()) != ITERA_OK)
    return failure();
  return Error::success();
}

Error StreamPair::begin() {
  if (Error error = before.begin())
    return error;
  return after.begin();
}

Error StreamPair::feedUntil(uint64_t end, function_ref<Error()> visit) {
  while (before.getFed() < end) {
    Expected<uint64_t> count = before.feed(end - before.getFed());
    if (!count)
      return count.takeError();
    if (*count == 0)
      return Error::success();
    Expected<uint64_t> same = after.feed(*count);
    if (!same)
      return same.takeError();
    if (*same != *count)
      return createStringError("one model's positions end before the other's");
    if (Error error = visit())
      return error;
  }
  return Error::success();
}

Error StreamPair::finish() {
  if (Error error = before.finish())
    return error;
  return after.finish();
}
