// SPDX-License-Identifier: Apache-2.0
// The file of a single step as a sequence of one frame.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_FORWARDOFSTEP_H
#define ITERA_LIB_TRANSFORMS_STREAM_FORWARDOFSTEP_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace itera {

/// Makes @forward of a file of a single step what begin, one step and finish
/// compute, so that it has their bits. All outputs must be known after the
/// frame.
void makeForwardOfStep(mlir::ModuleOp module);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_FORWARDOFSTEP_H
