// SPDX-License-Identifier: Apache-2.0
// Pieces that the rules of several ops share.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_RULES_H
#define ITERA_LIB_TRANSFORMS_STREAM_RULES_H

#include "itera/Transforms/Stream/Streaming.h"

namespace itera {

inline mlir::RankedTensorType tensorOf(mlir::Value value) {
  return mlir::dyn_cast<mlir::RankedTensorType>(value.getType());
}

/// A rule for `op` in which nothing has time yet.
inline void beginRule(mlir::Operation *op, TimeRule &rule) {
  rule.operands.resize(op->getNumOperands());
  rule.results.resize(op->getNumResults());
}

inline TimeResult framesAt(const TimeDim &time) {
  return {TimeResult::frames, time};
}

/// The one time dimension that all known operands agree on.
inline std::optional<TimeDim>
commonTime(llvm::ArrayRef<std::optional<TimeDim>> operands, std::string &why) {
  std::optional<TimeDim> common;
  for (const std::optional<TimeDim> &time : operands) {
    if (time && common && !(*time == *common)) {
      why = "joins values whose time is in different dimensions";
      return std::nullopt;
    }
    if (time)
      common = time;
  }
  return common;
}

/// On a convolution: it says nothing of sequences of more frames.
inline constexpr llvm::StringLiteral kMostFramesAttr = "ssm.most_frames";

/// Says of results whose frames are outermost, but of several entries, that
/// each entry is a frame: what is inside of one comes after it in time.
void splitFrames(TimeRule &rule);

void registerElementwiseRules(mlir::DialectRegistry &registry);
void registerLinalgRules(mlir::DialectRegistry &registry);
void registerMovementRules(mlir::DialectRegistry &registry);
void registerReshapeRules(mlir::DialectRegistry &registry);
void registerPaddingRules(mlir::DialectRegistry &registry);
void registerLayerRules(mlir::DialectRegistry &registry);
void registerRecurrenceRules(mlir::DialectRegistry &registry);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_RULES_H
