// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotModuleBufferize.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace itera {
#define GEN_PASS_DEF_BUFFERIZEPASS
#include "itera/Transforms/Plan/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace mlir::bufferization;
using namespace itera;

namespace {

/// ssm.kernel reads its operands and writes buffers of its own.
struct KernelBufferization
    : BufferizableOpInterface::ExternalModel<KernelBufferization,
                                             ssm::KernelOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  bool bufferizesToAllocation(Operation *, Value) const { return true; }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto kernel = cast<ssm::KernelOp>(op);
    Location loc = op->getLoc();
    SmallVector<Value> buffers;
    for (Value argument : kernel.getArguments()) {
      if (!isa<TensorType>(argument.getType())) {
        buffers.push_back(argument);
        continue;
      }
      FailureOr<Value> buffer = getBuffer(rewriter, argument, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(dense(rewriter, loc, *buffer));
    }
    SmallVector<Value> results;
    for (Value result : kernel.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      FailureOr<Value> buffer = options.createAlloc(
          rewriter, loc, MemRefType::get(type.getShape(), type.getElementType()),
          ValueRange{});
      if (failed(buffer))
        return failure();
      results.push_back(*buffer);
    }
    llvm::append_range(buffers, results);
    ssm::KernelOp::create(rewriter, loc, TypeRange{}, kernel.getCallee(),
                          buffers);
    replaceOpWithBufferizedValues(rewriter, op, results);
    return success();
  }

  /// A kernel takes dense row-major buffers; a strided view is copied.
  static Value dense(RewriterBase &rewriter, Location loc, Value buffer) {
    auto type = cast<MemRefType>(buffer.getType());
    if (type.getLayout().isIdentity())
      return buffer;
    auto denseType = MemRefType::get(type.getShape(), type.getElementType());
    Value copy = memref::AllocOp::create(rewriter, loc, denseType);
    memref::CopyOp::create(rewriter, loc, buffer, copy);
    return copy;
  }
};

struct Bufferize : itera::impl::BufferizePassBase<Bufferize> {
  using Base::Base;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    OpBuilder b(&getContext());
    for (auto function : module.getOps<func::FuncOp>()) {
      keepResultAttributes(function);
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        function.setArgAttr(i, BufferizationDialect::kWritableAttrName,
                            b.getBoolAttr(false));
    }

    // Kernels keep their tensors: bufferisation must not see them.
    Operation *kernels = module.lookupSymbol(ssm::kKernelModuleName);
    if (kernels)
      kernels->remove();
    OneShotBufferizationOptions options;
    options.bufferizeFunctionBoundaries = true;
    options.setFunctionBoundaryTypeConversion(LayoutMapOption::IdentityLayoutMap);
    options.allowReturnAllocsFromLoops = false;
    options.copyBeforeWrite = !analyze;
    BufferizationState state;
    LogicalResult result = runOneShotModuleBufferize(module, options, state);
    if (kernels)
      module.push_back(kernels);
    if (failed(result))
      return signalPassFailure();
    for (auto function : module.getOps<func::FuncOp>())
      returnEachOnce(function);
  }

  /// Results are about to become arguments of their own: a buffer that is
  /// returned twice is copied.
  static void returnEachOnce(func::FuncOp function) {
    if (function.isDeclaration())
      return;
    Operation *end = function.front().getTerminator();
    OpBuilder b(end);
    llvm::DenseSet<Value> seen;
    for (OpOperand &operand : end->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type || seen.insert(operand.get()).second)
        continue;
      Value copy = memref::AllocOp::create(b, end->getLoc(), type);
      memref::CopyOp::create(b, end->getLoc(), operand.get(), copy);
      operand.set(copy);
    }
  }

  /// Results become arguments; their attributes move to the function.
  static void keepResultAttributes(func::FuncOp function) {
    SmallVector<Attribute> all;
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      all.push_back(DictionaryAttr::get(function.getContext(),
                                        function.getResultAttrs(i)));
    if (all.empty())
      return;
    function.removeResAttrsAttr();
    function->setAttr(ssm::kOutputsAttr,
                      ArrayAttr::get(function.getContext(), all));
  }
};

} // namespace

void itera::registerKernelBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::KernelOp::attachInterface<KernelBufferization>(*context);
  });
}
