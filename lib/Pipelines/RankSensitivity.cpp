// SPDX-License-Identifier: Apache-2.0
// Every trial is a whole compilation for this machine: what is measured is what
// kernels compute, with their rounding of activations, and not a simulation.

#include "RankSensitivity.h"

#include "Calibrate.h"
#include "CompileModule.h"
#include "ResourceScope.h"
#include "itera/Run/LanguageModel.h"
#include "itera/Run/Likelihood.h"
#include "itera/Run/SampleData.h"
#include "itera/Run/Tensors.h"
#include "itera/Support/AtomicFile.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace mlir;
using namespace itera;

/// What is enough to tell weights apart: their losses differ by factors.
static constexpr uint64_t kMostFrames = 2048, kLeastFrames = 64;
/// Of the outputs that all trials are compared with.
static constexpr uint64_t kMostBytes = uint64_t(256) << 20;
static constexpr unsigned kRandomSamples = 8;

using Values = std::vector<float>;

namespace {

class Ranking {
public:
  Ranking(ModuleOp module, StringRef statistics, const CompileOptions &options,
          MLIRContext &context)
      : module(module), statistics(statistics), options(options),
        context(context) {}

  llvm::Error runReference();
  llvm::Expected<double> run(const SensitivityTrial &trial);
  bool isKL() const { return language.has_value(); }

private:
  llvm::Expected<LoadedModel> build(const SensitivityTrial *trial);
  llvm::Error readData(const LoadedModel &model);
  llvm::Expected<std::vector<Values>> runOne(const LoadedModel &model,
                                             const Sample &sample) const;

  ModuleOp module;
  StringRef statistics;
  const CompileOptions &options;
  MLIRContext &context;
  std::vector<Sample> samples;
  std::optional<LanguageModel> language;
  /// Of each sample the outputs that are compared.
  std::vector<std::vector<Values>> references;
};

} // namespace

/// The model with one weight in fewer bits, or with none.
llvm::Expected<LoadedModel> Ranking::build(const SensitivityTrial *trial) {
  ResourceScope scope(context);
  OwningOpRef<ModuleOp> copy(module.clone());
  PassManager manager(&context);
  if (trial) {
    AssignPrecisionPassOptions assign;
    assign.bits = 32;
    assign.group = options.group;
    assign.only.push_back((trial->pattern + "=" + trial->storage).str());
    manager.addPass(createAssignPrecisionPass(assign));
    if (options.rotate)
      manager.addPass(createRotateWeightsPass());
    QuantizeWeightsPassOptions quantize;
    quantize.statistics = statistics.str();
    manager.addPass(createQuantizeWeightsPass(quantize));
  }
  if (failed(manager.run(*copy)))
    return llvm::createStringError("weight '%s' could not be quantised",
                                   trial->weight.c_str());
  CompileOptions host = options;
  llvm::Expected<TargetSpec> target = resolveTarget("", "native");
  if (!target)
    return target.takeError();
  llvm::SmallString<128> path;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile(
          "itera-sensitivity", "so", path))
    return llvm::createStringError(code, "no temporary file");
  llvm::SmallString<128> header(path);
  llvm::sys::path::replace_extension(header, ".h");
  llvm::FileRemover removeObject(path), removeHeader(header);
  host.target = *target;
  host.output = path.str().str();
  host.emit = EmitKind::shared;
  host.stopAfter = Stage::emit;
  host.taps.clear();
  host.rollback = 0;
  host.explainStreaming = false;
  host.onlyErrors = true;
  host.flags = "sensitivity";
  if (compileModule(*copy, Stage::stream, host, context) !=
      CompileStatus::done)
    return llvm::createStringError(
        "the model could not be compiled to rank its weights");
  // Once it is loaded the file can go.
  return LoadedModel::load(path);
}

/// Cuts the streamed inputs of a sample.
static void keepFrames(const LoadedModel &model, Sample &sample,
                       uint64_t frames) {
  if (sample.frames <= frames)
    return;
  for (auto [info, buffer] : llvm::zip(model.getInputs(), sample.inputs)) {
    if (info->role != ITERA_ROLE_STREAM)
      continue;
    uint64_t outer = 1;
    for (int32_t dim = 0; dim < info->time_dim; ++dim)
      outer *= info->dims[dim];
    uint64_t row = buffer.size() / outer, kept = row / sample.frames * frames;
    std::vector<char> cut;
    for (uint64_t i = 0; i < outer; ++i)
      cut.insert(cut.end(), buffer.begin() + i * row,
                 buffer.begin() + i * row + kept);
    buffer = std::move(cut);
  }
  sample.frames = frames;
}

static Sample makeRandomSample(const LoadedModel &model, unsigned seed) {
  Sample sample;
  for (auto [index, info] : llvm::enumerate(model.getInputs())) {
    // A first state that is not given is zeros.
    bool isState = info->role == ITERA_ROLE_STATE ||
                   info->role == ITERA_ROLE_INITIAL_STATE;
    sample.inputs.push_back(
        isState ? std::vector<char>()
                : makeRandomBuffer(*info, seed * 1000 + index));
    if (info->role == ITERA_ROLE_STREAM)
      sample.frames = info->bytes / std::max<uint64_t>(getFrameBytes(*info), 1);
  }
  return sample;
}

llvm::Error Ranking::readData(const LoadedModel &model) {
  uint64_t frameBytes = 1;
  for (const itera_tensor_info *info : model.getOutputs())
    if (info->role == ITERA_ROLE_STREAM)
      frameBytes += getFrameBytes(*info);
  uint64_t frames =
      std::min({kMostFrames, options.calibrationFrames,
                std::max(kLeastFrames, kMostBytes / frameBytes)});
  if (options.calibration.empty()) {
    for (unsigned seed = 0; seed < kRandomSamples; ++seed)
      samples.push_back(makeRandomSample(model, seed));
  } else {
    llvm::Expected<std::vector<Sample>> read =
        readSamples(model, {options.calibration, options.tokenizer, frames});
    if (!read)
      return read.takeError();
    samples = std::move(*read);
  }
  for (Sample &sample : samples)
    keepFrames(model, sample, frames);
  return llvm::Error::success();
}

static bool isReal(const itera_tensor_info &info) {
  return info.dtype == ITERA_FLOAT64 || info.dtype == ITERA_FLOAT32 ||
         info.dtype == ITERA_FLOAT16 || info.dtype == ITERA_BFLOAT16;
}

/// The outputs that count: of a language model the logits, else all reals but
/// states.
llvm::Expected<std::vector<Values>>
Ranking::runOne(const LoadedModel &model, const Sample &sample) const {
  llvm::Expected<std::vector<std::vector<char>>> buffers =
      runSample(model, sample);
  if (!buffers)
    return buffers.takeError();
  std::vector<Values> outputs;
  for (auto [index, info] : llvm::enumerate(model.getOutputs())) {
    if (language ? index != language->logits
                 : !isReal(*info) || info->role == ITERA_ROLE_STATE)
      continue;
    llvm::Expected<NpyArray> array = toArray(*info, std::move((*buffers)[index]));
    if (!array)
      return array.takeError();
    Values &values = outputs.emplace_back(array->data.size() /
                                          getNpyTypeSize(array->type));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = float(getElement(*array, i));
  }
  return outputs;
}

llvm::Error Ranking::runReference() {
  llvm::Expected<LoadedModel> model = build(nullptr);
  if (!model)
    return model.takeError();
  if (llvm::Error error = readData(*model))
    return error;
  std::vector<std::vector<char>> none(model->getInputs().size());
  llvm::Expected<LanguageModel> found = findLanguageModel(*model, none);
  if (found)
    language = *found;
  else
    llvm::consumeError(found.takeError());
  for (const Sample &sample : samples) {
    llvm::Expected<std::vector<Values>> outputs = runOne(*model, sample);
    if (!outputs)
      return outputs.takeError();
    references.push_back(std::move(*outputs));
  }
  return llvm::Error::success();
}

namespace {

/// A mean of what differs.
struct Distance {
  double sum = 0, weight = 0;

  /// Logits, token by token.
  void addRows(ArrayRef<float> reference, ArrayRef<float> values, size_t size) {
    for (size_t at = 0; at + size <= reference.size(); at += size) {
      std::vector<double> a(reference.begin() + at, reference.begin() + at + size),
          b(values.begin() + at, values.begin() + at + size);
      sum += compareRows(a, b).kl;
      weight += 1;
    }
  }
  void addSquares(ArrayRef<float> reference, ArrayRef<float> values) {
    for (auto [r, y] : llvm::zip(reference, values)) {
      sum += (double(y) - r) * (double(y) - r);
      weight += double(r) * r;
    }
  }
  double get() const {
    if (sum == 0)
      return 0;
    // What makes a NaN of the outputs is worse than anything.
    constexpr double kWorst = 1e9;
    double mean = sum / weight;
    return mean < kWorst ? std::max(mean, 0.0) : kWorst;
  }
};

} // namespace

llvm::Expected<double> Ranking::run(const SensitivityTrial &trial) {
  llvm::Expected<LoadedModel> model = build(&trial);
  if (!model)
    return model.takeError();
  std::vector<Distance> distances;
  for (auto [sample, reference] : llvm::zip(samples, references)) {
    llvm::Expected<std::vector<Values>> outputs = runOne(*model, sample);
    if (!outputs)
      return outputs.takeError();
    distances.resize(outputs->size());
    for (size_t i = 0; i < outputs->size(); ++i)
      if (language)
        distances[i].addRows(reference[i], (*outputs)[i], language->vocabulary);
      else
        distances[i].addSquares(reference[i], (*outputs)[i]);
  }
  double sum = 0;
  for (const Distance &distance : distances)
    sum += distance.get();
  return distances.empty() ? 0 : sum / double(distances.size());
}

/// What an earlier run has found, if that is what the file has.
static std::optional<Sensitivity> readCached(StringRef path, size_t count) {
  auto file = llvm::MemoryBuffer::getFile(path);
  if (!file)
    return std::nullopt;
  llvm::Expected<llvm::json::Value> value =
      llvm::json::parse((*file)->getBuffer());
  if (!value) {
    llvm::consumeError(value.takeError());
    return std::nullopt;
  }
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Array *losses = object ? object->getArray("losses") : nullptr;
  if (!losses || losses->size() != count)
    return std::nullopt;
  Sensitivity found;
  found.isKL = object->getBoolean("kl").value_or(false);
  for (const llvm::json::Value &loss : *losses)
    found.losses.push_back(loss.getAsNumber().value_or(0));
  return found;
}

llvm::Expected<Sensitivity>
itera::rankSensitivity(ModuleOp module, ArrayRef<SensitivityTrial> trials,
                       StringRef statistics, const CompileOptions &options,
                       MLIRContext &context) {
  llvm::SmallString<128> path(options.cacheDir);
  if (!path.empty()) {
    llvm::Expected<TargetSpec> host = resolveTarget("", "native");
    if (!host)
      return host.takeError();
    SmallVector<std::string> others{
        "sensitivity", host->cpu, std::to_string(options.group),
        std::to_string(options.calibrationFrames),
        std::to_string(int(options.stream))};
    llvm::append_range(others, options.timeDims);
    llvm::append_range(others, options.states);
    for (const SensitivityTrial &trial : trials)
      others.push_back((trial.weight + "=" + trial.storage).str());
    llvm::Expected<std::string> key =
        makeSampleKey(module, options, kMostFrames, others);
    if (!key)
      return key.takeError();
    llvm::sys::path::append(path, "calibration");
    if (std::error_code code = llvm::sys::fs::create_directories(path))
      return llvm::createStringError(code, "cannot make the folder '%s': %s",
                                     path.c_str(), code.message().c_str());
    llvm::sys::path::append(path, *key + ".json");
    if (std::optional<Sensitivity> found = readCached(path, trials.size()))
      return *found;
  }
  Sensitivity result;
  if (trials.empty())
    return result;
  Ranking ranking(module, statistics, options, context);
  if (llvm::Error error = ranking.runReference())
    return error;
  result.isKL = ranking.isKL();
  for (const SensitivityTrial &trial : trials) {
    llvm::Expected<double> loss = ranking.run(trial);
    if (!loss)
      return loss.takeError();
    result.losses.push_back(*loss);
  }
  if (!path.empty())
    if (llvm::Error error = writeFileAtomically(
            path, llvm::formatv("{0}\n",
                                llvm::json::Value(llvm::json::Object{
                                    {"kl", result.isKL},
                                    {"losses", llvm::json::Array(result.losses)}}))
                      .str()))
      return error;
  return result;
}
