// SPDX-License-Identifier: Apache-2.0

#include "Relayout.h"

#include "TensorUtils.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera::raise;

static AxisList flatten(ArrayRef<AxisList> lists) {
  AxisList result;
  for (const AxisList &list : lists)
    result.append(list);
  return result;
}

/// Cuts `axes` into the longest runs that are also runs of `other`.
static SmallVector<AxisList> cutIntoRuns(ArrayRef<int> axes, ArrayRef<int> other) {
  SmallVector<AxisList> runs;
  for (int axis : axes) {
    auto here = llvm::find(other, axis);
    bool joins = !runs.empty() && here != other.begin() && here != other.end() &&
                 *std::prev(here) == runs.back().back();
    if (joins)
      runs.back().push_back(axis);
    else
      runs.push_back({axis});
  }
  return runs;
}

Value itera::raise::relayout(OpBuilder &builder, Location loc, Value value,
                             ArrayRef<AxisList> from, ArrayRef<AxisList> to,
                             const AxisTable &table) {
  AxisList source = flatten(from), target = flatten(to);
  SmallVector<AxisList> runs = cutIntoRuns(source, target);
  auto sizesOf = [&](ArrayRef<AxisList> lists) {
    return llvm::map_to_vector(
        lists, [&](const AxisList &list) { return table.sizeOf(list); });
  };
  // The runs in the order of the target, with what is missing between them.
  SmallVector<int64_t> order, missing;
  SmallVector<AxisList> parts;
  for (unsigned i = 0; i < target.size();) {
    auto run = llvm::find_if(
        runs, [&](const AxisList &list) { return list.front() == target[i]; });
    if (run != runs.end()) {
      order.push_back(run - runs.begin());
      parts.push_back(*run);
      i += run->size();
      continue;
    }
    if (!missing.empty() && missing.back() + 1 == int64_t(parts.size())) {
      parts.back().push_back(target[i++]);
      continue;
    }
    missing.push_back(parts.size());
    parts.push_back({target[i++]});
  }
  value = reshape(builder, loc, value, sizesOf(runs));
  value = permute(builder, loc, value, order);
  if (!missing.empty()) {
    Value empty = tensor::EmptyOp::create(builder, loc, sizesOf(parts),
                                          typeOf(value).getElementType());
    value = linalg::BroadcastOp::create(builder, loc, value, empty, missing)
                ->getResult(0);
  }
  return reshape(builder, loc, value, sizesOf(to));
}

Value itera::raise::stripViews(Value value, bool throughPads,
                               SmallVectorImpl<Operation *> *ops) {
  while (Operation *op = value.getDefiningOp()) {
    auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
    bool takesAll =
        slice && slice.hasUnitStride() &&
        slice.getStaticSizes() == slice.getSourceType().getShape();
    if (!takesAll && !(throughPads && isa<tensor::PadOp>(op)) &&
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
