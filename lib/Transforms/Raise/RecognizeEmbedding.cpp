// SPDX-License-Identifier: Apache-2.0

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZEEMBEDDINGPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {
struct RecognizeEmbeddingPass
    : itera::impl::RecognizeEmbeddingPassBase<RecognizeEmbeddingPass> {
  void runOnOperation() override {
    visitAndClean(getOperation(), [&](Operation *op) {
      auto gather = dyn_cast<ssm::GatherOp>(op);
      if (!gather || gather.getDim() != 0 || rankOf(gather.getData()) != 2 ||
          !isa<FloatType>(getElementTypeOrSelf(gather.getType())) ||
          !isConstant(gather.getData()) || matchSplat(gather.getData()))
        return;
      OpBuilder builder(gather);
      gather.getY().replaceAllUsesWith(ssm::EmbeddingOp::create(
          builder, gather.getLoc(), gather.getType(), gather.getIndices(),
          gather.getData()));
      ++numRaised;
    });
  }
};
} // namespace
