// SPDX-License-Identifier: Apache-2.0
// What each op is to the forming of kernels.

#ifndef ITERA_LIB_TRANSFORMS_FUSE_KERNELOPS_H
#define ITERA_LIB_TRANSFORMS_FUSE_KERNELOPS_H

#include "mlir/IR/Operation.h"

namespace itera {

/// The op has an algorithm of its own in a kernel.
bool isKernelAnchor(mlir::Operation *op);

/// Computes each element of its result from the same elements of operands, and
/// kernels can express it.
bool isKernelElementwise(mlir::Operation *op);

/// Reads its operand at other indices, for free or nearly so: a kernel that
/// reads the result can as well read the operand.
bool isKernelMovement(mlir::Operation *op);

/// Makes a value out of nothing: a splat, an empty tensor, a fill.
bool isKernelSource(mlir::Operation *op);

/// What a kernel with this anchor (or with none) is called.
llvm::StringRef kernelKind(mlir::Operation *anchor);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_FUSE_KERNELOPS_H
