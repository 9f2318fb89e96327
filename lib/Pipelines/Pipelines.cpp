// SPDX-License-Identifier: Apache-2.0

#include "itera/Pipelines/Pipelines.h"

#include "itera/Conversion/Passes.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "itera/Transforms/Passes.h"
#include "itera/Transforms/Plan/Passes.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "itera/Transforms/Raise/Passes.h"
#include "itera/Transforms/Stream/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace itera;

static constexpr StringRef kStageNames[] = {
    "import", "raise", "quantize", "stream", "fuse", "plan", "emit"};

ArrayRef<StringRef> itera::stageNames() { return kStageNames; }

std::optional<Stage> itera::stageFromName(StringRef name) {
  for (auto [index, candidate] : llvm::enumerate(kStageNames))
    if (candidate == name)
      return static_cast<Stage>(index);
  return std::nullopt;
}

void itera::populateRaisePipeline(OpPassManager &manager) {
  OpPassManager &functions = manager.nest<func::FuncOp>();
  // Exporters write a constant once per use; lanes must see one value.
  functions.addPass(createCSEPass());
  // Before what is unrolled is rolled, which could be part of a closed form.
  functions.addPass(createRecognizeSsdPass());
  functions.addPass(createRerollRecurrencesPass());
  // Gates and steps are looked for by these names.
  functions.addPass(createRecognizeActivationsPass());
  // Before the fission, which may part a readout from its state; and after
  // it, for the linear recurrences that it lays bare. A second fission takes
  // away what is then left of their scans.
  functions.addPass(createRecognizeRecurrencesPass());
  functions.addPass(createFissionScansPass());
  functions.addPass(createRecognizeShiftRegistersPass());
  functions.addPass(createRecognizeRecurrencesPass());
  functions.addPass(createFissionScansPass());
  // What it finds is no part of a scan, and its own scans are as they should be.
  functions.addPass(createRecognizeLongConvPass());
  functions.addPass(createRecognizeEmbeddingPass());
  functions.addPass(createRecognizeNormsPass());
  functions.addPass(createRecognizeCausalConvPass());
  functions.addPass(createRecognizeLinearPass());
  // The layers put transposes around themselves; most meet their inverse.
  functions.addPass(createSimplifyTransposesPass());
  functions.addPass(createRecognizeMoePass());
  // Experts have no integers; what is folded is floats.
  functions.addPass(createRecognizeQuantizedWeightsPass());
  functions.addPass(createFoldConstantsPass());
  // Tied weights are equal only once the transposes are folded.
  manager.addPass(createDeduplicateWeightsPass());
  OpPassManager &cleanup = manager.nest<func::FuncOp>();
  cleanup.addPass(createCSEPass());
  cleanup.addPass(createCanonicalizerPass());
}

void itera::populatePrecisionPipeline(OpPassManager &manager,
                                      const QuantizeOptions &options) {
  OpPassManager &functions = manager.nest<func::FuncOp>();
  if (options.prune > 0) {
    PruneChannelsPassOptions prune;
    prune.ratio = options.prune;
    functions.addPass(createPruneChannelsPass(prune));
    // Scales of norms are products now, and layers share constants again.
    functions.addPass(createFoldConstantsPass());
    functions.addPass(createCSEPass());
    functions.addPass(createCanonicalizerPass());
  }
  if (options.bits == 32 && options.precisions.empty())
    return;
  // Experts that are computed side by side are weights like others.
  functions.addPass(createExpandMoePass());
  functions.addPass(createFoldConstantsPass());
  functions.addPass(createCanonicalizerPass());
  AssignPrecisionPassOptions assign;
  assign.bits = options.bits;
  assign.group = options.group;
  assign.only.assign(options.precisions.begin(), options.precisions.end());
  manager.addPass(createAssignPrecisionPass(assign));
  // Before statistics are taken: they are of what the linears will read.
  if (options.rotate)
    manager.addPass(createRotateWeightsPass());
}

void itera::populateQuantizePipeline(OpPassManager &manager,
                                     const QuantizeOptions &options) {
  populatePrecisionPipeline(manager, options);
  QuantizeWeightsPassOptions quantize;
  quantize.statistics = options.statistics;
  manager.addPass(createQuantizeWeightsPass(quantize));
}

void itera::populateStreamPipeline(OpPassManager &manager,
                                   const StreamOptions &options) {
  WrapStepPassOptions wrap;
  wrap.stateNames.assign(options.states.begin(), options.states.end());
  manager.addPass(createWrapStepPass(wrap));
  // Of a step that is now a scan, raising takes out what needs no states. What
  // it has done before it leaves alone.
  populateRaisePipeline(manager);
  DeriveStreamingPassOptions derive;
  derive.timeDims.assign(options.timeDims.begin(), options.timeDims.end());
  derive.stateNames.assign(options.states.begin(), options.states.end());
  derive.chunk = options.chunk;
  derive.maxLookahead = options.maxLookahead;
  derive.rollback = options.rollback;
  derive.required = options.required;
  manager.addPass(createDeriveStreamingPass(derive));
  OpPassManager &cleanup = manager.nest<func::FuncOp>();
  cleanup.addPass(createCSEPass());
  cleanup.addPass(createCanonicalizerPass());
}

void itera::populateFusePipeline(OpPassManager &manager,
                                 const FuseOptions &options) {
  OpPassManager &layers = manager.nest<func::FuncOp>();
  layers.addPass(createReplaceOnesPass());
  layers.addPass(createExpandMoePass());
  // Before a stream is derived it would hide that a decay, repeated for each
  // frame, is the same at all times.
  FoldConstantsPassOptions fold;
  fold.smallBytes = 4096;
  layers.addPass(createFoldConstantsPass(fold));
  PackWeightsPassOptions pack;
  pack.rows.assign(options.rows.begin(), options.rows.end());
  manager.addPass(createPackWeightsPass(pack));
  manager.addPass(createFormKernelsPass());
  manager.addPass(createTransposeStatesPass());
  // Kernels want some weights in another order.
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createFoldConstantsPass());
  functions.addPass(createCSEPass());
  functions.addPass(createCanonicalizerPass());
  manager.addPass(createNarrowWeightsPass());
}

void itera::populatePlanPipeline(OpPassManager &manager,
                                 const PlanOptions &options) {
  // Integers that no kernel reads, too: only so are four bits four bits.
  manager.addPass(createPackWeightsPass());
  // Before the lowering: it would turn weights into something without a place.
  manager.addPass(createPlaceWeightsPass());
  // Only the functions of the model: @kernels is compiled from tensors.
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createReplaceOnesPass());
  functions.addPass(createConvertSSMToLinalgPass());
  // Before ops are fused: what is a sum of products must not depend on what
  // stands beside it.
  if (options.fuseMultiplyAdd)
    functions.addPass(createFuseMultiplyAddPass());
  functions.addPass(createPrepareBufferizationPass());
  functions.addPass(createConvertElementwiseToLinalgPass());
  if (options.optimize)
    functions.addPass(createLinalgElementwiseOpFusionPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  // Lets what is concatenated be computed in place.
  if (options.optimize)
    functions.addPass(bufferization::createEmptyTensorEliminationPass());

  // Without the analysis, whose cost grows with the square of the function,
  // every write goes to a copy.
  manager.addPass(createBufferizePass({/*analyze=*/options.optimize}));
  bufferization::BufferResultsToOutParamsPassOptions results;
  results.hoistStaticAllocs = true;
  results.modifyPublicFunctions = true;
  manager.addPass(bufferization::createBufferResultsToOutParamsPass(results));
  OpPassManager &buffers = manager.nest<func::FuncOp>();
  buffers.addPass(createCanonicalizerPass());
  buffers.addPass(createCSEPass());
  // A buffer of a loop's body is allocated once, outside.
  buffers.addPass(bufferization::createBufferLoopHoistingPass());
  manager.addPass(createPlanMemoryPass());
}
