// SPDX-License-Identifier: Apache-2.0
// itera-run: runs, checks and times a compiled model.

#include "itera/Run/Bench.h"
#include "itera/Run/Compare.h"
#include "itera/Run/LoadedModel.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/WithColor.h"
#include <algorithm>
#include <optional>

using namespace llvm;
using namespace itera;

namespace {

enum class Mode { Forward, Prefill, Stream };

struct Options {
  cl::OptionCategory category{"itera-run options"};
  cl::opt<std::string> model{cl::Positional, cl::Required, cl::desc("MODEL.so"),
                             cl::cat(category)};
  cl::opt<std::string> input{"input", cl::value_desc("X.npz"),
                             cl::desc("Arrays named as the model's inputs"),
                             cl::cat(category)};
  cl::opt<Mode> mode{
      "mode", cl::desc("How to run the model"), cl::init(Mode::Forward),
      cl::values(clEnumValN(Mode::Forward, "forward", "Whole inputs (default)"),
                 clEnumValN(Mode::Prefill, "prefill", "Chunks of time steps"),
                 clEnumValN(Mode::Stream, "stream", "Step by step")),
      cl::cat(category)};
  cl::opt<unsigned> chunk{"chunk", cl::value_desc("N"),
                          cl::desc("Time steps per chunk in mode prefill"),
                          cl::cat(category)};
  cl::opt<unsigned> caseIndex{
      "case", cl::value_desc("K"), cl::init(0),
      cl::desc("Use the arrays NAME@caseK (0: plain NAME)"), cl::cat(category)};
  cl::opt<std::string> output{"output", cl::value_desc("Y.npz"),
                              cl::desc("Write the outputs"), cl::cat(category)};
  cl::opt<std::string> compare{
      "compare", cl::value_desc("REF.npz"),
      cl::desc("Compare the outputs; exit with 3 on a mismatch"),
      cl::cat(category)};
  cl::opt<double> atol{"atol", cl::init(1e-4), cl::cat(category),
                       cl::desc("Absolute tolerance (default 1e-4)")};
  cl::opt<double> rtol{"rtol", cl::init(1e-4), cl::cat(category),
                       cl::desc("Relative tolerance (default 1e-4)")};
  cl::opt<bool> bench{"bench", cl::cat(category),
                      cl::desc("Measure the time of a run")};
  cl::opt<unsigned> repeat{"repeat", cl::value_desc("N"), cl::init(100),
                           cl::desc("Runs to measure (default 100)"),
                           cl::cat(category)};
  cl::opt<unsigned> threads{"threads", cl::value_desc("N"), cl::init(1),
                            cl::desc("Threads that the model may use"),
                            cl::cat(category)};
  cl::opt<bool> json{"json", cl::cat(category),
                     cl::desc("Print the measurement as one line of JSON")};
};

} // namespace

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

static Error checkOptions(const Options &options) {
  if (options.mode != Mode::Forward)
    return failure("mode '" +
                   Twine(options.mode == Mode::Prefill ? "prefill" : "stream") +
                   "' is not available: the model has no step function");
  if (options.chunk.getNumOccurrences())
    return failure("--chunk needs --mode=prefill");
  if (!(options.atol >= 0) || !(options.rtol >= 0))
    return failure("expected tolerances of at least 0");
  if (!options.repeat)
    return failure("expected --repeat of at least 1, but got 0");
  if (options.json && !options.bench)
    return failure("--json needs --bench");
  return Error::success();
}

static Expected<std::vector<std::vector<char>>>
gatherInputs(const LoadedModel &model, const Options &options) {
  std::vector<std::vector<char>> inputs;
  std::optional<NpzReader> file;
  if (!options.input.empty()) {
    Expected<NpzReader> opened = NpzReader::open(options.input);
    if (!opened)
      return opened.takeError();
    file.emplace(std::move(*opened));
  }
  for (const itera_tensor_info *info : model.getInputs()) {
    if (!file && options.bench) {
      inputs.push_back(makeRandomBuffer(*info, inputs.size()));
      continue;
    }
    if (!file)
      return failure("input '" + Twine(info->name) +
                     "' has no data: give it by --input");
    std::string key = getCaseName(info->name, options.caseIndex);
    if (!file->contains(key))
      return failure("input '" + Twine(info->name) + "': '" + options.input +
                     "' has no array '" + key + "'");
    Expected<NpyArray> array = file->read(key);
    if (!array)
      return array.takeError();
    Expected<std::vector<char>> buffer = toBuffer(*info, std::move(*array));
    if (!buffer)
      return buffer.takeError();
    inputs.push_back(std::move(*buffer));
  }
  return inputs;
}

static void printBench(const LoadedModel &model, const Options &options,
                       BenchResult result) {
  if (!options.json) {
    outs() << format("median_us %.3f\nmin_us %.3f\n", result.median,
                     result.minimum);
    return;
  }
  outs() << json::Value(json::Object{
                {"model", json::fixUTF8(model.getName())},
                {"mode", "forward"},
                {"threads", 1},
                {"repeat", int64_t(options.repeat)},
                {"median_us", result.median},
                {"min_us", result.minimum},
                {"scratch_bytes", int64_t(model.getScratchBytes())}})
         << '\n';
}

/// True unless the outputs differ from the reference.
static Expected<bool> run(const Options &options) {
  if (Error error = checkOptions(options))
    return std::move(error);
  Expected<LoadedModel> model = LoadedModel::load(options.model);
  if (!model)
    return model.takeError();
  Expected<std::vector<std::vector<char>>> inputs =
      gatherInputs(*model, options);
  if (!inputs)
    return inputs.takeError();
  std::vector<const itera_tensor_info *> infos = model->getOutputs();
  std::vector<std::vector<char>> outputs;
  for (const itera_tensor_info *info : infos)
    outputs.emplace_back(info->bytes);

  ModelCall call(*inputs, outputs);
  auto forward = [&] { return model->forward(call); };
  if (Error error = forward())
    return std::move(error);
  if (options.bench) {
    if (options.threads != 1)
      errs() << "warning: the model runs on one thread\n";
    Expected<BenchResult> result = measure(options.repeat, forward);
    if (!result)
      return result.takeError();
    printBench(*model, options, *result);
  }

  std::vector<NpyArray> arrays;
  std::vector<std::pair<std::string, const NpyArray *>> named;
  arrays.reserve(infos.size()); // `named` points into it
  for (auto [info, buffer] : zip(infos, outputs)) {
    Expected<NpyArray> array = toArray(*info, std::move(buffer));
    if (!array)
      return array.takeError();
    arrays.push_back(std::move(*array));
    named.emplace_back(info->name, &arrays.back());
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
