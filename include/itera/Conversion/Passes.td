// SPDX-License-Identifier: Apache-2.0
// Conversions out of the ssm dialect.

#ifndef ITERA_CONVERSION_PASSES_TD
#define ITERA_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertSSMToLinalgPass : Pass<"convert-ssm-to-linalg"> {
  let summary = "Lower every ssm op to scf and linalg on tensors";
  let description = [{
    The plain lowering: the meaning of each ssm op written out as loops over
    tensors, without any choice made for speed. It is what a model runs on
    where there is no fast kernel, and the oracle that kernels are compared
    with. `ssm.weight` and `ssm.kernel` stay; they have a buffer form of their
    own. `linalg.softmax` is decomposed too, since nothing else lowers it.

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = ssm.silu %x : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %one = arith.constant dense<1.0> : tensor<4xf32>
      %n = arith.negf %x : tensor<4xf32>
      %e = math.exp %n : tensor<4xf32>
      %d = arith.addf %e, %one : tensor<4xf32>
      %y = arith.divf %x, %d : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

#endif // ITERA_CONVERSION_PASSES_TD
