// SPDX-License-Identifier: Apache-2.0
// Structured ops: their indexing maps say where time goes.

#include "Rules.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace itera;

namespace {

/// Time is a loop. Where that loop is parallel, frames are independent; where
/// it is reduced, the destination is a running result: the first frames are
/// folded into the given one, later frames into what is there.
template <typename Op>
struct Structured : StreamingOpInterface::ExternalModel<Structured<Op>, Op> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto linalgOp = cast<linalg::LinalgOp>(op);
    beginRule(op, rule);
    std::optional<unsigned> loop;
    TimeDim shape;
    for (auto [k, time] : llvm::enumerate(operands)) {
      if (!time)
        continue;
      AffineMap map = linalgOp.getMatchingIndexingMap(&op->getOpOperand(k));
      auto dim = dyn_cast<AffineDimExpr>(map.getResult(time->dim));
      if (!dim || (loop && *loop != dim.getPosition()) ||
          (loop && (shape.outer != time->outer || shape.inner != time->inner))) {
        why = "mixes the time of one operand with another dimension";
        return failure();
      }
      loop = dim.getPosition();
      shape = *time;
    }
    if (!loop)
      return failure();
    for (OpOperand &operand : op->getOpOperands()) {
      if (!tensorOf(operand.get()))
        continue;
      AffineMap map = linalgOp.getMatchingIndexingMap(&operand);
      for (auto [position, expr] : llvm::enumerate(map.getResults())) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (dim && dim.getPosition() == *loop)
          rule.operands[operand.getOperandNumber()].time =
              TimeDim{int64_t(position), shape.outer, shape.inner};
        else if (!dim && expr.isFunctionOfDim(*loop)) {
          why = "reads an operand at places computed from time";
          return failure();
        }
      }
    }
    bool reduces = linalgOp.getIteratorTypesArray()[*loop] ==
                   utils::IteratorType::reduction;
    if (reduces && (!isa<linalg::ReduceOp, linalg::ContractOp>(op) ||
                    linalgOp.getNumDpsInits() != op->getNumResults())) {
      why = "sums over time in a way that has no running form";
      return failure();
    }
    for (auto [i, result] : llvm::enumerate(rule.results)) {
      unsigned init = linalgOp.getDpsInitOperand(i)->getOperandNumber();
      result.kind = reduces ? TimeResult::atEnd : TimeResult::frames;
      if (!reduces)
        result.time = *rule.operands[init].time;
    }
    return success();
  }

  static bool isRunning(const TimeRule &rule) {
    return rule.results.front().kind == TimeResult::atEnd;
  }

  SmallVector<CarriedState> getCarriedStates(Operation *op,
                                             const TimeRule &rule) const {
    SmallVector<CarriedState> states;
    if (isRunning(rule))
      for (Value init : cast<linalg::LinalgOp>(op).getDpsInits())
        states.push_back({cast<RankedTensorType>(init.getType()), init, "sum"});
    return states;
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    if (!isRunning(rule))
      return buildResized(op, rule, frames);
    auto linalgOp = cast<linalg::LinalgOp>(op);
    SmallVector<Value> operands;
    for (OpOperand *input : linalgOp.getDpsInputOperands()) {
      unsigned k = input->getOperandNumber();
      operands.push_back(rule.operands[k].time
                             ? frames.getFrames(k)
                             : frames.getInvariant(input->get()));
    }
    for (unsigned i = 0; i < op->getNumResults(); ++i)
      operands.push_back(frames.getState(i));
    Operation *copy = frames.builder.clone(*op);
    copy->setOperands(operands);
    for (auto [i, result] : llvm::enumerate(copy->getResults()))
      frames.setState(i, result);
    return SmallVector<Value>(op->getNumResults());
  }

  Value buildEnd(Operation *, unsigned result, FrameBuilder &frames) const {
    return frames.getState(result);
  }
  std::optional<TimeDim> getStateTime(Operation *, const TimeRule &rule,
                                      unsigned state) const {
    return rule.results[state].time;
  }
};

struct Softmax : StreamingOpInterface::ExternalModel<Softmax, linalg::SoftmaxOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    if (int64_t(cast<linalg::SoftmaxOp>(op).getDimension()) == time->dim) {
      why = "normalises over time, so its first frame needs the last one";
      return failure();
    }
    rule.operands[0].time = rule.operands[1].time = time;
    rule.results[0] = framesAt(*time);
    return success();
  }
};

} // namespace

void itera::registerLinalgRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, linalg::LinalgDialect *) {
    linalg::FillOp::attachInterface<Structured<linalg::FillOp>>(*context);
    linalg::BroadcastOp::attachInterface<Structured<linalg::BroadcastOp>>(*context);
    linalg::TransposeOp::attachInterface<Structured<linalg::TransposeOp>>(*context);
    linalg::ContractOp::attachInterface<Structured<linalg::ContractOp>>(*context);
    linalg::ReduceOp::attachInterface<Structured<linalg::ReduceOp>>(*context);
    linalg::GenericOp::attachInterface<Structured<linalg::GenericOp>>(*context);
    linalg::SoftmaxOp::attachInterface<Softmax>(*context);
  });
}
