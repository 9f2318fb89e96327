// SPDX-License-Identifier: Apache-2.0

#include "ScanFormBuilder.h"

#include "Match.h"
#include "Relayout.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

FormValue ScanFormBuilder::look(Value value) {
  std::optional<FormValue> found = makeFormValue(value, axes);
  isConsistent &= found.has_value();
  return found ? *found : FormValue{value, {}, {}};
}

void ScanFormBuilder::refresh() {
  for (FormValue *value : {&form.root, &form.decay})
    *value = look(value->value);
  for (SmallVector<FormValue> *list : {&form.injections, &form.readouts})
    for (FormValue &value : *list)
      value = look(value.value);
  if (form.init)
    form.init = look(form.init->value);
}

bool ScanFormBuilder::varies(Value value) {
  return llvm::any_of(axes.flat(value),
                      [&](int axis) { return axes.table.isPinned(axis); });
}

Value ScanFormBuilder::strip(Value value) {
  SmallVector<Operation *> ops;
  Value base = stripViews(value, /*throughPads=*/false, &ops);
  for (Operation *op : ops)
    if (!axes.relate(op))
      return value;
  return base;
}

/// Whether a slice takes the first frames of what has axes `of`.
static bool takesFirstFrames(tensor::ExtractSliceOp slice,
                             ArrayRef<AxisList> of, const AxisTable &table) {
  if (!slice.hasUnitStride() || slice.getDroppedDims().any())
    return false;
  for (auto [d, list] : llvm::enumerate(of)) {
    if (slice.getStaticOffsets()[d] != 0)
      return false;
    bool isTime =
        llvm::all_of(list, [&](int axis) { return table.isPinned(axis); });
    if (!isTime &&
        slice.getStaticSizes()[d] != slice.getSourceType().getDimSize(d))
      return false;
  }
  return true;
}

void ScanFormBuilder::slideDown() {
  while (root.hasOneUse()) {
    Operation *user = *root.user_begin();
    if (user->getBlock() != root.getParentBlock())
      return;
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    // Time must be one dimension for a slice of it to be its first frames.
    bool isSlice = slice &&
                   takesFirstFrames(slice, axes.of(root), axes.table) &&
                   llvm::count_if(axes.of(root), [&](const AxisList &list) {
                     return !list.empty() && axes.table.isPinned(list[0]);
                   }) == 1;
    if (!isSlice && !isa<linalg::TransposeOp, tensor::ExpandShapeOp,
                         tensor::CollapseShapeOp>(user))
      return;
    if (user->getOperand(0) != root || !isRegionOp(user) || !axes.relate(user))
      return;
    root = user->getResult(0);
  }
}

Value ScanFormBuilder::arrange(Value value, ArrayRef<AxisList> to) {
  return relayout(builder, loc, value, axes.of(value), to, axes.table);
}

void ScanFormBuilder::moveAfter(ArrayRef<Value> values) {
  Block *block = root.getParentBlock();
  Operation *last = nullptr;
  for (Value value : values) {
    Operation *op = value.getDefiningOp();
    if (op && op->getBlock() == block && (!last || last->isBeforeInBlock(op)))
      last = op;
  }
  if (last)
    builder.setInsertionPointAfter(last);
  else
    builder.setInsertionPointToStart(block);
}

void ScanFormBuilder::replace(Value y, ArrayRef<AxisList> yAxes, Value last,
                              ArrayRef<AxisList> lastAxes) {
  SmallVector<AxisList> from(yAxes);
  FormValue old = look(root);
  int64_t dim = llvm::find_if(from,
                              [&](const AxisList &list) {
                                return list.empty()
                                           ? false
                                           : axes.table.isPinned(list[0]);
                              }) -
                from.begin();
  RankedTensorType type = typeOf(y);
  int64_t frames = axes.table.sizeOf(old.time);
  if (frames != type.getDimSize(dim)) {
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
    SmallVector<OpFoldResult> sizes;
    for (auto [d, size] : llvm::enumerate(type.getShape()))
      sizes.push_back(builder.getIndexAttr(int64_t(d) == dim ? frames : size));
    y = tensor::ExtractSliceOp::create(builder, loc, y, offsets, sizes,
                                       strides);
  }
  from[dim] = old.time;
  Operation *end = y.getDefiningOp();
  Value replacement =
      relayout(builder, loc, y, from, axes.of(root), axes.table);
  root.replaceAllUsesWith(replacement);
  for (Value value : lasts) {
    Block *block = root.getParentBlock();
    if (llvm::any_of(value.getUsers(), [&](Operation *user) {
          Operation *here = block->findAncestorOpInBlock(*user);
          return !here || here->isBeforeInBlock(end);
        }))
      continue;
    value.replaceAllUsesWith(
        relayout(builder, loc, last, lastAxes, axes.of(value), axes.table));
  }
}
