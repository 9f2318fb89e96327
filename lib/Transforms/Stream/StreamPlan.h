// SPDX-License-Identifier: Apache-2.0
// What a stream carries: the list of its states and of the values that are
// computed once when it begins.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_STREAMPLAN_H
#define ITERA_LIB_TRANSFORMS_STREAM_STREAMPLAN_H

#include "StreamAnalysis.h"
#include "llvm/ADT/SetVector.h"

namespace itera {

/// One carried state.
struct StateSpec {
  mlir::RankedTensorType type;
  std::string name;
  std::string node;
  /// Its first value in the whole-sequence graph; null: zeros, or the frames
  /// that are known before the first input.
  mlir::Value init;
  /// Of a history: the value whose last frames it holds.
  mlir::Value value;
};

struct StreamPlan {
  StreamPlan(mlir::func::FuncOp sequence, const StreamAnalysis &analysis);

  mlir::func::FuncOp sequence;
  const StreamAnalysis &analysis;
  std::vector<StateSpec> states;
  /// Values of kind fixed that the stream reads.
  llvm::SetVector<mlir::Value> constants;
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, unsigned> carried;
  llvm::DenseMap<mlir::Value, unsigned> histories;
  /// Of a carried state: the state that holds what it was before the frames
  /// that can be taken back.
  llvm::DenseMap<unsigned, unsigned> bases;

  /// The carried states of an op, in order.
  llvm::SmallVector<unsigned> carriedBy(mlir::Operation *op) const;
  /// The state whose base number `base` is; of other states itself.
  unsigned stateOfBase(unsigned base) const;
};

/// The name of the node that an op was made from, or of the op.
std::string nodeName(mlir::Operation *op);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_STREAMPLAN_H
