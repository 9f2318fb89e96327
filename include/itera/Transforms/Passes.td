// SPDX-License-Identifier: Apache-2.0
// Passes that belong to no one stage: constants and weights.

#ifndef ITERA_TRANSFORMS_PASSES_TD
#define ITERA_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def FoldConstantsPass : Pass<"ssm-fold-constants", "::mlir::func::FuncOp"> {
  let summary = "Compute what depends on weights and constants alone";
  let description = [{
    Replaces every value whose whole backward slice is constant, and that
    something not constant uses, by `arith.constant` (a splat, or at most 64
    elements) or by an `ssm.weight` with memory of its own; then drops what is
    dead. Values inside of a scan's body are replaced by constants outside.

    A weight itself is never folded. A result is left alone if it takes more
    than four times the bytes of the weights it is made of (a broadcast) and
    more than `small-bytes`, or if it would take too long to compute. What such
    a small result repeats along a dimension is stored once and broadcast.
    Linear in the size of the function.

    ```mlir
    func.func @f(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
      %w = ssm.weight "w" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %n = arith.negf %w : tensor<2x2xf32>
      %y = arith.mulf %x, %n : tensor<2x2xf32>
      return %y : tensor<2x2xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
      %n = arith.constant dense<[[-1.0, -2.0], [-3.0, -4.0]]> : tensor<2x2xf32>
      %y = arith.mulf %x, %n : tensor<2x2xf32>
      return %y : tensor<2x2xf32>
    }
    ```
  }];
  let options = [
    Option<"smallBytes", "small-bytes", "int64_t", /*default=*/"0",
           "Results of so many bytes may be computed whatever they are made of">];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::itera::ssm::SSMDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numFolded", "folded", "Values replaced by constants">,
    Statistic<"numErased", "erased", "Dead ops dropped">];
}

def ReplaceOnesPass : Pass<"ssm-replace-ones", "::mlir::func::FuncOp"> {
  let summary = "Replace ssm.ones_like by constants";
  let description = [{
    Once the stream has been derived, every function has frames of a known
    number, and what is made of ones can be folded.

    ```mlir
    func.func @f(%x: tensor<2x8x16xf32>) -> tensor<1x1x16xf32> {
      %y = ssm.ones_like %x : tensor<2x8x16xf32> -> tensor<1x1x16xf32>
      return %y : tensor<1x1x16xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<2x8x16xf32>) -> tensor<1x1x16xf32> {
      %y = arith.constant dense<1.0> : tensor<1x1x16xf32>
      return %y : tensor<1x1x16xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def DeduplicateWeightsPass : Pass<"ssm-deduplicate-weights", "::mlir::ModuleOp"> {
  let summary = "Keep weights of the same content once";
  let description = [{
    Weights of one type and the same bytes become one. Where a weight of two
    dimensions is the transpose of another, it becomes a `linalg.transpose` of
    it: of the two the one that a gather or an embedding reads by rows is kept,
    otherwise the first. Exporters write tied embeddings as two such tensors.

    Runs after `ssm-fold-constants`, which would compute the transpose again.

    ```mlir
    func.func @f(%ids: tensor<3xi64>, %x: tensor<3x2xf32>)
        -> (tensor<3x2xf32>, tensor<3x2xf32>) {
      %e = ssm.weight "embedding" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %h = ssm.weight "head" dense<[[1.0, 3.0], [2.0, 4.0]]> : tensor<2x2xf32>
      %y = ssm.embedding %ids, %e
        : tensor<3xi64>, tensor<2x2xf32> -> tensor<3x2xf32>
      %z = ssm.linear %x, %h
        : tensor<3x2xf32>, tensor<2x2xf32> -> tensor<3x2xf32>
      return %y, %z : tensor<3x2xf32>, tensor<3x2xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%ids: tensor<3xi64>, %x: tensor<3x2xf32>)
        -> (tensor<3x2xf32>, tensor<3x2xf32>) {
      %e = ssm.weight "embedding" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %i = tensor.empty() : tensor<2x2xf32>
      %h = linalg.transpose ins(%e : tensor<2x2xf32>)
        outs(%i : tensor<2x2xf32>) permutation = [1, 0]
      %y = ssm.embedding %ids, %e
        : tensor<3xi64>, tensor<2x2xf32> -> tensor<3x2xf32>
      %z = ssm.linear %x, %h
        : tensor<3x2xf32>, tensor<2x2xf32> -> tensor<3x2xf32>
      return %y, %z : tensor<3x2xf32>, tensor<3x2xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [
    Statistic<"numEqual", "equal", "Weights equal to another">,
    Statistic<"numTransposed", "transposed", "Weights that transpose another">];
}

#endif // ITERA_TRANSFORMS_PASSES_TD
