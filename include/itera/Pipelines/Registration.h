// SPDX-License-Identifier: Apache-2.0
// What a tool must register to read, run and print the compiler's IR.

#ifndef ITERA_PIPELINES_REGISTRATION_H
#define ITERA_PIPELINES_REGISTRATION_H

#include "mlir/IR/DialectRegistry.h"

namespace itera {

/// Adds every dialect, and every external interface, that any stage uses.
void registerDialects(mlir::DialectRegistry &registry);

/// Registers every pass, and every stage as a pass pipeline `itera-<stage>`.
void registerPasses();

} // namespace itera

#endif // ITERA_PIPELINES_REGISTRATION_H
