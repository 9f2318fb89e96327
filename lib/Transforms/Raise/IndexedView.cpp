// SPDX-License-Identifier: Apache-2.0

#include "IndexedView.h"

#include "TensorUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static constexpr int kNoAxis = IndexedView::kNoAxis;

/// The axes of the smaller side of a reshape whose groups hold one dimension
/// of more than size one each; none if one splits or merges dimensions.
static std::optional<SmallVector<int>>
throughGroups(ArrayRef<ReassociationIndices> groups, ArrayRef<int64_t> largeShape,
              ArrayRef<int> axes, bool axesAreLarge) {
  SmallVector<int> result(axesAreLarge ? groups.size() : largeShape.size(), kNoAxis);
  for (auto [g, group] : llvm::enumerate(groups)) {
    int64_t real = -1;
    for (int64_t d : group) {
      if (largeShape[d] == 1)
        continue;
      if (real >= 0)
        return std::nullopt;
      real = d;
    }
    if (real < 0)
      continue;
    if (axesAreLarge)
      result[g] = axes[real];
    else
      result[real] = axes[g];
  }
  return result;
}

/// One step of looking through; false if there is none.
static bool step(IndexedView &view, ssm::ScanOp scan, int timeAxis) {
  if (auto arg = dyn_cast<BlockArgument>(view.base)) {
    if (!scan || arg.getOwner() != &scan.getBody().front() ||
        arg.getArgNumber() < scan.getInits().size())
      return false;
    unsigned index = arg.getArgNumber() - scan.getInits().size();
    view.base = scan.getSequences()[index];
    view.axes.insert(view.axes.begin() + scan.getSequenceDims()[index], timeAxis);
    return true;
  }
  return llvm::TypeSwitch<Operation *, bool>(view.base.getDefiningOp())
      .Case([&](linalg::BroadcastOp op) {
        SmallVector<int> axes;
        for (auto [d, axis] : llvm::enumerate(view.axes))
          if (!llvm::is_contained(op.getDimensions(), static_cast<int64_t>(d)))
            axes.push_back(axis);
        view = {op.getInput(), axes};
        return true;
      })
      .Case([&](linalg::TransposeOp op) {
        SmallVector<int> axes(view.axes.size());
        for (auto [d, from] : llvm::enumerate(op.getPermutation()))
          axes[from] = view.axes[d];
        view = {op.getInput(), axes};
        return true;
      })
      .Case([&](tensor::ExpandShapeOp op) {
        auto axes = throughGroups(op.getReassociationIndices(),
                                  op.getResultType().getShape(), view.axes, true);
        if (axes)
          view = {op.getSrc(), *axes};
        return axes.has_value();
      })
      .Case([&](tensor::CollapseShapeOp op) {
        auto axes = throughGroups(op.getReassociationIndices(),
                                  op.getSrcType().getShape(), view.axes, false);
        if (axes)
          view = {op.getSrc(), *axes};
        return axes.has_value();
      })
      .Case([&](tensor::ExtractSliceOp op) {
        // A slice that takes all, and may drop dimensions of size one.
        if (!op.hasUnitStride() ||
            op.getStaticSizes() != op.getSourceType().getShape())
          return false;
        llvm::SmallBitVector dropped = op.getDroppedDims();
        SmallVector<int> axes;
        for (int64_t d = 0, out = 0; d < op.getSourceType().getRank(); ++d)
          axes.push_back(dropped.test(d) ? kNoAxis : view.axes[out++]);
        view = {op.getSource(), axes};
        return true;
      })
      .Default([](Operation *) { return false; });
}

IndexedView itera::raise::lookThrough(IndexedView view, ssm::ScanOp scan,
                                      int timeAxis) {
  do {
    // Dimensions of size one have no axis, so that equal views compare equal.
    for (auto [axis, size] : llvm::zip(view.axes, typeOf(view.base).getShape()))
      if (size == 1)
        axis = kNoAxis;
  } while (step(view, scan, timeAxis));
  return view;
}

SmallVector<IndexedView> itera::raise::getFactors(
    const IndexedView &view,
    llvm::function_ref<bool(const IndexedView &)> isFinal, bool &negative,
    ssm::ScanOp scan, int timeAxis) {
  SmallVector<IndexedView> factors, work{lookThrough(view, scan, timeAxis)};
  while (!work.empty()) {
    IndexedView factor = work.pop_back_val();
    Operation *op = factor.base.getDefiningOp();
    if (!isFinal(factor) && isa_and_present<arith::MulFOp>(op)) {
      for (Value operand : llvm::reverse(op->getOperands()))
        work.push_back(lookThrough({operand, factor.axes}, scan, timeAxis));
    } else if (!isFinal(factor) && isa_and_present<arith::NegFOp>(op)) {
      negative = !negative;
      work.push_back(lookThrough({op->getOperand(0), factor.axes}, scan, timeAxis));
    } else {
      factors.push_back(factor);
    }
  }
  return factors;
}

Value itera::raise::materialize(OpBuilder &builder, Location loc,
                                const IndexedView &view, ArrayRef<int> axes,
                                ArrayRef<int64_t> sizes) {
  // Match each wanted dimension with one of the base; sizes of one with any.
  RankedTensorType type = typeOf(view.base);
  SmallVector<int64_t> order, broadcast, full;
  for (auto [axis, size] : llvm::zip(axes, sizes)) {
    int64_t match = -1;
    for (int64_t d = 0; d < type.getRank() && match < 0; ++d)
      if (type.getDimSize(d) == size && !llvm::is_contained(order, d) &&
          (size == 1 || view.axes[d] == axis))
        match = d;
    if (match < 0 && size == 1)
      continue; // comes in by a reshape
    if (match < 0)
      broadcast.push_back(full.size());
    else
      order.push_back(match);
    full.push_back(size);
  }
  // What is left over has size one and goes out by a reshape.
  SmallVector<int64_t> kept(order), shape;
  llvm::sort(kept);
  for (int64_t d : kept)
    shape.push_back(type.getDimSize(d));
  for (int64_t &d : order)
    d = llvm::find(kept, d) - kept.begin();
  Value value = reshape(builder, loc, view.base, shape);
  value = permute(builder, loc, value, order);
  if (!broadcast.empty()) {
    Value empty = tensor::EmptyOp::create(builder, loc, full,
                                          typeOf(value).getElementType());
    value = linalg::BroadcastOp::create(builder, loc, value, empty, broadcast)
                ->getResult(0);
  }
  return reshape(builder, loc, value, sizes);
}
