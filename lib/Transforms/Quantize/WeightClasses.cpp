// SPDX-License-Identifier: Apache-2.0
// A linear is classified by what its results reach, through anything that is
// not itself a product with a weight or a recurrence: elementwise ops, norms,
// short convolutions, movements.

#include "WeightClasses.h"

#include "VectorWeights.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace itera;

static bool isRecurrence(Operation *op) {
  return isa<ssm::SelectiveScanOp, ssm::LinearRecurrenceOp>(op);
}

/// What a value is to one of its readers.
static std::optional<WeightClass>
sinkOf(OpOperand &use,
       const llvm::DenseMap<Operation *, WeightClass> &linears) {
  Operation *op = use.getOwner();
  if (isa<func::ReturnOp>(op))
    return WeightClass::head;
  if (isa<ssm::TopKOp>(op))
    return WeightClass::routing;
  if (auto scan = dyn_cast<ssm::SelectiveScanOp>(op)) {
    Value value = use.get();
    bool selects = value == scan.getDt() || value == scan.getB() ||
                   value == scan.getC() || value == scan.getA();
    return selects ? WeightClass::selection : WeightClass::projection;
  }
  if (isa<ssm::LinearRecurrenceOp>(op))
    return WeightClass::selection;
  if (auto linear = dyn_cast<ssm::LinearOp>(op)) {
    auto known = linears.find(linear);
    return known != linears.end() && known->second == WeightClass::selection
               ? WeightClass::selection
               : WeightClass::projection;
  }
  if (isa<ssm::MoeOp, ssm::ScanOp, linalg::ContractOp>(op))
    return WeightClass::projection;
  return std::nullopt;
}

static bool dependsOnArgument(Value value) {
  llvm::SmallDenseSet<Value, 16> seen;
  SmallVector<Value> stack{value};
  while (!stack.empty()) {
    Value next = stack.pop_back_val();
    if (isa<BlockArgument>(next))
      return true;
    if (seen.insert(next).second)
      llvm::append_range(stack, next.getDefiningOp()->getOperands());
  }
  return false;
}

/// Does the value come from a recurrence, with no product with a weight
/// between?
static bool comesFromRecurrence(Value value) {
  llvm::SmallDenseSet<Operation *, 16> seen;
  SmallVector<Operation *> stack;
  auto push = [&](Value value) {
    if (Operation *op = value.getDefiningOp(); op && seen.insert(op).second)
      stack.push_back(op);
  };
  push(value);
  while (!stack.empty()) {
    Operation *op = stack.pop_back_val();
    if (isRecurrence(op))
      return true;
    if (isa<ssm::LinearOp, ssm::MoeOp, ssm::EmbeddingOp, ssm::WeightOp,
            linalg::ContractOp>(op))
      continue;
    llvm::for_each(op->getOperands(), push);
  }
  return false;
}

WeightClass WeightClasses::classOfLinear(ssm::LinearOp linear) const {
  llvm::SmallDenseSet<Value, 16> seen;
  SmallVector<Value> stack{linear.getY()};
  llvm::SmallDenseSet<int, 4> sinks;
  while (!stack.empty()) {
    Value value = stack.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    for (OpOperand &use : value.getUses()) {
      if (std::optional<WeightClass> sink = sinkOf(use, linears)) {
        sinks.insert(int(*sink));
        continue;
      }
      llvm::append_range(stack, use.getOwner()->getResults());
    }
  }
  if (sinks.contains(int(WeightClass::routing)))
    return WeightClass::routing;
  return sinks.size() == 1 ? WeightClass(*sinks.begin())
                           : WeightClass::projection;
}

void WeightClasses::add(Value value, WeightUse use) {
  auto weight = value.getDefiningOp<ssm::WeightOp>();
  if (!weight ||
      !isa<FloatType>(cast<ShapedType>(weight.getType()).getElementType()))
    return;
  WeightUse &known = uses[weight];
  known.kind = std::max(known.kind, use.kind);
  known.readsRecurrence |= use.readsRecurrence;
}

WeightClasses::WeightClasses(func::FuncOp function) {
  SmallVector<ssm::LinearOp> inOrder;
  function.walk([&](ssm::LinearOp linear) { inOrder.push_back(linear); });
  // What a linear feeds is classified before it.
  for (ssm::LinearOp linear : llvm::reverse(inOrder))
    linears[linear] = classOfLinear(linear);
  function.walk([&](Operation *op) {
    if (auto embedding = dyn_cast<ssm::EmbeddingOp>(op))
      add(embedding.getTable(),
          {dependsOnArgument(embedding.getIndices()) ? WeightClass::embedding
                                                     : WeightClass::position});
    else if (auto linear = dyn_cast<ssm::LinearOp>(op))
      add(linear.getWeight(),
          {linears[linear], comesFromRecurrence(linear.getX())});
  });
  // More bits for steps, B and C cost little only where they are few.
  int64_t largest = 0;
  auto sizeOf = [](ssm::WeightOp weight) {
    return cast<ShapedType>(weight.getType()).getNumElements();
  };
  for (auto &[weight, use] : uses)
    if (use.kind == WeightClass::projection)
      largest = std::max(largest, sizeOf(weight));
  for (auto &[weight, use] : uses)
    if (use.kind == WeightClass::selection && 2 * sizeOf(weight) > largest)
      use.kind = WeightClass::projection;
  addVectors(function);
}

void WeightClasses::addVectors(func::FuncOp function) {
  // A step's bias is as exact as the step is to be.
  auto takesBias = [&](ssm::LinearOp linear) {
    auto weight = linear.getWeight().getDefiningOp<ssm::WeightOp>();
    auto known = uses.find(weight);
    return known != uses.end() &&
           known->second.kind != WeightClass::selection &&
           known->second.kind != WeightClass::routing;
  };
  SmallVector<ssm::WeightOp> vectors;
  function.walk([&](ssm::WeightOp weight) {
    if (!uses.contains(weight) && isVectorWeight(weight, takesBias))
      vectors.push_back(weight);
  });
  for (ssm::WeightOp weight : vectors)
    uses[weight] = {WeightClass::vector};
}
