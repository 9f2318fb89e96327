// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TRANSFORMS_PLAN_PASSES_H
#define ITERA_TRANSFORMS_PLAN_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace itera {

/// Alignment in bytes of every placed weight and scratch buffer.
inline constexpr int64_t kPlacementAlignment = 64;

/// Registers how ssm.kernel bufferises.
void registerKernelBufferization(mlir::DialectRegistry &registry);

#define GEN_PASS_DECL
#include "itera/Transforms/Plan/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/Transforms/Plan/Passes.h.inc"

} // namespace itera

#endif // ITERA_TRANSFORMS_PLAN_PASSES_H
