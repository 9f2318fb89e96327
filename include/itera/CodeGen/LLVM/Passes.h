// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_CODEGEN_LLVM_PASSES_H
#define ITERA_CODEGEN_LLVM_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace itera {

/// The symbol of the compiled kernel of function `name` of `@kernels`.
std::string kernelSymbol(llvm::StringRef name);

/// From the IR after `plan` to the LLVM dialect. Functions take bare pointers
/// in the order of their arguments.
void populateLowerToLLVMPipeline(mlir::OpPassManager &manager);

#define GEN_PASS_DECL
#include "itera/CodeGen/LLVM/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "itera/CodeGen/LLVM/Passes.h.inc"

} // namespace itera

#endif // ITERA_CODEGEN_LLVM_PASSES_H
