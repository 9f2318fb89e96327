// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void itera::populateLowerToLLVMPipeline(OpPassManager &manager) {
  manager.addPass(createCallKernelsPass());
  manager.addNestedPass<func::FuncOp>(createDropEmptyBuffersPass());
  manager.addNestedPass<func::FuncOp>(createLowerCopiesPass());
  manager.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  // After the loops: their bodies hold math on scalars, which is what the
  // polynomials are written for.
  manager.addNestedPass<func::FuncOp>(createApproximateMathPass());
  // Views become address arithmetic before affine maps do: the former creates
  // the latter.
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(arith::createArithExpandOpsPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions functions;
  functions.useBarePtrCallConv = true;
  manager.addPass(createConvertFuncToLLVMPass(functions));
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createCSEPass());
}
