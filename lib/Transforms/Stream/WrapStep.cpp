// SPDX-License-Identifier: Apache-2.0
//
// Problem: a file with one time step has its states as inputs and outputs. It
// steps, but a prompt must go through it token by token.
// Idea: the step is the body of a scan over time. Written as a function over a
// whole sequence it is like any other model: raising takes out of the scan what
// does not need the states, and the stream is derived from what is left.
// Invariant: the new function over T frames computes what T calls of the step
// compute, each with the states that the call before it returned.

#include "StatePairs.h"
#include "Rules.h"
#include "TimeInference.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Stream/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

namespace itera {
#define GEN_PASS_DEF_WRAPSTEPPASS
#include "itera/Transforms/Stream/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

std::optional<int64_t> itera::findUnitDim(RankedTensorType type) {
  int64_t rank = type.getRank();
  for (int64_t dim : {int64_t(1), rank - 1, int64_t(0)})
    if (dim >= 0 && dim < rank && type.getDimSize(dim) == 1)
      return dim;
  return std::nullopt;
}

static RankedTensorType withoutDim(RankedTensorType type, int64_t dim) {
  SmallVector<int64_t> shape(type.getShape());
  shape.erase(shape.begin() + dim);
  return type.clone(shape);
}

/// How [.., 1, ..] becomes [.., ..], which has a dimension less.
static SmallVector<ReassociationIndices> dropping(int64_t rank, int64_t dim) {
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < rank; ++i) {
    if (rank == 1)
      break;
    bool joins = !groups.empty() && (i == dim || (dim == 0 && i == 1));
    if (joins)
      groups.back().push_back(i);
    else
      groups.push_back({i});
  }
  return groups;
}

namespace {

struct WrapStep : itera::impl::WrapStepPassBase<WrapStep> {
  using Base::Base;
  void runOnOperation() override;

private:
  func::FuncOp wrap(func::FuncOp forward, const StatePairs &pairs,
                    ArrayRef<std::optional<int64_t>> inputDims,
                    ArrayRef<std::optional<int64_t>> outputDims);
};

} // namespace

func::FuncOp WrapStep::wrap(func::FuncOp forward, const StatePairs &pairs,
                            ArrayRef<std::optional<int64_t>> inputDims,
                            ArrayRef<std::optional<int64_t>> outputDims) {
  OpBuilder b(&getContext());
  Location loc = forward.getLoc();
  b.setInsertionPointToEnd(getOperation().getBody());
  Operation *end = forward.front().getTerminator();

  SmallVector<Type> argumentTypes, resultTypes;
  for (auto [type, dim] : llvm::zip(forward.getArgumentTypes(), inputDims))
    argumentTypes.push_back(dim ? withFrames(type, {*dim, 1, 1}, frames) : type);
  for (auto [type, dim] : llvm::zip(forward.getResultTypes(), outputDims))
    resultTypes.push_back(dim ? withFrames(type, {*dim, 1, 1}, frames) : type);
  auto sequence = func::FuncOp::create(
      b, loc, ssm::kSequenceName, b.getFunctionType(argumentTypes, resultTypes));
  sequence.setAllArgAttrs(forward.getAllArgAttrs());
  Block *entry = sequence.addEntryBlock();
  b.setInsertionPointToEnd(entry);

  SmallVector<Value> inits, sequences;
  SmallVector<int64_t> sequenceDims, stackDims;
  SmallVector<unsigned> stateInputs, frameInputs;
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments())) {
    if (pairs.outputOf(i)) {
      stateInputs.push_back(i);
      inits.push_back(argument);
    } else if (inputDims[i]) {
      frameInputs.push_back(i);
      sequences.push_back(argument);
      sequenceDims.push_back(*inputDims[i]);
    }
  }
  SmallVector<Type> types(ValueRange(inits).getTypes());
  for (auto [i, type] : llvm::enumerate(resultTypes))
    if (outputDims[i]) {
      types.push_back(type);
      stackDims.push_back(*outputDims[i]);
    }
  auto scan = ssm::ScanOp::create(
      b, loc, types, inits, sequences, b.getI64IntegerAttr(frames),
      b.getDenseI64ArrayAttr(sequenceDims), b.getDenseI64ArrayAttr(stackDims),
      /*reverse=*/nullptr);

  IRMapping mapping;
  for (auto [i, argument] : llvm::enumerate(sequence.getArguments()))
    mapping.map(forward.getArgument(i), argument);
  // What does not depend on the input is computed once.
  Block *body = new Block();
  scan.getBody().push_back(body);
  for (unsigned i : stateInputs)
    mapping.map(forward.getArgument(i),
                body->addArgument(forward.getArgument(i).getType(), loc));
  b.setInsertionPointToEnd(body);
  for (auto [k, i] : llvm::enumerate(frameInputs)) {
    auto type = cast<RankedTensorType>(forward.getArgument(i).getType());
    Value slice = body->addArgument(withoutDim(type, sequenceDims[k]), loc);
    mapping.map(forward.getArgument(i),
                tensor::ExpandShapeOp::create(
                    b, loc, type, slice,
                    dropping(type.getRank(), sequenceDims[k])));
  }
  for (Operation &op : forward.front().without_terminator())
    b.clone(op, mapping);
  SmallVector<Value> yielded;
  for (unsigned i : stateInputs)
    yielded.push_back(mapping.lookup(end->getOperand(*pairs.outputOf(i))));
  for (auto [i, output] : llvm::enumerate(end->getOperands())) {
    if (!outputDims[i])
      continue;
    auto type = cast<RankedTensorType>(output.getType());
    yielded.push_back(tensor::CollapseShapeOp::create(
        b, loc, withoutDim(type, *outputDims[i]), mapping.lookup(output),
        dropping(type.getRank(), *outputDims[i])));
  }
  ssm::YieldOp::create(b, loc, yielded);

  b.setInsertionPointToEnd(entry);
  SmallVector<Value> results;
  unsigned stacked = 0;
  for (unsigned i = 0; i < resultTypes.size(); ++i) {
    if (outputDims[i]) {
      results.push_back(scan.getStacked()[stacked++]);
      continue;
    }
    unsigned state = 0;
    while (*pairs.outputOf(stateInputs[state]) != i)
      ++state;
    results.push_back(scan.getLastStates()[state]);
  }
  func::ReturnOp::create(b, loc, results);
  return sequence;
}

/// An input that is no state has a time dimension of more than one step.
bool itera::isSequence(func::FuncOp function, const StatePairs &pairs) {
  InputTimes none(function.getNumArguments());
  for (const InputTimes &times : inferInputTimes(function, none)) {
    bool longer = false, ofState = false;
    for (auto [i, time] : llvm::enumerate(times)) {
      if (!time)
        continue;
      auto type = cast<RankedTensorType>(function.getArgumentTypes()[i]);
      ofState |= pairs.outputOf(i).has_value();
      longer |= type.getDimSize(time->dim) > 1;
    }
    if (longer && !ofState)
      return true;
  }
  return false;
}

void WrapStep::runOnOperation() {
  ModuleOp module = getOperation();
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward || forward.isExternal())
    return;
  FailureOr<StatePairs> pairs = findStatePairs(forward, stateNames);
  if (failed(pairs))
    return signalPassFailure();
  if (pairs->empty() || isSequence(forward, *pairs))
    return;
  // Every input and output that is no state must be one frame.
  SmallVector<std::optional<int64_t>> inputDims, outputDims;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    std::optional<int64_t> &dim = inputDims.emplace_back();
    if (pairs->outputOf(i))
      continue;
    dim = findUnitDim(cast<RankedTensorType>(forward.getArgumentTypes()[i]));
  }
  for (unsigned i = 0; i < forward.getNumResults(); ++i) {
    std::optional<int64_t> &dim = outputDims.emplace_back();
    if (pairs->isState(i))
      continue;
    dim = findUnitDim(cast<RankedTensorType>(forward.getResultTypes()[i]));
    if (!dim)
      return;
  }
  if (llvm::none_of(inputDims, [](auto &dim) { return dim.has_value(); }))
    return;
  wrap(forward, *pairs, inputDims, outputDims);
}
