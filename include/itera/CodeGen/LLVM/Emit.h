// SPDX-License-Identifier: Apache-2.0
// From the planned IR to an object in memory.

#ifndef ITERA_CODEGEN_LLVM_EMIT_H
#define ITERA_CODEGEN_LLVM_EMIT_H

#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/Support/Target.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace itera {

/// One input or output of the model, as its users see it.
struct InterfaceTensor {
  std::string name;
  /// An itera_dtype of abi.h.
  uint32_t dtype = 0;
  std::vector<int64_t> dims;
  uint64_t bytes = 0;
};

/// What the argument at a position of the planned @forward is.
struct ArgumentRole {
  enum Kind { input, output, weights, scratch } kind;
  unsigned index = 0; // of the input or output
};

/// The model as the runtime needs to know it.
struct ProgramInfo {
  std::string name, compilerVersion, flags, sourceHash;
  std::vector<InterfaceTensor> inputs, outputs;
  uint64_t weightBytes = 0, scratchBytes = 0;
  /// ITERA_CPU_* bits of program.h.
  uint64_t requiredCpuFeatures = 0;
  std::vector<ArgumentRole> forwardArguments;
};

/// Reads the interface and the layout of the planned @forward. Fails with a
/// diagnostic if the module is not one that stage `plan` leaves.
mlir::FailureOr<ProgramInfo> readProgramInfo(mlir::ModuleOp planned);

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
