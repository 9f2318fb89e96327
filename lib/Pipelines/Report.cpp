// SPDX-License-Identifier: Apache-2.0
//
// The reference is the same model at the same place of the pipeline, before its
// weights are quantised. Both are built twice: as they are, for sizes, outputs,
// states and speed; and with the linears' inputs and results as outputs. What a
// linear loses by itself needs no build of its own: from the reference's inputs
// it is computed here.

#include "Report.h"

#include "CompileModule.h"
#include "ReportRuns.h"
#include "ReportWeights.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Support/AtomicFile.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "itera/Version.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace itera;

/// Frames that linears are compared over: their inputs and results are kept.
static constexpr uint64_t kMostLayerFrames = 512;

namespace {

/// A shared object that is removed with this.
class Artefact {
public:
  static llvm::Expected<std::unique_ptr<Artefact>> create();
  ~Artefact();
  std::string path;
};

/// One report on the way.
class Reporter {
public:
  Reporter(ReportModules &modules, const CompileOptions &options,
           MLIRContext &context)
      : modules(modules), options(options), context(context) {}

  llvm::Error run();

private:
  llvm::Error describe();
  llvm::Error buildPlain();
  llvm::Error loadHere();
  llvm::Error build(ModuleOp module, StringRef path, const TargetSpec &target,
                    EmitKind kind, bool tapInputs, bool tapResults,
                    uint64_t *weightBytes = nullptr);
  llvm::Expected<LoadedModel> buildTapped(ModuleOp module, bool tapInputs);
  llvm::Error measureLinears(const ReportData &data);
  llvm::Error measureRuns(const ReportData &data);
  void noteShortage(const ReportData &data);
  llvm::Error write();

  ReportModules &modules;
  const CompileOptions &options;
  MLIRContext &context;
  QuantizationReport report;
  std::vector<WeightPair> pairs;
  std::vector<Sample> layerSamples;
  std::vector<std::unique_ptr<Artefact>> artefacts;
  /// What runs here, and whether it is what the user gets.
  std::optional<LoadedModel> before, after;
  bool isTarget = true;
  TargetSpec here;
};

} // namespace

llvm::Expected<std::unique_ptr<Artefact>> Artefact::create() {
  auto artefact = std::make_unique<Artefact>();
  llvm::SmallString<128> path;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("itera-report", "so", path))
    return llvm::createStringError(code, "no temporary file");
  artefact->path = path.str().str();
  return artefact;
}

Artefact::~Artefact() {
  llvm::SmallString<128> header(path);
  llvm::sys::path::replace_extension(header, ".h");
  llvm::sys::fs::remove(path);
  llvm::sys::fs::remove(header);
}

static uint64_t sizeOfFile(StringRef path) {
  uint64_t size = 0;
  return llvm::sys::fs::file_size(path, size) ? 0 : size;
}

llvm::Error Reporter::build(ModuleOp module, StringRef path,
                            const TargetSpec &target, EmitKind kind,
                            bool tapInputs, bool tapResults,
                            uint64_t *weightBytes) {
  OwningOpRef<ModuleOp> copy(module.clone());
  PassManager manager(&context);
  TapLinearsPassOptions tap;
  if (tapInputs)
    manager.addPass(createTapLinearsPass(tap));
  tap.results = true;
  if (tapResults)
    manager.addPass(createTapLinearsPass(tap));
  if (failed(manager.run(*copy)))
    return llvm::createStringError("linears could not be tapped");
  CompileOptions again = options;
  again.target = target;
  again.output = path.str();
  again.emit = kind;
  again.taps.clear();
  again.explainStreaming = false;
  if (compileModule(*copy, Stage::stream, again, context, weightBytes) !=
      CompileStatus::done)
    return llvm::createStringError("the model could not be compiled again");
  return llvm::Error::success();
}

/// What the report says without running anything.
llvm::Error Reporter::describe() {
  llvm::Expected<std::vector<WeightPair>> found =
      pairWeights(*modules.reference, *modules.quantized);
  if (!found)
    return found.takeError();
  pairs = std::move(*found);
  ModuleOp module = *modules.reference;
  auto text = [&](StringRef name) {
    auto attribute = module->getAttrOfType<StringAttr>(name);
    return attribute ? attribute.str() : std::string();
  };
  report.model = text(ssm::kModelNameAttr);
  report.sourceHash = text(ssm::kSourceHashAttr);
  report.file = llvm::sys::path::filename(options.input).str();
  report.compiler = std::string("itera ") + kVersion;
  report.commandLine = options.commandLine;
  report.triple = options.target.triple;
  report.cpu = options.target.cpu;
  report.host = getHostName();
  if (options.rotate)
    report.notes.push_back("the model before is rotated too, so that its "
                           "linears read the same; only its weights are f32");
  if (options.prune > 0)
    report.notes.push_back("the model before is pruned too");
  return llvm::Error::success();
}

/// The reference as the user would get it.
llvm::Error Reporter::buildPlain() {
  llvm::Expected<std::unique_ptr<Artefact>> artefact = Artefact::create();
  if (!artefact)
    return artefact.takeError();
  artefacts.push_back(std::move(*artefact));
  if (llvm::Error error =
          build(*modules.reference, artefacts.back()->path, options.target,
                options.emit, false, false, &report.imageBefore))
    return error;
  report.imageAfter = modules.weightBytes;
  report.fileBefore = sizeOfFile(artefacts.back()->path);
  report.fileAfter = sizeOfFile(options.output);
  return llvm::Error::success();
}

/// Loads both, or what is built of them for this machine if they are not for it.
llvm::Error Reporter::loadHere() {
  here = options.target;
  auto load = [&](StringRef path,
                  std::optional<LoadedModel> &to) -> llvm::Error {
    llvm::Expected<LoadedModel> model = LoadedModel::load(path);
    if (!model)
      return model.takeError();
    to.emplace(std::move(*model));
    return llvm::Error::success();
  };
  if (options.emit == EmitKind::shared) {
    llvm::Error error = load(artefacts.back()->path, before);
    if (!error)
      error = load(options.output, after);
    if (!error)
      return error;
    llvm::consumeError(std::move(error));
  }
  before.reset();
  after.reset();
  isTarget = false;
  report.speedProblem = "not measured: the artefact does not run on this machine";
  report.notes.push_back("outputs and states are those of the same two models "
                         "built for this machine");
  llvm::Expected<TargetSpec> native = resolveTarget("", "native");
  if (!native)
    return native.takeError();
  here = *native;
  for (auto [module, to] : {std::pair(*modules.reference, &before),
                            {*modules.quantized, &after}}) {
    llvm::Expected<std::unique_ptr<Artefact>> artefact = Artefact::create();
    if (!artefact)
      return artefact.takeError();
    artefacts.push_back(std::move(*artefact));
    const std::string &path = artefacts.back()->path;
    if (llvm::Error error =
            build(module, path, here, EmitKind::shared, false, false))
      return error;
    if (llvm::Error error = load(path, *to))
      return error;
  }
  return llvm::Error::success();
}

llvm::Expected<LoadedModel> Reporter::buildTapped(ModuleOp module,
                                                  bool tapInputs) {
  llvm::Expected<std::unique_ptr<Artefact>> artefact = Artefact::create();
  if (!artefact)
    return artefact.takeError();
  artefacts.push_back(std::move(*artefact));
  const std::string &path = artefacts.back()->path;
  if (llvm::Error error =
          build(module, path, here, EmitKind::shared, tapInputs, true))
    return error;
  return LoadedModel::load(path);
}

/// The ratios of one weight's linears.
static void measureWeight(WeightPair &pair,
                          const llvm::StringMap<std::vector<float>> &inputs,
                          const llvm::StringMap<std::vector<float>> &results,
                          const llvm::StringMap<std::vector<float>> &quantized) {
  constexpr int64_t kProducts = int64_t(1) << 25;
  WeightReport &weight = pair.report;
  std::vector<float> original = readOriginal(pair);
  StoredMatrix stored = readStored(pair);
  Comparison ofWeight, local, cumulative;
  ofWeight.add(original, stored.dequantize());
  for (const std::string &tap : pair.taps) {
    auto x = inputs.find(tap), y = results.find(tap), z = quantized.find(tap);
    if (x == inputs.end() || y == results.end() || z == quantized.end())
      continue;
    const std::vector<float> &rows = x->second, &before = y->second,
                             &after = z->second;
    int64_t count = rows.size() / weight.k;
    if (count * weight.n != int64_t(before.size()) ||
        before.size() != after.size())
      continue;
    cumulative.add(before, after);
    int64_t limit =
        std::max<int64_t>(kProducts / std::max<int64_t>(weight.n * weight.k, 1), 8);
    local.add(compareLinear(original, stored, pair.rounding, rows, before,
                            chooseEvenly(count, std::min<int64_t>(limit, 128))));
  }
  weight.weightRatio = ofWeight.getDecibels();
  weight.localRatio = local.getDecibels();
  weight.cumulativeRatio = cumulative.getDecibels();
}

llvm::Error Reporter::measureLinears(const ReportData &data) {
  llvm::StringMap<std::vector<float>> inputs, results, quantized;
  auto collect = [&](ModuleOp module, bool tapInputs) -> llvm::Error {
    llvm::Expected<LoadedModel> model = buildTapped(module, tapInputs);
    if (!model)
      return model.takeError();
    if (model->canStream() != before->canStream())
      return llvm::createStringError("the model with taps streams otherwise");
    // The same frames of both.
    if (tapInputs)
      layerSamples = limitSamples(*model, data.samples,
                                  fitFrames(*model, kMostLayerFrames));
    auto run = [&](StringRef prefix,
                   llvm::StringMap<std::vector<float>> &to) -> llvm::Error {
      llvm::Expected<llvm::StringMap<std::vector<float>>> found =
          collectOutputs(*model, layerSamples, prefix);
      if (!found)
        return found.takeError();
      to = std::move(*found);
      return llvm::Error::success();
    };
    if (tapInputs)
      if (llvm::Error error = run("x:", inputs))
        return error;
    return run("y:", tapInputs ? results : quantized);
  };
  if (llvm::Error error = collect(*modules.reference, true))
    return error;
  if (llvm::Error error = collect(*modules.quantized, false))
    return error;
  report.layerFrames = countFrames(layerSamples);
  for (WeightPair &pair : pairs) {
    measureWeight(pair, inputs, results, quantized);
    report.weights.push_back(pair.report);
  }
  return llvm::Error::success();
}

llvm::Error Reporter::measureRuns(const ReportData &data) {
  if (llvm::Error error = compareRuns(*before, *after, data, report))
    return error;
  if (llvm::Error error = compareLanguage(*before, *after, data, report))
    return error;
  if (!isTarget)
    return llvm::Error::success();
  return compareSpeed(*before, *after, data.samples.front(), report);
}

/// Says how many frames the data have if they are fewer than were asked for.
void Reporter::noteShortage(const ReportData &data) {
  // A text is cut into runs by the model's length.
  bool isCounted = report.streams || data.kind != "text";
  if (!options.reportFrames || !isCounted ||
      report.frames >= *options.reportFrames)
    return;
  std::string text = (data.kind == "random" ? "random inputs have only "
                                            : "the data have only ") +
                     std::to_string(report.frames) +
                     (report.streams ? " frames" : " runs");
  llvm::errs() << options.input
               << ": note: --report-frames=" << *options.reportFrames << ": "
               << text << "\n";
  report.notes.push_back(text);
}

llvm::Error Reporter::write() {
  bool isHtml = StringRef(options.report).ends_with(".html");
  return writeFileAtomically(options.report,
                             isHtml ? formatHtml(report) : formatJson(report));
}

llvm::Error Reporter::run() {
  if (llvm::Error error = describe())
    return error;
  if (llvm::Error error = buildPlain())
    return error;
  if (llvm::Error error = loadHere())
    return error;
  SampleOptions how;
  how.path = options.reportData.empty() ? options.calibration
                                        : options.reportData;
  how.tokenizer = options.tokenizer;
  constexpr uint64_t kFrames = 4096;
  how.frames = options.reportFrames.value_or(kFrames);
  llvm::Expected<ReportData> data = readReportData(*before, how);
  if (!data)
    return data.takeError();
  report.data = data->kind;
  report.dataFile = llvm::sys::path::filename(how.path).str();
  report.streams = before->canStream();
  report.frames = countFrames(data->samples);
  noteShortage(*data);
  if (!options.calibration.empty() && options.reportData.empty())
    report.notes.push_back(
        "the weights were chosen by the same data, so that others may lose more");
  if (llvm::Error error = measureLinears(*data))
    return error;
  if (llvm::Error error = measureRuns(*data))
    return error;
  return write();
}

llvm::Error itera::checkReport(const CompileOptions &options) {
  StringRef folder = llvm::sys::path::parent_path(options.report);
  if (std::error_code code = llvm::sys::fs::access(
          folder.empty() ? "." : folder, llvm::sys::fs::AccessMode::Write))
    return llvm::createStringError(code, "cannot write '%s': %s",
                                   options.report.c_str(),
                                   code.message().c_str());
  const std::string &data = options.reportData;
  if (data.empty())
    return llvm::Error::success();
  llvm::Expected<llvm::sys::fs::file_t> file =
      llvm::sys::fs::openNativeFileForRead(data);
  if (!file)
    return llvm::createStringError(
        "cannot read '%s': %s", data.c_str(),
        llvm::toString(file.takeError()).c_str());
  llvm::sys::fs::closeFile(*file);
  return llvm::Error::success();
}

llvm::Error itera::writeReport(ReportModules &modules,
                               const CompileOptions &options,
                               MLIRContext &context) {
  return Reporter(modules, options, context).run();
}
