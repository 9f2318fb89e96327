// SPDX-License-Identifier: Apache-2.0

#include "VectorWeights.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace itera;

static bool isMovement(Operation *op) {
  return isa<linalg::BroadcastOp, linalg::TransposeOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::ExtractSliceOp,
             tensor::InsertSliceOp, tensor::ConcatOp, ssm::ReverseOp>(op);
}

/// Does an exponential, a recurrence or a choice depend on the value, with no
/// product with a weight, norm or convolution between? Of ops that are not
/// known here that must be assumed.
static bool reachesRecurrenceOrChoice(Value value) {
  llvm::SmallDenseSet<Operation *, 16> seen;
  SmallVector<Value> stack{value};
  while (!stack.empty()) {
    for (OpOperand &use : stack.pop_back_val().getUses()) {
      Operation *op = use.getOwner();
      if (!seen.insert(op).second ||
          isa<func::ReturnOp, ssm::LinearOp, ssm::NormOp, ssm::CausalConv1dOp,
              ssm::MoeOp>(op))
        continue;
      bool isExponential = isa<math::ExpOp, math::Exp2Op, math::PowFOp>(op);
      bool isElementwise = OpTrait::hasElementwiseMappableTraits(op) ||
                           isa<ssm::SigmoidOp, ssm::SiluOp, ssm::SoftplusOp,
                               ssm::GeluOp, linalg::ReduceOp>(op);
      if (isExponential || !(isElementwise || isMovement(op)))
        return true;
      llvm::append_range(stack, op->getResults());
    }
  }
  return false;
}

static bool isVectorUse(OpOperand &use,
                        llvm::function_ref<bool(ssm::LinearOp)> takesBias) {
  Operation *op = use.getOwner();
  Value value = use.get();
  if (auto conv = dyn_cast<ssm::CausalConv1dOp>(op))
    return value == conv.getWeight() || value == conv.getBias();
  if (auto norm = dyn_cast<ssm::NormOp>(op))
    return value != norm.getX();
  if (auto linear = dyn_cast<ssm::LinearOp>(op))
    return value == linear.getBias() && takesBias(linear);
  if (auto scan = dyn_cast<ssm::SelectiveScanOp>(op))
    return value == scan.getD();
  if (isMovement(op))
    return op->getNumResults() == 1 &&
           llvm::all_of(op->getResult(0).getUses(), [&](OpOperand &inner) {
             return isVectorUse(inner, takesBias);
           });
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op) &&
         !reachesRecurrenceOrChoice(op->getResult(0));
}

bool itera::isVectorWeight(ssm::WeightOp weight,
                           llvm::function_ref<bool(ssm::LinearOp)> takesBias) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  return type && type.getElementType().isF32() && !weight->use_empty() &&
         llvm::all_of(weight->getUses(), [&](OpOperand &use) {
           return isVectorUse(use, takesBias);
         });
}
