// SPDX-License-Identifier: Apache-2.0
// Reshapes: time stays a dimension, or becomes a factor of one.

#include "Rules.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

/// The time of the one dimension that `group` of `shape` becomes.
static TimeDim merged(ArrayRef<int64_t> shape, ArrayRef<int64_t> group,
                      int64_t position, TimeDim time) {
  bool before = true;
  for (int64_t dim : group) {
    if (dim == time.dim)
      before = false;
    else
      (before ? time.outer : time.inner) *= shape[dim];
  }
  time.dim = position;
  return time;
}

/// The time among the dimensions `group` of `shape` that one dimension with
/// `time` becomes; none if no dimension holds all of time and nothing else that
/// cannot be a factor.
static std::optional<TimeDim> split(ArrayRef<int64_t> shape,
                                    ArrayRef<int64_t> group, TimeDim time,
                                    int64_t length) {
  // [outer, T, inner] must be a way to read the group's dimensions.
  int64_t before = 1;
  for (int64_t dim : group) {
    int64_t size = shape[dim];
    // This dimension reads `size` entries of what is left after `before`.
    if (before <= time.outer && time.outer % before == 0) {
      int64_t outer = time.outer / before;
      if (size % (outer * length) == 0 && size / (outer * length) >= 1) {
        int64_t inner = size / (outer * length);
        if (time.inner % inner == 0)
          return TimeDim{dim, outer, inner};
      }
    }
    before *= size;
  }
  return std::nullopt;
}

static int64_t lengthOf(RankedTensorType type, const TimeDim &time) {
  return type.getDimSize(time.dim) / (time.outer * time.inner);
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
      std::optional<TimeDim> result;
      if (expands && int64_t(i) == time.dim)
        result = split(to.getShape(), dims, time, lengthOf(from, time));
      else if (!expands && llvm::is_contained(dims, time.dim))
        result = merged(from.getShape(), dims, i, time);
      else
        continue;
      if (!result)
        break;
      rule.operands[0].time = time;
      rule.results[0] = framesAt(*result);
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
