// SPDX-License-Identifier: Apache-2.0
// The second half of a compilation, for modules that are not read from a file.

#ifndef ITERA_LIB_PIPELINES_COMPILEMODULE_H
#define ITERA_LIB_PIPELINES_COMPILEMODULE_H

#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace itera {

/// Runs the stages from `first` on and writes the output. `module` is used up.
/// `weightBytes` gets the size of an artefact's image of weights.
CompileStatus compileModule(mlir::ModuleOp module, Stage first,
                            const CompileOptions &options,
                            mlir::MLIRContext &context,
                            uint64_t *weightBytes = nullptr);

/// The bytes of all weights of a module that stage quantize has made, as stage
/// plan places them for the target. `module` is used up.
llvm::Expected<int64_t> measureWeights(mlir::ModuleOp module,
                                       const CompileOptions &options,
                                       mlir::MLIRContext &context);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_COMPILEMODULE_H
