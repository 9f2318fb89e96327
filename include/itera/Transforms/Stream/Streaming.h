// SPDX-License-Identifier: Apache-2.0
// The terms in which ops speak of time, and the interface by which they do.
//
// A value with a time dimension is a sequence of frames. Frame j of a result
// needs the frames stride*j + offset to stride*j + offset + window - 1 of an
// operand; everything else about streaming follows from this.

#ifndef ITERA_TRANSFORMS_STREAM_STREAMING_H
#define ITERA_TRANSFORMS_STREAM_STREAMING_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/OpDefinition.h"
#include <optional>
#include <string>

namespace itera {

/// The time dimension of a tensor. After a reshape it may be a factor of a
/// dimension, whose size is then outer * T * inner.
struct TimeDim {
  int64_t dim = 0;
  int64_t outer = 1, inner = 1;
  bool operator==(const TimeDim &other) const {
    return dim == other.dim && outer == other.outer && inner == other.inner;
  }
  bool isWhole() const { return outer == 1 && inner == 1; }
};

/// Which frames of an operand frame j of a result needs: `window` of them, the
/// first one of which is stride * floor(j / repeat) + offset.
struct TimeWindow {
  int64_t stride = 1, offset = 0, window = 1, repeat = 1;

  int64_t firstFor(int64_t j) const {
    int64_t place = j / repeat - (j % repeat != 0 && j < 0);
    return stride * place + offset;
  }
  /// Frame j and no other one.
  bool isFrame() const { return keepsPlace() && window == 1 && repeat == 1; }
  /// A result's frames take up the place in time that the operand's do.
  bool keepsPlace() const { return offset == 0 && window == stride; }
};

struct TimeOperand {
  /// None: the operand is the same at all times.
  std::optional<TimeDim> time;
  TimeWindow window;
};

struct TimeResult {
  enum Kind { invariant, frames, atEnd } kind = invariant;
  TimeDim time;
};

/// n -> max(0, floor((n + add) / divide)) * multiply.
struct CountStep {
  int64_t add = 0, divide = 1, multiply = 1;
  bool operator==(const CountStep &o) const {
    return add == o.add && divide == o.divide && multiply == o.multiply;
  }
  bool isIdentity() const { return *this == CountStep(); }
};

struct TimeRule {
  llvm::SmallVector<TimeOperand> operands; // one per operand
  llvm::SmallVector<TimeResult> results;   // one per result
  /// The number of frames of a result, from that of the operands.
  CountStep length;
  /// The op takes nothing but the last frames of its operand, as many as the
  /// window has.
  bool tail = false;
  /// The op says nothing of results with more frames than this.
  std::optional<int64_t> mostFrames;
  /// Where operand 0 has no such frame, the nearest one is meant.
  bool nearest = false;
};

/// A state that an op carries from frame to frame.
struct CarriedState {
  mlir::RankedTensorType type;
  /// Its value before the first frame, which is the same for ever; null: zeros.
  mlir::Value init;
  std::string name;
};

/// What the build methods of an op may ask for while one entry function is
/// written. Values handed in are those of the whole-sequence graph.
class FrameBuilder {
public:
  explicit FrameBuilder(mlir::OpBuilder &builder) : builder(builder) {}
  virtual ~FrameBuilder() = default;

  /// The number of new frames of the op's results, at least 1.
  virtual int64_t getFrameCount() const = 0;
  /// Whether the new frames are the very first ones.
  virtual bool isFirst() const = 0;
  /// The frames of operand k that the n new frames need: stride * (n - 1) +
  /// window of them, or where a frame of it becomes several, n / repeat.
  virtual mlir::Value getFrames(unsigned operand) = 0;
  /// A value that is the same at all times.
  virtual mlir::Value getInvariant(mlir::Value value) = 0;
  /// The carried state number `index` of the op.
  virtual mlir::Value getState(unsigned index) = 0;
  virtual void setState(unsigned index, mlir::Value value) = 0;
  /// After the last frame: the last frames of operand k, as many as its window
  /// has.
  virtual mlir::Value getTail(unsigned operand) = 0;
  /// The number of the first new frame, an index.
  virtual mlir::OpFoldResult getFirstFrame() = 0;
  /// Whether some new frame may be before the first frame of operand k, or
  /// behind its last one.
  virtual bool mayBeBefore(unsigned operand) = 0;
  virtual bool mayBeBehind(unsigned operand) = 0;
  /// How many frames operand k has had when the stream is at its end. Only
  /// where mayBeBehind().
  virtual mlir::Value getLength(unsigned operand) = 0;

  mlir::OpBuilder &builder;
};

/// The size of `size`, a dimension with time in it, for `frames` frames.
inline int64_t resized(const TimeDim &time, int64_t frames) {
  return time.outer * frames * time.inner;
}

/// `type` with `frames` frames.
mlir::RankedTensorType withFrames(mlir::Type type, const TimeDim &time,
                                  int64_t frames);

/// A copy of `op` on the frames of its operands, with resized results: the rule
/// of every op whose frames are independent and whose attributes do not speak
/// of the size of time.
llvm::SmallVector<mlir::Value> buildResized(mlir::Operation *op,
                                            const TimeRule &rule,
                                            FrameBuilder &frames);

/// Gives upstream ops and ssm ops their rules.
void registerStreamingRules(mlir::DialectRegistry &registry);

} // namespace itera

#include "itera/Transforms/Stream/StreamingInterface.h.inc"

#endif // ITERA_TRANSFORMS_STREAM_STREAMING_H
