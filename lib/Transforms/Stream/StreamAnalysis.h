// SPDX-License-Identifier: Apache-2.0
// When each frame of each value is known.
//
// A value with time gets a stride s and a look-ahead f, in frames of the
// inputs: its frame j needs the input frames 0 to s*j + f. From the rules of
// the ops both follow exactly:
//
//   input                               s = 1, f = 0
//   frame j needs q*j + o ... + w - 1   s = q * s', f = f' + s' * (o + w - 1)
//   several operands                    s must agree, f is the largest
//
// Where a frame becomes several, by a reshape, frames come in bursts: see
// Arrival.h. There s*j is s*floor((j + c) / m), for bursts of m frames.
//
// A negative f means that frames are known before the first input is: padding.
// After t inputs a value has had floor((t - 1 - f) / s) + 1 frames. These must
// not be more than a sequence that ends there has, for a frame may not be given
// out and then turn out to be none: f grows where a sequence is cropped behind.
//
// Fed one input frame at a time, a value gets its frame (t - f) / s at the
// position t, if that is a whole number. Ops whose frames come at the same
// positions, one after the other in the graph, form a region: it runs or it
// does not.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_STREAMANALYSIS_H
#define ITERA_LIB_TRANSFORMS_STREAM_STREAMANALYSIS_H

#include "Arrival.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

namespace itera {

/// The time of a value.
struct Availability : Arrival {
  TimeDim time;
  /// Of the look-ahead, what only waits for others that need more.
  int64_t waits = 0;
  /// Number of frames in the whole-sequence graph.
  int64_t wholeLength = 0;
  /// Number of frames for T inputs.
  FrameCount length;
};

/// What a value of the whole-sequence graph is to streaming.
struct ValueTime {
  enum Kind {
    constant, // depends on no input
    fixed,    // depends on inputs without time only
    frames,   // has time
    atEnd     // is known when the last frame is
  } kind = constant;
  Availability available; // of frames
  /// Where set, the frames before the one that comes with this input are equal
  /// to it: the first frame of a sequence, repeated in front of it.
  std::optional<int64_t> repeatedAt;
};

/// Why a model cannot stream.
struct StreamingProblem {
  mlir::Operation *op = nullptr; // null: not one op
  std::string why;
};

class StreamAnalysis {
public:
  /// `rollback`: how many frames a stream can take back.
  explicit StreamAnalysis(mlir::func::FuncOp sequence, int64_t rollback = 0)
      : sequence(sequence), rollback(rollback) {}

  /// Analyses the function, where `inputs[i]` is the time dimension of argument
  /// i, if it has one.
  mlir::LogicalResult run(llvm::ArrayRef<std::optional<TimeDim>> inputs);

  const StreamingProblem &getProblem() const { return problem; }
  const ValueTime &get(mlir::Value value) const;
  /// The rule of an op that has operands with time.
  const TimeRule *getRule(mlir::Operation *op) const;
  /// When the frames of the results of such an op are known.
  const Availability &getAvailability(mlir::Operation *op) const {
    return available.find(op)->second;
  }
  /// How many frames before the new ones of `value` some op needs.
  int64_t getHistory(mlir::Value value) const { return history.lookup(value); }
  /// The same for a stream that takes nothing back.
  int64_t getNeededHistory(mlir::Value value) const {
    return neededHistory.lookup(value);
  }
  int64_t getRollback() const { return rollback; }
  /// How many frames before its newest one, where W frames ago op had a frame,
  /// the first one is that the op then read of an operand.
  int64_t getLoggedAge(mlir::Operation *op, unsigned operand) const;
  /// Inputs after which a value that never changes with them, read along time,
  /// is at its end; none if there is no such.
  std::optional<int64_t> getMaxFrames() const { return maxFrames; }

  /// Positions after the end at which frames still come.
  int64_t getFlushFrames() const { return flushFrames; }
  /// The position from which on every op has a frame whenever its stride says
  /// so; and the number that all strides divide.
  int64_t getWarmup() const { return warmup; }
  int64_t getAlignment() const { return alignment; }
  /// The region of a value with time, or of an op. Region 0 is that of the
  /// inputs.
  unsigned getRegion(mlir::Value value) const;
  unsigned getRegion(mlir::Operation *op) const { return regions.lookup(op); }
  /// Whether frames come at every position of a stream that has not ended.
  static bool comesAlways(const Availability &available) {
    return available.stride == 1 && available.lookahead <= 0;
  }
  /// How many frames before the newest one of the operand, at a position where
  /// `op` has frames, the first one is that they need: the most, and whether it
  /// is always that.
  struct Age {
    int64_t most = 0;
    bool isAlways = true;
  };
  Age getAge(mlir::Operation *op, unsigned operand) const;
  /// The same for the newest frame so many inputs later.
  Age getAge(mlir::Operation *op, unsigned operand, int64_t later) const;

  /// Has the frames of `op` come so many of them later.
  void delay(mlir::Operation *op, int64_t frames);

  /// The first of the frames that operand `operand` brings for the new frames
  /// of `op`, counted from the operand's first new frame, when both start at an
  /// input frame that every stride divides.
  int64_t getOffset(mlir::Operation *op, unsigned operand) const;

private:
  mlir::LogicalResult visit(mlir::Operation *op);
  mlir::LogicalResult meet(mlir::Operation *op, const TimeRule &rule,
                           Availability &result);
  mlir::LogicalResult meetRepeated(mlir::Operation *op, const TimeRule &rule,
                                   const Availability &available,
                                   std::optional<int64_t> &repeatedAt);
  mlir::LogicalResult demand(mlir::Operation *user, mlir::Value value,
                             const TimeDim &time, const Availability &by,
                             const TimeWindow &per = {});
  mlir::LogicalResult fail(mlir::Operation *op, const llvm::Twine &why);
  mlir::LogicalResult needHistories(mlir::Operation *op);
  mlir::LogicalResult keepForRollback();
  /// Moves ops to where what waits for others takes the least memory.
  void retime();
  mlir::LogicalResult findRates();
  bool comeTogether(const Availability &a, const Availability &b) const;
  void groupOps();
  void findRegions();

  mlir::func::FuncOp sequence;
  int64_t rollback;
  llvm::DenseMap<mlir::Value, ValueTime> values;
  llvm::DenseMap<mlir::Operation *, TimeRule> rules;
  llvm::DenseMap<mlir::Operation *, Availability> available;
  llvm::DenseMap<mlir::Value, int64_t> history, neededHistory;
  llvm::DenseMap<mlir::Operation *, unsigned> regions;
  std::optional<int64_t> maxFrames;
  int64_t flushFrames = 0, warmup = 0, alignment = 1;
  StreamingProblem problem;
};

/// Makes the padding of convolutions ops of their own, as the rules want it.
void makePaddingExplicit(mlir::func::FuncOp function);

/// `frames` frames of a constant that is the same at all times; null if it is
/// not, or is no constant.
mlir::DenseElementsAttr repeatConstant(mlir::Value value, const TimeDim &time,
                                       int64_t frames);

/// Of a constant op on its way to having time: which operands must have it.
mlir::LogicalResult traceBack(mlir::Operation *op, unsigned result,
                              const TimeDim &time, TimeRule &rule);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_STREAMANALYSIS_H
