// SPDX-License-Identifier: Apache-2.0

#include "FuseSelectiveScan.h"

#include "IndexedView.h"
#include "TensorUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static constexpr int kNoAxis = IndexedView::kNoAxis;
static constexpr int kBatch = 0, kTime = 1, kChannel = 2;

static IndexedView viewOf(Value value, ArrayRef<int> axes) {
  return lookThrough({value, SmallVector<int>(axes)});
}

/// The value that is y rearranged and that something else reads: y itself, or
/// the end of a chain of transposes and squeezes. With the axes of y.
static IndexedView followViews(Value y) {
  IndexedView view{y, {kBatch, kTime, kChannel}};
  while (view.base.hasOneUse()) {
    Operation *user = *view.base.user_begin();
    if (!isa<linalg::TransposeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::ExtractSliceOp>(user))
      break;
    // Number the dimensions of the result; see which dimensions of y they are.
    Value result = user->getResult(0);
    auto numbers = llvm::to_vector(llvm::seq<int>(0, typeOf(result).getRank()));
    IndexedView back = lookThrough({result, numbers});
    if (back.base != y)
      break;
    SmallVector<int> axes(numbers.size(), kNoAxis);
    for (auto [d, number] : llvm::enumerate(back.axes))
      if (number != kNoAxis)
        axes[number] = d;
    view = {result, axes};
  }
  return view;
}

/// D if `value` is D[d] * x for the x of `op`.
static std::optional<IndexedView> matchSkip(ssm::SelectiveScanOp op, Value value,
                                            ArrayRef<int> axes) {
  IndexedView x = viewOf(op.getX(), {kBatch, kTime, kChannel});
  IndexedView product = viewOf(value, axes);
  auto mul = product.base.getDefiningOp<arith::MulFOp>();
  if (!mul)
    return std::nullopt;
  for (unsigned k : {0u, 1u}) {
    IndexedView d = viewOf(mul->getOperand(k), product.axes);
    if (viewOf(mul->getOperand(1 - k), product.axes) == x && d.onlyHas({kChannel}))
      return d;
  }
  return std::nullopt;
}

/// z if `value` is silu(z), or z times its sigmoid.
static std::optional<IndexedView> matchGate(Value value, ArrayRef<int> axes) {
  IndexedView gate = viewOf(value, axes);
  if (auto silu = gate.base.getDefiningOp<ssm::SiluOp>())
    return viewOf(silu.getX(), gate.axes);
  auto mul = gate.base.getDefiningOp<arith::MulFOp>();
  if (!mul)
    return std::nullopt;
  for (unsigned k : {0u, 1u}) {
    IndexedView z = viewOf(mul->getOperand(1 - k), gate.axes);
    IndexedView weight = viewOf(mul->getOperand(k), gate.axes);
    if (auto sigmoid = weight.base.getDefiningOp<ssm::SigmoidOp>())
      if (viewOf(sigmoid.getX(), weight.axes) == z)
        return z;
  }
  return std::nullopt;
}

void itera::raise::fuseSkipAndGate(ssm::SelectiveScanOp op) {
  while (!op.getZ()) {
    IndexedView y = followViews(op.getY());
    if (!y.base.hasOneUse())
      return;
    Operation *user = *y.base.user_begin();
    if (!isa<arith::AddFOp, arith::MulFOp>(user) || user->getBlock() != op->getBlock())
      return;
    Value other = user->getOperand(user->getOperand(0) == y.base ? 1 : 0);
    std::optional<IndexedView> skip, gate;
    if (isa<arith::AddFOp>(user) && !op.getD())
      skip = matchSkip(op, other, y.axes);
    if (isa<arith::MulFOp>(user))
      gate = matchGate(other, y.axes);
    if (!skip && !gate)
      return;
    // The op moves down to where D or z is there.
    if (llvm::any_of(op.getLast().getUsers(), [&](Operation *reader) {
          Operation *there = user->getBlock()->findAncestorOpInBlock(*reader);
          return there && there->isBeforeInBlock(user);
        }))
      return;
    SmallVector<Operation *> views;
    for (Value value = y.base; value != op.getY();) {
      views.push_back(value.getDefiningOp());
      value = views.back()->getOperand(0);
    }
    RankedTensorType type = typeOf(op.getX());
    op->moveBefore(user);
    for (Operation *view : llvm::reverse(views)) {
      if (auto transpose = dyn_cast<linalg::TransposeOp>(view))
        if (Operation *init = transpose.getInit().getDefiningOp();
            init && init->getBlock() == user->getBlock() &&
            !init->isBeforeInBlock(user))
          init->moveBefore(user);
      view->moveBefore(user);
    }
    OpBuilder builder(op);
    if (skip)
      op.getDMutable().assign(materialize(builder, op.getLoc(), *skip, {kChannel},
                                          {type.getDimSize(2)}));
    if (gate)
      op.getZMutable().assign(materialize(builder, op.getLoc(), *gate,
                                          {kBatch, kTime, kChannel},
                                          type.getShape()));
    user->getResult(0).replaceAllUsesWith(y.base);
    user->erase();
  }
}
