// SPDX-License-Identifier: Apache-2.0
// The passes of the stage `quantize`: smaller weights.

#ifndef ITERA_TRANSFORMS_QUANTIZE_PASSES_H
#define ITERA_TRANSFORMS_QUANTIZE_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace itera {

#define GEN_PASS_DECL
#include "itera/Transforms/Quantize/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/Transforms/Quantize/Passes.h.inc"

} // namespace itera

#endif // ITERA_TRANSFORMS_QUANTIZE_PASSES_H
