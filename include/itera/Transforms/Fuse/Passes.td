// SPDX-License-Identifier: Apache-2.0
// Stage `fuse`: from ssm ops to kernels.

#ifndef ITERA_TRANSFORMS_FUSE_PASSES_TD
#define ITERA_TRANSFORMS_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FormKernelsPass : Pass<"ssm-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Outline what is computed together into kernel functions";
  let description = [{
    Partitions each function into groups of ops that one kernel computes. A
    group has at most one anchor: `ssm.linear`, `ssm.selective_scan`,
    `ssm.linear_recurrence`, `ssm.causal_conv1d`, `ssm.norm`,
    `linalg.softmax`, `linalg.contract` or `linalg.reduce`. Elementwise ops
    join the anchor that computes their operand (bias, activation, gate,
    residual), or the only anchor that reads them (the softplus of a scan's
    time step); the others form groups of their own. Slices, transposes,
    broadcasts and splats are copied into each group that reads through them.
    A group never depends on itself through another op.

    Each group becomes a function of the nested module `@kernels` and a call
    `ssm.kernel`. Groups that look alike share one function: weights are
    arguments. The names count per kind, in the order of the calls.

    A scan's state and decay, and a convolution's taps, are stored with the
    channels innermost: the kernel takes them transposed. Its function has the
    transposes back, which cost nothing there.

    Ops without a kernel form (gathers, sorts, `ssm.scan`, integer work) stay.

    ```mlir
    %y = ssm.linear %x, %w : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
    %z = ssm.silu %y : tensor<4x16xf32>
    ```
    becomes
    ```mlir
    %z = ssm.kernel @kernels::@linear_0(%x, %w)
      : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
    module @kernels {
      func.func @linear_0(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
        %y = ssm.linear %x, %w : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
        %z = ssm.silu %y : tensor<4x16xf32>
        return %z : tensor<4x16xf32>
      }
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"calls", "calls", "Kernel calls">,
    Statistic<"functions", "functions", "Distinct kernels">];
}

#endif // ITERA_TRANSFORMS_FUSE_PASSES_TD
