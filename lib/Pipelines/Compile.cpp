// SPDX-License-Identifier: Apache-2.0

#include "itera/Pipelines/Compile.h"

#include "Calibrate.h"
#include "CompileKernels.h"
#include "CompileModule.h"
#include "Diagnostics.h"
#include "ExplainPrecision.h"
#include "ExplainStreaming.h"
#include "FitBudget.h"
#include "ReadModel.h"
#include "Report.h"
#include "ReportWeights.h"
#include "Verify.h"
#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/CodeGen/LLVM/Emit.h"
#include "itera/CodeGen/Link/CpuFeatures.h"
#include "itera/CodeGen/Link/Link.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Support/AtomicFile.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "itera/Transforms/Plan/Passes.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "itera/Transforms/Stream/Passes.h"
#include "itera/Version.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"

using namespace mlir;
using namespace itera;

namespace {

/// The bytes of a splat constant of the weights, written out.
using OwnedBytes = std::vector<std::unique_ptr<std::vector<char>>>;

/// What stage quantize went by: the user's precisions with what a budget came
/// to, and the statistics that integers were chosen by.
struct QuantizePlan {
  std::vector<std::string> precisions;
  std::shared_ptr<StatisticsFile> statistics;
};

/// One run of the compiler over one model.
class Compilation {
public:
  /// `kept` gets what a report needs.
  Compilation(const CompileOptions &options, MLIRContext &context,
              ReportModules *kept = nullptr)
      : options(options), context(context), kept(kept),
        diagnostics(context, options.input, options.onlyErrors) {}

  CompileStatus run();
  /// The stages from `first` on, of a module that the ones before have made.
  CompileStatus runFrom(Stage first, ModuleOp module);
  /// Of the artefact's image, once it is written.
  uint64_t getWeightBytes() const { return weightBytes; }
  const QuantizePlan &getQuantizePlan() const { return plan; }
  /// Takes another run's decisions instead of making them.
  void follow(const QuantizePlan &other) { plan = other; }
  /// Of a module that stage quantize has made, where `plan` would put weights.
  CompileStatus placeWeights(ModuleOp module);

private:
  CompileStatus quantize(ModuleOp module);
  llvm::Error keepReference(ModuleOp module);
  CompileStatus tapValues(ModuleOp module);
  CompileStatus runStage(Stage stage, ModuleOp module);
  CompileStatus writeText(ModuleOp module);
  CompileStatus writeArtefact(ModuleOp planned);
  CompileStatus write(StringRef bytes);
  CompileStatus fail(CompileStatus status, llvm::Error error);

  const CompileOptions &options;
  MLIRContext &context;
  ReportModules *kept;
  DiagnosticPrinter diagnostics;
  CompiledKernels kernels;
  uint64_t weightBytes = 0;
  QuantizePlan plan;
};

} // namespace

CompileStatus Compilation::fail(CompileStatus status, llvm::Error error) {
  diagnostics.error(llvm::toString(std::move(error)));
  return status;
}

CompileStatus Compilation::runStage(Stage stage, ModuleOp module) {
  PassManager manager(&context);
  if (failed(applyPassManagerCLOptions(manager)))
    return CompileStatus::internalError;
  applyDefaultTimingPassManagerCLOptions(manager);
  FuseOptions fuse;
  fuse.rows = packedRowHeights(options.target);
  StreamOptions stream;
  for (const std::string &dim : options.timeDims)
    stream.timeDims.push_back(dim);
  for (const std::string &state : options.states)
    stream.states.push_back(state);
  stream.chunk = options.chunk;
  stream.maxLookahead = options.maxLookahead;
  stream.rollback = options.rollback;
  stream.required =
      options.stream == StreamKind::required || options.rollback > 0;
  PlanOptions plan;
  plan.optimize = options.optLevel > 0;
  plan.fuseMultiplyAdd =
      plan.optimize &&
      (options.target.arch != "x86_64" || options.target.hasFeature("fma"));
  if (stage == Stage::raise)
    populateRaisePipeline(manager);
  else if (stage == Stage::stream)
    populateStreamPipeline(manager, stream);
  else if (stage == Stage::fuse)
    populateFusePipeline(manager, fuse);
  else
    populatePlanPipeline(manager, plan);
  if (succeeded(manager.run(module)))
    return CompileStatus::done;
  // What the user said of the model's inputs does not hold.
  if (stage == Stage::stream)
    return CompileStatus::badInput;
  diagnostics.error("a pass failed");
  return CompileStatus::internalError;
}

/// For the report: the model as it is before its weights change, in f32.
llvm::Error Compilation::keepReference(ModuleOp module) {
  kept->reference = module.clone();
  if (!dequantizeWeights(*kept->reference) && !hasPrecisions(module))
    return llvm::createStringError(
        "--report: no weight of the model is quantised; give --bits");
  return llvm::Error::success();
}

/// Stage quantize. What calibration finds lies between its two halves.
CompileStatus Compilation::quantize(ModuleOp module) {
  QuantizeOptions quantize;
  quantize.bits = options.bits;
  quantize.group = options.group;
  quantize.rotate = options.rotate;
  quantize.prune = options.prune;
  PrecisionChoice choice;
  if (!plan.statistics) {
    plan.precisions = options.precisions;
    plan.statistics = std::make_shared<StatisticsFile>();
    if (options.budget.isGiven()) {
      if (llvm::Error error = fitBudget(module, options, context, choice,
                                        *plan.statistics))
        return fail(CompileStatus::badInput, std::move(error));
      plan.precisions = choice.precisions;
    }
  }
  for (const std::string &precision : plan.precisions)
    quantize.precisions.push_back(precision);
  auto run = [&](auto populate) {
    PassManager manager(&context);
    if (failed(applyPassManagerCLOptions(manager)))
      return CompileStatus::internalError;
    applyDefaultTimingPassManagerCLOptions(manager);
    populate(manager);
    // Weights that are not finite, a ratio that no model allows.
    return failed(manager.run(module)) ? CompileStatus::badInput
                                       : CompileStatus::done;
  };
  CompileStatus status = run([&](PassManager &manager) {
    populatePrecisionPipeline(manager, quantize);
  });
  if (status != CompileStatus::done)
    return status;
  if (options.bits != 32 && !hasPrecisions(module))
    mlir::emitWarning(module.getLoc())
        << "--bits=" << options.bits
        << " changes nothing: no layer has weights of float32 that could be "
           "stored in fewer bits";
  if (options.bits != 32)
    module.walk([](ssm::MoeOp moe) {
      if (isa_and_nonnull<ssm::WeightOp>(moe.getUp().getDefiningOp()))
        mlir::emitWarning(moe.getLoc())
            << "the weights of these "
            << cast<RankedTensorType>(moe.getUp().getType()).getDimSize(0)
            << " experts stay float32: only mixtures that are small enough for "
               "all experts to be computed at once are stored in fewer bits";
    });
  if (kept)
    if (llvm::Error error = keepReference(module))
      return fail(CompileStatus::badInput, std::move(error));
  if (options.explainPrecision)
    explainPrecision(module, options.group, choice, llvm::errs());
  // What the budget needed has them for more weights than are left.
  if (!options.calibration.empty() && plan.statistics->path.empty())
    if (llvm::Error error =
            calibrate(module, options, context, *plan.statistics))
      return fail(CompileStatus::badInput, std::move(error));
  // Rows of a weight know nothing of each other.
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.jobs));
  context.setThreadPool(pool);
  llvm::scope_exit oneThread([&] { context.disableMultithreading(); });
  return run([&](PassManager &manager) {
    QuantizeWeightsPassOptions weights;
    weights.statistics = plan.statistics->path;
    manager.addPass(createQuantizeWeightsPass(weights));
  });
}

/// Not a stage: a debugging aid between two of them.
CompileStatus Compilation::tapValues(ModuleOp module) {
  PassManager manager(&context);
  if (failed(applyPassManagerCLOptions(manager)))
    return CompileStatus::internalError;
  TapValuesPassOptions tap;
  tap.nodes.assign(options.taps.begin(), options.taps.end());
  tap.timeDims.assign(options.timeDims.begin(), options.timeDims.end());
  tap.stateNames.assign(options.states.begin(), options.states.end());
  manager.addPass(createTapValuesPass(tap));
  return failed(manager.run(module)) ? CompileStatus::badInput
                                     : CompileStatus::done;
}

CompileStatus Compilation::write(StringRef bytes) {
  if (options.output == "-") {
    llvm::outs() << bytes;
    return CompileStatus::done;
  }
  if (llvm::Error error = writeFileAtomically(options.output, bytes))
    return fail(CompileStatus::badInput, std::move(error));
  return CompileStatus::done;
}

CompileStatus Compilation::writeText(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().enableDebugInfo());
  return write(text);
}

/// Fails early if the output's folder cannot take a file.
static llvm::Error checkOutput(StringRef output) {
  StringRef folder = llvm::sys::path::parent_path(output);
  if (output == "-")
    return llvm::Error::success();
  if (std::error_code code = llvm::sys::fs::access(
          folder.empty() ? "." : folder, llvm::sys::fs::AccessMode::Write))
    return llvm::createStringError(code, "cannot write '%s': %s",
                                   output.str().c_str(),
                                   code.message().c_str());
  return llvm::Error::success();
}

CompileStatus Compilation::run() {
  if (llvm::Error error = checkOutput(options.output))
    return fail(CompileStatus::badInput, std::move(error));
  OwningOpRef<ModuleOp> module = readModel(options, context);
  if (!module) {
    diagnostics.error("the model could not be read");
    return CompileStatus::badInput;
  }
  if (options.stopAfter == Stage::import)
    return writeText(*module);

  return runFrom(Stage::raise, *module);
}

CompileStatus Compilation::runFrom(Stage first, ModuleOp module) {
  for (Stage stage : {Stage::raise, Stage::quantize, Stage::stream,
                      Stage::fuse, Stage::plan}) {
    if (stage < first)
      continue;
    if (stage == Stage::stream && !options.taps.empty())
      if (CompileStatus status = tapValues(module);
          status != CompileStatus::done)
        return status;
    // What is pruned must have been raised, also for the oracle.
    bool isPlain = options.optLevel == 0 &&
                   (options.prune == 0 || stage > Stage::quantize);
    if (stage != Stage::plan && isPlain)
      continue;
    if (stage == Stage::stream && options.stream == StreamKind::none)
      continue;
    if (stage == Stage::fuse && !options.kernels)
      continue;
    // Kernels are compiled first, so that one without code can be inlined and
    // lowered like everything else.
    if (stage == Stage::plan)
      kernels = compileModuleKernels(module, options);
    CompileStatus status = stage == Stage::quantize ? quantize(module)
                                                    : runStage(stage, module);
    if (status != CompileStatus::done)
      return status;
    if (stage == Stage::quantize && kept)
      kept->quantized = module.clone();
    if (stage == Stage::stream && options.explainStreaming)
      explainStreaming(module, llvm::outs());
    if (options.stopAfter <= stage)
      return writeText(module);
  }
  return writeArtefact(module);
}

CompileStatus Compilation::placeWeights(ModuleOp module) {
  for (Stage stage : {Stage::stream, Stage::fuse}) {
    if (stage == Stage::stream && options.stream == StreamKind::none)
      continue;
    if (CompileStatus status = runStage(stage, module);
        status != CompileStatus::done)
      return status;
  }
  PassManager manager(&context);
  manager.addPass(createPackWeightsPass());
  manager.addPass(createPlaceWeightsPass());
  return failed(manager.run(module)) ? CompileStatus::internalError
                                     : CompileStatus::done;
}

/// The weights where `plan` placed them.
static WeightImage collectWeights(ModuleOp planned, OwnedBytes &owned) {
  WeightImage image;
  if (auto size = planned->getAttrOfType<IntegerAttr>(ssm::kWeightBytesAttr))
    image.size = size.getInt();
  auto placed = planned->getAttrOfType<ArrayAttr>(ssm::kWeightsAttr);
  for (Attribute entry : placed ? placed.getValue() : ArrayRef<Attribute>()) {
    auto fields = cast<DictionaryAttr>(entry);
    uint64_t offset = fields.getAs<IntegerAttr>("offset").getInt();
    ArrayRef<char> bytes;
    if (auto resource = fields.getAs<DenseResourceElementsAttr>("value")) {
      bytes = resource.getRawHandle().getBlob()->getData();
    } else {
      auto dense = fields.getAs<DenseElementsAttr>("value");
      bytes = dense.getRawData();
      if (dense.isSplat()) {
        auto copy = std::make_unique<std::vector<char>>();
        for (int64_t i = 0; i < dense.getNumElements(); ++i)
          copy->insert(copy->end(), bytes.begin(), bytes.end());
        bytes = *copy;
        owned.push_back(std::move(copy));
      }
    }
    image.chunks.push_back({offset, bytes});
  }
  return image;
}

static HeaderSpec headerOf(const ProgramInfo &info, const TargetSpec &target) {
  HeaderSpec spec{info.name,       info.compilerVersion, target.triple + " " + target.cpu,
                  info.sourceHash, {},                   {},
                  info.scratchBytes};
  auto convert = [](const std::vector<InterfaceTensor> &from,
                    std::vector<HeaderTensor> &to) {
    for (const InterfaceTensor &tensor : from)
      to.push_back({tensor.name, tensor.dtype, tensor.dims, tensor.bytes});
  };
  convert(info.inputs, spec.inputs);
  convert(info.outputs, spec.outputs);
  return spec;
}

CompileStatus Compilation::writeArtefact(ModuleOp planned) {
  if (failed(checkMath(planned)))
    return CompileStatus::badInput;
  FailureOr<ProgramInfo> info = readProgramInfo(planned);
  if (failed(info))
    return CompileStatus::internalError;
  info->compilerVersion = std::string("itera ") + kVersion;
  info->flags = options.flags;
  info->requiredCpuFeatures =
      getRequiredCpuFeatures(options.target.arch, options.target.features);
  std::string header = writeHeader(headerOf(*info, options.target));
  if (options.emit == EmitKind::header)
    return write(header);

  OwnedBytes owned;
  WeightImage weights = collectWeights(planned, owned);
  OutputKind kind = options.emit == EmitKind::llvm       ? OutputKind::llvm
                    : options.emit == EmitKind::assembly ? OutputKind::assembly
                                                         : OutputKind::object;
  llvm::Expected<SmallVector<char, 0>> code =
      emitModule(planned, *info, kernels.linked(), kind,
                 {options.target, options.optLevel});
  if (!code)
    return fail(CompileStatus::internalError, code.takeError());
  if (options.emit != EmitKind::shared && options.emit != EmitKind::object)
    return write(StringRef(code->data(), code->size()));

  LinkRequest request;
  request.target = llvm::Triple(options.target.triple);
  request.modelName = info->name;
  request.objects.push_back(
      {StringRef(code->data(), code->size()), "the model's code"});
  for (const auto &[name, kernel] : kernels.byName)
    request.objects.push_back(
        {StringRef(kernel.object.data(), kernel.object.size()), name});
  weightBytes = weights.size;
  if (weights.size > 0)
    request.weights = weights;
  if (options.emit == EmitKind::object) {
    llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> object =
        linkObject(request);
    if (!object)
      return fail(CompileStatus::internalError, object.takeError());
    return write((*object)->getBuffer());
  }
  if (llvm::Error error = linkSharedToFile(request, options.output)) {
    bool fileError = error.isA<llvm::ECError>();
    return fail(fileError ? CompileStatus::badInput : CompileStatus::internalError,
                std::move(error));
  }
  llvm::SmallString<128> headerPath(options.output);
  llvm::sys::path::replace_extension(headerPath, ".h");
  if (llvm::Error error = writeFileAtomically(headerPath, header)) {
    llvm::sys::fs::remove(options.output);
    return fail(CompileStatus::badInput, std::move(error));
  }
  return CompileStatus::done;
}

/// Compiles the model again, plainly, and compares the two.
static CompileStatus verify(const CompileOptions &options,
                            const QuantizePlan &plan,
                            MLIRContext &context) {
  llvm::SmallString<128> plain;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("itera-plain", "so", plain)) {
    llvm::errs() << options.input << ": error: no temporary file: "
                 << code.message() << "\n";
    return CompileStatus::internalError;
  }
  llvm::SmallString<128> header(plain);
  llvm::sys::path::replace_extension(header, ".h");
  llvm::FileRemover removePlain(plain), removeHeader(header);
  CompileOptions again = options;
  again.output = plain.str().str();
  // Rounded weights are not what is to be verified: the same ones, then.
  again.kernels = false;
  again.explainPrecision = false;
  bool isRounded = options.bits != 32 || !options.precisions.empty();
  if (!isRounded)
    again.optLevel = 0;
  again.stream = StreamKind::none;
  Compilation compilation(again, context);
  compilation.follow(plan);
  CompileStatus status = compilation.run();
  if (status != CompileStatus::done)
    return status;
  if (llvm::Error error =
          compareArtefacts(options.output, plain,
                           isRounded ? kRoundedBound : kFloatBound,
                           llvm::outs())) {
    llvm::errs() << options.input << ": error: --verify: "
                 << llvm::toString(std::move(error)) << "\n";
    return CompileStatus::internalError;
  }
  return CompileStatus::done;
}

CompileStatus itera::compileModule(ModuleOp module, Stage first,
                                   const CompileOptions &options,
                                   MLIRContext &context,
                                   uint64_t *weightBytes) {
  Compilation compilation(options, context);
  CompileStatus status = compilation.runFrom(first, module);
  if (weightBytes)
    *weightBytes = compilation.getWeightBytes();
  return status;
}

/// Compiles, and then measures what quantisation has done.
static CompileStatus compileWithReport(const CompileOptions &options,
                                       MLIRContext &context,
                                       QuantizePlan &plan) {
  auto fail = [&](llvm::Error error) {
    llvm::errs() << options.input
                 << ": error: --report: " << llvm::toString(std::move(error))
                 << "\n";
    return CompileStatus::badInput;
  };
  if (llvm::Error error = checkReport(options))
    return fail(std::move(error));
  ReportModules modules;
  {
    Compilation compilation(options, context, &modules);
    CompileStatus status = compilation.run();
    if (status != CompileStatus::done)
      return status;
    modules.weightBytes = compilation.getWeightBytes();
    plan = compilation.getQuantizePlan();
  }
  if (llvm::Error error = writeReport(modules, options, context))
    return fail(std::move(error));
  return CompileStatus::done;
}

llvm::Expected<int64_t> itera::measureWeights(ModuleOp module,
                                              const CompileOptions &options,
                                              MLIRContext &context) {
  CompileOptions quiet = options;
  quiet.onlyErrors = true;
  if (Compilation(quiet, context).placeWeights(module) != CompileStatus::done)
    return llvm::createStringError("the weights could not be placed");
  return module->getAttrOfType<IntegerAttr>(ssm::kWeightBytesAttr).getInt();
}

CompileStatus itera::compile(const CompileOptions &options,
                             MLIRContext &context) {
  CompileStatus status;
  QuantizePlan plan;
  if (options.report.empty()) {
    Compilation compilation(options, context);
    status = compilation.run();
    plan = compilation.getQuantizePlan();
  } else {
    status = compileWithReport(options, context, plan);
  }
  if (status == CompileStatus::done && options.verify)
    return verify(options, plan, context);
  return status;
}
