// SPDX-License-Identifier: Apache-2.0
// The recurrences that have fast kernels.

#ifndef ITERA_DIALECT_SSM_SSMRECURRENCEOPS_TD
#define ITERA_DIALECT_SSM_SSMRECURRENCEOPS_TD

include "itera/Dialect/SSM/SSMBase.td"

def SSM_LinearRecurrenceOp : SSM_Op<"linear_recurrence", [
    Pure, AllTypesMatch<["a", "u", "states"]>, AllTypesMatch<["init", "last"]>]> {
  let summary = "h_t = a_t * h_(t-1) + u_t, elementwise";
  let description = [{
    The canonical form of a diagonal linear recurrence. `a` and `u` have the
    same type, with time along dimension `dim`; `init` has that type without
    the time dimension. Results: `states`, all h_t, of the type of `u`, and
    `last`, the h of the last step. With `reverse`, step t reads h_(t+1) and
    `last` is h_0.

    Constraints:
    * (linear_recurrence_c1) `dim` is a dimension of `u`.
    * (linear_recurrence_c2) `init` and `last` are `u` without `dim`.

    ```mlir
    func.func @recurrence(%a: tensor<2x16x8xf32>, %u: tensor<2x16x8xf32>,
        %h0: tensor<2x8xf32>) -> (tensor<2x16x8xf32>, tensor<2x8xf32>) {
      %h, %last = ssm.linear_recurrence %a, %u, %h0 dim 1
        : tensor<2x16x8xf32>, tensor<2x8xf32>
      return %h, %last : tensor<2x16x8xf32>, tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$a, SSM_FloatTensor:$u, SSM_FloatTensor:$init,
    I64Attr:$dim, UnitAttr:$reverse);
  let results = (outs SSM_FloatTensor:$states, SSM_FloatTensor:$last);
  let assemblyFormat = [{
    $a `,` $u `,` $init `dim` $dim (`reverse` $reverse^)? attr-dict
    `:` type($u) `,` type($init)
  }];
  let hasVerifier = 1;
}

def SSM_SelectiveScanOp : SSM_Op<"selective_scan", [
    Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "dt", "y"]>,
    AllTypesMatch<["B", "C"]>, AllTypesMatch<["init", "last"]>]> {
  let summary = "Selective scan with a decay per channel or per channel and state";
  let description = [{
    The recurrence of Mamba (Gu and Dao 2023, algorithm 2) and Mamba-2 (Dao and
    Gu 2024), never materialising [T, D, N]. With batch b, time t, channel d,
    state n, and g the group of channel d:

        h[b,d,n] = exp(dt[b,t,d] * A[d,n]) * h[b,d,n]
                   + dt[b,t,d] * B[b,t,g,n] * x[b,t,d]
        y[b,t,d] = sum_n C[b,t,g,n] * h[b,d,n]  (+ D[d] * x[b,t,d])
                   (* silu(z[b,t,d]))

    Shapes: `x`, `dt`, `y` (and `z`) [B, T, D]; `A` [D, N], or [D] if the decay
    of a channel is the same for all its states (negative for a stable
    system); `B`, `C` [B, T, G, N] with channels d of group d / (D / G), or
    [B, T, N] for one group; `D` [D]; `init`, `last` [B, D, N]. `dt` is after
    softplus. With `reverse` time runs from T-1 to 0.

    Mamba-2 has one decay and one dt per head of P channels: `dt` and `A` then
    hold each P times.

    Constraints:
    * (selective_scan_c1) x, dt, y (and z) have the same type of rank 3.
    * (selective_scan_c2) A is [D, N] or [D]; B and C are [B, T, N], or
      [B, T, G, N] with G a divisor of D.
    * (selective_scan_c3) init and last are [B, D, N]; D is [D].

    ```mlir
    func.func @scan(%x: tensor<1x16x8xf32>, %dt: tensor<1x16x8xf32>,
        %A: tensor<8x4xf32>, %B: tensor<1x16x4xf32>, %C: tensor<1x16x4xf32>,
        %D: tensor<8xf32>, %h0: tensor<1x8x4xf32>)
        -> (tensor<1x16x8xf32>, tensor<1x8x4xf32>) {
      %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%C) init(%h0)
          D(%D : tensor<8xf32>)
        : tensor<1x16x8xf32>, tensor<8x4xf32>, tensor<1x16x4xf32>,
          tensor<1x8x4xf32>
      return %y, %last : tensor<1x16x8xf32>, tensor<1x8x4xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_FloatTensor:$dt, SSM_FloatTensor:$A,
    SSM_FloatTensor:$B, SSM_FloatTensor:$C, SSM_FloatTensor:$init,
    Optional<SSM_FloatTensor>:$D, Optional<SSM_FloatTensor>:$z,
    UnitAttr:$reverse);
  let results = (outs SSM_FloatTensor:$y, SSM_FloatTensor:$last);
  let extraClassDeclaration = [{
    int64_t getNumGroups() {
      auto type = ::mlir::cast<::mlir::RankedTensorType>(getB().getType());
      return type.getRank() == 4 ? type.getDimSize(2) : 1;
    }
    bool hasDecayPerState() {
      return ::mlir::cast<::mlir::RankedTensorType>(getA().getType()).getRank() == 2;
    }
  }];
  let assemblyFormat = [{
    `x` `(` $x `)` `dt` `(` $dt `)` `A` `(` $A `)` `B` `(` $B `)` `C` `(` $C `)`
    `init` `(` $init `)`
    (`D` `(` $D^ `:` type($D) `)`)? (`z` `(` $z^ `:` type($z) `)`)?
    (`reverse` $reverse^)? attr-dict
    `:` type($x) `,` type($A) `,` type($B) `,` type($init)
  }];
  let hasVerifier = 1;
}

def SSM_CausalConv1dOp : SSM_Op<"causal_conv1d", [
    Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "y"]>]> {
  let summary = "Depthwise causal convolution over time";
  let description = [{
    y[b,t,d] = act(bias[d] + sum_k weight[d,k] * xs[b,t+k,d]), where xs is x
    with K-1 earlier frames in front: those of `past` (oldest first), zeros
    without it. Shapes: `x`, `y` [B, T, D]; `weight` [D, K]; `bias` [D];
    `past` [B, K-1, D]. `activation` is `none` or `silu`.

    Constraints:
    * (causal_conv1d_c1) x and y have the same type of rank 3.
    * (causal_conv1d_c2) weight is [D, K] with K >= 1; bias is [D].
    * (causal_conv1d_c3) past is [B, K-1, D].
    * (causal_conv1d_c4) activation is none or silu.

    ```mlir
    func.func @conv(%x: tensor<1x16x8xf32>, %w: tensor<8x4xf32>,
                    %b: tensor<8xf32>) -> tensor<1x16x8xf32> {
      %y = ssm.causal_conv1d %x, %w bias(%b : tensor<8xf32>) silu
        : tensor<1x16x8xf32>, tensor<8x4xf32>
      return %y : tensor<1x16x8xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_FloatTensor:$weight,
    Optional<SSM_FloatTensor>:$bias, Optional<SSM_FloatTensor>:$past,
    SSM_ActivationAttr:$activation);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)?
    (`past` `(` $past^ `:` type($past) `)`)? `` $activation attr-dict
    `:` type($x) `,` type($weight)
  }];
  let hasVerifier = 1;
}

def SSM_LongConvOp : SSM_Op<"long_conv", [Pure, AllTypesMatch<["x", "y"]>]> {
  let summary = "Depthwise causal convolution with a kernel as long as a sequence";
  let description = [{
    y[b,d,t] = sum_s kernel[d,s] * x[b,d,t-s] over s = 0 .. min(t, K-1). Shapes:
    `x`, `y` [B, D, T]; `kernel` [D, K], its first entry that of the newest
    frame (the other way round than the weight of a convolution).

    With K >= T the kernel says nothing of what a frame is to frames after more
    than K: a stream of it ends after K frames.

    Constraints:
    * (long_conv_c1) x and y have the same type of rank 3.
    * (long_conv_c2) kernel is [D, K] with K >= 1.

    ```mlir
    func.func @long(%x: tensor<1x8x64xf32>, %k: tensor<8x64xf32>)
        -> tensor<1x8x64xf32> {
      %y = ssm.long_conv %x, %k : tensor<1x8x64xf32>, tensor<8x64xf32>
      return %y : tensor<1x8x64xf32>
    }
    ```
  }];
  let arguments = (ins SSM_FloatTensor:$x, SSM_FloatTensor:$kernel);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $kernel attr-dict `:` type($x) `,` type($kernel)
  }];
  let extraClassDeclaration = [{
    /// The convolution of [B, D, n] frames with a kernel [D, K] as an ssm.conv:
    /// `zeros` frames are put in front, and each K frames give one.
    static ::mlir::Value buildConv(::mlir::OpBuilder &builder,
                                   ::mlir::Location loc, ::mlir::Value frames,
                                   ::mlir::Value kernel, int64_t zeros);
  }];
  let hasVerifier = 1;
}

#endif // ITERA_DIALECT_SSM_SSMRECURRENCEOPS_TD
