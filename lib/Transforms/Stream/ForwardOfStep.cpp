// SPDX-License-Identifier: Apache-2.0
// The file of a single step as a sequence of one frame.

#include "ForwardOfStep.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace itera;

namespace {

/// Values by what an attribute of an entry's argument or result says they are.
using Places = llvm::DenseMap<std::pair<StringRef, int64_t>, Value>;

} // namespace

static constexpr StringRef kKinds[] = {ssm::kInputAttr, ssm::kOutputAttr,
                                       ssm::kStateAttr, ssm::kConstantAttr};

/// Writes the ops of an entry, with what `places` has as its arguments, and
/// puts its results there.
static void inlineEntry(OpBuilder &b, func::FuncOp entry, int64_t position,
                        Places &places) {
  IRMapping mapping;
  for (BlockArgument argument : entry.getArguments()) {
    unsigned number = argument.getArgNumber();
    if (entry.getArgAttr(number, ssm::kClockAttr)) {
      auto type = cast<RankedTensorType>(argument.getType());
      SmallVector<int64_t> clock(type.getNumElements(), 0);
      clock[0] = position;
      mapping.map(argument, arith::ConstantOp::create(
                                b, argument.getLoc(),
                                DenseIntElementsAttr::get(type, clock)));
      continue;
    }
    for (StringRef kind : kKinds)
      if (auto index = entry.getArgAttrOfType<IntegerAttr>(number, kind))
        mapping.map(argument, places.lookup({kind, index.getInt()}));
  }
  for (Operation &op : entry.front().without_terminator())
    b.clone(op, mapping);
  for (OpOperand &result : entry.front().getTerminator()->getOpOperands())
    for (StringRef kind : kKinds)
      if (auto index = entry.getResultAttrOfType<IntegerAttr>(
              result.getOperandNumber(), kind))
        places[{kind, index.getInt()}] = mapping.lookup(result.get());
}

void itera::makeForwardOfStep(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  Block &body = forward.front();
  Operation *end = body.getTerminator();
  SmallVector<Operation *> old;
  for (Operation &op : body.without_terminator())
    old.push_back(&op);
  OpBuilder b(end);
  Places places;
  for (BlockArgument argument : forward.getArguments())
    places[{ssm::kInputAttr, argument.getArgNumber()}] = argument;
  int64_t position = 0;
  for (StringRef name :
       {ssm::kBeginName, ssm::kResetName, ssm::kStepName, ssm::kFinalName}) {
    auto entry = module.lookupSymbol<func::FuncOp>(name);
    if (!entry)
      continue;
    inlineEntry(b, entry, position, places);
    if (name == StringRef(ssm::kStepName))
      position = 1;
  }
  for (OpOperand &result : end->getOpOperands())
    result.set(places.lookup({ssm::kOutputAttr, result.getOperandNumber()}));
  for (Operation *op : llvm::reverse(old))
    op->erase();
}
