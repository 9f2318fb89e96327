// SPDX-License-Identifier: Apache-2.0

#include "ReportRuns.h"

#include "itera/Report/Comparison.h"
#include "itera/Run/Bench.h"
#include "itera/Run/StreamRun.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/TargetParser/Host.h"
#include <cstring>

using namespace llvm;
using namespace itera;

/// The values of a state of reals; nothing for others.
static Expected<std::vector<float>> readState(const LoadedModel &model,
                                              uint32_t index) {
  const itera_tensor_info &info = *model.getApi().state_info(index);
  std::vector<char> bytes(info.bytes);
  if (model.getApi().state_read(model.getSession(), index, bytes.data(),
                                bytes.size()) != ITERA_OK)
    return createStringError(model.getApi().last_error(model.getSession()));
  std::vector<float> values;
  if (info.dtype == ITERA_FLOAT32) {
    values.resize(bytes.size() / 4);
    std::memcpy(values.data(), bytes.data(), bytes.size());
  } else if (info.dtype == ITERA_FLOAT64) {
    for (size_t i = 0; i < bytes.size(); i += 8) {
      double value;
      std::memcpy(&value, &bytes[i], 8);
      values.push_back(float(value));
    }
  }
  return values;
}

bool itera::listStates(const LoadedModel &before, const LoadedModel &after,
                       StatesReport &states) {
  if (!before.canStream() || !after.canStream()) {
    states.problem = "the model does not stream";
    if (StringRef why = before.getApi().stream_problem(); !why.empty())
      states.problem += ": " + why.str();
    return false;
  }
  const itera_model_api &api = before.getApi();
  if (api.state_count() == 0 ||
      api.state_count() != after.getApi().state_count()) {
    states.problem = "the stream has no states to compare";
    return false;
  }
  for (uint32_t i = 0; i < api.state_count(); ++i)
    states.states.push_back(
        {api.state_info(i)->name, api.state_info(i)->node, {}});
  return true;
}

Error itera::addStates(const LoadedModel &before, const LoadedModel &after,
                       uint64_t frames, StatesReport &states) {
  states.frames.push_back(frames);
  for (auto [index, state] : enumerate(states.states)) {
    Expected<std::vector<float>> reference = readState(before, index);
    if (!reference)
      return reference.takeError();
    Expected<std::vector<float>> value = readState(after, index);
    if (!value)
      return value.takeError();
    Comparison comparison;
    comparison.add(*reference, *value);
    state.errors.push_back(reference->empty() ? kNotMeasured
                                              : comparison.getRelativeError());
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Speed
//===----------------------------------------------------------------------===//

namespace {

/// The time of one run of a model, in microseconds.
using Run = llvm::function_ref<Expected<double>(const LoadedModel &)>;

} // namespace

static double medianOf(std::vector<double> values) {
  llvm::sort(values);
  return values[values.size() / 2];
}

/// By turns, so that both see the same machine.
static Error timeBoth(const LoadedModel &before, const LoadedModel &after,
                      Run run, SpeedReport &entry) {
  constexpr double kMicroseconds = 1e6;
  std::vector<double> first, second;
  double spent = 0;
  while (first.size() < 3 || (spent < kMicroseconds && first.size() < 31)) {
    for (auto [model, times] : {std::pair(&before, &first), {&after, &second}}) {
      Expected<double> time = run(*model);
      if (!time)
        return time.takeError();
      times->push_back(*time);
      spent += *time;
    }
  }
  entry.before = medianOf(first) / std::max<uint64_t>(entry.frames, 1);
  entry.after = medianOf(second) / std::max<uint64_t>(entry.frames, 1);
  return Error::success();
}

static Expected<double> timeStream(const LoadedModel &model,
                                   const Sample &sample, uint64_t chunk) {
  StreamRun stream(model, sample.inputs, sample.frames, chunk);
  if (Error error = stream.begin())
    return std::move(error);
  Expected<BenchResult> result = measure(
      1, [&] { return stream.feed(); }, [&] { return stream.reset(); });
  if (!result)
    return result.takeError();
  return result->median;
}

static Expected<double> timeForward(const LoadedModel &model,
                                    const Sample &sample) {
  std::vector<std::vector<char>> inputs = sample.inputs, outputs;
  for (auto [info, buffer] : zip_equal(model.getInputs(), inputs))
    buffer.resize(info->bytes);
  for (const itera_tensor_info *info : model.getOutputs())
    outputs.emplace_back(info->bytes);
  ModelCall call(inputs, outputs);
  Expected<BenchResult> result = measure(
      1, [&] { return model.forward(call); }, [] { return Error::success(); });
  if (!result)
    return result.takeError();
  return result->median;
}

Error itera::compareSpeed(const LoadedModel &before, const LoadedModel &after,
                          const Sample &sample, QuantizationReport &report) {
  if (!before.canStream() || !after.canStream()) {
    SpeedReport entry{"forward", 0, 0, 0};
    if (Error error = timeBoth(
            before, after,
            [&](const LoadedModel &model) { return timeForward(model, sample); },
            entry))
      return error;
    report.speed.push_back(entry);
    return Error::success();
  }
  struct Kind {
    const char *what;
    uint64_t frames;
    bool isStep;
  };
  for (Kind kind : {Kind{"step", 32, true}, Kind{"prefill", 128, false}}) {
    uint64_t frames = std::min(kind.frames, sample.frames);
    Sample part = sliceSample(before, sample, 0, frames);
    SpeedReport entry{kind.what, frames, 0, 0};
    if (Error error = timeBoth(
            before, after,
            [&](const LoadedModel &model) {
              return timeStream(model, part, kind.isStep ? 1 : frames);
            },
            entry))
      return error;
    report.speed.push_back(entry);
  }
  return Error::success();
}

std::string itera::getHostName() {
  // A file without a length.
  if (auto file = MemoryBuffer::getFileAsStream("/proc/cpuinfo")) {
    StringRef rest = (*file)->getBuffer();
    while (!rest.empty()) {
      auto [line, next] = rest.split('\n');
      auto [key, value] = line.split(':');
      if (key.trim() == "model name")
        return value.trim().str();
      rest = next;
    }
  }
  return sys::getHostCPUName().str();
}
