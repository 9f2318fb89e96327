// SPDX-License-Identifier: Apache-2.0

#include "ReportRuns.h"

#include "itera/Run/LanguageModel.h"
#include "itera/Run/Tensors.h"
#include <cstring>

using namespace llvm;
using namespace itera;

/// The product of the dimensions before time.
static uint64_t getOuter(const itera_tensor_info &info) {
  uint64_t outer = 1;
  for (int32_t i = 0; i < info.time_dim; ++i)
    outer *= info.dims[i];
  return outer;
}

static bool isStreamed(const itera_tensor_info &info) {
  return info.role == ITERA_ROLE_STREAM;
}

/// Of a stream `frames` frames, or with 0 as many as the file was made for.
static Sample makeRandomSample(const LoadedModel &model, uint64_t frames) {
  Sample sample;
  for (auto [index, info] : enumerate(model.getInputs())) {
    bool isState = info->role == ITERA_ROLE_INITIAL_STATE;
    if (model.canStream() && isStreamed(*info)) {
      sample.frames = frames ? frames : uint64_t(info->dims[info->time_dim]);
      sample.inputs.push_back(makeRandomBuffer(
          ResizedInfo(*info, sample.frames).get(), index));
    } else {
      sample.inputs.push_back(isState ? std::vector<char>()
                                      : makeRandomBuffer(*info, index));
    }
  }
  return sample;
}

Expected<ReportData> itera::readReportData(const LoadedModel &model,
                                           const SampleOptions &options) {
  ReportData data;
  if (options.path.empty()) {
    data.kind = "random";
    // A table of positions may end before that.
    constexpr uint64_t kFrames = 1024;
    Sample sample = makeRandomSample(model, std::min(kFrames, options.frames));
    Expected<std::vector<std::vector<char>>> outputs = runSample(model, sample);
    if (!outputs) {
      consumeError(outputs.takeError());
      sample = makeRandomSample(model, 0);
    }
    data.samples = limitSamples(model, sample, options.frames);
    return data;
  }
  Expected<std::vector<Sample>> samples = readSamples(model, options);
  if (!samples)
    return samples.takeError();
  if (StringRef(options.path).ends_with(".npz")) {
    data.kind = "arrays";
    data.samples = limitSamples(model, *samples, options.frames);
    return data;
  }
  data.kind = "text";
  data.samples = std::move(*samples);
  if (!model.canStream())
    return data;
  Sample &whole = data.samples.front();
  for (const Sample &piece : drop_begin(data.samples)) {
    whole.frames += piece.frames;
    for (auto [to, from] : zip_equal(whole.inputs, piece.inputs))
      to.insert(to.end(), from.begin(), from.end());
  }
  data.samples.resize(1);
  return data;
}

Sample itera::sliceSample(const LoadedModel &model, const Sample &sample,
                          uint64_t start, uint64_t count) {
  Sample slice;
  slice.frames = count;
  for (auto [info, from] : zip_equal(model.getInputs(), sample.inputs)) {
    if (!isStreamed(*info) || from.empty()) {
      slice.inputs.push_back(from);
      continue;
    }
    uint64_t outer = getOuter(*info), row = from.size() / sample.frames / outer;
    std::vector<char> &to = slice.inputs.emplace_back(count * outer * row);
    for (uint64_t i = 0; i < outer; ++i)
      std::memcpy(&to[i * count * row],
                  &from[(i * sample.frames + start) * row], count * row);
  }
  return slice;
}

uint64_t itera::fitFrames(const LoadedModel &model, uint64_t frames) {
  constexpr uint64_t kBytes = uint64_t(1) << 28;
  double bytes = 1; // of a frame, or of a run
  for (const itera_tensor_info *info : model.getOutputs())
    bytes += isStreamed(*info)
                 ? double(getFrameBytes(*info)) * info->frames / info->period
                 : double(info->bytes);
  return std::min(frames, std::max<uint64_t>(kBytes / bytes, 1));
}

std::vector<Sample> itera::limitSamples(const LoadedModel &model,
                                        ArrayRef<Sample> samples,
                                        uint64_t frames) {
  std::vector<Sample> limited;
  for (const Sample &sample : samples) {
    if (!frames)
      break;
    uint64_t count = model.canStream() ? std::min(frames, sample.frames) : 1;
    limited.push_back(model.canStream() ? sliceSample(model, sample, 0, count)
                                        : sample);
    frames -= count;
  }
  return limited;
}

uint64_t itera::countFrames(ArrayRef<Sample> samples) {
  uint64_t frames = 0;
  for (const Sample &sample : samples)
    frames += std::max<uint64_t>(sample.frames, 1);
  return frames;
}
