// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Stream/Streaming.h"

#include "Rules.h"

using namespace mlir;
using namespace itera;

#include "itera/Transforms/Stream/StreamingInterface.cpp.inc"

RankedTensorType itera::withFrames(Type type, const TimeDim &time,
                                   int64_t frames) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  shape[time.dim] = resized(time, frames);
  return tensor.clone(shape);
}

SmallVector<Value> itera::buildResized(Operation *op, const TimeRule &rule,
                                       FrameBuilder &frames) {
  SmallVector<Value> operands;
  for (auto [k, operand] : llvm::enumerate(op->getOperands()))
    operands.push_back(rule.operands[k].time ? frames.getFrames(k)
                                             : frames.getInvariant(operand));
  Operation *copy = frames.builder.clone(*op);
  copy->setOperands(operands);
  for (auto [result, time] : llvm::zip(copy->getResults(), rule.results))
    result.setType(
        withFrames(result.getType(), time.time, frames.getFrameCount()));
  return SmallVector<Value>(copy->getResults());
}

void itera::splitFrames(TimeRule &rule) {
  int64_t entries = 1;
  for (TimeResult &result : rule.results)
    if (result.kind == TimeResult::frames && result.time.outer == 1) {
      entries = std::max(entries, result.time.inner);
      result.time.inner = 1;
    }
  for (TimeOperand &operand : rule.operands)
    operand.window.repeat *= entries;
  rule.length.multiply *= entries;
}

void itera::registerStreamingRules(DialectRegistry &registry) {
  registerElementwiseRules(registry);
  registerLinalgRules(registry);
  registerMovementRules(registry);
  registerReshapeRules(registry);
  registerPaddingRules(registry);
  registerLayerRules(registry);
  registerRecurrenceRules(registry);
}
