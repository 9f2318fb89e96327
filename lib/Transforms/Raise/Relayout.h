// SPDX-License-Identifier: Apache-2.0
// Values moved from one arrangement of axes to another.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_RELAYOUT_H
#define ITERA_LIB_TRANSFORMS_RAISE_RELAYOUT_H

#include "RegionAxes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

namespace itera::raise {

/// `value`, whose dimensions have the axes `from`, with its dimensions made of
/// the axes `to` instead. Axes that it lacks are broadcast; all that it has
/// must be in `to`.
mlir::Value relayout(mlir::OpBuilder &builder, mlir::Location loc,
                     mlir::Value value, llvm::ArrayRef<AxisList> from,
                     llvm::ArrayRef<AxisList> to, const AxisTable &table);

/// Looks through ops that only say where an element is: transposes, reshapes,
/// broadcasts and slices that take all; with `throughPads` also pads. The ops
/// are appended to `ops`, the last one first.
mlir::Value stripViews(mlir::Value value, bool throughPads,
                       llvm::SmallVectorImpl<mlir::Operation *> *ops = nullptr);

/// A slice of a sum that nothing else reads becomes a sum of slices, and so on
/// above it where that is no more work, so that what pads frames meets what
/// cuts them off.
void pullSliceUp(mlir::tensor::ExtractSliceOp slice);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_RELAYOUT_H
