// SPDX-License-Identifier: Apache-2.0
// From the planned IR to an object in memory.

#ifndef ITERA_CODEGEN_LLVM_EMIT_H
#define ITERA_CODEGEN_LLVM_EMIT_H

#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/CodeGen/LLVM/ProgramInfo.h"
#include "itera/Support/Target.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace itera {

/// A kernel that is called by the module, compiled.
struct LinkedKernel {
  std::string name; // of the function in @kernels
  const CompiledKernel *compiled;
};

enum class OutputKind { object, assembly, llvm };

struct EmitOptions {
  TargetSpec target;
  /// 0: no optimisation; above: all of LLVM's -O2 and fused multiply-adds.
  unsigned optLevel = 2;
};

/// Reports a function on doubles, for which there is no code: the model is at
/// fault, not the compiler.
mlir::LogicalResult checkMath(mlir::ModuleOp planned);

/// Lowers `planned` (consumed) to LLVM, adds the program table and the entry of
/// every kernel, and returns the bytes of the wanted kind.
llvm::Expected<llvm::SmallVector<char, 0>>
emitModule(mlir::ModuleOp planned, const ProgramInfo &info,
           llvm::ArrayRef<LinkedKernel> kernels, OutputKind kind,
           const EmitOptions &options);

} // namespace itera

#endif // ITERA_CODEGEN_LLVM_EMIT_H
