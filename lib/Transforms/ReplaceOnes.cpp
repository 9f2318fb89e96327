// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

namespace itera {
#define GEN_PASS_DEF_REPLACEONESPASS
#include "itera/Transforms/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct ReplaceOnes : itera::impl::ReplaceOnesPassBase<ReplaceOnes> {
  void runOnOperation() override {
    getOperation().walk([](ssm::OnesLikeOp ones) {
      OpBuilder b(ones);
      auto type = cast<RankedTensorType>(ones.getY().getType());
      ones.replaceAllUsesWith(
          arith::ConstantOp::create(b, ones.getLoc(), b.getOneAttr(type))
              .getResult());
      ones.erase();
    });
  }
};

} // namespace
