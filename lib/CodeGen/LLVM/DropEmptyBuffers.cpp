// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace itera {
#define GEN_PASS_DEF_DROPEMPTYBUFFERSPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;

static bool isEmpty(Value value) {
  auto type = dyn_cast<MemRefType>(value.getType());
  return type && type.hasStaticShape() && type.getNumElements() == 0;
}

/// Whether all that the op writes is an empty buffer.
static bool writesNothing(Operation *op) {
  if (auto copy = dyn_cast<memref::CopyOp>(op))
    return isEmpty(copy.getTarget());
  if (auto linalg = dyn_cast<DestinationStyleOpInterface>(op))
    return op->getNumResults() == 0 && !linalg.getDpsInits().empty() &&
           llvm::all_of(linalg.getDpsInits(), isEmpty);
  return false;
}

namespace {

struct DropEmptyBuffers
    : itera::impl::DropEmptyBuffersPassBase<DropEmptyBuffers> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    SmallVector<Operation *> dead;
    function.walk([&](Operation *op) {
      if (writesNothing(op))
        dead.push_back(op);
    });
    for (Operation *op : dead)
      op->erase();
    // Last users first: a view of a view.
    function.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
      if (isOpTriviallyDead(op) && llvm::any_of(op->getResults(), isEmpty))
        op->erase();
    });

    // The C interface keeps its place; nothing reads through the pointer.
    SmallVector<Type> types(function.getArgumentTypes());
    for (BlockArgument argument : function.getArguments())
      if (isEmpty(argument) && argument.use_empty()) {
        auto type = cast<MemRefType>(argument.getType());
        types[argument.getArgNumber()] =
            MemRefType::get({1}, type.getElementType());
        argument.setType(types[argument.getArgNumber()]);
      }
    function.setType(FunctionType::get(
        &getContext(), types, function.getFunctionType().getResults()));
  }
};

} // namespace
