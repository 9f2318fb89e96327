// SPDX-License-Identifier: Apache-2.0
// The layers around the recurrences.

#ifndef ITERA_DIALECT_SSM_SSMLAYEROPS_TD
#define ITERA_DIALECT_SSM_SSMLAYEROPS_TD

include "itera/Dialect/SSM/SSMBase.td"

class SSM_ActivationOp<string mnemonic, string formula> : SSM_Op<mnemonic, [
    Pure, SameOperandsAndResultType, Elementwise]> {
  let summary = formula;
  let description = "`" # formula # [{`, elementwise, any shape.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = ssm.}] # mnemonic # [{ %x : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_FloatTensor:$x);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def SSM_SigmoidOp : SSM_ActivationOp<"sigmoid", "1 / (1 + exp(-x))">;
def SSM_SiluOp : SSM_ActivationOp<"silu", "x * sigmoid(x)">;
def SSM_SoftplusOp : SSM_ActivationOp<"softplus", "log(1 + exp(x))">;

def SSM_GeluOp : SSM_Op<"gelu", [
    Pure, SameOperandsAndResultType, Elementwise]> {
  let summary = "x * Phi(x), Phi the normal distribution function";
  let description = [{
    `x / 2 * (1 + erf(x / sqrt(2)))`; with `tanh` the approximation
    `x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))`
    (Hendrycks and Gimpel 2016).

    ```mlir
    func.func @gelu(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = ssm.gelu tanh %x : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_FloatTensor:$x, UnitAttr:$tanh);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = "(`tanh` $tanh^)? $x attr-dict `:` type($x)";
}

def SSM_LinearOp : SSM_Op<"linear", [Pure]> {
  let summary = "y = x W^T + bias over the last dimension";
  let description = [{
    y[..., n] = sum_k x[..., k] * weight[n, k] (+ bias[n]). Shapes: `x`
    [..., K]; `weight` [N, K], one row per output feature, as PyTorch stores
    it; `bias` [N]; `y` [..., N]. The sum runs over k = 0, 1, ..., K-1 in one
    chain of fused multiply-adds, for any number of rows of x.

    A packed weight has rank 3: [ceil(N/R), K, R], element [n / R, k, n % R]
    is weight[n, k]; rows past N are zero.

    Constraints:
    * (linear_c1) x and y have the same leading dimensions.
    * (linear_c2) weight is [N, K] or [ceil(N/R), K, R].
    * (linear_c3) bias is [N].

    ```mlir
    func.func @linear(%x: tensor<1x4x8xf32>, %w: tensor<16x8xf32>,
                      %b: tensor<16xf32>) -> tensor<1x4x16xf32> {
      %y = ssm.linear %x, %w bias(%b : tensor<16xf32>)
        : tensor<1x4x8xf32>, tensor<16x8xf32> -> tensor<1x4x16xf32>
      return %y : tensor<1x4x16xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_FloatTensor:$weight,
    Optional<SSM_FloatTensor>:$bias);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)? attr-dict
    `:` type($x) `,` type($weight) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_NormOp : SSM_Op<"norm", [
    Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "y"]>]> {
  let summary = "Layer norm or RMS norm over the last dimension";
  let description = [{
    * `layer`: y = (x - mean(x)) / sqrt(var(x) + epsilon) * scale + bias,
      var the mean of squared deviations (Ba et al. 2016).
    * `rms`: y = x / sqrt(mean(x^2) + epsilon) * scale + bias
      (Zhang and Sennrich 2019).

    Shapes: `x`, `y` [..., D]; `scale`, `bias` [D], each optional.

    Constraints:
    * (norm_c1) scale and bias are [D].

    ```mlir
    func.func @norm(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
      %y = ssm.norm rms %x scale(%s : tensor<8xf32>) epsilon 1.0e-5
        : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, Optional<SSM_FloatTensor>:$scale,
    Optional<SSM_FloatTensor>:$bias, SSM_NormKindAttr:$kind,
    F32Attr:$epsilon);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    `` $kind $x (`scale` `(` $scale^ `:` type($scale) `)`)?
    (`bias` `(` $bias^ `:` type($bias) `)`)? `epsilon` $epsilon attr-dict
    `:` type($x)
  }];
  let hasVerifier = 1;
}

def SSM_EmbeddingOp : SSM_Op<"embedding", [Pure]> {
  let summary = "Rows of a table";
  let description = [{
    y[..., d] = table[indices[...], d]. Shapes: `indices` [...], `table`
    [V, D] or packed as a weight of `ssm.linear`, [ceil(V/R), D, R]; `y`
    [..., D]. A negative index counts from the end; one outside of the table
    reads its nearest row, never other memory.

    Constraints:
    * (embedding_c1) y is indices' shape followed by D.

    ```mlir
    func.func @embedding(%ids: tensor<1x4xi64>,
                         %table: tensor<100x8xf32>) -> tensor<1x4x8xf32> {
      %y = ssm.embedding %ids, %table
        : tensor<1x4xi64>, tensor<100x8xf32> -> tensor<1x4x8xf32>
      return %y : tensor<1x4x8xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_IntegerTensor:$indices, SSM_FloatTensor:$table,
    OptionalAttr<I64Attr>:$rows);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $indices `,` $table (`rows` $rows^)? attr-dict
    `:` type($indices) `,` type($table) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_MoeOp : SSM_Op<"moe", [Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "y"]>]> {
  let summary = "Mixture of experts with given routing";
  let description = [{
    y[t] = sum_j gates[t,j] * expert_{selected[t,j]}(x[t]), where expert e is
    down[e] act(up[e] x + up_bias[e]) + down_bias[e]. Only chosen experts are
    computed for a token; an expert may get no token at all. A slot with the
    same expert twice counts its gate twice.

    Shapes: `x`, `y` [T, D]; `selected` [T, J] integers in [0, E); `gates`
    [T, J]; `up` [E, H, D]; `down` [E, D, H]; `up_bias` [E, H]; `down_bias`
    [E, D].

    Constraints:
    * (moe_c1) selected and gates are [T, J].
    * (moe_c2) up is [E, H, D] and down is [E, D, H].
    * (moe_c3) up_bias is [E, H] and down_bias is [E, D].

    ```mlir
    func.func @moe(%x: tensor<4x8xf32>, %selected: tensor<4x2xi64>,
                   %gates: tensor<4x2xf32>, %up: tensor<3x16x8xf32>,
                   %down: tensor<3x8x16xf32>) -> tensor<4x8xf32> {
      %y = ssm.moe %x, %selected, %gates, %up, %down gelu
        : tensor<4x8xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x16x8xf32>,
          tensor<3x8x16xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_IntegerTensor:$selected, SSM_FloatTensor:$gates,
    SSM_FloatTensor:$up, SSM_FloatTensor:$down,
    Optional<SSM_FloatTensor>:$up_bias, Optional<SSM_FloatTensor>:$down_bias,
    SSM_ActivationAttr:$activation);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $selected `,` $gates `,` $up `,` $down
    (`up_bias` `(` $up_bias^ `:` type($up_bias) `)`)?
    (`down_bias` `(` $down_bias^ `:` type($down_bias) `)`)?
    `` $activation attr-dict
    `:` type($x) `,` type($selected) `,` type($gates) `,` type($up) `,` type($down)
  }];
  let hasVerifier = 1;
}

#endif // ITERA_DIALECT_SSM_SSMLAYEROPS_TD
