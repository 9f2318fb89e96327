// SPDX-License-Identifier: Apache-2.0
// Frames in front of a sequence: those are known before the first input is,
// so they are the first contents of a history. And convolutions.

#include "Bursts.h"
#include "Rules.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace itera;

/// `inside`, or for those new frames that are before or behind the frames of an
/// operand what these functions make of the frame's number. Without `behind`
/// none of them is.
static Value choose(FrameBuilder &frames, const TimeRule &rule,
                    unsigned operand, Value inside,
                    llvm::function_ref<Value(Value)> before,
                    llvm::function_ref<Value(Value)> behind) {
  OpBuilder &b = frames.builder;
  Location loc = inside.getLoc();
  bool front = frames.mayBeBefore(operand),
       back = behind && frames.mayBeBehind(operand);
  if (!front && !back)
    return inside;
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  int64_t count = frames.getFrameCount(), dim = rule.results[0].time.dim;
  Value number = getValueOrCreateConstantIndexOp(b, loc, frames.getFirstFrame());
  // The first new frame's place in the operand.
  Value place = arith::AddIOp::create(
      b, loc, number, index(rule.operands[operand].window.offset));
  auto replace = [&](Value from, Value to,
                     llvm::function_ref<Value(Value)> make) {
    inside = replaceFrames(b, loc, inside, dim, from, to, [&](Value k) {
      return make(arith::AddIOp::create(b, loc, number, k));
    });
  };
  auto either = [&](arith::CmpIPredicate predicate, Value bound,
                    llvm::function_ref<Value(Value)> make) {
    Value condition = arith::CmpIOp::create(b, loc, predicate, place, bound);
    auto choice = scf::IfOp::create(b, loc, inside.getType(), condition, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(choice.thenBlock());
    scf::YieldOp::create(b, loc, make(number));
    b.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(b, loc, inside);
    inside = choice.getResult(0);
  };
  if (back) {
    Value length = frames.getLength(operand);
    if (count == 1)
      either(arith::CmpIPredicate::sge, length, behind);
    else
      replace(clampIndex(b, loc, arith::SubIOp::create(b, loc, length, place),
                         0, count),
              index(count), behind);
  }
  if (front) {
    if (count == 1)
      either(arith::CmpIPredicate::slt, index(0), before);
    else
      replace(index(0),
              clampIndex(b, loc, arith::SubIOp::create(b, loc, index(0), place),
                         0, count),
              before);
  }
  return inside;
}

namespace {

/// Pads of other dimensions are as they were; pads of time are frames.
struct Pad : StreamingOpInterface::ExternalModel<Pad, tensor::PadOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto pad = cast<tensor::PadOp>(op);
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    if (op->getNumOperands() > 1 || !pad.getConstantPaddingValue()) {
      why = "pads with what is computed";
      return failure();
    }
    TimeDim time = *operands[0];
    int64_t low = pad.getStaticLow()[time.dim],
            high = pad.getStaticHigh()[time.dim];
    if ((low || high) && !time.isWhole()) {
      why = "pads a dimension that time is a part of";
      return failure();
    }
    rule.operands[0].time = time;
    rule.operands[0].window.offset = -low;
    rule.length.add = low + high;
    rule.results[0] = framesAt(time);
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto pad = cast<tensor::PadOp>(op);
    OpBuilder &b = frames.builder;
    Location loc = op->getLoc();
    const TimeDim &time = rule.results[0].time;
    int64_t count = frames.getFrameCount(),
            front = frames.isFirst() ? -rule.operands[0].window.offset : 0;
    RankedTensorType type = withFrames(pad.getResultType(), time, count);
    auto value =
        pad.getConstantPaddingValue().getDefiningOp<arith::ConstantOp>();
    if (front >= count)
      return {arith::ConstantOp::create(
          b, loc, DenseElementsAttr::get(type, Attribute(value.getValue())))};
    SmallVector<OpFoldResult> low = pad.getMixedLowPad(),
                              high = pad.getMixedHighPad();
    low[time.dim] = b.getIndexAttr(front);
    high[time.dim] = b.getIndexAttr(0);
    Value source = frames.getFrames(0);
    Value scalar = arith::ConstantOp::create(b, loc, value.getValue());
    if (source.getType() != type)
      source = tensor::PadOp::create(b, loc, type, source, low, high, scalar);
    auto padding = [&](Value) -> Value {
      return arith::ConstantOp::create(
          b, loc,
          DenseElementsAttr::get(withFrames(type, time, 1),
                                 Attribute(value.getValue())));
    };
    return {choose(frames, rule, 0, source, padding, padding)};
  }
};

struct Concat : StreamingOpInterface::ExternalModel<Concat, tensor::ConcatOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto concat = cast<tensor::ConcatOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    rule.results[0] = framesAt(*time);
    if (time->dim != int64_t(concat.getDim())) {
      for (TimeOperand &operand : rule.operands)
        operand.time = time;
      return success();
    }
    int64_t front = 0, back = 0;
    bool seen = false;
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      if (operands[k] && (seen || !time->isWhole())) {
        why = "joins sequences end to end";
        return failure();
      }
      if (operands[k]) {
        seen = true;
        rule.operands[k].time = time;
        rule.operands[k].window.offset = -front;
      } else {
        (seen ? back : front) += tensorOf(operand).getDimSize(time->dim);
      }
    }
    rule.length.add = front + back;
    return success();
  }

  SmallVector<Value> buildFrames(Operation *op, const TimeRule &rule,
                                 FrameBuilder &frames) const {
    auto concat = cast<tensor::ConcatOp>(op);
    const TimeDim &time = rule.results[0].time;
    if (time.dim != int64_t(concat.getDim()))
      return buildResized(op, rule, frames);
    OpBuilder &b = frames.builder;
    Location loc = op->getLoc();
    unsigned streamed = 0;
    while (!rule.operands[streamed].time)
      ++streamed;
    OperandRange operands = op->getOperands();
    if (frames.isFirst()) {
      int64_t left = frames.getFrameCount();
      SmallVector<Value> parts;
      for (Value operand : operands.take_front(streamed)) {
        int64_t taken = std::min(left, tensorOf(operand).getDimSize(time.dim));
        if (taken > 0)
          parts.push_back(sliceFrames(b, loc, frames.getInvariant(operand),
                                      time.dim, b.getIndexAttr(0), taken));
        left -= taken;
      }
      if (left > 0)
        parts.push_back(frames.getFrames(streamed));
      return {joinFrames(b, loc, time.dim, parts)};
    }
    // One frame of those at one side, by its number among them.
    auto pick = [&](OperandRange side, Value number) -> Value {
      SmallVector<Value> parts;
      for (Value operand : side)
        parts.push_back(frames.getInvariant(operand));
      Value all = joinFrames(b, loc, time.dim, parts);
      number = clampIndex(b, loc, number, 0,
                          tensorOf(all).getDimSize(time.dim) - 1);
      return sliceFrames(b, loc, all, time.dim, number, 1);
    };
    auto isSide = [&](OperandRange side) {
      return llvm::any_of(side, [&](Value operand) {
        return tensorOf(operand).getDimSize(time.dim) > 0;
      });
    };
    Value inside = frames.getFrames(streamed);
    OperandRange front = operands.take_front(streamed),
                 back = operands.drop_front(streamed + 1);
    auto before = [&](Value number) { return pick(front, number); };
    auto behind = [&](Value number) {
      int64_t offset = rule.operands[streamed].window.offset;
      Value first = arith::AddIOp::create(
          b, loc, frames.getLength(streamed),
          arith::ConstantIndexOp::create(b, loc, -offset));
      return pick(back, arith::SubIOp::create(b, loc, number, first));
    };
    if (isSide(back))
      return {choose(frames, rule, streamed, inside, before, behind)};
    return {choose(frames, rule, streamed, inside, before, nullptr)};
  }
};

/// Along a spatial dimension: a window. Its own padding along time has been
/// made a tensor.pad.
struct Conv : StreamingOpInterface::ExternalModel<Conv, ssm::ConvOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    auto conv = cast<ssm::ConvOp>(op);
    beginRule(op, rule);
    std::optional<TimeDim> time = operands[0];
    if (!time || llvm::any_of(operands.drop_front(), [](auto &t) { return t; })) {
      why = "has weights that change with time";
      return failure();
    }
    rule.operands[0].time = time;
    rule.results[0] = framesAt(*time);
    if (time->dim == 0)
      return success();
    if (time->dim == 1 || !time->isWhole()) {
      why = "mixes all time steps by its weights";
      return failure();
    }
    unsigned spatial = time->dim - 2;
    int64_t low = conv.getPadsLow()[spatial], high = conv.getPadsHigh()[spatial];
    int64_t stride = conv.getStrides()[spatial];
    int64_t window = (tensorOf(conv.getWeight()).getDimSize(time->dim) - 1) *
                         conv.getDilations()[spatial] +
                     1;
    rule.operands[0].window = {stride, -low, window};
    rule.length = {low + high - window + stride, stride, 1};
    if (auto most = op->getAttrOfType<IntegerAttr>(kMostFramesAttr))
      rule.mostFrames = most.getInt();
    return success();
  }
};

} // namespace

void itera::registerPaddingRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::PadOp::attachInterface<Pad>(*context);
    tensor::ConcatOp::attachInterface<Concat>(*context);
  });
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    ssm::ConvOp::attachInterface<Conv>(*context);
  });
}
