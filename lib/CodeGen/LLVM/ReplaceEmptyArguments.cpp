// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace itera {
#define GEN_PASS_DEF_REPLACEEMPTYARGUMENTSPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;

namespace {

struct ReplaceEmptyArguments
    : itera::impl::ReplaceEmptyArgumentsPassBase<ReplaceEmptyArguments> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    OpBuilder b = OpBuilder::atBlockBegin(&function.front());
    for (BlockArgument argument : function.getArguments()) {
      auto type = dyn_cast<MemRefType>(argument.getType());
      if (!type || !type.hasStaticShape() || type.getNumElements() != 0)
        continue;
      if (!argument.use_empty())
        argument.replaceAllUsesWith(
            memref::AllocaOp::create(b, argument.getLoc(), type));
      argument.setType(MemRefType::get({0}, type.getElementType()));
    }
    function.setFunctionType(
        b.getFunctionType(function.front().getArgumentTypes(),
                          function.getResultTypes()));
  }
};

} // namespace
