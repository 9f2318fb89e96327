// SPDX-License-Identifier: Apache-2.0
// Finds the anchors of unrolled loops and has the lockstep walk roll them.
//
// An anchor is something that shows T values to be the same value of T steps:
// the operands of a concat, or a chain of alike updates of which only the last
// is used. In-place writes are turned into concats first. Anchors are taken in
// program order, so that what an earlier loop yields is whole by the time that
// a later one (or a loop around it) looks at slices of it.

#include "itera/Transforms/Raise/Passes.h"

#include "LockstepWalk.h"
#include "RollScan.h"
#include "TensorUtils.h"
#include "WriteChains.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace itera {
#define GEN_PASS_DEF_REROLLRECURRENCESPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Fewer steps than this are rolled only when a state is carried between them.
static constexpr unsigned kMinStatelessSteps = 4;
/// How far back a chain's next link may be.
static constexpr unsigned kMaxLinkOps = 40;

static void eraseAll(ArrayRef<Operation *> ops) {
  for (Operation *op : ops)
    op->dropAllUses();
  for (Operation *op : ops)
    op->erase();
}

static void emitMissed(Location loc, const Twine &what, const WalkFailure &failure) {
  Location where = failure.op ? failure.op->getLoc() : loc;
  remark::missed(where, remark::RemarkOpts::name("RerollRecurrences")
                            .category("raise"))
      << (what + " is not rolled: " + failure.reason).str();
}

namespace {

/// The expand_shape ops that only add the concat's dimension to the operands.
static bool isUnsqueeze(Value value, int64_t dim) {
  auto expand = value.getDefiningOp<tensor::ExpandShapeOp>();
  if (!expand || expand.getResultType().getDimSize(dim) != 1 ||
      expand.getResultType().getRank() != expand.getSrcType().getRank() + 1)
    return false;
  SmallVector<int64_t> shape(expand.getResultType().getShape());
  shape.erase(shape.begin() + dim);
  return expand.getSrcType().getShape() == ArrayRef(shape);
}

struct RerollRecurrencesPass
    : itera::impl::RerollRecurrencesPassBase<RerollRecurrencesPass> {
  void runOnOperation() override;

  void runOnBlock(Block &block);
  void rollConcat(tensor::ConcatOp concat);
  /// Rolls concat's operands [begin, end), which have one type; returns what
  /// replaces them.
  Value rollOperands(tensor::ConcatOp concat, unsigned &begin, unsigned &end,
                     SmallVectorImpl<Operation *> &dead);
  void rollChains(Block &block);
  bool rollChain(ArrayRef<Operation *> chain);
};

} // namespace

/// True if rolling `root` is worth it.
static bool isProfitable(const LockstepWalk &walk, Ref root) {
  bool hasState = false, hasSlices = false;
  for (const Node &node : walk.getNodes()) {
    hasState |= node.kind == Node::State;
    hasSlices |= node.kind == Node::Slices;
  }
  if (walk[root].kind != Node::Step)
    return false;
  if (!hasState)
    return walk.getNumLanes() >= kMinStatelessSteps;
  return hasSlices || walk.getNumLanes() > 2;
}

Value RerollRecurrencesPass::rollOperands(tensor::ConcatOp concat, unsigned &begin,
                                          unsigned &end,
                                          SmallVectorImpl<Operation *> &dead) {
  int64_t dim = concat.getDim();
  bool unsqueezed = true;
  for (Value operand : concat.getInputs().slice(begin, end - begin))
    unsqueezed &= isUnsqueeze(operand, dim);
  WalkFailure failure;
  for (unsigned attempt = 0; attempt < 3 && end - begin >= 2; ++attempt) {
    Lanes lanes;
    RollRequest request;
    for (Value operand : concat.getInputs().slice(begin, end - begin)) {
      lanes.push_back({operand});
      if (unsqueezed) {
        Operation *expand = operand.getDefiningOp();
        lanes.back().value = expand->getOperand(0);
        if (llvm::all_of(expand->getUsers(),
                         [&](Operation *user) { return user == concat; }))
          request.anchorOps.insert(expand);
      }
    }
    request.anchorOps.insert(concat);
    LockstepWalk walk(concat->getBlock(), end - begin);
    FailureOr<Ref> root = walk.visit(lanes);
    OpBuilder builder(concat);
    Value result;
    if (succeeded(root) && walk[*root].kind == Node::Slices) {
      auto [value, time] = materializeSlices(builder, concat.getLoc(),
                                             walk[*root].slices, end - begin);
      result = moveDimension(builder, concat.getLoc(), value, time, dim);
    } else if (succeeded(root)) {
      if (!isProfitable(walk, *root))
        return {};
      request.output = *root;
      request.stackDim = dim;
      request.anchor = concat;
      FailureOr<Rolled> rolled = rollScan(walk, request, failure.reason);
      if (succeeded(rolled)) {
        ++numLoops;
        numSteps += end - begin;
        result = rolled->output;
        llvm::append_range(dead, rolled->replaced);
      }
    }
    if (result) {
      request.anchorOps.erase(concat);
      dead.append(request.anchorOps.begin(), request.anchorOps.end());
      if (unsqueezed)
        return result;
      // The lanes have the concat's dimension themselves: [T, k] -> [T * k].
      SmallVector<ReassociationIndices> groups;
      for (int64_t d = 0, in = 0; d < concat.getType().getRank(); ++d, ++in) {
        groups.push_back({in});
        if (d == dim)
          groups.back().push_back(++in);
      }
      return tensor::CollapseShapeOp::create(builder, concat.getLoc(), result,
                                             groups);
    }
    if (failed(root))
      failure = walk.getFailure();
    // An odd first or last step stays outside of the loop.
    int lanesLeft = end - begin - 1;
    if (lanesLeft < static_cast<int>(kMinStatelessSteps) ||
        (failure.oddLane != 0 && failure.oddLane != lanesLeft))
      break;
    if (failure.oddLane == 0)
      ++begin;
    else
      --end;
  }
  if (end - begin > 2)
    emitMissed(concat.getLoc(), "a stack of " + Twine(end - begin) + " values",
               failure);
  return {};
}

void RerollRecurrencesPass::rollConcat(tensor::ConcatOp concat) {
  SmallVector<Value> parts;
  SmallVector<Operation *> dead;
  bool changed = false;
  unsigned count = concat.getInputs().size();
  for (unsigned i = 0; i < count;) {
    unsigned j = i + 1;
    while (j < count &&
           concat.getInputs()[j].getType() == concat.getInputs()[i].getType())
      ++j;
    unsigned begin = i, end = j;
    Value rolled = j - i >= 2 ? rollOperands(concat, begin, end, dead) : Value();
    if (rolled) {
      changed = true;
      llvm::append_range(parts, concat.getInputs().slice(i, begin - i));
      parts.push_back(rolled);
      llvm::append_range(parts, concat.getInputs().slice(end, j - end));
    } else {
      llvm::append_range(parts, concat.getInputs().slice(i, j - i));
    }
    i = j;
  }
  if (!changed)
    return;
  OpBuilder builder(concat);
  Value whole = parts.front();
  if (parts.size() > 1)
    whole = tensor::ConcatOp::create(builder, concat.getLoc(), concat.getType(),
                                     concat.getDim(), parts);
  concat.replaceAllUsesWith(whole);
  concat.erase();
  eraseAll(dead);
}

//===----------------------------------------------------------------------===//
// Chains of which only the last value is used
//===----------------------------------------------------------------------===//

/// The one op like `op` that it depends on by way of few ops.
static Operation *findLink(Operation *op) {
  SmallVector<Operation *> queue{op};
  llvm::SmallPtrSet<Operation *, 32> seen;
  Operation *link = nullptr;
  for (size_t i = 0; i < queue.size(); ++i) {
    for (Value operand : queue[i]->getOperands()) {
      Operation *def = operand.getDefiningOp();
      if (!def || def->getBlock() != op->getBlock() || !seen.insert(def).second ||
          isa<tensor::ExtractSliceOp, arith::ConstantOp, ssm::WeightOp>(def))
        continue;
      if (def->getName() == op->getName() && areAlike(def, op)) {
        if (link && link != def)
          return nullptr;
        link = def;
        continue;
      }
      if (queue.size() >= kMaxLinkOps)
        return nullptr;
      queue.push_back(def);
    }
  }
  return link;
}

bool RerollRecurrencesPass::rollChain(ArrayRef<Operation *> chain) {
  Lanes lanes;
  for (Operation *op : chain)
    lanes.push_back({op->getResult(0)});
  LockstepWalk walk(chain.front()->getBlock(), lanes.size());
  FailureOr<Ref> root = walk.visit(lanes);
  if (failed(root) || walk[*root].kind != Node::Step) {
    emitMissed(chain.back()->getLoc(),
               "a chain of " + Twine(chain.size()) + " updates",
               walk.getFailure());
    return false;
  }
  // Layers, too, are alike updates; a loop over time reads slices over time.
  if (llvm::none_of(walk.getNodes(),
                    [](const Node &n) { return n.kind == Node::Slices; }))
    return false;
  RollRequest request;
  request.anchor = chain.back()->getNextNode();
  request.output = std::nullopt;
  WalkFailure failure;
  FailureOr<Rolled> rolled = rollScan(walk, request, failure.reason);
  if (failed(rolled)) {
    emitMissed(chain.back()->getLoc(),
               "a chain of " + Twine(chain.size()) + " updates", failure);
    return false;
  }
  ++numLoops;
  numSteps += chain.size();
  eraseAll(rolled->replaced);
  return true;
}

void RerollRecurrencesPass::rollChains(Block &block) {
  // From the bottom up, the first op of a chain met is the end of a last step.
  bool changed = true;
  llvm::SmallPtrSet<Operation *, 32> tried;
  while (changed) {
    changed = false;
    for (Operation &op : llvm::reverse(block)) {
      if (op.getNumResults() != 1 || op.getNumOperands() < 2 ||
          op.getNumRegions() > 1 || !isMemoryEffectFree(&op) ||
          isa<tensor::ExtractSliceOp, arith::ConstantOp, ssm::WeightOp>(op) ||
          !tried.insert(&op).second)
        continue;
      SmallVector<Operation *> chain{&op};
      while (Operation *link = findLink(chain.back())) {
        tried.insert(link);
        chain.push_back(link);
      }
      if (chain.size() < 3)
        continue;
      std::reverse(chain.begin(), chain.end());
      changed = rollChain(chain);
      if (changed)
        break;
    }
  }
}

void RerollRecurrencesPass::runOnBlock(Block &block) {
  for (Operation &op : block)
    for (Region &region : op.getRegions())
      if (!isa<linalg::LinalgOp>(op))
        for (Block &inner : region)
          runOnBlock(inner);
  eraseDeadOps(block);
  simplifyWriteChains(block);
  SmallVector<tensor::ConcatOp> concats(block.getOps<tensor::ConcatOp>());
  for (tensor::ConcatOp concat : concats)
    rollConcat(concat);
  eraseDeadOps(block);
  rollChains(block);
  eraseDeadOps(block);
}

void RerollRecurrencesPass::runOnOperation() {
  for (Block &block : getOperation().getBody())
    runOnBlock(block);
}
