// SPDX-License-Identifier: Apache-2.0
// The passes of the stage `fuse`: ssm ops become kernels.

#ifndef ITERA_TRANSFORMS_FUSE_PASSES_H
#define ITERA_TRANSFORMS_FUSE_PASSES_H

#include "mlir/Pass/Pass.h"

namespace itera {

#define GEN_PASS_DECL
#include "itera/Transforms/Fuse/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/Transforms/Fuse/Passes.h.inc"

} // namespace itera

#endif // ITERA_TRANSFORMS_FUSE_PASSES_H
