// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "itera/Dialect/SSM/SSM.h"

namespace itera {
#define GEN_PASS_DEF_CALLKERNELSPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

std::string itera::kernelSymbol(StringRef name) {
  return "itera_kernel_" + name.str();
}

namespace {

struct CallKernels : itera::impl::CallKernelsPassBase<CallKernels> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<ssm::KernelOp> kernels;
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](ssm::KernelOp kernel) { kernels.push_back(kernel); });

    SymbolTable symbols(module);
    OpBuilder b(&getContext());
    for (ssm::KernelOp kernel : kernels) {
      if (kernel.getNumResults() != 0) {
        kernel.emitOpError("expected buffers, but got tensors");
        return signalPassFailure();
      }
      std::string name = kernelSymbol(kernel.getCallee().getLeafReference());
      if (!symbols.lookup(name)) {
        b.setInsertionPointToEnd(module.getBody());
        auto type = b.getFunctionType(kernel.getArguments().getTypes(), {});
        auto declaration =
            func::FuncOp::create(b, module.getLoc(), name, type);
        declaration.setPrivate();
        symbols.insert(declaration);
      }
      b.setInsertionPoint(kernel);
      func::CallOp::create(b, kernel.getLoc(), name, TypeRange{},
                           kernel.getArguments());
      kernel.erase();
    }
    if (Operation *bodies = module.lookupSymbol(ssm::kKernelModuleName))
      bodies->erase();
  }
};

} // namespace
