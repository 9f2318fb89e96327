// SPDX-License-Identifier: Apache-2.0
// What the recognisers share: a value is looked at through the broadcasts,
// reshapes and constants that exporters scatter around it. A matcher answers
// only for what holds exactly; nothing here changes the IR unless it says so.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_MATCH_H
#define ITERA_LIB_TRANSFORMS_RAISE_MATCH_H

#include "TensorUtils.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <optional>

namespace itera::raise {

inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
  return typeOf(value).getShape();
}
inline int64_t rankOf(mlir::Value value) { return typeOf(value).getRank(); }

/// The one value of a constant all of whose elements are equal; also of a
/// scalar constant, a fill or a broadcast of one, and of its square root.
std::optional<double> matchSplat(mlir::Value value);

/// The integer that all elements of a constant are.
std::optional<int64_t> matchIntegerSplat(mlir::Value value);

/// How far a constant of the value's element type may be from the real number
/// it stands for, relative to that number.
double constantTolerance(mlir::Value value);

/// Whether `actual` is `expected` within `tolerance`, relative to `expected`.
bool isNear(double actual, double expected, double tolerance);

/// Whether all elements are exactly zero.
bool isZero(mlir::Value value);

/// The value without the expand_shape and collapse_shape ops on top of it. All
/// of these have the same elements in the same row-major order.
mlir::Value skipReshapes(mlir::Value value);

/// A value that has one element per row of the last dimension of `value`'s
/// type, when `value` is that, broadcast along the last dimension. Reshapes
/// are skipped: only the row-major order of the rows counts.
mlir::Value matchRows(mlir::Value value);

/// The vector v with value[..., i, ...] = v[i], i along `dim`. Creates, before
/// the builder's insertion point, at most a constant or a collapse_shape.
mlir::Value matchVectorAlong(mlir::OpBuilder &builder, mlir::Value value,
                             int64_t dim);

/// Whether the value is made of weights and constants only.
bool isConstant(mlir::Value value);

/// x if the value is x * x or x to the power of two.
mlir::Value matchSquare(mlir::Value value);

/// -x
mlir::Value matchNegation(mlir::Value value);

/// x if the value is the sum of x over its dimensions `dims`, starting at 0.
/// Reshapes of the result are not skipped.
mlir::Value matchSum(mlir::Value value, llvm::ArrayRef<int64_t> dims);

/// x if the value is the sum of x over its last dimension.
mlir::Value matchRowSum(mlir::Value value);

/// x if the value is the mean of x over its last dimension.
mlir::Value matchRowMean(mlir::Value value);

/// The operands of a commutative binary op such that `accept` holds for the
/// first; tried in both orders.
template <typename OpT>
bool matchCommutative(
    mlir::Value value,
    llvm::function_ref<bool(mlir::Value, mlir::Value)> accept) {
  auto op = value.getDefiningOp<OpT>();
  if (!op)
    return false;
  mlir::Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  return accept(lhs, rhs) || accept(rhs, lhs);
}

/// Calls `visit` for every op, in program order, then removes what became
/// unused. `visit` may replace uses but must not erase.
void visitAndClean(mlir::Operation *root,
                   llvm::function_ref<void(mlir::Operation *)> visit);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_MATCH_H
