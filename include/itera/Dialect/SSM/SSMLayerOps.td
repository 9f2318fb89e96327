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

def SSM_LinearOp : SSM_Op<"linear", [Pure, AttrSizedOperandSegments]> {
  let summary = "y = x W^T + bias over the last dimension";
  let description = [{
    y[..., n] = sum_k x[..., k] * W[n, k] (+ bias[n]). Shapes: `x` [..., K]; W
    [N, K], one row per output feature, as PyTorch stores it; `bias` [N]; `y`
    [..., N].

    **Storage.** A `weight` of floats, f32, f16 or bf16, is W. One of i8 or i4
    is W in groups of `group` elements along K (the whole row if absent), each
    with a scale and, if there are `zero_points`, a zero point:

        W[n, k] = scales[n, g] * (weight[n, k] - zero_points[n, g]), g = k / group

    `scales` (f32, f16 or bf16) and `zero_points` (i8) are [N, G], G =
    ceil(K / group). Scales may be negative.

    **Arithmetic.** Without `int8_input`, W is rounded to f32 and the sum runs
    over k = 0, 1, ..., K-1 in one chain of fused multiply-adds, for any number
    of rows of x. With it, x is rounded to int8, dynamically and symmetrically:
    for each token (row of x), or each token and group,

        m = max |x[k]|, q[k] = round_even(x[k] * (127 / m)), s = m / 127

    (q = 0 where m < 1e-30), and integers are multiplied:

        token:  y[n] = s * sum_g scales[n, g] * d[n, g]
        group:  y[n] = sum_g scales[n, g] * (s[g] * d[n, g])
        d[n, g] = sum_(k in g) q[k] * (weight[n, k] - zero_points[n, g])

    d is exact in 32 bits. The sum over g = 0, 1, ..., G-1 is one chain of fused
    multiply-adds from zero. What is not finite in x makes all of y[..., :]
    not finite (NaN or infinite).

    **Packed.** What kernels read, rows past N and elements past K being zero:
    * floats: [ceil(N/R), K, R], element [n / R, k, n % R];
    * `packed i8`: bytes weight + 128, [ceil(N/R), S, R, 4], element
      [n / R, k / 4, n % R, k % 4];
    * `packed i4`: two weights + 8 per byte, [ceil(N/R), S, R, 4], byte
      [n / R, k / 8, n % R, k % 4], its low half for k % 8 < 4.

    S is G times the steps of 4 or 8 elements that hold a group: a last group is
    as long as the others. `scales` and `zero_points` are [ceil(N/R), G, R].

    Constraints:
    * (linear_c1) x and y have the same leading dimensions.
    * (linear_c2) weight has one of the shapes above.
    * (linear_c3) bias is [N].
    * (linear_c4) integer weights have scales of the shape above, others none.
    * (linear_c5) zero_points, of integer weights alone, have the scales' shape.
    * (linear_c6) group, of integer weights alone, is a positive multiple of 8.
    * (linear_c7) int8_input needs integer weights, and groups of at most 65536
      elements; `group` needs groups.

    ```mlir
    func.func @linear(%x: tensor<1x4x8xf32>, %w: tensor<16x8xf32>,
                      %b: tensor<16xf32>) -> tensor<1x4x16xf32> {
      %y = ssm.linear %x, %w bias(%b : tensor<16xf32>)
        : tensor<1x4x8xf32>, tensor<16x8xf32> -> tensor<1x4x16xf32>
      return %y : tensor<1x4x16xf32>
    }
    ```
    ```mlir
    func.func @int4(%x: tensor<4x64xf32>) -> tensor<4x16xf32> {
      %w = ssm.weight "w" dense<-7> : tensor<16x64xi4>
      %s = ssm.weight "s" dense<0.25> : tensor<16x2xbf16>
      %y = ssm.linear %x, %w scales(%s : tensor<16x2xbf16>) group 32
        int8_input token
        : tensor<4x64xf32>, tensor<16x64xi4> -> tensor<4x16xf32>
      return %y : tensor<4x16xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_Tensor:$weight, Optional<SSM_FloatTensor>:$scales,
    Optional<SSM_IntegerTensor>:$zero_points, Optional<SSM_FloatTensor>:$bias,
    OptionalAttr<I64Attr>:$group, OptionalAttr<SSM_InputScalesAttr>:$int8_input,
    OptionalAttr<TypeAttr>:$packed);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $weight (`scales` `(` $scales^ `:` type($scales) `)`)?
    (`zero_points` `(` $zero_points^ `:` type($zero_points) `)`)?
    (`bias` `(` $bias^ `:` type($bias) `)`)? (`group` $group^)?
    (`int8_input` `` $int8_input^)? (`packed` $packed^)? attr-dict
    `:` type($x) `,` type($weight) `->` type($y)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$y, "::mlir::Value":$x,
                   "::mlir::Value":$weight, "::mlir::Value":$bias), [{
      build($_builder, $_state, y, x, weight, /*scales=*/::mlir::Value(),
            /*zero_points=*/::mlir::Value(), bias, /*group=*/nullptr,
            /*int8_input=*/nullptr, /*packed=*/nullptr);
    }]>];
  let extraClassDeclaration = [{
    /// Features of the input and of the output.
    int64_t getK() { return getX().getType().getShape().back(); }
    int64_t getN() { return getY().getType().getShape().back(); }
    bool isQuantized() { return static_cast<bool>(getScales()); }
    /// Elements along K that share a scale.
    int64_t getGroupSize() { return getGroup() ? *getGroup() : getK(); }
    /// Bits of one weight, packed or not.
    unsigned getWeightBits();
  }];
  let hasVerifier = 1;
}

def SSM_HadamardOp : SSM_Op<"hadamard", [Pure, SameOperandsAndResultType]> {
  let summary = "Rotation of blocks of the last dimension by a Hadamard matrix";
  let description = [{
    y[..., b*B + i] = sum_j H[i, j] * x[..., b*B + j] / sqrt(B), B the `block`
    and H its Sylvester matrix, H[i, j] = (-1)^popcount(i & j). H / sqrt(B) is
    symmetric, orthogonal and its own inverse: x W^T = hadamard(x) V^T where
    the rows of V are those of W, rotated too. A single large element of x
    becomes B equal ones that are smaller by sqrt(B), so that int8 rounds the
    others less (Ashkboos et al. 2024, QuaRot; for state space models Chiang
    et al. 2024, Quamba).

    **Arithmetic.** The butterflies of the fast transform, (a, b) to
    (a + b, a - b), for elements whose places in the block differ in bit 0,
    then in bit 1, and so on; then one product with the f32 nearest to
    1 / sqrt(B). Each step rounds once, so that the result is the same for any
    number of rows of x.

    Constraints:
    * (hadamard_c1) block is a power of two.
    * (hadamard_c2) block divides the last dimension.

    ```mlir
    func.func @hadamard(%x: tensor<1x4x24xf32>) -> tensor<1x4x24xf32> {
      %y = ssm.hadamard %x block 8 : tensor<1x4x24xf32>
      return %y : tensor<1x4x24xf32>
    }
    ```
  }];
  let arguments = (ins SSM_FloatTensor:$x, I64Attr:$block);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = "$x `block` $block attr-dict `:` type($x)";
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

def SSM_EmbeddingOp : SSM_Op<"embedding", [Pure, AttrSizedOperandSegments]> {
  let summary = "Rows of a table";
  let description = [{
    y[..., d] = table[indices[...], d]. Shapes: `indices` [...], `table`
    [V, D]; `y` [..., D]. A negative index counts from the end; one outside of
    the table reads its nearest row, never other memory.

    The table is stored as a weight of `ssm.linear`, quantised or packed, so
    that a head tied to it shares it; `rows` is V where it is packed.

    Constraints:
    * (embedding_c1) y is indices' shape followed by D.
    * (embedding_c2) table, scales, zero_points and group are as those of
      `ssm.linear`.

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
    SSM_IntegerTensor:$indices, SSM_Tensor:$table,
    Optional<SSM_FloatTensor>:$scales, Optional<SSM_IntegerTensor>:$zero_points,
    OptionalAttr<I64Attr>:$group, OptionalAttr<I64Attr>:$rows,
    OptionalAttr<TypeAttr>:$packed);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $indices `,` $table (`scales` `(` $scales^ `:` type($scales) `)`)?
    (`zero_points` `(` $zero_points^ `:` type($zero_points) `)`)?
    (`group` $group^)? (`rows` $rows^)? (`packed` $packed^)? attr-dict
    `:` type($indices) `,` type($table) `->` type($y)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$y, "::mlir::Value":$indices,
                   "::mlir::Value":$table), [{
      build($_builder, $_state, y, indices, table, /*scales=*/::mlir::Value(),
            /*zero_points=*/::mlir::Value(), /*group=*/nullptr,
            /*rows=*/nullptr, /*packed=*/nullptr);
    }]>];
  let extraClassDeclaration = [{
    bool isQuantized() { return static_cast<bool>(getScales()); }
    int64_t getGroupSize() {
      return getGroup() ? *getGroup() : getY().getType().getShape().back();
    }
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
