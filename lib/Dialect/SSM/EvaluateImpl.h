// SPDX-License-Identifier: Apache-2.0
// What the evaluator's files share.

#ifndef ITERA_LIB_DIALECT_SSM_EVALUATEIMPL_H
#define ITERA_LIB_DIALECT_SSM_EVALUATEIMPL_H

#include "itera/Dialect/SSM/Evaluate.h"

namespace itera::ssm::detail {

/// One evaluation: the operands' data in, the results' data out.
struct Evaluation {
  mlir::Operation *op;
  llvm::SmallVector<HostTensor> operands;
  llvm::SmallVector<HostTensor> results;

  /// Adds the next result with memory of its own; returns the memory.
  char *addResult();
  /// Adds the next result with another tensor's bytes under its own type.
  void addView(const HostTensor &of);
};

/// Elementwise arith, math and ssm ops. Each of these returns false if it does
/// not know the op, or cannot evaluate it (a division by zero).
bool evaluateElementwise(Evaluation &e);
bool isElementwise(mlir::Operation *op);
/// tensor, linalg and ssm ops that only move elements.
bool evaluateMovement(Evaluation &e);
bool isMovement(mlir::Operation *op);
/// Reductions, contractions, convolutions, running sums, sorting.
bool evaluateReduction(Evaluation &e);
bool isReduction(mlir::Operation *op);

/// The integer op or the float op of a combiner such as `arith.addf`.
bool combine(llvm::StringRef name, double lhs, double rhs, double &result);
bool combine(llvm::StringRef name, int64_t lhs, int64_t rhs, int64_t &result);

} // namespace itera::ssm::detail

#endif // ITERA_LIB_DIALECT_SSM_EVALUATEIMPL_H
