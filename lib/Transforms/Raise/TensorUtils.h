// SPDX-License-Identifier: Apache-2.0
// Small helpers on tensors that the raise passes share.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_TENSORUTILS_H
#define ITERA_LIB_TRANSFORMS_RAISE_TENSORUTILS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace itera::raise {

inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}

/// `type` with a dimension of `size` inserted at `dim`.
mlir::RankedTensorType withDim(mlir::RankedTensorType type, int64_t dim,
                               int64_t size);

/// `value` with its dimensions in the order `perm` (as linalg.transpose);
/// itself if that is their order.
mlir::Value permute(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value value, llvm::ArrayRef<int64_t> perm);

/// `value` with its dimension `from` moved to `to`.
mlir::Value moveDimension(mlir::OpBuilder &builder, mlir::Location loc,
                          mlir::Value value, int64_t from, int64_t to);

/// The same elements in row-major order, in another shape.
mlir::Value reshape(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value value, llvm::ArrayRef<int64_t> shape);

/// True if every element of value is known to be zero.
bool isKnownZero(mlir::Value value);

/// Erases the ops of `block`, and of the regions in it, that nothing needs.
void eraseDeadOps(mlir::Block &block);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_TENSORUTILS_H
