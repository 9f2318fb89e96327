// SPDX-License-Identifier: Apache-2.0
// Which dimension of which input is time.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_TIMEINFERENCE_H
#define ITERA_LIB_TRANSFORMS_STREAM_TIMEINFERENCE_H

#include "itera/Transforms/Stream/Streaming.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace itera {

/// The time dimension of each argument, if it has one.
using InputTimes = llvm::SmallVector<std::optional<TimeDim>>;

/// Possible answers, the most likely first. `given` are those that the user
/// fixed; all answers agree with them. Empty if nothing in the function says
/// what time is.
llvm::SmallVector<InputTimes> inferInputTimes(mlir::func::FuncOp function,
                                              const InputTimes &given);

/// The time dimensions that the user gave, as NAME=DIM; a wrong one is a
/// diagnostic and failure.
mlir::LogicalResult readTimeDims(mlir::func::FuncOp forward,
                                 llvm::ArrayRef<std::string> timeDims,
                                 InputTimes &given);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_TIMEINFERENCE_H
