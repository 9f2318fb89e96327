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
    func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
      %y = ssm.linear %x, %w
        : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
      %z = ssm.silu %y : tensor<4x16xf32>
      return %z : tensor<4x16xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
      %z = ssm.kernel @kernels::@linear_0(%x, %w)
        : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
      return %z : tensor<4x16xf32>
    }
    module @kernels {
      func.func @linear_0(%x: tensor<4x8xf32>,
                          %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
        %y = ssm.linear %x, %w
          : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
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

def ExpandMoePass : Pass<"ssm-expand-moe", "::mlir::func::FuncOp"> {
  let summary = "Compute all experts of a small mixture and mask";
  let description = [{
    Turns an `ssm.moe` with constant weights and few experts into two
    `ssm.linear` over all experts side by side, with a mask of the gates
    between them. What an expert that was not chosen computes is selected away.

    The masked form does E / J times the multiplications of the routed one (E
    experts, J slots per token), but as matrix products. Where that is more
    than `max-experts-per-slot`, the op stays and follows its routing.

    ```text
    %y = ssm.moe %x, %selected, %gates, %up, %down gelu
      : tensor<4x8xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x16x8xf32>, tensor<3x8x16xf32>
    ```
    becomes, with %gate [4, 48] the gate of each expert's hidden units,
    ```text
    %h = ssm.linear %x, %all_up : tensor<4x8xf32>, tensor<48x8xf32> -> tensor<4x48xf32>
    %a = ssm.gelu %h : tensor<4x48xf32>
    %m = arith.mulf %a, %gate : tensor<4x48xf32>
    %s = arith.select %chosen, %m, %zero : tensor<4x48xi1>, tensor<4x48xf32>
    %y = ssm.linear %s, %all_down : tensor<4x48xf32>, tensor<8x48xf32> -> tensor<4x8xf32>
    ```
  }];
  let options = [
    Option<"maxExpertsPerSlot", "max-experts-per-slot", "int64_t", "8",
           "Most experts per slot of the masked form: how much faster a product "
           "of matrices is than one with a vector at a time">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::itera::ssm::SSMDialect", "::mlir::tensor::TensorDialect"];
}

def PackWeightsPass : Pass<"ssm-pack-weights", "::mlir::ModuleOp"> {
  let summary = "Store the weights of linears in the order that kernels read";
  let description = [{
    A constant weight [N, K] of `ssm.linear` becomes a packed one, [ceil(N/R),
    K, R], whose rows past N are zero. R is the entry of `rows` that needs the
    least padding, the earlier one of equals. Where more than half would be
    padding the weight stays as it is. An `ssm.embedding` of the same
    weight reads the packed copy too, so that tied weights stay one.

    Integer weights and what belongs to them are always packed, in rows of 16
    (8 if there are no more): in no other form are four bits stored as four
    bits.

    ```mlir
    // itera-opt --ssm-pack-weights=rows=8,2
    func.func @f(%x: tensor<4x1xf32>) -> tensor<4x3xf32> {
      %w = ssm.weight "w" dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
      %y = ssm.linear %x, %w
        : tensor<4x1xf32>, tensor<3x1xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x1xf32>) -> tensor<4x3xf32> {
      %w = ssm.weight "w.packed" dense_resource<w.packed> : tensor<2x1x2xf32>
      %y = ssm.linear %x, %w
        : tensor<4x1xf32>, tensor<2x1x2xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    {-# dialect_resources: { builtin: {
      w.packed: "0x040000000000803F000000400000404000000000"
    } } #-}
    ```
  }];
  let options = [
    ListOption<"rows", "rows", "int64_t",
               "Heights of a block of rows to choose from, best first">];
  let dependentDialects = ["::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"packed", "packed", "Weights packed">];
}

def TransposeStatesPass : Pass<"ssm-transpose-states", "::mlir::ModuleOp"> {
  let summary = "Store the states of a stream as the step's kernels take them";
  let description = [{
    A state that the step's kernels take transposed would be transposed twice
    per frame, which costs more than many a scan. Where all that `@step` does
    with a state is to transpose it, always in the same order, the stream
    stores it in this order: in every function the argument changes its type,
    and what is returned is transposed once more, which undoes the transpose
    behind the kernel. The list of states in `ssm.stream` follows.

    ```mlir
    // itera-opt --ssm-transpose-states --canonicalize
    module attributes {ssm.stream = {states = [{name = "h", type = tensor<1x3x2xf32>} ] } } {
      func.func @step(%h: tensor<1x3x2xf32> {ssm.state = 0})
          -> (tensor<1x3x2xf32> {ssm.state = 0}) {
        %empty = tensor.empty() : tensor<1x2x3xf32>
        %t = linalg.transpose ins(%h : tensor<1x3x2xf32>)
          outs(%empty : tensor<1x2x3xf32>) permutation = [0, 2, 1]
        %new = arith.addf %t, %t : tensor<1x2x3xf32>
        %out = tensor.empty() : tensor<1x3x2xf32>
        %r = linalg.transpose ins(%new : tensor<1x2x3xf32>)
          outs(%out : tensor<1x3x2xf32>) permutation = [0, 2, 1]
        return %r : tensor<1x3x2xf32>
      }
    }
    ```
    becomes
    ```mlir
    module attributes {ssm.stream = {states = [{name = "h", type = tensor<1x2x3xf32>} ] } } {
      func.func @step(%h: tensor<1x2x3xf32> {ssm.state = 0})
          -> (tensor<1x2x3xf32> {ssm.state = 0}) {
        %new = arith.addf %h, %h : tensor<1x2x3xf32>
        return %new : tensor<1x2x3xf32>
      }
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"transposed", "transposed", "States stored in another order">];
}

def NarrowWeightsPass : Pass<"ssm-narrow-weights", "::mlir::ModuleOp"> {
  let summary = "Store weights in fewer bytes where this loses nothing";
  let description = [{
    A weight of f32 whose elements are all exact in f16 is stored as f16, and the
    kernels that read it widen it: taps, biases, factors per channel that
    `ssm-quantize-weights` has rounded, or that were f16 in the model. All that
    read it must be kernels, and all that is passed in its place in any call of
    such a kernel must be so too. The matrices of linears and what a recurrence
    reads at each step stay as they are.

    Indices of embeddings are stored in the least type of 8, 16 or 32 bits that
    holds them.

    ```mlir
    // itera-opt --ssm-narrow-weights
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %b = ssm.weight "b" dense<[0.5, 2.0]> : tensor<2xf32>
      %y = ssm.kernel @kernels::@add_0(%x, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      return %y : tensor<2xf32>
    }
    module @kernels {
      func.func @add_0(%x: tensor<2xf32>, %b: tensor<2xf32>) -> tensor<2xf32> {
        %y = arith.addf %x, %b : tensor<2xf32>
        return %y : tensor<2xf32>
      }
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %b = ssm.weight "b" dense_resource<b.f16> : tensor<2xf16>
      %y = ssm.kernel @kernels::@add_0(%x, %b) : (tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
      return %y : tensor<2xf32>
    }
    module @kernels {
      func.func @add_0(%x: tensor<2xf32>, %b: tensor<2xf16>) -> tensor<2xf32> {
        %w = arith.extf %b : tensor<2xf16> to tensor<2xf32>
        %y = arith.addf %x, %w : tensor<2xf32>
        return %y : tensor<2xf32>
      }
    }
    {-# dialect_resources: { builtin: {
      b.f16: "0x0200000000380040"
    } } #-}
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"numNarrowed", "narrowed", "Weights stored in fewer bytes">];
}

#endif // ITERA_TRANSFORMS_FUSE_PASSES_TD
