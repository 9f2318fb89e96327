// SPDX-License-Identifier: Apache-2.0
// What the emitter adds to the lowered module, as LLVM IR.

#ifndef ITERA_LIB_CODEGEN_LLVM_PROGRAMTABLE_H
#define ITERA_LIB_CODEGEN_LLVM_PROGRAMTABLE_H

#include "itera/CodeGen/LLVM/Emit.h"
#include "llvm/IR/Module.h"

namespace itera {

/// Defines `itera_program` (runtime/include/itera/program.h) and the entry that
/// unpacks the runtime's pointer arrays into the arguments of @forward.
void addProgramTable(llvm::Module &module, const ProgramInfo &info,
                     const TargetSpec &target);

/// Defines the function that the lowered module calls for `kernel`: it wraps
/// its bare pointers into Halide's buffers.
void addKernelEntry(llvm::Module &module, const LinkedKernel &kernel);

} // namespace itera

#endif // ITERA_LIB_CODEGEN_LLVM_PROGRAMTABLE_H
