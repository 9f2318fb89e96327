// SPDX-License-Identifier: Apache-2.0
// itera-run: runs, checks and times a compiled model.

#include "EvaluateText.h"
#include "GenerateText.h"
#include "Options.h"
#include "itera/Run/Bench.h"
#include "itera/Run/Compare.h"
#include "itera/Run/CompareStream.h"
#include "itera/Run/LoadedModel.h"
#include "itera/Run/StreamRun.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/WithColor.h"
#include <algorithm>
#include <optional>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

static Error checkOptions(const Options &options) {
  bool streamedEval = options.eval.getNumOccurrences() &&
                      !options.mode.getNumOccurrences();
  if (options.chunk.getNumOccurrences() && options.mode != Mode::Prefill &&
      !options.compareStream && !streamedEval)
    return failure("--chunk needs --mode=prefill, --compare-stream or --eval "
                   "without --mode");
  if (options.compareStream &&
      (options.bench || options.mode.getNumOccurrences() ||
       !options.output.empty() || !options.compare.empty()))
    return failure("--compare-stream goes without --bench, --mode, --output "
                   "and --compare");
  if (options.chunk.getNumOccurrences() && !options.chunk)
    return failure("expected --chunk of at least 1, but got 0");
  if (!(options.atol >= 0) || !(options.rtol >= 0))
    return failure("expected tolerances of at least 0");
  if (!options.repeat)
    return failure("expected --repeat of at least 1, but got 0");
  bool text = options.generate.getNumOccurrences() ||
              options.eval.getNumOccurrences();
  if (options.json && !options.bench && !text)
    return failure("--json needs --bench, --generate or --eval");
  if (!text)
    for (const cl::Option *option :
         {static_cast<const cl::Option *>(&options.tokenizer),
          static_cast<const cl::Option *>(&options.ahead)})
      if (option->getNumOccurrences())
        return failure("--" + option->ArgStr + " needs --generate or --eval");
  if (!options.ahead)
    return failure("expected --ahead of at least 1, but got 0");
  if (Error error = checkEvaluateOptions(options))
    return error;
  return checkGenerateOptions(options);
}

namespace {

struct Inputs {
  std::vector<std::vector<char>> buffers;
  /// Frames of the streamed ones; the model's own number if it has none.
  uint64_t length = 0;
};

} // namespace

/// Makes the inputs out of a file's arrays. A model that streams takes arrays
/// of any length, as long as they have one length.
static Error readInputs(const LoadedModel &model, const Options &options,
                        const NpzReader &file, Inputs &inputs) {
  const itera_tensor_info *first = nullptr;
  for (const itera_tensor_info *info : model.getInputs()) {
    std::string key = getCaseName(info->name, options.caseIndex);
    if (!file.contains(key)) {
      inputs.buffers.emplace_back();
      if (info->role == ITERA_ROLE_INITIAL_STATE && options.compareStream)
        inputs.buffers.back().resize(info->bytes);
      if (info->role == ITERA_ROLE_INITIAL_STATE &&
          (options.mode != Mode::Forward || options.compareStream))
        continue; // zeros
      return failure("input '" + Twine(info->name) + "': '" + options.input +
                     "' has no array '" + key + "'");
    }
    Expected<NpyArray> array = file.read(key);
    if (!array)
      return array.takeError();
    uint64_t frames = 0;
    if (model.canStream() && info->role == ITERA_ROLE_STREAM) {
      Expected<uint64_t> count = getFrameCount(*info, *array);
      if (!count)
        return count.takeError();
      frames = *count;
      if (first && frames != inputs.length)
        return failure("input '" + Twine(info->name) + "': expected " +
                       Twine(inputs.length) + " frames as in input '" +
                       first->name + "', but got " + Twine(frames));
      first = info;
      inputs.length = frames;
    }
    ResizedInfo resized(*info, frames);
    Expected<std::vector<char>> buffer =
        toBuffer(resized.get(), std::move(*array));
    if (!buffer)
      return buffer.takeError();
    inputs.buffers.push_back(std::move(*buffer));
  }
  return Error::success();
}

static Expected<Inputs> gatherInputs(const LoadedModel &model,
                                     const Options &options) {
  Inputs inputs;
  for (const itera_tensor_info *info : model.getInputs())
    if (model.canStream() && info->role == ITERA_ROLE_STREAM)
      inputs.length = info->dims[info->time_dim];
  if (!options.input.empty()) {
    Expected<NpzReader> file = NpzReader::open(options.input);
    if (!file)
      return file.takeError();
    if (Error error = readInputs(model, options, *file, inputs))
      return std::move(error);
    return inputs;
  }
  for (const itera_tensor_info *info : model.getInputs()) {
    if (!options.bench && !options.compareStream)
      return failure("input '" + Twine(info->name) +
                     "' has no data: give it by --input");
    inputs.buffers.push_back(makeRandomBuffer(*info, inputs.buffers.size()));
  }
  return inputs;
}

/// `frames` is how many frames a run has; in mode forward it does not matter.
static void printBench(const LoadedModel &model, const Options &options,
                       BenchResult result, uint64_t frames) {
  if (options.threads != 1)
    errs() << "warning: the model runs on one thread\n";
  std::string unit;
  if (options.mode != Mode::Forward) {
    unit = options.mode == Mode::Stream ? "_per_step" : "_per_frame";
    result.median /= frames;
    result.minimum /= frames;
  }
  if (!options.json) {
    outs() << "median_us" << unit << format(" %.3f\n", result.median)
           << "min_us" << unit << format(" %.3f\n", result.minimum);
    return;
  }
  json::Object object{{"model", json::fixUTF8(model.getName())},
                      {"mode", getModeName(options.mode)},
                      {"threads", 1},
                      {"repeat", int64_t(options.repeat)},
                      {"median_us" + unit, result.median},
                      {"min_us" + unit, result.minimum},
                      {"scratch_bytes", int64_t(model.getScratchBytes())}};
  if (options.mode != Mode::Forward)
    object["frames"] = int64_t(frames);
  if (options.chunk.getNumOccurrences())
    object["chunk"] = int64_t(options.chunk);
  outs() << json::Value(std::move(object)) << '\n';
}

static Expected<std::vector<std::vector<char>>>
runForward(const LoadedModel &model, const Options &options,
           const Inputs &inputs, ArrayRef<ResizedInfo> infos) {
  std::vector<std::vector<char>> outputs;
  for (const ResizedInfo &info : infos)
    outputs.emplace_back(info.get().bytes);
  ModelCall call(inputs.buffers, outputs);
  auto forward = [&] { return model.forward(call); };
  if (Error error = forward())
    return std::move(error);
  if (options.bench) {
    Expected<BenchResult> result =
        measure(options.repeat, forward, [] { return Error::success(); });
    if (!result)
      return result.takeError();
    printBench(model, options, *result, inputs.length);
  }
  return outputs;
}

static Expected<std::vector<std::vector<char>>>
runStream(const LoadedModel &model, const Options &options,
          const Inputs &inputs) {
  uint64_t chunk = options.mode == Mode::Stream        ? 1
                   : options.chunk.getNumOccurrences() ? options.chunk
                                                       : inputs.length;
  StreamRun stream(model, inputs.buffers, inputs.length,
                   std::max(chunk, uint64_t(1)));
  if (Error error = stream.begin())
    return std::move(error);
  if (options.bench) {
    if (!inputs.length)
      return failure("--bench needs at least one frame");
    Expected<BenchResult> result = measure(
        options.repeat, [&] { return stream.feed(); },
        [&] { return stream.reset(); });
    if (!result)
      return result.takeError();
    printBench(model, options, *result, inputs.length);
    if (Error error = stream.reset())
      return std::move(error);
  }
  if (Error error = stream.feed())
    return std::move(error);
  if (Error error = stream.finish())
    return std::move(error);
  return stream.takeOutputs();
}

/// Writes and compares the outputs, as far as that is wanted. True unless they
/// differ from the reference.
static Expected<bool> judge(const Options &options, ArrayRef<ResizedInfo> infos,
                            std::vector<std::vector<char>> outputs) {
  std::vector<NpyArray> arrays;
  std::vector<std::pair<std::string, const NpyArray *>> named;
  arrays.reserve(infos.size()); // `named` points into it
  for (auto [info, buffer] : zip(infos, outputs)) {
    Expected<NpyArray> array = toArray(info.get(), std::move(buffer));
    if (!array)
      return array.takeError();
    arrays.push_back(std::move(*array));
    named.emplace_back(info.get().name, &arrays.back());
  }
  if (!options.output.empty())
    if (Error error = writeNpz(options.output, named))
      return std::move(error);
  if (options.compare.empty())
    return true;
  Expected<NpzReader> reference = NpzReader::open(options.compare);
  if (!reference)
    return reference.takeError();
  return compareOutputs(named, *reference, options.caseIndex,
                        {options.atol, options.rtol}, outs(), errs());
}

/// True unless the outputs differ from the reference.
static Expected<bool> run(const Options &options) {
  if (Error error = checkOptions(options))
    return std::move(error);
  Expected<LoadedModel> model = LoadedModel::load(options.model);
  if (!model)
    return model.takeError();
  if (options.generate.getNumOccurrences()) {
    if (Error error = generateText(*model, options))
      return std::move(error);
    return true;
  }
  if (options.eval.getNumOccurrences()) {
    if (Error error = evaluateText(*model, options))
      return std::move(error);
    return true;
  }
  bool streams = options.mode != Mode::Forward || options.compareStream;
  if (streams && !model->canStream()) {
    StringRef why = model->getApi().stream_problem();
    return failure((options.compareStream
                        ? "--compare-stream"
                        : "mode '" + getModeName(options.mode) + "'") +
                   " is not available: the model cannot stream" +
                   (why.empty() ? "" : ": ") + why);
  }
  Expected<Inputs> inputs = gatherInputs(*model, options);
  if (!inputs)
    return inputs.takeError();
  if (options.compareStream) {
    Tolerance tolerance{options.atol.getNumOccurrences() ? double(options.atol) : 0,
                        options.rtol.getNumOccurrences() ? double(options.rtol) : 0};
    uint64_t chunk = options.chunk.getNumOccurrences() ? options.chunk : 1;
    return compareStream(*model, inputs->buffers, inputs->length, chunk,
                         tolerance, outs());
  }
  std::vector<ResizedInfo> infos;
  for (auto [index, info] : enumerate(model->getOutputs()))
    infos.emplace_back(*info, model->canStream() ? model->getApi().frames_total(
                                                       inputs->length, index)
                                                 : 0);
  Expected<std::vector<std::vector<char>>> outputs =
      options.mode == Mode::Forward
          ? runForward(*model, options, *inputs, infos)
          : runStream(*model, options, *inputs);
  if (!outputs)
    return outputs.takeError();
  return judge(options, infos, std::move(*outputs));
}

/// Forgets the options that LLVM's libraries bring along: this program uses
/// none of what they tune, and one of them is called --threads as well.
static void dropLibraryOptions() {
  auto &registered = cl::getRegisteredOptions();
  SmallVector<StringRef> names;
  for (auto &[name, option] : registered)
    if (!name.starts_with("help") && name != "version")
      names.push_back(name);
  for (StringRef name : names)
    registered.erase(name);
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  dropLibraryOptions();
  Options options;
  cl::SetVersionPrinter(
      [](raw_ostream &os) { os << "itera-run " ITERA_VERSION "\n"; });
  cl::ParseCommandLineOptions(argc, argv, "Runs a compiled model\n");
  Expected<bool> agree = run(options);
  if (!agree) {
    // One line, whatever the names from the model hold.
    std::string message = toString(agree.takeError());
    std::replace(message.begin(), message.end(), '\n', ' ');
    WithColor::error(errs(), "itera-run") << message << '\n';
    return 1;
  }
  return *agree ? 0 : 3;
}
