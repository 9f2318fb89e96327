// SPDX-License-Identifier: Apache-2.0
// What one op of a scan's body becomes when it is done for all steps at once.
//
// Each rule takes an op whose operands are given with a time dimension (at any
// place), or without one if they are the same in every step, and builds the op
// that computes all steps' results. An op without a rule stays in the body.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_TIMEBATCHING_H
#define ITERA_LIB_TRANSFORMS_RAISE_TIMEBATCHING_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace itera::raise {

/// A value of every step: with its time dimension, or the same for all steps.
struct TimeValue {
  mlir::Value value;
  int64_t dim = -1;
  bool isInvariant() const { return dim < 0; }
};

/// True if `op` has a rule. `varies(k)` says if operand k varies with time.
bool canBatch(mlir::Operation *op, llvm::function_ref<bool(unsigned)> varies);

/// Builds op for `length` steps at once; at least one operand has time. Needs
/// canBatch. One entry per result.
llvm::SmallVector<TimeValue> batchOverTime(mlir::OpBuilder &builder,
                                           mlir::Operation *op,
                                           llvm::ArrayRef<TimeValue> operands,
                                           int64_t length);

/// `value` with its time dimension at `dim`; an invariant is repeated.
mlir::Value withTimeAt(mlir::OpBuilder &builder, mlir::Location loc,
                       TimeValue value, int64_t dim, int64_t length);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_TIMEBATCHING_H
