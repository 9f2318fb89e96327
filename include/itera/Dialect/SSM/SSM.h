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
/// On an ssm.weight: how it is to be stored, a PrecisionAttr.
inline constexpr llvm::StringLiteral kPrecisionAttr = "ssm.precision";

inline constexpr llvm::StringLiteral kKernelModuleName = "kernels";
/// The function that computes the whole model.
inline constexpr llvm::StringLiteral kForwardName = "forward";
/// A step with its states, as a function over a sequence, within stage stream.
inline constexpr llvm::StringLiteral kSequenceName = "sequence";
/// The functions of a stream: see itera_stream of program.h.
inline constexpr llvm::StringLiteral kBeginName = "begin";
inline constexpr llvm::StringLiteral kResetName = "reset";
inline constexpr llvm::StringLiteral kStepName = "step";
inline constexpr llvm::StringLiteral kPrefillName = "prefill";
inline constexpr llvm::StringLiteral kFlushName = "flush";
inline constexpr llvm::StringLiteral kFinalName = "final";
inline constexpr llvm::StringLiteral kRollbackName = "rollback";

// Attributes of the module: the model's name, and a hash of its file.
inline constexpr llvm::StringLiteral kModelNameAttr = "ssm.model_name";
inline constexpr llvm::StringLiteral kSourceHashAttr = "ssm.source_hash";
/// On an argument or result of @forward: its name in the model.
inline constexpr llvm::StringLiteral kNameAttr = "ssm.name";
/// On a result of @forward that is no output of the model: the node of which it
/// is a result.
inline constexpr llvm::StringLiteral kNodeAttr = "ssm.node";
/// On an argument or result of @forward: its integers have no sign in the
/// model. Inside, types are signless.
inline constexpr llvm::StringLiteral kUnsignedAttr = "ssm.unsigned";
/// On a function once its results are arguments: the attributes that these
/// results had, in order.
inline constexpr llvm::StringLiteral kOutputsAttr = "ssm.outputs";
/// On an argument or a result of a function of a stream: that it is, or is a
/// few frames of, @forward's argument or result of this number; the constant or
/// the state of this number of the stream; the position and the length.
inline constexpr llvm::StringLiteral kInputAttr = "ssm.input";
inline constexpr llvm::StringLiteral kOutputAttr = "ssm.output";
inline constexpr llvm::StringLiteral kConstantAttr = "ssm.constant";
inline constexpr llvm::StringLiteral kStateAttr = "ssm.state";
inline constexpr llvm::StringLiteral kClockAttr = "ssm.clock";
/// On the module after stage stream: what the stream is; or why there is none.
inline constexpr llvm::StringLiteral kStreamAttr = "ssm.stream";
inline constexpr llvm::StringLiteral kStreamProblemAttr = "ssm.stream_problem";
/// On an argument of a planned function: it is the image of all weights, or
/// the scratch area.
inline constexpr llvm::StringLiteral kWeightImageAttr = "ssm.weight_image";
inline constexpr llvm::StringLiteral kScratchAttr = "ssm.scratch";
/// On the planned module: the placed weights, an array of dictionaries {value,
/// offset} sorted by offset; and the size of the image in bytes.
inline constexpr llvm::StringLiteral kWeightsAttr = "ssm.weights";
inline constexpr llvm::StringLiteral kWeightBytesAttr = "ssm.weight_bytes";

} // namespace itera::ssm

#endif // ITERA_DIALECT_SSM_SSM_H
