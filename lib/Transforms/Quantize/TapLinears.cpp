// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

namespace itera {
#define GEN_PASS_DEF_TAPLINEARSPASS
#include "itera/Transforms/Quantize/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct TapLinears : itera::impl::TapLinearsPassBase<TapLinears> {
  using TapLinearsPassBase::TapLinearsPassBase;

  void runOnOperation() override {
    auto forward =
        getOperation().lookupSymbol<func::FuncOp>(ssm::kForwardName);
    if (!forward || forward.isExternal() || !forward.getBody().hasOneBlock())
      return;
    llvm::StringSet<> wanted;
    for (const std::string &name : weights)
      wanted.insert(name);
    SmallVector<ssm::LinearOp> linears(forward.getOps<ssm::LinearOp>());
    llvm::StringMap<unsigned> counts;
    for (ssm::LinearOp linear : linears) {
      auto weight = linear.getWeight().getDefiningOp<ssm::WeightOp>();
      if (!weight || !(wanted.empty() || wanted.contains(weight.getName())))
        continue;
      Value value = results ? linear.getY() : linear.getX();
      std::string name = (results ? "y:" : "x:") + weight.getName().str();
      if (unsigned number = counts[weight.getName()]++)
        name += "#" + std::to_string(number + 1);
      if (failed(addResult(forward, value, name)))
        return signalPassFailure();
    }
  }

  LogicalResult addResult(func::FuncOp forward, Value value, StringRef name) {
    OpBuilder b(&getContext());
    Operation *end = forward.front().getTerminator();
    end->insertOperands(end->getNumOperands(), value);
    return forward.insertResult(
        forward.getNumResults(), value.getType(),
        b.getDictionaryAttr(
            b.getNamedAttr(ssm::kNameAttr, b.getStringAttr(name))));
  }
};

} // namespace
