// SPDX-License-Identifier: Apache-2.0
// Reductions whose elements are to be taken in their order, as a stream takes
// them: then forward has the same bits.

#ifndef ITERA_DIALECT_SSM_INORDER_H
#define ITERA_DIALECT_SSM_INORDER_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace itera::ssm {

inline constexpr llvm::StringLiteral kInOrderAttr = "ssm.in_order";

inline bool isInOrder(mlir::Operation *op) { return op->hasAttr(kInOrderAttr); }
inline void setInOrder(mlir::Operation *op) {
  op->setAttr(kInOrderAttr, mlir::UnitAttr::get(op->getContext()));
}

} // namespace itera::ssm

#endif // ITERA_DIALECT_SSM_INORDER_H
