// SPDX-License-Identifier: Apache-2.0

#include "Relayout.h"

#include "TensorUtils.h"

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
  return llvm::to_vector(
      llvm::make_filter_range(lists, [](const AxisList &list) {
        return !list.empty();
      }));
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
    bool takesAll =
        slice && slice.hasUnitStride() &&
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
