// SPDX-License-Identifier: Apache-2.0
// Writes the entry functions of a stream: the ops of the whole-sequence graph
// on the frames of one call.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_ENTRYBUILDER_H
#define ITERA_LIB_TRANSFORMS_STREAM_ENTRYBUILDER_H

#include "StreamPlan.h"
#include "mlir/IR/IRMapping.h"

namespace itera {

class EntryBuilder : public FrameBuilder {
public:
  EntryBuilder(const StreamPlan &plan, mlir::OpBuilder &builder)
      : FrameBuilder(builder), plan(plan), analysis(plan.analysis),
        sequence(plan.sequence) {}

  /// @begin: from the inputs without time to the constants of the stream.
  mlir::func::FuncOp buildBegin(llvm::StringRef name);
  /// @reset: from the constants to the first states.
  mlir::func::FuncOp buildReset(llvm::StringRef name);
  /// @prefill: `frames` input frames at a position that every stride divides
  /// and before which every op has had frames.
  mlir::func::FuncOp buildChunk(llvm::StringRef name, int64_t frames);
  /// @step, and @flush: one input frame, or none after the end, at any position.
  mlir::func::FuncOp buildTick(llvm::StringRef name, bool flush);
  /// @final: from constants and states to the outputs that are known at the
  /// end.
  mlir::func::FuncOp buildFinal(llvm::StringRef name);
  /// @rollback: the states some frames ago. See EntryRollback.cpp.
  mlir::func::FuncOp buildRollback(llvm::StringRef name);

  int64_t getFrameCount() const override { return count; }
  bool isFirst() const override { return mode == Mode::reset; }
  mlir::Value getFrames(unsigned operand) override;
  mlir::Value getInvariant(mlir::Value value) override;
  mlir::Value getState(unsigned index) override;
  void setState(unsigned index, mlir::Value value) override;
  mlir::Value getTail(unsigned operand) override;
  mlir::OpFoldResult getFirstFrame() override;
  bool mayBeBefore(unsigned operand) override;
  bool mayBeBehind(unsigned operand) override;
  mlir::Value getLength(unsigned operand) override;

  /// The frames number `index` and following of a value that depends on nothing
  /// with time.
  mlir::Value constantFrames(mlir::Value value, const TimeDim &time,
                             mlir::OpFoldResult index, int64_t frames);

private:
  enum class Mode { begin, reset, chunk, step, flush, final, rollback };
  bool isTick() const { return mode == Mode::step || mode == Mode::flush; }

  void start(llvm::StringRef name, Mode mode);
  mlir::Value addArgument(mlir::Type type, llvm::StringRef role,
                          unsigned index);
  void addInputs(int64_t frames);
  void addConstants();
  void addStates();
  void addClock();
  void addResult(mlir::Value value, llvm::StringRef role, unsigned index);
  mlir::func::FuncOp finish();

  void runOp(mlir::Operation *op);
  bool mayBePart(const Availability &available) const;
  llvm::SmallVector<mlir::Value> buildPart(mlir::Operation *op);
  mlir::Value moveToFront(mlir::Value value, const Availability &available);
  void runRegions();
  void runGuarded(llvm::ArrayRef<mlir::Operation *> ops, mlir::Value guard);
  mlir::Value guardOf(const Availability &available);
  void keepHistory(mlir::Value value);
  mlir::Value withHistory(mlir::Value value);
  mlir::Value initialState(const StateSpec &state);
  void addStreamedOutputs();
  mlir::Value delayed(mlir::Value output);
  mlir::Value newestFrame(const Availability &available);
  mlir::Value sliceHistory(unsigned operand, int64_t size);
  mlir::Value buildMean(mlir::Operation *op);

  // EntryRollback.cpp
  bool takesBack() const { return analysis.getRollback() > 0; }
  void advanceBasesOfChunk();
  void advanceBasesOfStep();
  void rewind(mlir::Operation *op);
  void shiftBack(mlir::Value value, unsigned history);
  mlir::Value framesAfter(const Availability &available, mlir::Value inputs);
  mlir::Value framesOfBursts(const Availability &available, mlir::Value inputs);
  bool readsAtOnePlace(mlir::Operation *op);
  void advanceBasesByNumber(mlir::Operation *op);
  llvm::SmallVector<mlir::Value> replayFrames(mlir::Operation *op,
                                              mlir::ValueRange begin,
                                              mlir::Value from, mlir::Value to);
  llvm::SmallVector<mlir::Value> replayOp(mlir::Operation *op,
                                          mlir::ValueRange from);
  mlir::Value replayedFrames(unsigned operand);

  mlir::Value index(int64_t value);
  mlir::Value plus(mlir::Value value, int64_t amount);
  mlir::Value times(mlir::Value value, int64_t factor);
  mlir::Value over(mlir::Value value, int64_t divisor);
  mlir::Value clamp(mlir::Value value, int64_t low, int64_t high);
  mlir::Value clockEntry(unsigned number);
  mlir::OpFoldResult firstIndex(const Availability &available);
  mlir::Value lengthOf(const Availability &available);
  mlir::Value slice(mlir::Value value, const TimeDim &time,
                    mlir::OpFoldResult from, int64_t size);

  const StreamPlan &plan;
  const StreamAnalysis &analysis;
  mlir::func::FuncOp sequence;

  Mode mode = Mode::begin;
  mlir::func::FuncOp function;
  /// New frames, constants and values known at the end, by what they are in
  /// the whole-sequence graph.
  mlir::IRMapping mapping;
  llvm::DenseMap<mlir::Value, mlir::Value> extended;
  llvm::SmallVector<mlir::Value> states, nextStates;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::Attribute> resultAttrs;
  mlir::Value clock;
  /// The clock's numbers as index values, once they are needed.
  mlir::Value clockEntries[3];
  /// Where the next constant goes: behind this op, or to the front.
  mlir::Operation *lastConstant = nullptr;
  mlir::Operation *current = nullptr;
  int64_t count = 0, inputFrames = 0;
  /// While states are computed anew, beside those of the stream.
  struct Replay {
    llvm::SmallVector<mlir::Value> states;
    /// Where the frames come from: those of this call, the oldest ones that can
    /// be taken back, or number `frame`.
    enum { fresh, oldest, numbered } source = fresh;
    mlir::Value frame;
  };
  std::optional<Replay> replay;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_ENTRYBUILDER_H
