// SPDX-License-Identifier: Apache-2.0

#include "Relayout.h"

#include "TensorUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera::raise;

/// Cuts each list into the longest runs that are also runs within a list of
/// `other`: what a reshape has to keep apart.
static SmallVector<AxisList> cutIntoRuns(ArrayRef<AxisList> lists,
                                         ArrayRef<AxisList> other) {
  SmallVector<AxisList> runs;
  for (const AxisList &list : lists) {
    bool isFirst = true;
    for (int axis : list) {
      bool joins = !isFirst && llvm::any_of(other, [&](const AxisList &theirs) {
        auto here = llvm::find(theirs, axis);
        return here != theirs.end() && here != theirs.begin() &&
               *std::prev(here) == runs.back().back();
      });
      if (joins)
        runs.back().push_back(axis);
      else
        runs.push_back({axis});
      isFirst = false;
    }
  }
  return runs;
}

static SmallVector<AxisList> withoutUnits(ArrayRef<AxisList> lists) {
  return llvm::to_vector(llvm::make_filter_range(
      lists, [](const AxisList &list) { return !list.empty(); }));
}

Value itera::raise::relayout(OpBuilder &builder, Location loc, Value value,
                             ArrayRef<AxisList> from, ArrayRef<AxisList> to,
                             const AxisTable &table) {
  // Leading dimensions of size one stay where they are.
  size_t units = 0;
  while (units < std::min(from.size(), to.size()) && from[units].empty() &&
         to[units].empty())
    ++units;
  auto sizesOf = [&](ArrayRef<AxisList> lists) {
    SmallVector<int64_t> sizes(units, 1);
    for (const AxisList &list : lists)
      sizes.push_back(table.sizeOf(list));
    return sizes;
  };
  SmallVector<AxisList> runs = cutIntoRuns(from, to), target = withoutUnits(to);
  // The runs in the order of the target, with what is missing between them.
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, units));
  SmallVector<int64_t> missing;
  SmallVector<AxisList> parts;
  for (const AxisList &list : target) {
    bool extendsMissing = false;
    for (unsigned i = 0; i < list.size();) {
      auto run = llvm::find_if(
          runs, [&](const AxisList &run) { return run.front() == list[i]; });
      if (run != runs.end()) {
        order.push_back(units + (run - runs.begin()));
        parts.push_back(*run);
        i += run->size();
        extendsMissing = false;
      } else if (extendsMissing) {
        parts.back().push_back(list[i++]);
      } else {
        missing.push_back(units + parts.size());
        parts.push_back({list[i++]});
        extendsMissing = true;
      }
    }
  }
  // In steps that are pure collapses or pure expansions: no dimension is ever
  // merged with another one that it does not end up with.
  value = reshape(builder, loc, value, sizesOf(withoutUnits(from)));
  value = reshape(builder, loc, value, sizesOf(runs));
  value = permute(builder, loc, value, order);
  if (!missing.empty()) {
    Value empty = tensor::EmptyOp::create(builder, loc, sizesOf(parts),
                                          typeOf(value).getElementType());
    value = linalg::BroadcastOp::create(builder, loc, value, empty, missing)
                ->getResult(0);
  }
  value = reshape(builder, loc, value, sizesOf(target));
  return reshape(builder, loc, value, sizesOf(to.drop_front(units)));
}

Value itera::raise::stripViews(Value value, bool throughPads,
                               SmallVectorImpl<Operation *> *ops) {
  while (Operation *op = value.getDefiningOp()) {
    auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
    bool takesAll = slice && slice.hasUnitStride() &&
                    slice.getStaticSizes() == slice.getSourceType().getShape();
    auto pad = dyn_cast<tensor::PadOp>(op);
    bool isPassedPad =
        pad && (throughPads || pad.getSourceType() == pad.getResultType());
    if (!takesAll && !isPassedPad &&
        !isa<linalg::TransposeOp, linalg::BroadcastOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp>(op))
      break;
    if (!isRegionOp(op))
      break;
    if (ops)
      ops->push_back(op);
    value = op->getOperand(0);
  }
  return value;
}

/// `value`'s slice, from above where that is no more work.
static Value sliceOf(OpBuilder &builder, tensor::ExtractSliceOp slice,
                     Value value) {
  Location loc = slice.getLoc();
  Operation *op = value.getDefiningOp();
  RankedTensorType type =
      slice.getResultType().clone(typeOf(value).getElementType());
  if (op && isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op) &&
      value.hasOneUse()) {
    Value lhs = sliceOf(builder, slice, op->getOperand(0));
    Value rhs = sliceOf(builder, slice, op->getOperand(1));
    Operation *copy = builder.clone(*op);
    copy->setOperands({lhs, rhs});
    copy->getResult(0).setType(type);
    return copy->getResult(0);
  }
  if (auto broadcast = value.getDefiningOp<linalg::BroadcastOp>()) {
    bool sameInput = true;
    for (auto [d, size] : llvm::enumerate(slice.getStaticSizes()))
      sameInput &= size == typeOf(value).getDimSize(d) ||
                   llvm::is_contained(broadcast.getDimensions(), int64_t(d));
    if (sameInput) {
      Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                            type.getElementType());
      return linalg::BroadcastOp::create(builder, loc, broadcast.getInput(),
                                         empty, broadcast.getDimensions())
          ->getResult(0);
    }
  }
  if (auto pad = value.getDefiningOp<tensor::PadOp>())
    if (pad.getSourceType() == type &&
        pad.getStaticLow() == slice.getStaticOffsets())
      return pad.getSource();
  return tensor::ExtractSliceOp::create(
      builder, loc, type, value, slice.getMixedOffsets(), slice.getMixedSizes(),
      slice.getMixedStrides());
}

void itera::raise::pullSliceUp(tensor::ExtractSliceOp slice) {
  Value source = slice.getSource();
  if (!isa_and_present<arith::AddFOp>(source.getDefiningOp()) ||
      !source.hasOneUse() || !slice.hasUnitStride() ||
      slice.getDroppedDims().any())
    return;
  OpBuilder builder(slice);
  slice.replaceAllUsesWith(sliceOf(builder, slice, source));
}
