// SPDX-License-Identifier: Apache-2.0
// Which dimension of each value is that of the batch, if its rows do not see
// each other.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_ROWINFERENCE_H
#define ITERA_LIB_TRANSFORMS_STREAM_ROWINFERENCE_H

#include "StreamAnalysis.h"

namespace itera {

/// What is known of the rows of a stream.
struct Rows {
  /// How many there are; 0 if there is no batch, or its rows are not
  /// independent, for the reason `problem`.
  int64_t count = 0;
  StreamingProblem problem;
  llvm::DenseMap<mlir::Value, TimeDim> dims;
  /// Of the carried states, by op and number.
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, int64_t> states;

  /// The dimension of rows; -1 if it has none.
  int64_t dimOf(mlir::Value value) const {
    auto it = dims.find(value);
    return it != dims.end() && it->second.isWhole() ? it->second.dim : -1;
  }
};

/// Finds the rows of the analysed function.
Rows inferRows(mlir::func::FuncOp sequence, const StreamAnalysis &analysis);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_ROWINFERENCE_H
