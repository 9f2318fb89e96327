// SPDX-License-Identifier: Apache-2.0
// Stores states as the step's kernels take them. See the pass's description.

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

namespace itera {
#define GEN_PASS_DEF_TRANSPOSESTATESPASS
#include "itera/Transforms/Fuse/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

static std::optional<unsigned> getState(Attribute attr) {
  auto index = dyn_cast_or_null<IntegerAttr>(attr);
  if (!index)
    return std::nullopt;
  return index.getInt();
}

/// The one order in which the step reads a state; empty if it reads it as it is
/// or in several.
static SmallVector<int64_t> getOrderOfStep(Value state) {
  SmallVector<int64_t> order;
  for (Operation *user : state.getUsers()) {
    auto transpose = dyn_cast<linalg::TransposeOp>(user);
    if (!transpose || transpose.getInput() != state ||
        (!order.empty() && order != transpose.getPermutation()))
      return {};
    order = llvm::to_vector(transpose.getPermutation());
  }
  return order;
}

static Value transpose(OpBuilder &b, Location loc, Value value,
                       ArrayRef<int64_t> order) {
  auto type = cast<RankedTensorType>(value.getType());
  Value empty = tensor::EmptyOp::create(
      b, loc, applyPermutation(type.getShape(), order), type.getElementType());
  return linalg::TransposeOp::create(b, loc, value, empty, order)->getResult(0);
}

/// What a choice gives, in another order: chosen among values in that order.
static void transposeChoice(OpResult result, ArrayRef<int64_t> order) {
  auto choice = cast<scf::IfOp>(result.getOwner());
  for (Block *block : {choice.thenBlock(), choice.elseBlock()}) {
    OpOperand &yielded =
        block->getTerminator()->getOpOperand(result.getResultNumber());
    OpBuilder b(block->getTerminator());
    yielded.set(transpose(b, choice.getLoc(), yielded.get(), order));
    result.setType(yielded.get().getType());
  }
}

namespace {

struct TransposeStates : itera::impl::TransposeStatesPassBase<TransposeStates> {
  void runOnOperation() override {
    auto stream =
        getOperation()->getAttrOfType<DictionaryAttr>(ssm::kStreamAttr);
    auto step = getOperation().lookupSymbol<func::FuncOp>(ssm::kStepName);
    if (!stream || !step)
      return;
    orders.assign(stream.getAs<ArrayAttr>("states").size(), {});
    for (BlockArgument argument : step.getArguments())
      if (std::optional<unsigned> state = getState(
              step.getArgAttr(argument.getArgNumber(), ssm::kStateAttr)))
        orders[*state] = getOrderOfStep(argument);
    // A base is stored as its state is.
    for (auto [attr, order] :
         llvm::zip(stream.getAs<ArrayAttr>("states"), orders))
      if (auto base = cast<DictionaryAttr>(attr).getAs<IntegerAttr>("base"))
        orders[base.getInt()] = order;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        rewrite(function);
    describeStates(stream);
  }

  void rewrite(func::FuncOp function);
  void describeStates(DictionaryAttr stream);

  /// Of each state: from the dimensions it has to those it will have. Empty:
  /// it stays.
  SmallVector<SmallVector<int64_t>> orders;
};

} // namespace

void TransposeStates::rewrite(func::FuncOp function) {
  auto b = OpBuilder::atBlockBegin(&function.front());
  for (BlockArgument argument : function.getArguments()) {
    std::optional<unsigned> state =
        getState(function.getArgAttr(argument.getArgNumber(), ssm::kStateAttr));
    if (!state || orders[*state].empty())
      continue;
    ArrayRef<int64_t> order = orders[*state];
    auto type = cast<RankedTensorType>(argument.getType());
    argument.setType(type.clone(applyPermutation(type.getShape(), order)));
    Value original = transpose(b, argument.getLoc(), argument,
                               invertPermutationVector(order));
    argument.replaceAllUsesExcept(original, original.getDefiningOp());
  }
  Operation *end = function.front().getTerminator();
  b.setInsertionPoint(end);
  for (OpOperand &result : end->getOpOperands()) {
    std::optional<unsigned> state = getState(
        function.getResultAttr(result.getOperandNumber(), ssm::kStateAttr));
    if (!state || orders[*state].empty())
      continue;
    auto chosen = dyn_cast<OpResult>(result.get());
    if (chosen && isa<scf::IfOp>(chosen.getOwner()) && chosen.hasOneUse())
      transposeChoice(chosen, orders[*state]);
    else
      result.set(
          transpose(b, result.get().getLoc(), result.get(), orders[*state]));
  }
  function.setType(b.getFunctionType(function.front().getArgumentTypes(),
                                     end->getOperandTypes()));
}

void TransposeStates::describeStates(DictionaryAttr stream) {
  Builder b(&getContext());
  SmallVector<Attribute> states;
  for (auto [attr, order] :
       llvm::zip(stream.getAs<ArrayAttr>("states"), orders)) {
    NamedAttrList state(cast<DictionaryAttr>(attr));
    if (!order.empty()) {
      auto type =
          cast<RankedTensorType>(cast<TypeAttr>(state.get("type")).getValue());
      state.set("type", TypeAttr::get(type.clone(
                            applyPermutation(type.getShape(), order))));
      if (auto batch = dyn_cast_or_null<IntegerAttr>(state.get("batch_dim")))
        state.set("batch_dim",
                  b.getI64IntegerAttr(llvm::find(order, batch.getInt()) -
                                      order.begin()));
      ++transposed;
    }
    states.push_back(state.getDictionary(&getContext()));
  }
  NamedAttrList fields(stream);
  fields.set("states", b.getArrayAttr(states));
  getOperation()->setAttr(ssm::kStreamAttr,
                          fields.getDictionary(&getContext()));
}
