// SPDX-License-Identifier: Apache-2.0
// Weights that are no matrices: taps, biases, factors per channel.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_VECTORWEIGHTS_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_VECTORWEIGHTS_H

#include "itera/Dialect/SSM/SSM.h"

namespace itera {

/// Whether a weight is read only as taps or bias of a convolution, as scale or
/// bias of a norm, as D of a scan, as bias of one of the linears that
/// `takesBias` says, or as a factor or term that no recurrence's decay, step or
/// input and no choice of experts is computed from: its rounding is no larger in the result than in
/// itself, and no state carries it on.
bool isVectorWeight(ssm::WeightOp weight,
                    llvm::function_ref<bool(ssm::LinearOp)> takesBias);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_VECTORWEIGHTS_H
