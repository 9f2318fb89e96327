// SPDX-License-Identifier: Apache-2.0
// The evaluator's driver: walks the backward slice of a value, depth first and
// without recursion (chains of 100,000 ops are real), and hands each op whose
// operands are known to the file that knows its kind.

#include "EvaluateImpl.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"
#include <cstring>

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
  if (auto scan = dyn_cast<ScanOp>(op))
    return llvm::all_of(scan.getBody().front().without_terminator(),
                        [](Operation &inner) { return canEvaluate(&inner); });
  return isElementwise(op) || isMovement(op) || isReduction(op);
}

/// Copies between entry `index` along `dim` of `whole` and a dense slice.
static void copySlice(char *whole, const char *slice, bool toSlice,
                      ArrayRef<int64_t> shape, int64_t dim, int64_t index,
                      int64_t bytes) {
  SmallVector<int64_t> strides = getRowMajorStrides(shape), inner(shape);
  whole += index * strides[dim] * bytes;
  strides.erase(strides.begin() + dim);
  inner.erase(inner.begin() + dim);
  if (toSlice)
    copyStrided(const_cast<char *>(slice), getRowMajorStrides(inner), whole,
                strides, inner, bytes);
  else
    copyStrided(whole, strides, slice, getRowMajorStrides(inner), inner, bytes);
}

/// Runs the body once per step, with its arguments and values in `known`.
bool Evaluator::computeScan(ScanOp scan) {
  Block &body = scan.getBody().front();
  Operation *yield = body.getTerminator();
  int64_t length = scan.getLength(), numStates = scan.getInits().size();
  SmallVector<HostTensor> states;
  for (Value init : scan.getInits())
    states.push_back(known.find(init)->second);
  Evaluation stacked{scan, {}, {}};
  SmallVector<char *> memory;
  for (int64_t i = 0; i < static_cast<int64_t>(scan->getNumResults()); ++i)
    memory.push_back(stacked.addResult());

  for (int64_t step = 0; step < length; ++step) {
    int64_t t = scan.getReverse() ? length - 1 - step : step;
    for (auto [argument, state] : llvm::zip(scan.getStateArguments(), states))
      known[argument] = state;
    for (auto [argument, sequence, dim] :
         llvm::zip(scan.getSliceArguments(), scan.getSequences(),
                   scan.getSequenceDims())) {
      const HostTensor &whole = known.find(sequence)->second;
      char *data;
      HostTensor slice = HostTensor::allocate(
          tensorTypeOf(argument.getType()), whole.kind, data);
      copySlice(const_cast<char *>(whole.bytes.data()), data, true,
                whole.shape(), dim, t, getElementBytes(whole.kind));
      known[argument] = std::move(slice);
    }
    for (Operation &op : body.without_terminator())
      if (!compute(&op))
        return false;
    for (int64_t i = 0; i < numStates; ++i)
      states[i] = known.find(yield->getOperand(i))->second;
    for (auto [i, dim] : llvm::enumerate(scan.getStackDims())) {
      int64_t number = numStates + i;
      const HostTensor &entry = known.find(yield->getOperand(number))->second;
      copySlice(memory[number], entry.bytes.data(), false,
                stacked.results[number].shape(), dim, t,
                getElementBytes(entry.kind));
    }
  }
  for (Operation &op : body)
    for (Value result : op.getResults())
      known.erase(result);
  for (Value argument : body.getArguments())
    known.erase(argument);
  for (auto [i, result] : llvm::enumerate(scan.getResults()))
    known[result] = static_cast<int64_t>(i) < numStates ? states[i]
                                                        : stacked.results[i];
  return true;
}

/// Work beyond one unit per element of the results, saturating.
static int64_t extraWork(Operation *op) {
  int64_t work = 0;
  auto multiply = [&](ArrayRef<int64_t> sizes) {
    for (int64_t size : sizes)
      if (llvm::MulOverflow(work, size, work))
        work = INT64_MAX / 4;
  };
  if (auto contract = dyn_cast<linalg::ContractOp>(op)) {
    // A step of the general loop nest costs as much as several moves.
    work = 16;
    multiply(contract.getStaticLoopRanges());
  } else if (auto conv = dyn_cast<ConvOp>(op)) {
    work = 16;
    multiply(cast<RankedTensorType>(conv.getY().getType()).getShape());
    multiply(
        cast<RankedTensorType>(conv.getWeight().getType()).getShape().drop_front());
  }
  return work;
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
  int64_t extra = extraWork(op);
  if (extra > limits.work - spent) {
    reason = "a value that takes too long to evaluate";
    return false;
  }
  spent += extra;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (std::optional<HostTensor> value = readAttribute(constant.getValue()))
      return known[op->getResult(0)] = std::move(*value), true;
  } else if (auto weight = dyn_cast<WeightOp>(op)) {
    if (std::optional<HostTensor> value = readAttribute(weight.getValue()))
      return known[op->getResult(0)] = std::move(*value), true;
  } else if (auto scan = dyn_cast<ScanOp>(op)) {
    return computeScan(scan);
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
    if (auto scan = dyn_cast<ScanOp>(op)) {
      llvm::SetVector<Value> captured;
      getUsedValuesDefinedAbove(scan.getBody(), captured);
      for (Value operand : captured)
        if (!known.contains(operand))
          stack.push_back(operand);
    }
    if (stack.size() != before)
      continue;
    if (!compute(op))
      return std::nullopt;
    stack.pop_back();
  }
  return known.find(value)->second;
}
