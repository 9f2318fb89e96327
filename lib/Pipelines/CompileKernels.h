// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_COMPILEKERNELS_H
#define ITERA_LIB_PIPELINES_COMPILEKERNELS_H

#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/CodeGen/LLVM/Emit.h"
#include "itera/Pipelines/Compile.h"
#include <map>

namespace itera {

/// The compiled kernels of a module, by the name of their function.
struct CompiledKernels {
  std::map<std::string, CompiledKernel> byName;

  llvm::SmallVector<LinkedKernel> linked() const;
};

/// Compiles the functions of the nested module @kernels. One that has no code
/// is inlined where it is called, with a warning that names it.
CompiledKernels compileModuleKernels(mlir::ModuleOp module,
                                     const CompileOptions &options);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_COMPILEKERNELS_H
