// SPDX-License-Identifier: Apache-2.0
// The evaluator's driver: walks the backward slice of a value, depth first and
// without recursion (chains of 100,000 ops are real), and hands each op whose
// operands are known to the file that knows its kind.

#include "EvaluateImpl.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;
using namespace ssm::detail;

static RankedTensorType tensorTypeOf(Type type) {
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.hasStaticShape() ? tensor : RankedTensorType();
  if (getElementKind(type))
    return RankedTensorType::get({}, type);
  return {};
}

char *Evaluation::addResult() {
  RankedTensorType type = tensorTypeOf(op->getResult(results.size()).getType());
  char *data;
  results.push_back(HostTensor::allocate(
      type, *getElementKind(type.getElementType()), data));
  return data;
}

void Evaluation::addView(const HostTensor &of) {
  HostTensor result = of;
  result.type = tensorTypeOf(op->getResult(results.size()).getType());
  results.push_back(std::move(result));
}

bool ssm::canEvaluate(Operation *op) {
  if (isa<arith::ConstantOp, WeightOp>(op))
    return true;
  return isElementwise(op) || isMovement(op) || isReduction(op);
}

bool Evaluator::compute(Operation *op) {
  // Types first: what host memory cannot hold, and what is too large for it.
  for (Type type : op->getResultTypes()) {
    RankedTensorType tensor = tensorTypeOf(type);
    if (!tensor || !getElementKind(tensor.getElementType())) {
      reason = "a value of a type that cannot be evaluated";
      return false;
    }
    int64_t size = tensor.getNumElements();
    if (size > limits.elements || spent > limits.work - size) {
      reason = "a value that is too large to evaluate";
      return false;
    }
    spent += size;
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (std::optional<HostTensor> value = readAttribute(constant.getValue()))
      return known[op->getResult(0)] = std::move(*value), true;
  } else if (auto weight = dyn_cast<WeightOp>(op)) {
    if (std::optional<HostTensor> value = readAttribute(weight.getValue()))
      return known[op->getResult(0)] = std::move(*value), true;
  } else {
    Evaluation evaluation{op, {}, {}};
    for (Value operand : op->getOperands())
      evaluation.operands.push_back(known.find(operand)->second);
    if (evaluateElementwise(evaluation) || evaluateMovement(evaluation) ||
        evaluateReduction(evaluation)) {
      for (auto [result, value] :
           llvm::zip(op->getResults(), evaluation.results))
        known[result] = std::move(value);
      return true;
    }
  }
  reason = ("op '" + op->getName().getStringRef() + "'").str();
  return false;
}

std::optional<HostTensor> Evaluator::evaluate(Value value) {
  SmallVector<Value> stack{value};
  while (!stack.empty()) {
    Value top = stack.back();
    if (known.contains(top)) {
      stack.pop_back();
      continue;
    }
    Operation *op = top.getDefiningOp();
    if (!op || !canEvaluate(op)) {
      reason = op ? ("op '" + op->getName().getStringRef() + "'").str()
                  : "a value that is only known at run time";
      return std::nullopt;
    }
    size_t before = stack.size();
    for (Value operand : op->getOperands())
      if (!known.contains(operand))
        stack.push_back(operand);
    if (stack.size() != before)
      continue;
    if (!compute(op))
      return std::nullopt;
    stack.pop_back();
  }
  return known.find(value)->second;
}
