// SPDX-License-Identifier: Apache-2.0
// The SSM dialect's C++ side: include this to build or match ssm ops.

#ifndef ITERA_DIALECT_SSM_SSM_H
#define ITERA_DIALECT_SSM_SSM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "itera/Dialect/SSM/SSMDialect.h.inc"
#include "itera/Dialect/SSM/SSMEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "itera/Dialect/SSM/SSMAttributes.h.inc"
#define GET_OP_CLASSES
#include "itera/Dialect/SSM/SSMOps.h.inc"

namespace itera::ssm {

/// The name of the nested module that holds the kernel functions.
inline constexpr llvm::StringLiteral kKernelModuleName = "kernels";

} // namespace itera::ssm

#endif // ITERA_DIALECT_SSM_SSM_H
