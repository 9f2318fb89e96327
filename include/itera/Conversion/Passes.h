// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_CONVERSION_PASSES_H
#define ITERA_CONVERSION_PASSES_H

#include "mlir/Pass/Pass.h"

namespace itera {

#define GEN_PASS_DECL
#include "itera/Conversion/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/Conversion/Passes.h.inc"

} // namespace itera

#endif // ITERA_CONVERSION_PASSES_H
