// SPDX-License-Identifier: Apache-2.0

#include "itera/Pipelines/Registration.h"

#include "itera/CodeGen/LLVM/Passes.h"
#include "itera/Conversion/Passes.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Pipelines/Pipelines.h"
#include "itera/Transforms/Passes.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "itera/Transforms/Plan/Passes.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "itera/Transforms/Stream/Passes.h"
#include "itera/Transforms/Stream/Streaming.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "itera/Transforms/Raise/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/BufferViewFlowOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Linalg/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/AllocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void itera::registerDialects(DialectRegistry &registry) {
  registry.insert<ssm::SSMDialect, affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, cf::ControlFlowDialect,
                  func::FuncDialect, linalg::LinalgDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect,
                  scf::SCFDialect, tensor::TensorDialect,
                  vector::VectorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  arith::registerBufferViewFlowOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(
      registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerSubsetOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  tensor::registerSubsetOpInterfaceExternalModels(registry);
  memref::registerAllocationOpInterfaceExternalModels(registry);
  registerKernelBufferization(registry);
  registerStreamingRules(registry);
}

void itera::registerPasses() {
  registerCodeGenLLVMPasses();
  registerConversionPasses();
  registerFusePasses();
  registerPlanPasses();
  registerQuantizePasses();
  registerRaisePasses();
  registerStreamPasses();
  registerWeightPasses();
  bufferization::registerBufferizationPasses();
  registerLinalgPasses();
  registerTransformsPasses();

  PassPipelineRegistration<>("itera-raise", "Stage raise: tensor ops -> ssm ops",
                             populateRaisePipeline);
  PassPipelineRegistration<QuantizeOptions>(
      "itera-quantize", "Stage quantize: weights of less bytes",
      populateQuantizePipeline);
  PassPipelineRegistration<StreamOptions>(
      "itera-stream", "Stage stream: forward -> also step and prefill",
      populateStreamPipeline);
  PassPipelineRegistration<FuseOptions>("itera-fuse", "Stage fuse: ssm ops -> kernels",
                             populateFusePipeline);
  PassPipelineRegistration<PlanOptions>(
      "itera-plan", "Stage plan: values -> buffers at fixed places",
      populatePlanPipeline);
  PassPipelineRegistration<>("itera-lower-to-llvm",
                             "Of stage emit: planned loops -> LLVM dialect",
                             populateLowerToLLVMPipeline);
}
