// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCUT_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCUT_H

#include "ChannelCoupling.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/BitVector.h"

namespace itera {

/// Gives each use of a constant that was broadcast or reshaped a copy of these
/// ops, so that layers that happen to share one are not coupled by it.
void splitConstantChains(mlir::func::FuncOp function);

/// Removes the elements whose classes are in `removed` from the function:
/// types, weights, slices and norms are as without them. No class may have an
/// obstacle, and no dimension lose all its indices.
void cutChannels(ChannelCoupling &coupling, const llvm::BitVector &removed);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCUT_H
