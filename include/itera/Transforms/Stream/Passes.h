// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TRANSFORMS_STREAM_PASSES_H
#define ITERA_TRANSFORMS_STREAM_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace itera {

#define GEN_PASS_DECL
#include "itera/Transforms/Stream/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/Transforms/Stream/Passes.h.inc"

} // namespace itera

#endif // ITERA_TRANSFORMS_STREAM_PASSES_H
