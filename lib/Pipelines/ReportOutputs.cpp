// SPDX-License-Identifier: Apache-2.0

#include "ReportRuns.h"
#include "SampleStream.h"

#include "itera/Report/Comparison.h"
#include "itera/Run/Tensors.h"
#include <cstring>

using namespace llvm;
using namespace itera;

static Expected<std::vector<float>> toFloats(const itera_tensor_info &info,
                                             const std::vector<char> &buffer) {
  std::vector<float> values;
  if (buffer.empty()) // a call of a stream, or its end, may deliver nothing
    return values;
  if (info.dtype == ITERA_FLOAT32) {
    values.resize(buffer.size() / sizeof(float));
    std::memcpy(values.data(), buffer.data(), buffer.size());
    return values;
  }
  size_t frame = info.role == ITERA_ROLE_STREAM ? getFrameBytes(info) : 0;
  ResizedInfo resized(info, frame ? buffer.size() / frame : 0);
  Expected<NpyArray> array = toArray(frame ? resized.get() : info, buffer);
  if (!array)
    return array.takeError();
  size_t count = array->data.size() / getNpyTypeSize(array->type);
  for (size_t i = 0; i < count; ++i)
    values.push_back(float(getElement(*array, i)));
  return values;
}

/// The outputs with `prefix`, added to those of other calls.
static Error keepOutputs(const LoadedModel &model,
                         ArrayRef<std::vector<char>> outputs, StringRef prefix,
                         StringMap<std::vector<float>> &all) {
  for (auto [info, output] : zip_equal(model.getOutputs(), outputs)) {
    StringRef name(info->name);
    if (!name.consume_front(prefix))
      continue;
    Expected<std::vector<float>> values = toFloats(*info, output);
    if (!values)
      return values.takeError();
    append_range(all[name], *values);
  }
  return Error::success();
}

/// Calls `visit` with the outputs of each call.
static Error
visitOutputs(const LoadedModel &model, const Sample &sample,
             function_ref<Error(ArrayRef<std::vector<char>>)> visit) {
  if (!model.canStream()) {
    Expected<std::vector<std::vector<char>>> outputs = runSample(model, sample);
    return outputs ? visit(*outputs) : outputs.takeError();
  }
  SampleStream stream(model, sample);
  if (Error error = stream.begin())
    return error;
  while (stream.getFed() < sample.frames) {
    Expected<uint64_t> count = stream.feed(sample.frames - stream.getFed());
    if (!count)
      return count.takeError();
    if (*count == 0)
      break;
    if (Error error = visit(stream.getOutputs()))
      return error;
  }
  if (Error error = stream.finish())
    return error;
  return visit(stream.getOutputs());
}

Expected<StringMap<std::vector<float>>>
itera::collectOutputs(const LoadedModel &model, ArrayRef<Sample> samples,
                      StringRef prefix) {
  StringMap<std::vector<float>> all;
  auto keep = [&](ArrayRef<std::vector<char>> outputs) {
    return keepOutputs(model, outputs, prefix, all);
  };
  for (const Sample &sample : samples)
    if (Error error = visitOutputs(model, sample, keep))
      return std::move(error);
  return all;
}

/// Adds what one call, or a run, of both has put out.
static Error addOutputs(const LoadedModel &model,
                        ArrayRef<std::vector<char>> references,
                        ArrayRef<std::vector<char>> values,
                        MutableArrayRef<Comparison> sums) {
  for (auto [info, sum, reference, value] :
       zip_equal(model.getOutputs(), sums, references, values)) {
    Expected<std::vector<float>> from = toFloats(*info, reference);
    if (!from)
      return from.takeError();
    Expected<std::vector<float>> to = toFloats(*info, value);
    if (!to)
      return to.takeError();
    sum.add(*from, *to);
  }
  return Error::success();
}

/// Compares the states too if `states` is given, at the ends of equal parts.
/// Returns how many frames the models have positions for.
static Expected<uint64_t> compareStreams(const LoadedModel &before,
                                         const LoadedModel &after,
                                         const Sample &sample,
                                         MutableArrayRef<Comparison> sums,
                                         StatesReport *states) {
  constexpr uint64_t kPoints = 64;
  StreamPair streams(before, after, sample);
  auto add = [&] {
    return addOutputs(before, streams.before.getOutputs(),
                      streams.after.getOutputs(), sums);
  };
  if (Error error = streams.begin())
    return std::move(error);
  uint64_t points = std::min(sample.frames, kPoints), last = 0;
  for (uint64_t point = 1; point <= points; ++point) {
    if (Error error = streams.feedUntil(sample.frames * point / points, add))
      return std::move(error);
    uint64_t fed = streams.before.getFed();
    if (fed == last)
      break; // the positions have ended
    last = fed;
    if (!states)
      continue;
    if (Error error = addStates(before, after, fed, *states))
      return std::move(error);
  }
  if (Error error = streams.finish())
    return std::move(error);
  if (Error error = add())
    return std::move(error);
  return last;
}

static Error compareForward(const LoadedModel &before, const LoadedModel &after,
                            const Sample &sample,
                            MutableArrayRef<Comparison> sums) {
  Expected<std::vector<std::vector<char>>> references =
      runSample(before, sample);
  if (!references)
    return references.takeError();
  Expected<std::vector<std::vector<char>>> values = runSample(after, sample);
  if (!values)
    return values.takeError();
  return addOutputs(before, *references, *values, sums);
}

Error itera::compareRuns(const LoadedModel &before, const LoadedModel &after,
                         const ReportData &data, QuantizationReport &report) {
  std::vector<Comparison> sums(before.getOutputs().size());
  bool stream = before.canStream() && after.canStream();
  bool hasStates = listStates(before, after, report.states);
  const Sample *longest =
      &*llvm::max_element(data.samples, [](const Sample &a, const Sample &b) {
        return a.frames < b.frames;
      });
  for (const Sample &sample : data.samples) {
    bool isLongest = &sample == longest;
    if (!stream) {
      if (Error error = compareForward(before, after, sample, sums))
        return error;
      continue;
    }
    Expected<uint64_t> fed =
        compareStreams(before, after, sample, sums,
                       hasStates && isLongest ? &report.states : nullptr);
    if (!fed)
      return fed.takeError();
    if (isLongest && *fed < sample.frames)
      report.notes.push_back("the model's positions end after " +
                             std::to_string(*fed) +
                             " frames, and there outputs and states of a "
                             "stream do");
  }
  for (auto [info, sum] : zip_equal(before.getOutputs(), sums))
    report.outputs.push_back(
        {info->name, sum.getMaxAbs(), sum.getCosine(), sum.getDecibels()});
  return Error::success();
}
