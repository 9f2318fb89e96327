// SPDX-License-Identifier: Apache-2.0

#include "ClosedFormSearch.h"

#include "Match.h"
#include "Relayout.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Bounds on what is looked at for one group: closed forms have tens of ops.
static constexpr unsigned kMostConeOps = 256, kMostFollowedOps = 8192,
                          kMostSinks = 16;

ClosedFormSearch::ClosedFormSearch(Block &block)
    : evaluator({/*elements=*/int64_t(1) << 22, /*work=*/int64_t(1) << 30}),
      block(block) {
  for (Operation &op : block)
    if (op.getNumRegions() == 0 || isa<linalg::LinalgOp, tensor::PadOp>(op))
      if (ssm::canEvaluate(&op) && llvm::all_of(op.getOperands(), [&](Value v) {
            return isConstant(v);
          }))
        constants.insert(op.result_begin(), op.result_end());
}

/// Constants of zeros and ones (or minus one) select and add up.
bool ClosedFormSearch::isMask(Value value) {
  if (!isConstant(value))
    return false;
  value = stripViews(value, /*throughPads=*/false);
  auto isOne = [](double number) {
    return number == 0 || number == 1 || number == -1;
  };
  if (std::optional<double> number = matchSplat(value))
    return isOne(*number);
  std::optional<ssm::HostTensor> data = evaluator.evaluate(value);
  if (!data || !ssm::isFloat(data->kind))
    return false;
  for (int64_t i = 0; i < data->size(); ++i)
    if (!isOne(data->getFloat(i)))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Upward from an exponential
//===----------------------------------------------------------------------===//

/// Follows sums upward to the one value that they are of.
bool ClosedFormSearch::walkCone(Operation *exp, DecayGroup &group) {
  SmallVector<Value> work{exp->getOperand(0)};
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (isConstant(value) || group.cone.contains(value) || value == group.decay)
      continue;
    Operation *op = value.getDefiningOp();
    SmallVector<Value> next;
    bool isSum = op && op->getBlock() == &block && isRegionOp(op);
    if (isSum) {
      for (OpOperand *operand : getRegionOperands(op))
        if (!isConstant(operand->get()))
          next.push_back(operand->get());
      if (isa<arith::MulFOp, linalg::ContractOp>(op)) {
        // A product with a mask is a sum, too.
        isSum = next.size() == 1 &&
                llvm::all_of(getRegionOperands(op), [&](OpOperand *operand) {
                  return operand->get() == next[0] || isMask(operand->get());
                });
        group.sumsTime |= isSum && isa<linalg::ContractOp>(op);
      } else if (isa<arith::SelectOp>(op)) {
        isSum = isConstant(op->getOperand(0)) && next.size() == 1;
      } else {
        isSum = !isa<arith::DivFOp, math::ExpOp>(op);
        group.sumsTime |= isa<ssm::CumsumOp>(op);
      }
    }
    if (!isSum) {
      if (group.decay)
        return false;
      group.decay = value;
      continue;
    }
    group.cone.insert(value);
    if (group.cone.size() > kMostConeOps)
      return false;
    work.append(next);
  }
  return bool(group.decay);
}

SmallVector<DecayGroup> ClosedFormSearch::findGroups() {
  llvm::MapVector<Value, DecayGroup> groups;
  for (Operation &op : block) {
    if (!isa<math::ExpOp>(op) || !isRegionOp(&op))
      continue;
    DecayGroup found;
    if (!walkCone(&op, found))
      continue;
    DecayGroup &group = groups[found.decay];
    group.decay = found.decay;
    group.exps.push_back(&op);
    group.cone.insert(found.cone.begin(), found.cone.end());
    group.sumsTime |= found.sumsTime;
  }
  SmallVector<DecayGroup> result;
  for (auto &[decay, group] : groups)
    if (group.sumsTime || multipliesShifted(group))
      result.push_back(std::move(group));
  return result;
}

/// A scan of logarithmic depth multiplies decays with decays shifted in time.
bool ClosedFormSearch::multipliesShifted(const DecayGroup &group) {
  llvm::SmallPtrSet<Operation *, 16> moved(group.exps.begin(), group.exps.end());
  llvm::SmallPtrSet<Operation *, 16> shifted;
  SmallVector<Operation *> work(group.exps);
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    for (Operation *user : op->getUsers()) {
      if (isa<arith::MulFOp>(user)) {
        Operation *lhs = user->getOperand(0).getDefiningOp();
        Operation *rhs = user->getOperand(1).getDefiningOp();
        if (moved.contains(lhs) && moved.contains(rhs) &&
            (shifted.contains(lhs) || shifted.contains(rhs)))
          return true;
      }
      bool isShift = isa<tensor::PadOp, tensor::ConcatOp>(user);
      if ((isShift || isa<tensor::ExtractSliceOp>(user)) &&
          moved.insert(user).second) {
        if (isShift || shifted.contains(op))
          shifted.insert(user);
        work.push_back(user);
      }
    }
  }
  return false;
}

//===----------------------------------------------------------------------===//
// Downward
//===----------------------------------------------------------------------===//

void ClosedFormSearch::follow(const DecayGroup &group) {
  followed.clear();
  followedOps.assign(group.exps.begin(), group.exps.end());
  for (unsigned i = 0; i < followedOps.size(); ++i) {
    Value value = followedOps[i]->getResult(0);
    followed.insert(value);
    for (Operation *user : value.getUsers()) {
      if (user->getBlock() != &block || !isRegionOp(user) ||
          followed.contains(user->getResult(0)) ||
          followedOps.size() > kMostFollowedOps)
        continue;
      // A matmul with weights ends a layer.
      bool isLinear =
          isa<linalg::ContractOp>(user) &&
          llvm::any_of(getRegionOperands(user), [&](OpOperand *operand) {
            return isConstant(operand->get()) && !isMask(operand->get());
          });
      if (isLinear)
        continue;
      followed.insert(user->getResult(0));
      followedOps.push_back(user);
    }
  }
  llvm::sort(followedOps,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
}

SmallVector<Value> ClosedFormSearch::findCandidates(const DecayGroup &group) {
  follow(group);
  llvm::DenseMap<Operation *, unsigned> numbers;
  for (auto [i, op] : llvm::enumerate(followedOps))
    numbers[op] = i;
  SmallVector<unsigned> sinks;
  for (auto [i, op] : llvm::enumerate(followedOps))
    if (llvm::any_of(op->getUsers(),
                     [&](Operation *user) { return !numbers.contains(user); }))
      sinks.push_back(i);
  if (sinks.size() > kMostSinks)
    return {};

  // In program order, a value is on all ways to a sink if, when it is there,
  // nothing else that is still to be read on a way to the sink is.
  SmallVector<bool> isCandidate(followedOps.size(), false);
  for (unsigned sink : sinks) {
    SmallVector<bool> leads(followedOps.size(), false);
    SmallVector<unsigned> lastUse(followedOps.size(), 0);
    leads[sink] = true;
    lastUse[sink] = followedOps.size();
    unsigned lastExp = 0;
    for (unsigned i = sink + 1; i-- > 0;) {
      for (Operation *user : followedOps[i]->getUsers()) {
        auto it = numbers.find(user);
        if (it == numbers.end() || it->second > sink || !leads[it->second])
          continue;
        leads[i] = true;
        lastUse[i] = std::max(lastUse[i], it->second);
      }
      if (leads[i] && llvm::is_contained(group.exps, followedOps[i]))
        lastExp = std::max(lastExp, i);
    }
    unsigned busyUntil = 0; // the last read of what came before
    for (unsigned i = 0; i <= sink; ++i) {
      if (!leads[i])
        continue;
      isCandidate[i] |= i >= lastExp && busyUntil <= i;
      busyUntil = std::max(busyUntil, lastUse[i]);
    }
  }
  SmallVector<Value> candidates;
  for (auto [op, is] : llvm::zip(followedOps, isCandidate))
    if (is && !isa<math::ExpOp>(op))
      candidates.push_back(op->getResult(0));
  return candidates;
}

//===----------------------------------------------------------------------===//
// Cutting a region out
//===----------------------------------------------------------------------===//

/// Adds what leads to `value`. The cut is above what depends on the decay; of
/// what does not, products that only the closed form needs (C times B for all
/// pairs of frames) are inside.
bool ClosedFormSearch::cutAbove(Value value, const DecayGroup &group,
                                const llvm::DenseSet<Value> &inside,
                                CutRegion &region,
                                llvm::DenseSet<Value> &seen) {
  SmallVector<Value> work{value};
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    auto addLeaf = [&](Value leaf) {
      if (!llvm::is_contained(region.leaves, leaf))
        region.leaves.push_back(leaf);
    };
    auto enter = [&](Operation *op) {
      region.ops.push_back(op);
      for (OpOperand *operand : getRegionOperands(op)) {
        Value read = operand->get();
        Operation *def = read.getDefiningOp();
        bool isView = def && def->getNumOperands() > 0 &&
                      stripViews(read, /*throughPads=*/false) != read;
        if (isConstant(read) && !isView)
          region.constants.push_back(operand);
        else
          work.push_back(read);
      }
    };
    if (next == group.decay) {
      addLeaf(next);
      continue;
    }
    Operation *op = next.getDefiningOp();
    if (followed.contains(next) || group.cone.contains(next) ||
        inside.contains(next) || isConstant(next)) {
      if (!isRegionOp(op) || region.ops.size() > kMostFollowedOps)
        return false;
      // No input decides a selection.
      if (isa<arith::SelectOp>(op) && !isConstant(op->getOperand(0)))
        return false;
      enter(op);
      continue;
    }
    SmallVector<Operation *> views;
    Value base = stripViews(next, /*throughPads=*/true, &views);
    if (!views.empty()) {
      for (Operation *view : views)
        if (seen.insert(view->getResult(0)).second || view == views.front())
          region.ops.push_back(view);
      work.push_back(base);
      continue;
    }
    bool isProduct = false;
    if (op && op->getBlock() == &block && isRegionOp(op)) {
      bool hasConstant =
          llvm::any_of(getRegionOperands(op), [&](OpOperand *read) {
            return isConstant(read->get());
          });
      // A state that is still zero is multiplied, too.
      if (isa<linalg::ContractOp>(op))
        isProduct = llvm::all_of(getRegionOperands(op), [&](OpOperand *read) {
          return !isConstant(read->get()) || isMask(read->get());
        });
      if (isa<linalg::ReduceOp>(op))
        isProduct = bool(stripViews(op->getOperand(0), false)
                             .getDefiningOp<arith::MulFOp>());
      if (isa<arith::MulFOp>(op) && !hasConstant)
        isProduct = llvm::all_of(op->getOperands(), [&](Value operand) {
          return typeOf(stripViews(operand, false)).getNumElements() <
                 typeOf(next).getNumElements();
        });
    }
    if (isProduct)
      enter(op);
    else
      addLeaf(next);
  }
  return true;
}

std::optional<CutRegion> ClosedFormSearch::cutRegion(const DecayGroup &group,
                                                     Value root,
                                                     RegionAxes &axes) {
  RegionAxes before = axes;
  llvm::DenseSet<Value> inside;
  while (true) {
    CutRegion region;
    region.root = root;
    llvm::DenseSet<Value> seen;
    if (!cutAbove(root, group, inside, region, seen) ||
        !llvm::is_contained(region.leaves, group.decay))
      return std::nullopt;
    region.sort();
    axes = before;
    if (!relateRegion(region, axes, evaluator))
      return std::nullopt;
    // A loop over chunks that was unrolled reads slices of sequences: with the
    // slices inside, the sequences are the leaves. Others, say of channels,
    // stay leaves.
    bool isComplete = true;
    for (Value leaf : region.leaves) {
      auto slice = leaf.getDefiningOp<tensor::ExtractSliceOp>();
      if (!slice || leaf == group.decay || !isRegionOp(slice) ||
          slice->getBlock() != &block)
        continue;
      RegionAxes with = axes;
      if (!with.relate(slice))
        continue;
      bool isOfTime = true;
      llvm::SmallBitVector dropped = slice.getDroppedDims();
      SmallVector<AxisList> here = axes.of(leaf);
      for (int64_t d = 0, kept = 0; d < int64_t(dropped.size()); ++d) {
        bool isPart =
            slice.getStaticSizes()[d] != slice.getSourceType().getDimSize(d);
        if (isPart && !dropped.test(d))
          isOfTime &= llvm::all_of(
              here[kept], [&](int axis) { return axes.table.isPinned(axis); });
        kept += !dropped.test(d);
      }
      if (isOfTime) {
        inside.insert(leaf);
        isComplete = false;
      }
    }
    if (isComplete)
      return region;
  }
}

void ClosedFormSearch::pullSlicesUp(const DecayGroup &group) {
  follow(group);
  for (Operation *op : followedOps)
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
      pullSliceUp(slice);
}
