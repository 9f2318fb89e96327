// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace itera {
#define GEN_PASS_DEF_LOWERCOPIESPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;

namespace {

struct LowerCopies : itera::impl::LowerCopiesPassBase<LowerCopies> {
  void runOnOperation() override {
    SmallVector<memref::CopyOp> strided;
    getOperation().walk([&](memref::CopyOp copy) {
      for (Value side : {copy.getSource(), copy.getTarget()})
        if (!cast<MemRefType>(side.getType()).getLayout().isIdentity()) {
          strided.push_back(copy);
          return;
        }
    });
    for (memref::CopyOp copy : strided) {
      OpBuilder b(copy);
      linalg::makeMemRefCopyOp(b, copy.getLoc(), copy.getSource(),
                               copy.getTarget());
      copy.erase();
    }
  }
};

} // namespace
