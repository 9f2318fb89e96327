// SPDX-License-Identifier: Apache-2.0
//
// Problem: a stream differs from the whole model somewhere, and only the outputs
// show it.
// Idea: make what is in between outputs too, before the stream is derived, and
// compare all of them.
// Invariant: a model that streams still does. Where an analysis of the function
// says that a value could not be an output of a stream, it is left out.

#include "StatePairs.h"
#include "StreamPlan.h"
#include "TimeInference.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Stream/Passes.h"
#include "mlir/IR/IRMapping.h"

namespace itera {
#define GEN_PASS_DEF_TAPVALUESPASS
#include "itera/Transforms/Stream/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct Tap {
  Value value;
  std::string name; // of the node, and which of its results
  std::string node;
};

struct TapValues : itera::impl::TapValuesPassBase<TapValues> {
  using Base::Base;
  void runOnOperation() override;

private:
  bool isWanted(StringRef node) const {
    return llvm::is_contained(nodes, "all") || llvm::is_contained(nodes, node);
  }
};

} // namespace

/// Whether a value can be an output of the C interface.
static bool hasInterfaceType(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.hasStaticShape())
    return false;
  Type element = type.getElementType();
  return isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(element) ||
         element.isInteger(1) || element.isInteger(8) ||
         element.isInteger(16) || element.isInteger(32) ||
         element.isInteger(64);
}

/// The values that depend on an argument.
static llvm::DenseSet<Value> findDependent(func::FuncOp function) {
  llvm::DenseSet<Value> dependent(function.getArguments().begin(),
                                  function.getArguments().end());
  for (Operation &op : function.front().without_terminator()) {
    bool depends = false;
    op.walk([&](Operation *inner) {
      depends |= llvm::any_of(inner->getOperands(), [&](Value operand) {
        return dependent.contains(operand);
      });
    });
    if (depends)
      dependent.insert(op.result_begin(), op.result_end());
  }
  return dependent;
}

/// What each node computes: the results of the last of its ops. Ops that no
/// node gave a name have their own, with a number.
static SmallVector<Tap> collectTaps(func::FuncOp function) {
  llvm::DenseSet<Value> dependent = findDependent(function);
  llvm::StringMap<Operation *> last;
  llvm::StringMap<unsigned> unnamed;
  SmallVector<Operation *> ops;
  for (Operation &op : function.front().without_terminator())
    if (llvm::any_of(op.getResults(), [&](Value result) {
          return dependent.contains(result) && hasInterfaceType(result);
        })) {
      ops.push_back(&op);
      last[nodeName(&op)] = &op;
    }
  SmallVector<Tap> taps;
  for (Operation *op : ops) {
    std::string node = nodeName(op);
    bool named = bool(op->getLoc()->findInstanceOf<NameLoc>());
    if (named && last[node] != op)
      continue;
    if (!named)
      if (unsigned number = unnamed[node]++)
        node += "#" + std::to_string(number + 1);
    for (OpResult result : op->getResults()) {
      if (!hasInterfaceType(result))
        continue;
      std::string name = node;
      if (unsigned number = result.getResultNumber())
        name += ":" + std::to_string(number);
      taps.push_back({result, name, node});
    }
  }
  return taps;
}

/// Leaves the taps that a stream can deliver.
static LogicalResult keepStreamable(func::FuncOp forward,
                                    ArrayRef<std::string> timeDims,
                                    SmallVectorImpl<Tap> &taps) {
  InputTimes given;
  if (failed(readTimeDims(forward, timeDims, given)))
    return failure();
  IRMapping mapping;
  OwningOpRef<func::FuncOp> copy(
      cast<func::FuncOp>(forward->clone(mapping)));
  makePaddingExplicit(*copy);
  for (const InputTimes &times : inferInputTimes(*copy, given)) {
    StreamAnalysis analysis(*copy);
    if (failed(analysis.run(times)))
      continue;
    llvm::erase_if(taps, [&](const Tap &tap) {
      const ValueTime &time = analysis.get(mapping.lookup(tap.value));
      if (time.kind != ValueTime::frames)
        return time.kind != ValueTime::atEnd;
      return !time.available.time.isWhole() ||
             (time.available.lookahead < 0 && time.available.stride != 1);
    });
    break;
  }
  return success();
}

void TapValues::runOnOperation() {
  auto forward =
      getOperation().lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward || forward.isExternal() || !forward.getBody().hasOneBlock())
    return;
  FailureOr<StatePairs> pairs = findStatePairs(forward, stateNames);
  if (failed(pairs))
    return signalPassFailure();
  SmallVector<Tap> taps = collectTaps(forward);
  for (const std::string &node : nodes)
    if (node != "all" &&
        llvm::none_of(taps, [&](const Tap &tap) { return tap.node == node; })) {
      forward.emitError("--taps: there is no node '")
          << node << "' with a result that could be an output";
      return signalPassFailure();
    }
  llvm::erase_if(taps, [&](const Tap &tap) { return !isWanted(tap.node); });
  if (!pairs->empty() && !isSequence(forward, *pairs))
    llvm::erase_if(taps, [](const Tap &tap) {
      return !findUnitDim(cast<RankedTensorType>(tap.value.getType()));
    });
  else if (failed(keepStreamable(forward, timeDims, taps)))
    return signalPassFailure();

  OpBuilder b(&getContext());
  Operation *end = forward.front().getTerminator();
  for (const Tap &tap : taps) {
    end->insertOperands(end->getNumOperands(), tap.value);
    auto attrs = b.getDictionaryAttr(
        {b.getNamedAttr(ssm::kNameAttr, b.getStringAttr("tap:" + tap.name)),
         b.getNamedAttr(ssm::kNodeAttr, b.getStringAttr(tap.node))});
    if (failed(forward.insertResult(forward.getNumResults(),
                                    tap.value.getType(), attrs)))
      return signalPassFailure();
  }
}
