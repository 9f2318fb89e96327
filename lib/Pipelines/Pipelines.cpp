// SPDX-License-Identifier: Apache-2.0

#include "itera/Pipelines/Pipelines.h"

#include "itera/Conversion/Passes.h"
#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace itera;

static constexpr StringRef kStageNames[] = {
    "import", "raise", "stream", "quantize", "fuse", "plan", "emit"};

ArrayRef<StringRef> itera::stageNames() { return kStageNames; }

std::optional<Stage> itera::stageFromName(StringRef name) {
  for (auto [index, candidate] : llvm::enumerate(kStageNames))
    if (candidate == name)
      return static_cast<Stage>(index);
  return std::nullopt;
}

void itera::populateRaisePipeline(OpPassManager &manager) {}

void itera::populateFusePipeline(OpPassManager &manager) {}

void itera::populatePlanPipeline(OpPassManager &manager) {
  // Before the lowering: it would turn weights into something without a place.
  manager.addPass(createPlaceWeightsPass());
  // Only the functions of the model: @kernels is compiled from tensors.
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createConvertSSMToLinalgPass());
  functions.addPass(createPrepareBufferizationPass());
  functions.addPass(createConvertElementwiseToLinalgPass());
  functions.addPass(createLinalgElementwiseOpFusionPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  // Lets what is concatenated be computed in place.
  functions.addPass(bufferization::createEmptyTensorEliminationPass());

  manager.addPass(createBufferizePass());
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
