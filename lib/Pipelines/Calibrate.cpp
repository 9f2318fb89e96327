// SPDX-License-Identifier: Apache-2.0

#include "Calibrate.h"

#include "AddProducts.h"
#include "CompileModule.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Run/SampleData.h"
#include "itera/Support/Npz.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "itera/Version.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include <cstring>

using namespace mlir;
using namespace itera;

StatisticsFile::~StatisticsFile() {
  if (isTemporary)
    llvm::sys::fs::remove(path);
}

namespace {

/// The input of one weight's linears.
struct Moments {
  int64_t size = 0;
  std::vector<float> sums; // [size, size]

  void add(const float *rows, int64_t count);
};

/// Weights by name, with K.
using Wanted = llvm::MapVector<StringRef, int64_t>;

} // namespace

void Moments::add(const float *rows, int64_t count) {
  addProducts(sums, rows, count, size);
}

static Wanted findWanted(ModuleOp module) {
  Wanted wanted;
  module.walk([&](ssm::LinearOp linear) {
    auto weight = linear.getWeight().getDefiningOp<ssm::WeightOp>();
    if (!weight)
      return;
    auto precision =
        weight->getAttrOfType<ssm::PrecisionAttr>(ssm::kPrecisionAttr);
    if (precision && precision.getStorage().isInteger(4))
      wanted[weight.getName()] = linear.getK();
  });
  return wanted;
}

/// A copy of the model with the inputs of these weights' linears as outputs, as
/// a shared object for this machine.
static llvm::Error buildTapped(ModuleOp module, const CompileOptions &options,
                               MLIRContext &context, ArrayRef<StringRef> names,
                               StringRef path) {
  OwningOpRef<ModuleOp> copy(module.clone());
  PassManager manager(&context);
  TapLinearsPassOptions tap;
  for (StringRef name : names)
    tap.weights.push_back(name.str());
  manager.addPass(createTapLinearsPass(tap));
  if (failed(manager.run(*copy)))
    return llvm::createStringError("the inputs of linears could not be tapped");
  CompileOptions host = options;
  llvm::Expected<TargetSpec> target = resolveTarget("", "native");
  if (!target)
    return target.takeError();
  host.target = *target;
  host.output = path.str();
  host.emit = EmitKind::shared;
  host.stopAfter = Stage::emit;
  host.bits = 32;
  host.precisions.clear();
  host.taps.clear();
  host.rollback = 0;
  host.explainStreaming = false;
  host.onlyErrors = true;
  host.flags = "calibration";
  if (compileModule(*copy, Stage::stream, host, context) !=
      CompileStatus::done)
    return llvm::createStringError(
        "the model could not be compiled for calibration");
  return llvm::Error::success();
}

/// Runs the tapped model over the data.
static llvm::Error observe(StringRef path, const CompileOptions &options,
                           llvm::MapVector<StringRef, Moments> &moments) {
  llvm::Expected<LoadedModel> model = LoadedModel::load(path);
  if (!model)
    return model.takeError();
  llvm::Expected<std::vector<Sample>> samples = readSamples(
      *model,
      {options.calibration, options.tokenizer, options.calibrationFrames});
  if (!samples)
    return samples.takeError();
  for (const Sample &sample : *samples) {
    llvm::Expected<std::vector<std::vector<char>>> outputs =
        runSample(*model, sample);
    if (!outputs)
      return outputs.takeError();
    for (auto [info, output] : llvm::zip(model->getOutputs(), *outputs)) {
      StringRef name(info->name);
      if (!name.consume_front("x:"))
        continue;
      auto found = moments.find(name.rsplit('#').first);
      if (found == moments.end())
        found = moments.find(name);
      if (found == moments.end())
        continue;
      Moments &sums = found->second;
      sums.add(reinterpret_cast<const float *>(output.data()),
               output.size() / (4 * sums.size));
    }
  }
  return llvm::Error::success();
}

llvm::Expected<std::string> itera::makeSampleKey(ModuleOp module,
                                                 const CompileOptions &options,
                                                 uint64_t frames,
                                                 ArrayRef<std::string> others) {
  llvm::SHA256 hash;
  auto add = [&](StringRef text) {
    hash.update(text);
    hash.update(StringRef("\0", 1));
  };
  SmallVector<std::string> files;
  add(kVersion);
  if (auto source = module->getAttrOfType<StringAttr>(ssm::kSourceHashAttr))
    add(source.getValue());
  else
    files.push_back(options.input);
  add(llvm::utostr(frames) + " " + std::to_string(options.prune) +
      (options.rotate ? " rotate" : ""));
  for (const std::string &other : others)
    add(other);
  for (const auto &[name, dims] : options.shapes) {
    add(name);
    for (int64_t dim : dims)
      add(llvm::itostr(dim));
  }
  for (const std::string &path : {options.calibration, options.tokenizer})
    if (!path.empty())
      files.push_back(path);
  for (const std::string &path : files) {
    auto file = llvm::MemoryBuffer::getFile(path);
    if (!file)
      return llvm::createStringError(file.getError(), "cannot read '%s': %s",
                                     path.c_str(),
                                     file.getError().message().c_str());
    add((*file)->getBuffer());
  }
  return llvm::toHex(hash.final(), /*LowerCase=*/true).substr(0, 32);
}

static llvm::Error writeMoments(StringRef path,
                                llvm::MapVector<StringRef, Moments> &moments) {
  std::vector<NpyArray> arrays;
  for (auto &[name, sums] : moments) {
    // The other half.
    for (int64_t i = 0; i < sums.size; ++i)
      for (int64_t j = 0; j < i; ++j)
        sums.sums[j * sums.size + i] = sums.sums[i * sums.size + j];
    NpyArray array;
    array.shape = {sums.size, sums.size};
    array.data.resize(sums.sums.size() * 4);
    std::memcpy(array.data.data(), sums.sums.data(), array.data.size());
    arrays.push_back(std::move(array));
  }
  std::vector<std::pair<std::string, const NpyArray *>> named;
  for (auto [entry, array] : llvm::zip(moments, arrays))
    named.push_back({entry.first.str(), &array});
  return writeNpz(path, named);
}

llvm::Error itera::calibrate(ModuleOp module, const CompileOptions &options,
                             MLIRContext &context,
                             StatisticsFile &statistics) {
  Wanted wanted = findWanted(module);
  SmallVector<std::string> names;
  for (auto &[name, k] : wanted)
    names.push_back(name.str());
  llvm::Expected<std::string> key =
      makeSampleKey(module, options, options.calibrationFrames, names);
  if (!key)
    return key.takeError();
  if (wanted.empty())
    return llvm::Error::success();
  llvm::SmallString<128> path(options.cacheDir);
  if (path.empty()) {
    if (std::error_code code = llvm::sys::fs::createTemporaryFile(
            "itera-statistics", "npz", path))
      return llvm::createStringError(code, "no temporary file");
    statistics.isTemporary = true;
  } else {
    llvm::sys::path::append(path, "calibration");
    if (std::error_code code = llvm::sys::fs::create_directories(path))
      return llvm::createStringError(code, "cannot make the folder '%s': %s",
                                     path.c_str(), code.message().c_str());
    llvm::sys::path::append(path, *key + ".npz");
  }
  statistics.path = path.str().str();
  if (!statistics.isTemporary && llvm::sys::fs::exists(path))
    return llvm::Error::success();

  llvm::SmallString<128> object;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile(
          "itera-calibration", "so", object))
    return llvm::createStringError(code, "no temporary file");
  llvm::SmallString<128> header(object);
  llvm::sys::path::replace_extension(header, ".h");
  llvm::FileRemover removeObject(object), removeHeader(header);
  // As many weights at a time as their moments have room for.
  constexpr int64_t kMostElements = int64_t(1) << 28;
  llvm::MapVector<StringRef, Moments> moments;
  for (auto next = wanted.begin(); next != wanted.end();) {
    SmallVector<StringRef> names;
    llvm::MapVector<StringRef, Moments> part;
    for (int64_t elements = 0; next != wanted.end(); ++next) {
      auto [name, k] = *next;
      if (!names.empty() && elements + k * k > kMostElements)
        break;
      elements += k * k;
      names.push_back(name);
      part.insert({name, {k, std::vector<float>(k * k, 0.0f)}});
    }
    if (llvm::Error error =
            buildTapped(module, options, context, names, object))
      return error;
    if (llvm::Error error = observe(object, options, part))
      return error;
    for (auto &[name, sums] : part)
      moments.insert({name, std::move(sums)});
  }
  return writeMoments(path, moments);
}
