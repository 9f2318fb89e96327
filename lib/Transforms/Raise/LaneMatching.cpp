// SPDX-License-Identifier: Apache-2.0
// What the lockstep walk asks of single ops and of single vectors.

#include "LockstepWalk.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace itera::raise;

SmallVector<Value> itera::raise::getCaptures(Operation *op) {
  llvm::SetVector<Value> captures;
  if (op->getNumRegions() > 0)
    getUsedValuesDefinedAbove(op->getRegions(), captures);
  return captures.takeVector();
}

/// True if the regions of a and b are the same up to the values they capture.
static bool haveAlikeRegions(Operation *a, Operation *b) {
  if (a->getNumRegions() == 0)
    return true;
  SmallVector<Value> outerA = getCaptures(a), outerB = getCaptures(b);
  if (TypeRange(ValueRange(outerA)) != TypeRange(ValueRange(outerB)))
    return false;
  DenseMap<Value, Value> known;
  for (auto [va, vb] : llvm::zip(outerA, outerB))
    known[va] = vb;
  auto check = [&](Value va, Value vb) {
    return success(known.lookup(va) == vb);
  };
  auto mark = [&](Value va, Value vb) { known[va] = vb; };
  for (auto [ra, rb] : llvm::zip(a->getRegions(), b->getRegions()))
    if (!OperationEquivalence::isRegionEquivalentTo(
            &ra, &rb, check, mark, OperationEquivalence::IgnoreLocations))
      return false;
  return true;
}

bool itera::raise::areAlike(Operation *a, Operation *b) {
  if (a == b)
    return true;
  return a->getName() == b->getName() &&
         a->getResultTypes() == b->getResultTypes() &&
         a->getOperandTypes() == b->getOperandTypes() &&
         a->getNumRegions() == b->getNumRegions() &&
         a->getDiscardableAttrDictionary() == b->getDiscardableAttrDictionary() &&
         a->getName().compareOpProperties(a->getPropertiesStorage(),
                                          b->getPropertiesStorage()) &&
         haveAlikeRegions(a, b);
}

/// A hash of how a value comes about, looking `depth` ops back.
static llvm::hash_code hashShape(Value value, int depth) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return llvm::hash_combine(value.getAsOpaquePointer());
  llvm::hash_code hash = llvm::hash_combine(
      op->getName().getAsOpaquePointer(), value.getType().getAsOpaquePointer());
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return llvm::hash_combine(hash, slice.getSource().getAsOpaquePointer());
  if (depth > 1)
    for (Value operand : op->getOperands())
      hash = llvm::hash_combine(hash, hashShape(operand, depth - 1));
  return hash;
}

bool itera::raise::shouldSwapOperands(Operation *op, Operation *rep) {
  auto score = [&](unsigned first) {
    int sum = 0;
    for (unsigned k : {0u, 1u}) {
      Value mine = op->getOperand(first == k ? 0 : 1);
      Value theirs = rep->getOperand(k);
      for (int depth : {1, 2, 3})
        sum += hashShape(mine, depth) == hashShape(theirs, depth);
    }
    return sum;
  };
  return score(1) > score(0);
}

FailureOr<SliceSequence> itera::raise::matchSlices(ArrayRef<Lane> lanes) {
  SliceSequence seq;
  tensor::ExtractSliceOp first;
  int64_t firstLane = 0;
  bool hasStep = false;
  for (auto [t, lane] : llvm::enumerate(lanes)) {
    if (lane.isAny())
      continue;
    auto slice = lane.value ? lane.value.getDefiningOp<tensor::ExtractSliceOp>()
                            : tensor::ExtractSliceOp();
    if (!slice || !slice.hasUnitStride() ||
        llvm::any_of(slice.getStaticOffsets(), ShapedType::isDynamic))
      return failure();
    if (!first) {
      first = slice;
      firstLane = t;
      continue;
    }
    if (slice.getSource() != first.getSource() ||
        slice.getType() != first.getType() ||
        slice.getStaticSizes() != first.getStaticSizes())
      return failure();
    if (!hasStep) {
      // The dimension along which the offset moves, and by how much a lane.
      int64_t moved = -1;
      for (auto [d, a, b] : llvm::enumerate(first.getStaticOffsets(),
                                            slice.getStaticOffsets())) {
        if (a == b)
          continue;
        if (moved >= 0)
          return failure();
        moved = d;
      }
      if (moved < 0)
        return failure();
      int64_t distance = slice.getStaticOffsets()[moved] -
                         first.getStaticOffsets()[moved];
      int64_t gap = static_cast<int64_t>(t) - firstLane;
      if (distance % gap != 0)
        return failure();
      seq.dim = moved;
      seq.step = distance / gap;
      hasStep = true;
      continue;
    }
    for (auto [d, a, b] : llvm::enumerate(first.getStaticOffsets(),
                                          slice.getStaticOffsets())) {
      int64_t moved = static_cast<int64_t>(d) == seq.dim
                          ? (static_cast<int64_t>(t) - firstLane) * seq.step
                          : 0;
      if (a + moved != b)
        return failure();
    }
  }
  if (!hasStep)
    return failure();
  seq.source = first.getSource();
  seq.offsets.assign(first.getStaticOffsets().begin(),
                     first.getStaticOffsets().end());
  seq.offsets[seq.dim] -= firstLane * seq.step;
  seq.sizes.assign(first.getStaticSizes().begin(), first.getStaticSizes().end());
  seq.dropped = first.getDroppedDims();
  // Which of several unit dimensions went is a matter of taste: let it be time.
  if (!seq.dropped.test(seq.dim) && seq.sizes[seq.dim] == 1)
    for (int d : seq.dropped.set_bits()) {
      auto [low, high] = std::minmax<int64_t>(d, seq.dim);
      if (!llvm::all_of(ArrayRef(seq.sizes).slice(low, high - low + 1),
                        [](int64_t size) { return size == 1; }))
        continue;
      seq.dropped.reset(d);
      seq.dropped.set(seq.dim);
      break;
    }
  seq.sliceType = cast<RankedTensorType>(first.getType());
  // Windows of several entries must lie side by side; missing lanes in bounds.
  int64_t width = seq.sizes[seq.dim];
  if (width != 1 && std::abs(seq.step) != width)
    return failure();
  int64_t extent = first.getSourceType().getDimSize(seq.dim);
  int64_t last = seq.offsets[seq.dim] +
                 (static_cast<int64_t>(lanes.size()) - 1) * seq.step;
  int64_t low = std::min(seq.offsets[seq.dim], last);
  int64_t high = std::max(seq.offsets[seq.dim], last) + width;
  if (low < 0 || high > extent)
    return failure();
  return seq;
}
