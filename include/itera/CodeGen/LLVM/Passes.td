// SPDX-License-Identifier: Apache-2.0
// Stage `emit`, as far as it is MLIR: from loops over buffers to LLVM.

#ifndef ITERA_CODEGEN_LLVM_PASSES_TD
#define ITERA_CODEGEN_LLVM_PASSES_TD

include "mlir/Pass/PassBase.td"

def CallKernelsPass : Pass<"ssm-call-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn bufferised ssm.kernel ops into calls of external functions";
  let description = [{
    `ssm.kernel @kernels::@k(%a, %b)` becomes a call of the external function
    `itera_kernel_k`, and the module `@kernels` is dropped: its functions are
    compiled elsewhere.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def DropEmptyBuffersPass : Pass<"ssm-drop-empty-buffers", "::mlir::func::FuncOp"> {
  let summary = "Remove work on buffers without elements";
  let description = [{
    A convolution over one frame has a state of no frames: an output of shape
    [B, D, 0]. Upstream's conversion to LLVM does not take such buffers. What
    only writes them is removed, and an argument of such a type becomes one of a
    single element that nothing touches.
  }];
}

def LowerCopiesPass : Pass<"ssm-lower-copies", "::mlir::func::FuncOp"> {
  let summary = "Write copies between strided buffers as loops";
  let description = [{
    Upstream lowers a `memref.copy` of a strided buffer to a call of a runtime
    function, which an artefact does not have. Dense copies stay: they become
    `memcpy`.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def ApproximateMathPass : Pass<"ssm-approximate-math", "::mlir::func::FuncOp"> {
  let summary = "Replace math functions by polynomials and check that none is left";
  let description = [{
    An artefact has no libm. What the target's instructions do not give
    (exp, log, tanh, erf, powers, ...) becomes upstream's polynomial
    approximations, good to about 1e-7 relative in f32; smaller float types go
    through f32. A function that remains, such as `math.exp` on f64, is an error
    that names the op.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"];
}

#endif // ITERA_CODEGEN_LLVM_PASSES_TD
