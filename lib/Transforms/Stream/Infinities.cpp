// SPDX-License-Identifier: Apache-2.0

#include "Infinities.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;

Infinities::Infinities(const StreamPlan &plan) : plan(plan) {
  // In program order, so that no chain of operands is followed by recursion.
  func::FuncOp sequence = plan.sequence;
  for (Operation &op : sequence.getBody().front())
    for (Value result : op.getResults())
      known[result] = isa<FloatType>(getElementTypeOrSelf(result))
                          ? signsOf(&op)
                          : unsigned(none);
}

unsigned Infinities::signsOf(Value value) { return known.lookup(value); }

static bool takesTheLarger(Operation *op) {
  return isa<arith::MaximumFOp, arith::MaxNumFOp>(op);
}

static bool takesTheSmaller(Operation *op) {
  return isa<arith::MinimumFOp, arith::MinNumFOp>(op);
}

/// Whether a slice takes nothing of the padding that it is cut from. A window
/// that always covers an element of its operand has such a slice.
static bool isInside(tensor::ExtractSliceOp slice, tensor::PadOp pad) {
  if (!slice.getOffsets().empty() || !slice.getStrides().empty())
    return false;
  ArrayRef<int64_t> low = pad.getStaticLow(),
                    shape = pad.getSourceType().getShape();
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t first = slice.getStaticOffsets()[i] - low[i];
    int64_t last =
        first + (slice.getStaticSizes()[i] - 1) * slice.getStaticStrides()[i];
    if (first < 0 || last >= shape[i])
      return false;
  }
  return true;
}

unsigned Infinities::signsOf(Operation *op) {
  DenseFPElementsAttr elements;
  FloatAttr number;
  auto signOf = [](const APFloat &value) {
    return !value.isInfinity()  ? none
           : value.isNegative() ? negative
                                : positive;
  };
  if (matchPattern(op, m_Constant(&elements))) {
    unsigned signs = none;
    if (elements.isSplat())
      return signOf(elements.getSplatValue<APFloat>());
    for (const APFloat &value : elements)
      signs |= signOf(value);
    return signs;
  }
  if (matchPattern(op, m_Constant(&number)))
    return signOf(number.getValue());

  unsigned any = none, all = positive | negative;
  for (Value operand : op->getOperands()) {
    any |= signsOf(operand);
    all &= signsOf(operand);
  }
  if (takesTheLarger(op))
    return (any & positive) | (all & negative);
  if (takesTheSmaller(op))
    return (any & negative) | (all & positive);
  return TypeSwitch<Operation *, unsigned>(op)
      .Case<math::TanhOp, math::ErfOp, math::AtanOp, ssm::SigmoidOp,
            linalg::SoftmaxOp>([](auto) { return none; })
      .Case<math::ExpOp, math::Exp2Op, ssm::SoftplusOp>(
          [&](auto) { return any & positive; })
      .Case([&](tensor::PadOp pad) {
        return any | signsOf(pad.getConstantPaddingValue());
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        auto pad = slice.getSource().getDefiningOp<tensor::PadOp>();
        return pad && isInside(slice, pad) ? signsOf(pad.getSource()) : any;
      })
      // What it begins with is not left where there is an element.
      .Case([&](linalg::ReduceOp reduce) {
        unsigned signs = none;
        for (Value input : reduce.getInputs())
          signs |= signsOf(input);
        return signs;
      })
      .Case<linalg::BroadcastOp, linalg::TransposeOp>(
          [&](auto moved) { return signsOf(moved.getInput()); })
      // Whatever becomes of one.
      .Case<arith::AddFOp, arith::SelectOp, arith::ExtFOp, arith::TruncFOp,
            tensor::ConcatOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
            tensor::InsertSliceOp, linalg::FillOp>([&](auto) { return any; })
      .Default([&](Operation *) {
        return any ? unsigned(positive | negative) : unsigned(none);
      });
}

bool Infinities::isLegitimateIn(const StateSpec &state) {
  if (state.value)
    return signsOf(state.value);
  if (state.init && signsOf(state.init))
    return true;
  // A carried state takes what its op reads.
  for (auto [key, index] : plan.carried)
    if (&plan.states[index] == &state)
      return llvm::any_of(key.first->getOperands(),
                          [&](Value operand) { return signsOf(operand); });
  return false;
}
