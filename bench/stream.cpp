// SPDX-License-Identifier: Apache-2.0
// Times a compiled model's stream: a step at several positions, and a frame of
// a prefill in chunks. Prints one JSON line per model.
//
// Usage: stream-bench [--chunk=N] MODEL.so...
//
// The measurements take turns, several rounds, so that a change of the
// machine's speed hits all of them; the ratio is the median over the rounds.

#include "itera/Run/LoadedModel.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <chrono>
#include <map>

using namespace llvm;
using namespace itera;

static constexpr unsigned kRounds = 21, kSteps = 32, kChunks = 1;
static constexpr uint64_t kPositions[] = {10, 100, 1000, 10000};

static double median(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

namespace {

/// A session that is fed the same random frames over and over.
class Stream {
public:
  Stream(const LoadedModel &model, uint64_t chunk);
  /// Begins anew and feeds `count` frames in chunks.
  itera_status start(uint64_t count);
  Error check(itera_status status) const;
  /// Microseconds per frame.
  Expected<double> timeSteps();
  Expected<double> timeChunks();

private:
  itera_status feed(uint64_t frames);
  itera_status skip(uint64_t count);

  const LoadedModel &model;
  const itera_model_api &api;
  uint64_t chunk;
  std::vector<std::vector<char>> inputs, outputs;
  std::vector<uint64_t> frameBytes;
  std::vector<const void *> inputPointers;
  std::vector<size_t> inputBytes;
  std::vector<void *> outputPointers;
  std::vector<size_t> outputBytes;
  std::vector<uint64_t> counts;
};

} // namespace

Stream::Stream(const LoadedModel &model, uint64_t chunk)
    : model(model), api(model.getApi()), chunk(chunk) {
  for (const itera_tensor_info *info : model.getInputs()) {
    bool streamed = info->role == ITERA_ROLE_STREAM;
    frameBytes.push_back(streamed ? getFrameBytes(*info) : 0);
    ResizedInfo resized(*info, chunk);
    // Initial states are zeros.
    inputs.push_back(info->role == ITERA_ROLE_INITIAL_STATE
                         ? std::vector<char>()
                         : makeRandomBuffer(resized.get(), inputs.size()));
  }
  for (auto [i, info] : enumerate(model.getOutputs())) {
    uint64_t frames = api.frames_total(2 * chunk, i);
    outputs.emplace_back(info->role == ITERA_ROLE_STREAM
                             ? frames * getFrameBytes(*info)
                             : info->bytes);
    outputPointers.push_back(outputs.back().data());
    outputBytes.push_back(outputs.back().size());
  }
  for (const std::vector<char> &input : inputs)
    inputPointers.push_back(input.empty() ? nullptr : input.data());
  inputBytes.resize(inputs.size());
  counts.resize(outputs.size());
}

Error Stream::check(itera_status status) const {
  if (status == ITERA_OK)
    return Error::success();
  return createStringError(inconvertibleErrorCode(),
                           api.last_error(model.getSession()));
}

itera_status Stream::feed(uint64_t frames) {
  for (size_t i = 0; i < inputs.size(); ++i)
    inputBytes[i] = frames * frameBytes[i];
  return frames == 1
             ? api.step(model.getSession(), inputPointers.data(),
                        inputBytes.data(), inputBytes.size(),
                        outputPointers.data(), outputBytes.data(),
                        outputBytes.size(), counts.data())
             : api.prefill(model.getSession(), frames, inputPointers.data(),
                           inputBytes.data(), inputBytes.size(),
                           outputPointers.data(), outputBytes.data(),
                           outputBytes.size(), counts.data());
}

itera_status Stream::skip(uint64_t count) {
  itera_status status = ITERA_OK;
  for (; count && status == ITERA_OK; count -= std::min(count, chunk))
    status = feed(std::min(count, chunk));
  return status;
}

itera_status Stream::start(uint64_t count) {
  for (size_t i = 0; i < inputs.size(); ++i)
    inputBytes[i] = inputs[i].size();
  itera_status status = api.begin(model.getSession(), inputPointers.data(),
                                  inputBytes.data(), inputBytes.size());
  return status == ITERA_OK ? skip(count) : status;
}

static double now() {
  using namespace std::chrono;
  return duration<double, std::micro>(steady_clock::now().time_since_epoch())
      .count();
}

Expected<double> Stream::timeSteps() {
  double start = now();
  for (unsigned i = 0; i < kSteps; ++i)
    if (Error error = check(feed(1)))
      return std::move(error);
  return (now() - start) / kSteps;
}

Expected<double> Stream::timeChunks() {
  double start = now();
  if (Error error = check(skip(kChunks * chunk)))
    return std::move(error);
  return (now() - start) / (kChunks * chunk);
}

/// Whether the stream has so many frames: a table of positions ends.
static Expected<bool> reaches(Stream &stream, uint64_t frames) {
  itera_status status = stream.start(frames);
  if (status == ITERA_ERROR_END_OF_POSITIONS)
    return false;
  if (Error error = stream.check(status))
    return std::move(error);
  return true;
}

static Expected<json::Object> measureModel(const LoadedModel &model,
                                           uint64_t chunk) {
  if (!model.canStream())
    return createStringError(inconvertibleErrorCode(),
                             Twine("the model cannot stream: ") +
                                 model.getApi().stream_problem());
  Stream stream(model, chunk);
  std::vector<uint64_t> positions;
  for (uint64_t position : kPositions) {
    Expected<bool> there = reaches(stream, position + kSteps);
    if (!there)
      return there.takeError();
    if (*there)
      positions.push_back(position);
  }
  Expected<bool> prefills = reaches(stream, kChunks * chunk);
  if (!prefills)
    return prefills.takeError();

  std::map<uint64_t, std::vector<double>> steps;
  std::vector<double> frames, ratios;
  for (unsigned round = 0; round < kRounds; ++round) {
    double first = 0;
    for (uint64_t position : positions) {
      if (Error error = stream.check(stream.start(position)))
        return std::move(error);
      Expected<double> time = stream.timeSteps();
      if (!time)
        return time.takeError();
      steps[position].push_back(*time);
      if (!first)
        first = *time;
    }
    if (!*prefills)
      continue;
    if (Error error = stream.check(stream.start(0)))
      return std::move(error);
    Expected<double> time = stream.timeChunks();
    if (!time)
      return time.takeError();
    frames.push_back(*time);
    if (first)
      ratios.push_back(first / *time);
  }
  json::Object stepTimes;
  for (auto &[position, times] : steps)
    stepTimes["t=" + std::to_string(position)] = median(times);
  json::Object line{
      {"bench", "stream"},
      {"model", json::fixUTF8(model.getName())},
      {"threads", 1},
      {"step_us", std::move(stepTimes)},
      {"state_bytes", int64_t(model.getApi().state_size(model.getSession()))}};
  if (!frames.empty()) {
    line["chunk"] = int64_t(chunk);
    line["prefill_us_per_frame"] = median(frames);
    if (!ratios.empty())
      line["step_over_prefill"] = median(ratios);
  }
  return line;
}

int main(int argc, char **argv) {
  cl::list<std::string> paths(cl::Positional, cl::desc("MODEL.so..."),
                              cl::OneOrMore);
  cl::opt<unsigned> chunk("chunk", cl::desc("Frames of a chunk"), cl::init(64));
  cl::ParseCommandLineOptions(argc, argv, "Times the streams of models\n");
  for (const std::string &path : paths) {
    Expected<LoadedModel> model = LoadedModel::load(path);
    Expected<json::Object> line =
        model ? measureModel(*model, chunk)
              : Expected<json::Object>(model.takeError());
    if (!line) {
      WithColor::error(errs(), "stream-bench")
          << path << ": " << toString(line.takeError()) << '\n';
      return 1;
    }
    outs() << json::Value(std::move(*line)) << '\n';
  }
  return 0;
}
