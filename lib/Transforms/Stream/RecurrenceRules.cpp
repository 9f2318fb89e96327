// SPDX-License-Identifier: Apache-2.0
// Recurrences: along time they carry their state from call to call; along
// another dimension every frame starts from the initial state.

#include "Rules.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace itera;

static constexpr StringLiteral kBackward =
    "runs backward in time, so its first frame needs the last one";

/// Operands on the frames at hand, but for operand `state`, which is state 0.
static Operation *buildWithState(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames, unsigned state) {
  SmallVector<Value> operands;
  for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
    if (k == state)
      operands.push_back(frames.getState(0));
    else
      operands.push_back(rule.operands[k].time ? frames.getFrames(k)
                                               : frames.getInvariant(operand));
  }
  Operation *copy = frames.builder.clone(*op);
  copy->setOperands(operands);
  for (auto [result, time] : llvm::zip(copy->getResults(), rule.results))
    if (time.kind == TimeResult::frames)
      result.setType(
          withFrames(result.getType(), time.time, frames.getFrameCount()));
  return copy;
}

namespace {

/// y and last of a recurrence whose `last` is the carried state.
template <typename Model, typename Op>
struct Carrying : StreamingOpInterface::ExternalModel<Model, Op> {
  SmallVector<CarriedState> getCarriedStates(Operation *op,
                                             const TimeRule &rule) const {
    if (rule.results[1].kind != TimeResult::atEnd)
      return {};
    Value init = cast<Op>(op).getInit();
    return {{tensorOf(init), init, "state"}};
  }
  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    if (rule.results[1].kind != TimeResult::atEnd)
      return buildResized(op, rule, frames);
    unsigned init = 0;
    for (OpOperand &operand : op->getOpOperands())
      if (operand.get() == cast<Op>(op).getInit())
        init = operand.getOperandNumber();
    Operation *copy = buildWithState(op, rule, frames, init);
    frames.setState(0, copy->getResult(1));
    return {copy->getResult(0), nullptr};
  }
  Value buildEnd(Operation *, unsigned, FrameBuilder &frames) const {
    return frames.getState(0);
  }
  std::optional<TimeDim> getStateTime(Operation *, const TimeRule &rule,
                                      unsigned) const {
    return rule.results[1].time;
  }
};

struct LinearRecurrence
    : Carrying<LinearRecurrence, ssm::LinearRecurrenceOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto recurrence = cast<ssm::LinearRecurrenceOp>(op);
    int64_t dim = recurrence.getDim();
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands.take_front(2), why);
    if (!time && operands[2]) {
      time = operands[2];
      time->dim += time->dim >= dim;
    }
    if (!time)
      return failure();
    rule.operands[0].time = rule.operands[1].time = time;
    rule.results[0] = framesAt(*time);
    if (time->dim == dim) {
      if (!time->isWhole() || operands[2] || recurrence.getReverse()) {
        why = recurrence.getReverse() ? kBackward.str()
                                      : "starts from a state that changes";
        return failure();
      }
      rule.results[1].kind = TimeResult::atEnd;
      return success();
    }
    TimeDim state = *time;
    state.dim -= state.dim > dim;
    if (operands[2] && !(*operands[2] == state)) {
      why = "joins values whose time is in different dimensions";
      return failure();
    }
    rule.operands[2].time = state;
    rule.results[1] = framesAt(state);
    return success();
  }
};

struct SelectiveScan : Carrying<SelectiveScan, ssm::SelectiveScanOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto scan = cast<ssm::SelectiveScanOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    auto hasRows = [&](Value value) {
      return value == scan.getX() || value == scan.getDt() ||
             value == scan.getB() || value == scan.getC() ||
             value == scan.getZ();
    };
    bool alongTime = time->dim == 1;
    if (time->dim > 1 || !time->isWhole() || (alongTime && scan.getReverse())) {
      why = alongTime && scan.getReverse() ? kBackward.str()
                                           : "mixes all time steps";
      return failure();
    }
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      bool follows = hasRows(operand) ||
                     (!alongTime && operand == scan.getInit());
      if (operands[k] && !follows) {
        why = "has parameters or a first state that change with time";
        return failure();
      }
      if (follows)
        rule.operands[k].time = time;
    }
    rule.results[0] = framesAt(*time);
    if (alongTime)
      rule.results[1].kind = TimeResult::atEnd;
    else
      rule.results[1] = framesAt(*time);
    return success();
  }

  bool statesDependOn(Operation *op, const TimeRule &, unsigned operand) const {
    auto scan = cast<ssm::SelectiveScanOp>(op);
    Value value = op->getOperand(operand);
    return value == scan.getX() || value == scan.getDt() ||
           value == scan.getB();
  }
};

/// The K-1 frames before the new ones are its `past`.
struct CausalConv1d
    : StreamingOpInterface::ExternalModel<CausalConv1d, ssm::CausalConv1dOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto conv = cast<ssm::CausalConv1dOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    bool alongTime = time->dim == 1;
    if (time->dim > 1 || !time->isWhole()) {
      why = "mixes all time steps";
      return failure();
    }
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      bool follows =
          operand == conv.getX() || (!alongTime && operand == conv.getPast());
      if (operands[k] && !follows) {
        why = "has weights or a past that change with time";
        return failure();
      }
      if (follows)
        rule.operands[k].time = time;
    }
    rule.results[0] = framesAt(*time);
    return success();
  }

  std::optional<TimeDim> getStateTime(Operation *, const TimeRule &rule,
                                      unsigned) const {
    return rule.results[0].time;
  }

  static bool carries(Operation *op, const TimeRule &rule) {
    auto conv = cast<ssm::CausalConv1dOp>(op);
    return rule.results[0].time.dim == 1 &&
           tensorOf(conv.getWeight()).getDimSize(1) > 1;
  }
  SmallVector<CarriedState> getCarriedStates(Operation *op,
                                             const TimeRule &rule) const {
    if (!carries(op, rule))
      return {};
    auto conv = cast<ssm::CausalConv1dOp>(op);
    RankedTensorType x = tensorOf(conv.getX());
    int64_t past = tensorOf(conv.getWeight()).getDimSize(1) - 1;
    return {{x.clone({x.getDimSize(0), past, x.getDimSize(2)}), conv.getPast(),
             "past"}};
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    if (!carries(op, rule))
      return buildResized(op, rule, frames);
    auto conv = cast<ssm::CausalConv1dOp>(op);
    OpBuilder &b = frames.builder;
    Value x = frames.getFrames(0), past = frames.getState(0);
    Value bias = conv.getBias() ? frames.getInvariant(conv.getBias()) : Value();
    Value y = ssm::CausalConv1dOp::create(
        b, op->getLoc(), x.getType(), x, frames.getInvariant(conv.getWeight()),
        bias, past, conv.getActivation());
    // The last K-1 frames of both.
    RankedTensorType state = tensorOf(past), type = tensorOf(x);
    int64_t kept = state.getDimSize(1), fresh = type.getDimSize(1);
    Value all = x, next;
    if (fresh < kept)
      all = tensor::ConcatOp::create(b, op->getLoc(), 1, ValueRange{past, x});
    SmallVector<OpFoldResult> offsets(3, b.getIndexAttr(0)), sizes,
        strides(3, b.getIndexAttr(1));
    offsets[1] = b.getIndexAttr(tensorOf(all).getDimSize(1) - kept);
    for (int64_t size : state.getShape())
      sizes.push_back(b.getIndexAttr(size));
    next = tensor::ExtractSliceOp::create(b, op->getLoc(), state, all, offsets,
                                          sizes, strides);
    frames.setState(0, next);
    return {y};
  }
};

/// A scan along time goes on where the last call ended.
struct Scan : StreamingOpInterface::ExternalModel<Scan, ssm::ScanOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto scan = cast<ssm::ScanOp>(op);
    unsigned states = scan.getInits().size();
    beginRule(op, rule);
    if (scan.getReverse()) {
      why = kBackward.str();
      return failure();
    }
    bool found = false;
    for (auto [k, time] : llvm::enumerate(operands)) {
      if (!time)
        continue;
      found = true;
      if (k < states) {
        why = "starts from a state that changes with time";
        return failure();
      }
      if (!time->isWhole() || time->dim != scan.getSequenceDims()[k - states]) {
        why = "scans over another dimension than time";
        return failure();
      }
    }
    if (!found)
      return failure();
    for (auto [i, dim] : llvm::enumerate(scan.getSequenceDims()))
      rule.operands[states + i].time = TimeDim{dim, 1, 1};
    for (unsigned i = 0; i < states; ++i)
      rule.results[i].kind = TimeResult::atEnd;
    for (auto [i, dim] : llvm::enumerate(scan.getStackDims()))
      rule.results[states + i] = framesAt({dim, 1, 1});
    return success();
  }

  SmallVector<CarriedState> getCarriedStates(Operation *op,
                                             const TimeRule &) const {
    SmallVector<CarriedState> states;
    for (Value init : cast<ssm::ScanOp>(op).getInits())
      states.push_back({tensorOf(init), init, "state"});
    return states;
  }

  /// Whether the next states are computed from the slices of the operand.
  bool statesDependOn(Operation *op, const TimeRule &, unsigned operand) const {
    Block &body = op->getRegion(0).front();
    unsigned states = cast<ssm::ScanOp>(op).getInits().size();
    llvm::SmallPtrSet<Value, 16> needed;
    for (Value next : body.getTerminator()->getOperands().take_front(states))
      needed.insert(next);
    for (Operation &inner : llvm::reverse(body.without_terminator())) {
      if (llvm::none_of(inner.getResults(),
                        [&](Value value) { return needed.contains(value); }))
        continue;
      inner.walk([&](Operation *nested) {
        needed.insert_range(nested->getOperands());
      });
    }
    return needed.contains(body.getArgument(operand));
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    unsigned states = cast<ssm::ScanOp>(op).getInits().size();
    SmallVector<Value> operands;
    for (unsigned k = 0; k < op->getNumOperands(); ++k)
      operands.push_back(k < states ? frames.getState(k) : frames.getFrames(k));
    llvm::SetVector<Value> captured;
    getUsedValuesDefinedAbove(op->getRegions(), captured);
    IRMapping mapping;
    for (Value value : captured)
      mapping.map(value, frames.getInvariant(value));
    Operation *copy = frames.builder.clone(*op, mapping);
    copy->setOperands(operands);
    cast<ssm::ScanOp>(copy).setLength(frames.getFrameCount());
    SmallVector<Value> results(op->getNumResults());
    for (auto [i, result] : llvm::enumerate(copy->getResults())) {
      if (i < states) {
        frames.setState(i, result);
        continue;
      }
      result.setType(withFrames(result.getType(), rule.results[i].time,
                                frames.getFrameCount()));
      results[i] = result;
    }
    return results;
  }
  Value buildEnd(Operation *, unsigned result, FrameBuilder &frames) const {
    return frames.getState(result);
  }
};

/// The running sum is what a call adds to.
struct Cumsum : StreamingOpInterface::ExternalModel<Cumsum, ssm::CumsumOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto cumsum = cast<ssm::CumsumOp>(op);
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    bool alongTime = operands[0]->dim == int64_t(cumsum.getDim());
    if (alongTime && cumsum.getReverse()) {
      why = kBackward.str();
      return failure();
    }
    if (alongTime && !operands[0]->isWhole()) {
      why = "mixes time with another dimension";
      return failure();
    }
    rule.operands[0].time = operands[0];
    rule.results[0] = framesAt(*operands[0]);
    return success();
  }

  static bool carries(Operation *op, const TimeRule &rule) {
    return rule.results[0].time.dim == int64_t(cast<ssm::CumsumOp>(op).getDim());
  }
  std::optional<TimeDim> getStateTime(Operation *, const TimeRule &rule,
                                      unsigned) const {
    return rule.results[0].time;
  }
  static RankedTensorType stateType(Operation *op, const TimeRule &rule) {
    return withFrames(op->getResult(0).getType(), rule.results[0].time, 1);
  }
  SmallVector<CarriedState> getCarriedStates(Operation *op,
                                             const TimeRule &rule) const {
    if (!carries(op, rule))
      return {};
    return {{stateType(op, rule), Value(), "sum"}};
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    if (!carries(op, rule))
      return buildResized(op, rule, frames);
    // The sum so far is one more frame in front: the sums that follow have the
    // order of additions that one sum over everything has.
    auto cumsum = cast<ssm::CumsumOp>(op);
    OpBuilder &b = frames.builder;
    int64_t dim = cumsum.getDim(), count = frames.getFrameCount();
    Value all = tensor::ConcatOp::create(
        b, op->getLoc(), dim,
        ValueRange{frames.getState(0), frames.getFrames(0)});
    Value sums = ssm::CumsumOp::create(b, op->getLoc(), all.getType(), all, dim,
                                       false, false);
    auto slice = [&](int64_t first, int64_t size) {
      RankedTensorType type = withFrames(all.getType(), {dim, 1, 1}, size);
      SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
          sizes, strides(type.getRank(), b.getIndexAttr(1));
      offsets[dim] = b.getIndexAttr(first);
      for (int64_t extent : type.getShape())
        sizes.push_back(b.getIndexAttr(extent));
      return tensor::ExtractSliceOp::create(b, op->getLoc(), type, sums,
                                            offsets, sizes, strides);
    };
    frames.setState(0, slice(count, 1));
    return {slice(cumsum.getExclusive() ? 0 : 1, count)};
  }
};

} // namespace

void itera::registerRecurrenceRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::LinearRecurrenceOp::attachInterface<LinearRecurrence>(*context);
    ssm::SelectiveScanOp::attachInterface<SelectiveScan>(*context);
    ssm::CausalConv1dOp::attachInterface<CausalConv1d>(*context);
    ssm::ScanOp::attachInterface<Scan>(*context);
    ssm::CumsumOp::attachInterface<Cumsum>(*context);
  });
}
