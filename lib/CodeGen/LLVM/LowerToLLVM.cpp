// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void itera::populateLowerToLLVMPipeline(OpPassManager &manager) {
  manager.addPass(createCallKernelsPass());
  manager.addNestedPass<func::FuncOp>(createReplaceEmptyArgumentsPass());
  manager.addNestedPass<func::FuncOp>(createLowerCopiesPass());
  manager.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  // After the loops: their bodies hold math on scalars, which is what the
  // polynomials are written for. Arithmetic on bfloat16 is done in float32 and
  // rounded: x86-64 has none, and LLVM would call a library.
  manager.addNestedPass<func::FuncOp>(math::createMathExtendToSupportedTypes());
  arith::ArithEmulateUnsupportedFloatsOptions emulation;
  emulation.sourceTypeStrs = {"bf16"};
  manager.addPass(arith::createArithEmulateUnsupportedFloats(emulation));
  manager.addNestedPass<func::FuncOp>(createApproximateMathPass());
  // Scalars again; before the lowering of views divides by their sizes.
  manager.addNestedPass<func::FuncOp>(createGuardDivisionsPass());
  // Views become address arithmetic before affine maps do: the former creates
  // the latter.
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createSCFToControlFlowPass());
  arith::ArithExpandOpsPassOptions expansion;
  expansion.includeBf16 = true;
  manager.addPass(arith::createArithExpandOpsPass(expansion));
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
