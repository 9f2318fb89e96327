// SPDX-License-Identifier: Apache-2.0
// Reshapes: time stays a dimension, or becomes a factor of one. Where nothing is
// outside of it, its frames become blocks of frames, or several frames each.

#include "Rules.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

static int64_t lengthOf(RankedTensorType type, const TimeDim &time) {
  return type.getDimSize(time.dim) / (time.outer * time.inner);
}

namespace {

/// Where the time of an operand goes: to which dimension of the result, and how
/// many frames of the one become how many of the other.
struct Move {
  TimeDim time;
  int64_t divide = 1, multiply = 1;
};

} // namespace

/// To the one dimension that `group` of `shape` becomes.
static Move merged(ArrayRef<int64_t> shape, ArrayRef<int64_t> group,
                   int64_t position, TimeDim time) {
  bool before = true;
  for (int64_t dim : group) {
    if (dim == time.dim)
      before = false;
    else
      (before ? time.outer : time.inner) *= shape[dim];
  }
  time.dim = position;
  return {time};
}

/// To one of the dimensions `group` of `shape`, out of one dimension with
/// `time`. None if pieces of time go to several.
static std::optional<Move> split(ArrayRef<int64_t> shape,
                                 ArrayRef<int64_t> group, TimeDim time,
                                 int64_t length) {
  // A dimension that holds all of time and nothing else that is no factor.
  int64_t before = 1;
  for (int64_t dim : group) {
    int64_t size = shape[dim];
    // This dimension reads `size` entries of what is left after `before`.
    if (before <= time.outer && time.outer % before == 0) {
      int64_t outer = time.outer / before;
      if (size % (outer * length) == 0 && size / (outer * length) >= 1) {
        int64_t inner = size / (outer * length);
        if (time.inner % inner == 0)
          return Move{{dim, outer, inner}};
      }
    }
    before *= size;
  }
  // The first one behind what is outside of time: its entries are blocks of
  // frames, or parts of one.
  before = 1;
  for (int64_t dim : group) {
    int64_t size = shape[dim];
    if (before == time.outer && size > 1) {
      int64_t all = length * time.inner;
      if (all % size != 0)
        return std::nullopt;
      int64_t block = all / size;
      if (block % time.inner == 0)
        return Move{{dim, 1, 1}, block / time.inner, 1};
      if (time.inner % block == 0)
        return Move{{dim, 1, 1}, 1, time.inner / block};
      return std::nullopt;
    }
    before *= size;
  }
  return std::nullopt;
}

namespace {

template <typename Op, bool expands>
struct Reshape : StreamingOpInterface::ExternalModel<Reshape<Op, expands>, Op> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    RankedTensorType from = tensorOf(op->getOperand(0)),
                     to = tensorOf(op->getResult(0));
    TimeDim time = *operands[0];
    auto groups = cast<Op>(op).getReassociationIndices();
    for (auto [i, group] : llvm::enumerate(groups)) {
      SmallVector<int64_t> dims(group.begin(), group.end());
      std::optional<Move> move;
      if (expands && int64_t(i) == time.dim)
        move = split(to.getShape(), dims, time, lengthOf(from, time));
      else if (!expands && llvm::is_contained(dims, time.dim))
        move = merged(from.getShape(), dims, i, time);
      else
        continue;
      if (!move)
        break;
      rule.operands[0].time = time;
      rule.operands[0].window = {move->divide, 0, move->divide, move->multiply};
      rule.length = {0, move->divide, move->multiply};
      rule.results[0] = framesAt(move->time);
      return success();
    }
    why = "cuts time into pieces";
    return failure();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto reshape = cast<Op>(op);
    RankedTensorType type =
        withFrames(reshape.getResultType(), rule.results[0].time,
                   frames.getFrameCount());
    return {Op::create(frames.builder, op->getLoc(), type, frames.getFrames(0),
                       reshape.getReassociationIndices())};
  }
};

} // namespace

void itera::registerReshapeRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::ExpandShapeOp::attachInterface<
        Reshape<tensor::ExpandShapeOp, true>>(*context);
    tensor::CollapseShapeOp::attachInterface<
        Reshape<tensor::CollapseShapeOp, false>>(*context);
  });
}
