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
  /// @step, @prefill: `frames` input frames from any position (that every
  /// stride divides) on.
  mlir::func::FuncOp buildChunk(llvm::StringRef name, int64_t frames);
  /// @final: from constants and states to the outputs that are known at the
  /// end.
  mlir::func::FuncOp buildFinal(llvm::StringRef name);

  int64_t getFrameCount() const override { return count; }
  bool isFirst() const override { return first; }
  mlir::Value getFrames(unsigned operand) override;
  mlir::Value getInvariant(mlir::Value value) override;
  mlir::Value getState(unsigned index) override;
  void setState(unsigned index, mlir::Value value) override;
  mlir::Value getTail(unsigned operand) override;

  /// The frames number `index` and following of a value that depends on nothing
  /// with time.
  mlir::Value constantFrames(mlir::Value value, const TimeDim &time,
                             mlir::OpFoldResult index, int64_t frames);

private:
  mlir::func::FuncOp begin(llvm::StringRef name);
  mlir::Value addArgument(mlir::func::FuncOp function, mlir::Type type,
                          llvm::StringRef role, unsigned index);
  void addConstants(mlir::func::FuncOp function);
  void addStates(mlir::func::FuncOp function);
  void finish(mlir::func::FuncOp function);
  void addResult(mlir::Value value, llvm::StringRef role, unsigned index);
  void runOps();
  void keepHistory(mlir::Value value);
  mlir::Value withHistory(mlir::Value value);
  mlir::Value initialState(const StateSpec &state);
  mlir::OpFoldResult firstIndex(const Availability &available);
  mlir::Value slice(mlir::Value value, const TimeDim &time,
                    mlir::OpFoldResult from, int64_t size);

  const StreamPlan &plan;
  const StreamAnalysis &analysis;
  mlir::func::FuncOp sequence;

  mlir::func::FuncOp function;
  /// New frames, constants and values known at the end, by what they are in
  /// the whole-sequence graph.
  mlir::IRMapping mapping;
  llvm::DenseMap<mlir::Value, mlir::Value> extended;
  llvm::SmallVector<mlir::Value> states, nextStates;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::Attribute> resultAttrs;
  mlir::Value clock, position;
  mlir::Operation *current = nullptr;
  int64_t count = 0, inputFrames = 0;
  bool first = false;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_ENTRYBUILDER_H
