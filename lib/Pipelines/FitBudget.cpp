// SPDX-License-Identifier: Apache-2.0
// Losses of single weights are taken to add up. What a choice takes is then
// measured and not computed: stages stream to plan repeat, pad and align.

#include "FitBudget.h"

#include "CompileModule.h"
#include "ExplainPrecision.h"
#include "RankSensitivity.h"
#include "ResourceScope.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/GlobPattern.h"

using namespace mlir;
using namespace itera;

namespace {

class Fit {
public:
  Fit(const CompileOptions &options, MLIRContext &context,
      PrecisionChoice &choice)
      : options(options), context(context), choice(choice) {}

  llvm::Error prepare(ModuleOp module);
  llvm::Error checkBudget();
  llvm::Error rank(StatisticsFile &statistics);
  llvm::Error choose();

private:
  using Precisions = std::vector<std::string>;
  llvm::Expected<OwningOpRef<ModuleOp>> assign(const Precisions &precisions);
  llvm::Expected<int64_t> measure(const Precisions &precisions);
  Precisions overridesOf(ArrayRef<unsigned> chosen) const;

  const CompileOptions &options;
  MLIRContext &context;
  PrecisionChoice &choice;
  /// What precisions are assigned in.
  OwningOpRef<ModuleOp> prepared;
  /// The weights that the budget decides, with the policy's storage.
  std::vector<WeightPrecision> weights;
  /// Of each weight, smallest first.
  std::vector<SmallVector<StringRef, 3>> storages;
  int64_t leastBytes = 0;
};

} // namespace

/// A pattern that only `name` matches.
static std::string quotePattern(StringRef name) {
  std::string pattern;
  for (char c : name) {
    if (StringRef("*?[\\").contains(c))
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}

static bool matchesAny(StringRef name, ArrayRef<std::string> precisions) {
  return llvm::any_of(precisions, [&](StringRef entry) {
    auto pattern = llvm::GlobPattern::create(entry.rsplit('=').first);
    if (pattern)
      return pattern->match(name);
    llvm::consumeError(pattern.takeError());
    return false;
  });
}

llvm::Error Fit::prepare(ModuleOp module) {
  prepared = module.clone();
  QuantizeOptions quantize;
  quantize.bits = 4;
  quantize.group = options.group;
  quantize.prune = options.prune;
  for (const std::string &precision : options.precisions)
    quantize.precisions.push_back(precision);
  PassManager manager(&context);
  populatePrecisionPipeline(manager, quantize);
  if (failed(manager.run(*prepared)))
    return llvm::createStringError("no precisions could be assigned");
  for (WeightPrecision &weight : listPrecisions(*prepared)) {
    SmallVector<StringRef, 3> larger;
    if (weight.storage == "i4")
      larger = {"i4", "i8", "f16"};
    else if (weight.storage == "i8")
      larger = {"i8", "f16"};
    if (larger.empty() || matchesAny(weight.name, options.precisions))
      continue;
    weights.push_back(std::move(weight));
    storages.push_back(std::move(larger));
  }
  prepared->walk(
      [](ssm::WeightOp weight) { weight->removeAttr(ssm::kPrecisionAttr); });
  return llvm::Error::success();
}

/// The prepared module with what the policy and `precisions` assign.
llvm::Expected<OwningOpRef<ModuleOp>>
Fit::assign(const Precisions &precisions) {
  OwningOpRef<ModuleOp> module(prepared->clone());
  PassManager manager(&context);
  AssignPrecisionPassOptions assign;
  assign.bits = 4;
  assign.group = options.group;
  assign.only.assign(precisions.begin(), precisions.end());
  manager.addPass(createAssignPrecisionPass(assign));
  if (options.rotate)
    manager.addPass(createRotateWeightsPass());
  if (failed(manager.run(*module)))
    return llvm::createStringError("no precisions could be assigned");
  return module;
}

llvm::Expected<int64_t> Fit::measure(const Precisions &precisions) {
  ResourceScope scope(context);
  llvm::Expected<OwningOpRef<ModuleOp>> module = assign(precisions);
  if (!module)
    return module.takeError();
  PassManager manager(&context);
  QuantizeWeightsPassOptions quantize;
  quantize.search = "max"; // the least work: integers do not matter
  manager.addPass(createQuantizeWeightsPass(quantize));
  if (failed(manager.run(**module)))
    return llvm::createStringError("the weights could not be quantised");
  return measureWeights(**module, options, context);
}

/// Before any model is run: the budget in bytes, and whether it can be met.
llvm::Error Fit::checkBudget() {
  choice.budget = options.budget.bytes;
  if (options.budget.ratio > 0) {
    ResourceScope scope(context);
    OwningOpRef<ModuleOp> full(prepared->clone());
    llvm::Expected<int64_t> bytes = measureWeights(*full, options, context);
    if (!bytes)
      return bytes.takeError();
    choice.budget = int64_t(options.budget.ratio * double(*bytes));
  }
  llvm::Expected<int64_t> least = measure(options.precisions);
  if (!least)
    return least.takeError();
  leastBytes = *least;
  if (leastBytes > choice.budget)
    return llvm::createStringError(
        "--budget: expected at least %lld bytes for the weights of this model, "
        "but got %lld",
        static_cast<long long>(leastBytes),
        static_cast<long long>(choice.budget));
  return llvm::Error::success();
}

llvm::Error Fit::rank(StatisticsFile &statistics) {
  if (!options.calibration.empty()) {
    llvm::Expected<OwningOpRef<ModuleOp>> module = assign(options.precisions);
    if (!module)
      return module.takeError();
    if (llvm::Error error = calibrate(**module, options, context, statistics))
      return error;
  }
  std::vector<SensitivityTrial> trials;
  for (auto [weight, larger] : llvm::zip(weights, storages))
    for (StringRef storage : larger)
      if (storage != "f16")
        trials.push_back({weight.name, quotePattern(weight.name), storage});
  if (options.calibration.empty() && !trials.empty())
    llvm::errs() << options.input
                 << ": warning: --budget without --calibrate: random inputs "
                    "decide which weights matter\n";
  llvm::Expected<Sensitivity> found =
      rankSensitivity(*prepared, trials, statistics.path, options, context);
  if (!found)
    return found.takeError();
  choice.measure = found->isKL ? "KL" : "error";
  for (auto [trial, loss] : llvm::zip(trials, found->losses))
    (trial.storage == "i4" ? choice.losses[trial.weight].i4
                           : choice.losses[trial.weight].i8) = loss;
  return llvm::Error::success();
}

Fit::Precisions Fit::overridesOf(ArrayRef<unsigned> chosen) const {
  Precisions precisions;
  for (auto [weight, larger, option] : llvm::zip(weights, storages, chosen))
    if (option > 0)
      precisions.push_back(
          (quotePattern(weight.name) + "=" + larger[option]).str());
  llvm::append_range(precisions, options.precisions);
  return precisions;
}

llvm::Error Fit::choose() {
  std::vector<std::vector<StorageOption>> stored;
  int64_t least = 0;
  for (auto [weight, larger] : llvm::zip(weights, storages)) {
    std::vector<StorageOption> &each = stored.emplace_back();
    const WeightLoss &losses = choice.losses[weight.name];
    for (StringRef storage : larger)
      each.push_back({weight.getBytes(storage, options.group),
                      storage == "i4"   ? *losses.i4
                      : storage == "i8" ? *losses.i8
                                        : 0.0});
    least += each.front().bytes;
  }
  // What there is besides: other weights, padding. It changes little.
  int64_t room = choice.budget - (leastBytes - least);
  constexpr unsigned kMostAttempts = 16;
  for (unsigned attempt = 0; attempt < kMostAttempts; ++attempt) {
    std::optional<std::vector<unsigned>> chosen = chooseStorage(stored, room);
    if (!chosen)
      break;
    choice.precisions = overridesOf(*chosen);
    llvm::Expected<int64_t> bytes = measure(choice.precisions);
    if (!bytes)
      return bytes.takeError();
    choice.bytes = *bytes;
    if (choice.bytes <= choice.budget)
      return llvm::Error::success();
    room -= choice.bytes - choice.budget;
  }
  choice.precisions = options.precisions;
  choice.bytes = leastBytes;
  return llvm::Error::success();
}

llvm::Error itera::fitBudget(ModuleOp module, const CompileOptions &options,
                             MLIRContext &context, PrecisionChoice &choice,
                             StatisticsFile &statistics) {
  // Notes come once, of the compilation that this is for.
  ScopedDiagnosticHandler quiet(&context, [](Diagnostic &diagnostic) {
    return success(diagnostic.getSeverity() != DiagnosticSeverity::Error);
  });
  Fit fit(options, context, choice);
  if (llvm::Error error = fit.prepare(module))
    return error;
  if (llvm::Error error = fit.checkBudget())
    return error;
  if (llvm::Error error = fit.rank(statistics))
    return error;
  return fit.choose();
}
