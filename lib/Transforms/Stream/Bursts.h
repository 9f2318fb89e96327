// SPDX-License-Identifier: Apache-2.0
// Frames that come several at a time, of which some may be none: those before
// the first frame of all and those behind the last one.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_BURSTS_H
#define ITERA_LIB_TRANSFORMS_STREAM_BURSTS_H

#include "itera/Transforms/Stream/Streaming.h"

namespace itera {

/// Pieces of a sequence as one.
mlir::Value joinFrames(mlir::OpBuilder &b, mlir::Location loc, int64_t dim,
                       llvm::ArrayRef<mlir::Value> parts);

/// `count` frames of `value` from `first` on.
mlir::Value sliceFrames(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value value, int64_t dim,
                        mlir::OpFoldResult first, int64_t count);

/// The same, but where there is no such frame, the nearest one.
mlir::Value sliceWithin(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value value, int64_t dim, mlir::Value first,
                        int64_t count);

mlir::Value zeroFrames(mlir::OpBuilder &b, mlir::Location loc, mlir::Type like,
                       const TimeDim &time, int64_t count);

/// max(low, min(value, high)).
mlir::Value clampIndex(mlir::OpBuilder &b, mlir::Location loc,
                       mlir::Value value, int64_t low, int64_t high);

/// `all` with the frames from `from` to `to` replaced by what `make` gives for
/// each of them.
mlir::Value
replaceFrames(mlir::OpBuilder &b, mlir::Location loc, mlir::Value all,
              int64_t dim, mlir::Value from, mlir::Value to,
              llvm::function_ref<mlir::Value(mlir::Value)> make);

/// Builds an op that carries states on the frames from `from` to `to` of those
/// that `frames` has; the first of these has the number `first`. The others are
/// zeros, and are not seen by the states.
llvm::SmallVector<mlir::Value>
buildFrameByFrame(mlir::Operation *op, const TimeRule &rule,
                  FrameBuilder &frames, mlir::Value first, mlir::Value from,
                  mlir::Value to);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_BURSTS_H
