// SPDX-License-Identifier: Apache-2.0
// Stage `quantize`: weights of less bytes.

#ifndef ITERA_TRANSFORMS_QUANTIZE_PASSES_TD
#define ITERA_TRANSFORMS_QUANTIZE_PASSES_TD

include "mlir/Pass/PassBase.td"

def PruneChannelsPass : Pass<"ssm-prune-channels", "::mlir::func::FuncOp"> {
  let summary = "Remove the least important channels of selective scans";
  let description = [{
    Removes whole channels of each `ssm.selective_scan`, and all that they are
    coupled with: rows of the linear layers that write them, columns of those
    that read them, taps, decays, biases, scales. Shapes shrink, so that what is
    left needs no sparse kernels.

    Which indices must go together is found by following dimensions through the
    ops around the scan. Of a scan with a decay per head a channel cannot go
    without its head. If an index reaches something that must keep its shape or
    its meaning (an argument, a result, a layer norm or a sum over the channels,
    an op that the pass does not know), its channels are kept; if that holds for
    all, a remark names the op.

    An RMS norm over the channels keeps dividing by the mean over the original
    number n: with m channels left, its scale is multiplied by sqrt(n / m), and
    its epsilon by n / m.

    At most floor(`ratio` * D) of the D channels of a scan go, and so many less
    that the number left is a multiple of `multiple`: vectors stay full. Those
    go first that the sums that read them depend on least. The share of channel
    c in a linear layer with the weight W is

        sum_n W[n, c]^2 E[x_c^2] / sum_k sum_n W[n, k]^2 E[x_k^2]

    (the criterion of Sun et al. 2024, |W| times the norm of the activation, per
    input feature, as An et al. 2024 do). What goes together counts as much as
    the largest share in it, in any layer: losing one channel that a layer rests
    upon costs more than losing many others. E[x_c^2] is not measured but
    estimated from the weights, for inputs of independent features with unit
    variance: means and variances go through the ops; a scan with the step dt
    has the energy of a geometric series per state,
    dt^2 / (1 - exp(2 dt A[c, n])), beside D[c]^2.

    ```mlir
    // itera-opt --ssm-prune-channels=multiple=1
    func.func @f(%u: tensor<1x8x1xf32>, %B: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
      %in = arith.constant dense<[[3.0], [0.5], [4.0], [5.0]]> : tensor<4x1xf32>
      %A = arith.constant dense<-1.0> : tensor<4x1xf32>
      %h0 = arith.constant dense<0.0> : tensor<1x4x1xf32>
      %out = arith.constant dense<[[1.0, 2.0, 3.0, 4.0]]> : tensor<1x4xf32>
      %x = ssm.linear %u, %in
        : tensor<1x8x1xf32>, tensor<4x1xf32> -> tensor<1x8x4xf32>
      %dt = ssm.softplus %x : tensor<1x8x4xf32>
      %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h0)
        : tensor<1x8x4xf32>, tensor<4x1xf32>, tensor<1x8x1xf32>,
          tensor<1x4x1xf32>
      %z = ssm.linear %y, %out
        : tensor<1x8x4xf32>, tensor<1x4xf32> -> tensor<1x8x1xf32>
      return %z : tensor<1x8x1xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%u: tensor<1x8x1xf32>, %B: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
      %in = arith.constant dense<[[3.0], [4.0], [5.0]]> : tensor<3x1xf32>
      %A = arith.constant dense<-1.0> : tensor<3x1xf32>
      %h0 = arith.constant dense<0.0> : tensor<1x3x1xf32>
      %out = arith.constant dense<[[1.0, 3.0, 4.0]]> : tensor<1x3xf32>
      %x = ssm.linear %u, %in
        : tensor<1x8x1xf32>, tensor<3x1xf32> -> tensor<1x8x3xf32>
      %dt = ssm.softplus %x : tensor<1x8x3xf32>
      %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h0)
        : tensor<1x8x3xf32>, tensor<3x1xf32>, tensor<1x8x1xf32>,
          tensor<1x3x1xf32>
      %z = ssm.linear %y, %out
        : tensor<1x8x3xf32>, tensor<1x3xf32> -> tensor<1x8x1xf32>
      return %z : tensor<1x8x1xf32>
    }
    ```
  }];
  let options = [
    Option<"ratio", "ratio", "double", /*default=*/"0.25",
           "The part of the channels to remove, from 0 to less than 1">,
    Option<"multiple", "multiple", "int64_t", /*default=*/"16",
           "The number of channels that are left is a multiple of this">];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect",
                           "::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"numPruned", "pruned", "Channels removed">,
    Statistic<"numKept", "kept-scans", "Scans whose channels must stay">];
}

#endif // ITERA_TRANSFORMS_QUANTIZE_PASSES_TD
