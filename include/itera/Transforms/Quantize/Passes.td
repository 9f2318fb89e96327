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

def AssignPrecisionPass : Pass<"ssm-assign-precision", "::mlir::ModuleOp"> {
  let summary = "Decide in which type each weight is stored";
  let description = [{
    Gives weights an attribute `ssm.precision`, by what they are for and by `bits`:

    | class | is | 4 | 8 | 16 |
    |---|---|---|---|---|
    | projection | any linear that is none of the others | i4, groups of `group` | i8 | f16 |
    | selection | its results are only steps dt, B and C of a recurrence, also through a further such linear; at most half as large as the largest projection | i8 | i8 | f16 |
    | narrow | a projection with less than a group along K, or less than 16 rows | i8 | i8 | f16 |
    | position | the table of an `ssm.embedding` whose indices no input decides | i4 | i8 | f16 |
    | embedding | the table of any other `ssm.embedding`, also if a head is tied to it | i8 | i8 | f16 |
    | head | its results are results of the model | i8 | i8 | f16 |
    | routing | its results choose experts (top_k) | f32 | f32 | f32 |
    | vector | taps and bias of a convolution, scale and bias of a norm, D of a scan, bias of a linear that is neither selection nor routing, a factor or term that reaches no exponential, no recurrence and no choice of experts | f16 | f16 | f16 |

    i8 has one scale per row. Linears of integer weights round their input to
    int8, per token; per token and group where the weight is i4 and the input
    comes from a recurrence, whose outliers would take the bits of all other
    channels. All else is computed in f32, and what a recurrence carries on is
    stored so: an error in a state stays (`docs/Quantization.md`).

    `only` overrules the table: `NAME=TYPE` gives the weight NAME (with `*` for
    any characters) the type f32, f16, i8 or i4, the last one that fits. A
    vector has no integers; it takes i8 and i4 for f16.

    ```mlir
    // itera-opt --ssm-assign-precision=bits=8
    func.func @f(%x: tensor<4x128xf32>) -> tensor<4x1xf32> {
      %w = ssm.weight "head" dense_resource<w> : tensor<1x128xf32>
      %y = ssm.linear %x, %w : tensor<4x128xf32>, tensor<1x128xf32> -> tensor<4x1xf32>
      return %y : tensor<4x1xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x128xf32>) -> tensor<4x1xf32> {
      %w = ssm.weight "head" dense_resource<w> : tensor<1x128xf32>
        {ssm.precision = #ssm.precision<storage = i8, input = token>}
      %y = ssm.linear %x, %w : tensor<4x128xf32>, tensor<1x128xf32> -> tensor<4x1xf32>
      return %y : tensor<4x1xf32>
    }
    ```
  }];
  let options = [
    Option<"bits", "bits", "unsigned", /*default=*/"4", "4, 8 or 16">,
    Option<"group", "group", "int64_t", /*default=*/"32",
           "Elements along K that share a scale: 16, 32, 64 or 128">,
    ListOption<"only", "only", "std::string",
               "Precisions of single weights, as NAME=TYPE">];
}

def RotateWeightsPass : Pass<"ssm-rotate-weights", "::mlir::ModuleOp"> {
  let summary = "Spread outliers of what integer weights are multiplied with";
  let description = [{
    Puts an `ssm.hadamard` before each `ssm.linear` that reads the output of a
    recurrence (or, with `which=all`, before each one) and whose weight is to be
    stored in integers, and rotates the rows of the weight by the same matrix R.
    R is symmetric and its own inverse, so x W^T = (x R) (W R)^T, up to
    rounding; but x R has no channels that are much larger than the others, and
    int8 loses less of it (Ashkboos et al. 2024, QuaRot; Chiang et al. 2024,
    Quamba).

    R has blocks of the largest power of two that divides the row, at most
    `block`. The weight is rotated in double and rounded to f32 once. It must
    have no other use; otherwise a remark says that it is left alone, as is one
    with rows of an odd length. Where a block is a whole row, x is then rounded
    with one scale per token, also if it was to have one per group.

    Runs between ssm-assign-precision and ssm-quantize-weights.

    ```text
    %w = ssm.weight "w" dense_resource<w> : tensor<16x48xf32>
      {ssm.precision = #ssm.precision<storage = i8, input = token>}
    %z = ssm.linear %y, %w : tensor<4x48xf32>, tensor<16x48xf32> -> tensor<4x16xf32>
    ```
    becomes
    ```text
    %w = ssm.weight "w" dense_resource<w.rotated> : tensor<16x48xf32>
      {ssm.precision = #ssm.precision<storage = i8, input = token>}
    %r = ssm.hadamard %y block 16 : tensor<4x48xf32>
    %z = ssm.linear %r, %w : tensor<4x48xf32>, tensor<16x48xf32> -> tensor<4x16xf32>
    ```
  }];
  let options = [
    Option<"which", "which", "std::string", /*default=*/"\"recurrence\"",
           "Which linears: recurrence (those that read one) or all">,
    Option<"block", "block", "int64_t", /*default=*/"512",
           "The largest block of a rotation, a power of two">];
  let dependentDialects = ["::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"rotated", "rotated", "Weights that are rotated">];
}

def QuantizeWeightsPass : Pass<"ssm-quantize-weights", "::mlir::ModuleOp"> {
  let summary = "Store weights in the precision that they were assigned";
  let description = [{
    Turns each `ssm.weight` with an attribute `ssm.precision` into integers and
    scales (and zero points), or into f16, wherever `ssm.linear` and
    `ssm.embedding` read it. One that is to be f16 and that neither reads as a
    matrix stays of type f32, with values that are rounded to f16;
    `ssm-narrow-weights` stores them so. It stays as it is if f16 cannot hold its
    values, or only coarsely: if one is larger than 65519, or none is as large
    as 2^-14.

    Scales are bf16: they are rounded first and the weights then chosen for the
    rounded scale, so that this costs nothing. A scale of 8 bits is max |w| /
    127. One of 4 bits is searched: `search=max` takes the largest weight,
    with its sign, to -8, `search=absmax` its magnitude to 7, and `search=mse`
    the one with the least squared error of the group, of the first and of 51
    from 0.6 to 1.1 times the second, each with either sign; integers are -8 to
    7.

    Where `statistics` has the second moments of a linear's inputs, the integers
    are chosen one column after the other, each time spreading the error over
    the columns to come so that the output changes least (GPTQ, Frantar et al.
    2023); `ssm-tap-linears` gives what they are made of.

    A weight with a NaN or an infinity is refused. A matrix whose values f16 cannot
    hold is stored as bf16.

    ```text
    %w = ssm.weight "w" dense_resource<w> : tensor<16x64xf32>
      {ssm.precision = #ssm.precision<storage = i4, group = 32, input = token>}
    %y = ssm.linear %x, %w : tensor<4x64xf32>, tensor<16x64xf32> -> tensor<4x16xf32>
    ```
    becomes
    ```text
    %w = ssm.weight "w" dense_resource<w.i4> : tensor<16x64xi4>
    %s = ssm.weight "w.scales" dense_resource<w.scales> : tensor<16x2xbf16>
    %y = ssm.linear %x, %w scales(%s : tensor<16x2xbf16>) group 32 int8_input token
      : tensor<4x64xf32>, tensor<16x64xi4> -> tensor<4x16xf32>
    ```
  }];
  let options = [
    Option<"statistics", "statistics", "std::string", /*default=*/"\"\"",
           "An .npz file with the second moments [K, K], sum of x x^T, of the "
           "inputs of linears, by the names of their weights">,
    Option<"search", "search", "std::string", /*default=*/"\"mse\"",
           "How scales of 4 bits are found: mse, max or absmax">];
  let dependentDialects = ["::itera::ssm::SSMDialect"];
  let statistics = [
    Statistic<"quantized", "quantized", "Weights stored in less bits">];
}

def TapLinearsPass : Pass<"ssm-tap-linears", "::mlir::ModuleOp"> {
  let summary = "Make the inputs of linears outputs of the model";
  let description = [{
    Adds the input x of each `ssm.linear` of `@forward` to its results, named
    `x:` and the name of the weight (with `#2`, `#3`, ... for further linears of
    the same weight); or, with `results`, the result y, named `y:`. Of a model
    that is compiled so, a run over sample data gives what calibration needs.

    ```mlir
    func.func @forward(%x: tensor<4x2xf32>) -> (tensor<4x2xf32> {ssm.name = "out"}) {
      %w = ssm.weight "w" dense_resource<w> : tensor<2x2xf32>
      %a = arith.negf %x : tensor<4x2xf32>
      %y = ssm.linear %a, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
      return %y : tensor<4x2xf32>
    }
    ```
    becomes
    ```mlir
    func.func @forward(%x: tensor<4x2xf32>)
        -> (tensor<4x2xf32> {ssm.name = "out"}, tensor<4x2xf32> {ssm.name = "x:w"}) {
      %w = ssm.weight "w" dense_resource<w> : tensor<2x2xf32>
      %a = arith.negf %x : tensor<4x2xf32>
      %y = ssm.linear %a, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
      return %y, %a : tensor<4x2xf32>, tensor<4x2xf32>
    }
    ```
  }];
  let options = [
    ListOption<"weights", "weights", "std::string",
               "Names of weights whose linears are meant; none: all">,
    Option<"results", "results", "bool", /*default=*/"false",
           "Their results instead of their inputs">];
}

#endif // ITERA_TRANSFORMS_QUANTIZE_PASSES_TD
