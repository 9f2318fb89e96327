// SPDX-License-Identifier: Apache-2.0
// What several families of operators need.

#ifndef ITERA_LIB_IMPORT_ONNX_COMMON_H
#define ITERA_LIB_IMPORT_ONNX_COMMON_H

#include "Importer.h"

namespace itera::onnx_import {

/// Inputs `which`, broadcast to their common shape.
mlir::FailureOr<llvm::SmallVector<mlir::Value>>
broadcastInputs(Node &n, llvm::ArrayRef<size_t> which);

/// Makes `result`, an elementwise function of the inputs with ONNX
/// broadcasting, counted where an input is; refuses what does not align.
mlir::LogicalResult carryCounted(Node &n, mlir::Value result);

/// Adds `result` as the output, counted and unsigned as its inputs are.
mlir::LogicalResult finishElementwise(Node &n, mlir::Value result,
                                      bool keepsSign = true);

/// One float input, one result of its type.
template <typename Op>
mlir::LogicalResult floatUnary(Node &n) {
  if (failed(n.expectFloat(0)))
    return mlir::failure();
  return finishElementwise(n, n.b.make<Op>(n.in(0)));
}

} // namespace itera::onnx_import

#endif // ITERA_LIB_IMPORT_ONNX_COMMON_H
