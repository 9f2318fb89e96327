// SPDX-License-Identifier: Apache-2.0
// Layers that work row by row, and look-ups.

#include "Bursts.h"
#include "Rules.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace itera;

namespace {

/// Ops of rows over the last dimension of their first operand: time is any
/// dimension but that.
template <typename Op>
struct RowWise : StreamingOpInterface::ExternalModel<RowWise<Op>, Op> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    for (auto [k, time] : llvm::enumerate(operands))
      if (time && k > 0) {
        why = "has weights that change with time";
        return failure();
      }
    std::optional<TimeDim> time = operands[0];
    if (!time)
      return failure();
    if (!isa<ssm::EmbeddingOp>(op) &&
        time->dim == tensorOf(op->getOperand(0)).getRank() - 1) {
      why = isa<ssm::NormOp>(op)
                ? "normalises over time, so its first frame needs the last one"
                : "mixes all time steps by its weights";
      return failure();
    }
    rule.operands[0].time = time;
    rule.results[0] = framesAt(*time);
    return success();
  }
};

/// Tokens are rows; each has its experts.
struct Moe : StreamingOpInterface::ExternalModel<Moe, ssm::MoeOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    if (time->dim != 0 ||
        llvm::any_of(operands.drop_front(3), [](auto &t) { return t; })) {
      why = "mixes time steps, or has weights that change with time";
      return failure();
    }
    for (unsigned k = 0; k < 3; ++k)
      rule.operands[k].time = time;
    rule.results[0] = framesAt(*time);
    return success();
  }
};

/// The shift that indices are of the numbers from 0 on, where they stop at the
/// first and the last of `size` entries; none if they are something else.
static std::optional<int64_t> shiftOf(Value indices, int64_t size) {
  Operation *made = indices.getDefiningOp();
  Attribute constant;
  if (auto weight = dyn_cast_or_null<ssm::WeightOp>(made))
    constant = weight.getValue();
  else if (!made || !matchPattern(made, m_Constant(&constant)))
    return std::nullopt;
  std::optional<ssm::HostTensor> data = ssm::readAttribute(constant);
  if (!data || data->type.getRank() != 1)
    return std::nullopt;
  SmallVector<int64_t> numbers = data->getInts();
  for (int64_t &number : numbers)
    number += number < 0 ? size : 0;
  // Two neighbours that follow each other say how far.
  int64_t shift = 0;
  bool found = false;
  for (int64_t i = 0, end = numbers.size(); i + 1 < end && !found; ++i)
    if (numbers[i + 1] == numbers[i] + 1) {
      found = true;
      shift = numbers[i] - i;
    }
  for (auto [i, number] : llvm::enumerate(numbers))
    if (number != std::clamp<int64_t>(i + shift, 0, size - 1))
      return std::nullopt;
  return found ? std::optional(shift) : std::nullopt;
}

struct Gather : StreamingOpInterface::ExternalModel<Gather, ssm::GatherOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto gather = cast<ssm::GatherOp>(op);
    int64_t dim = gather.getDim();
    int64_t indexRank = tensorOf(gather.getIndices()).getRank();
    beginRule(op, rule);
    if (operands[0] && operands[1]) {
      why = "looks up at times in what changes with time";
      return failure();
    }
    if (operands[1]) {
      rule.operands[1].time = operands[1];
      rule.results[0] = framesAt(*operands[1]);
      rule.results[0].time.dim += dim;
      return success();
    }
    if (!operands[0])
      return failure();
    if (operands[0]->dim == dim) {
      int64_t size = tensorOf(gather.getData()).getDimSize(dim);
      std::optional<int64_t> shift = shiftOf(gather.getIndices(), size);
      if (!shift || !operands[0]->isWhole()) {
        why = "picks time steps by number";
        return failure();
      }
      rule.operands[0].time = operands[0];
      rule.operands[0].window.offset = *shift;
      rule.length.add = tensorOf(gather.getIndices()).getDimSize(0) - size;
      rule.nearest = true;
      rule.results[0] = framesAt(*operands[0]);
      return success();
    }
    rule.operands[0].time = operands[0];
    rule.results[0] = framesAt(*operands[0]);
    if (operands[0]->dim > dim)
      rule.results[0].time.dim += indexRank - 1;
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    if (!rule.nearest)
      return buildResized(op, rule, frames);
    // The frames at hand are those that the indices name, but for repetitions
    // of the first one that come before it. Those are put there later.
    OpBuilder &b = frames.builder;
    int64_t count = frames.getFrameCount(),
            front = frames.isFirst() ? -rule.operands[0].window.offset : 0;
    const TimeDim &time = rule.results[0].time;
    if (front <= 0)
      return {frames.getFrames(0)};
    Type type = op->getResult(0).getType();
    if (front >= count)
      return {zeroFrames(b, op->getLoc(), type, time, count)};
    Value known = frames.getFrames(0);
    SmallVector<Value> parts(
        front, sliceFrames(b, op->getLoc(), known, time.dim,
                           b.getIndexAttr(0), 1));
    parts.push_back(known);
    return {joinFrames(b, op->getLoc(), time.dim, parts)};
  }
};

/// Ops along a dimension that is not time.
template <typename Op>
struct AlongOther : StreamingOpInterface::ExternalModel<AlongOther<Op>, Op> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    if (time->dim == int64_t(cast<Op>(op).getDim())) {
      why = "compares or picks among all time steps";
      return failure();
    }
    for (TimeOperand &operand : rule.operands)
      operand.time = time;
    for (TimeResult &result : rule.results)
      result = framesAt(*time);
    return success();
  }
};

} // namespace

void itera::registerLayerRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::LinearOp::attachInterface<RowWise<ssm::LinearOp>>(*context);
    ssm::NormOp::attachInterface<RowWise<ssm::NormOp>>(*context);
    ssm::HadamardOp::attachInterface<RowWise<ssm::HadamardOp>>(*context);
    ssm::EmbeddingOp::attachInterface<RowWise<ssm::EmbeddingOp>>(*context);
    ssm::MoeOp::attachInterface<Moe>(*context);
    ssm::GatherOp::attachInterface<Gather>(*context);
    ssm::GatherElementsOp::attachInterface<AlongOther<ssm::GatherElementsOp>>(
        *context);
    ssm::TopKOp::attachInterface<AlongOther<ssm::TopKOp>>(*context);
  });
}
