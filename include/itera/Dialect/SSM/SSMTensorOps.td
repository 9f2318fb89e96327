// SPDX-License-Identifier: Apache-2.0
// Tensor movements and reductions that model files use and upstream lacks.

#ifndef ITERA_DIALECT_SSM_SSMTENSOROPS_TD
#define ITERA_DIALECT_SSM_SSMTENSOROPS_TD

include "itera/Dialect/SSM/SSMBase.td"

def SSM_ConvOp : SSM_Op<"conv", [Pure]> {
  let summary = "Grouped convolution, any number of spatial dimensions";
  let description = [{
    ONNX Conv: x [B, C, S...], weight [M, C/groups, K...], bias [M], y
    [B, M, S'...], with S' = (S + pads_low + pads_high - dilation*(K-1) - 1) /
    stride + 1. Cross-correlation, zero padding.

    Constraints:
    * (conv_c1) ranks of x, weight and y agree and are at least 3.
    * (conv_c2) strides, dilations and pads have one entry per spatial
      dimension; strides and dilations are positive, pads are not negative.
    * (conv_c3) channels match the weight and the groups.
    * (conv_c4) the result has the shape of the formula.

    ```mlir
    func.func @conv(%x: tensor<1x8x16xf32>,
                    %w: tensor<8x1x4xf32>) -> tensor<1x8x19xf32> {
      %y = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 8 : i64,
          pads_high = array<i64: 3>, pads_low = array<i64: 3>,
          strides = array<i64: 1>}
        : tensor<1x8x16xf32>, tensor<8x1x4xf32> -> tensor<1x8x19xf32>
      return %y : tensor<1x8x19xf32>
    }
    ```
  }];
  let arguments = (ins
    SSM_FloatTensor:$x, SSM_FloatTensor:$weight, Optional<SSM_FloatTensor>:$bias,
    DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
    DenseI64ArrayAttr:$pads_low, DenseI64ArrayAttr:$pads_high,
    I64Attr:$groups);
  let results = (outs SSM_FloatTensor:$y);
  let assemblyFormat = [{
    $x `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)? attr-dict
    `:` type($x) `,` type($weight) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_CumsumOp : SSM_Op<"cumsum", [Pure, SameOperandsAndResultType]> {
  let summary = "Running sum along one dimension";
  let description = [{
    y_t = x_0 + ... + x_t along `dim`; without x_t itself when `exclusive`;
    from the end when `reverse`.

    ```mlir
    func.func @cumsum(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
      %y = ssm.cumsum %x dim 1 exclusive : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$x, I64Attr:$dim, UnitAttr:$exclusive,
                       UnitAttr:$reverse);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $x `dim` $dim (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict
    `:` type($x)
  }];
  let hasVerifier = 1;
}

def SSM_ReverseOp : SSM_Op<"reverse", [Pure, SameOperandsAndResultType]> {
  let summary = "Reverse the order along some dimensions";
  let description = [{
    ```mlir
    func.func @reverse(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
      %y = ssm.reverse %x dims [1] : tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$x, DenseI64ArrayAttr:$dims);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = "$x `dims` $dims attr-dict `:` type($x)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def SSM_OnesLikeOp : SSM_Op<"ones_like", [Pure]> {
  let summary = "Ones, as many as a tensor has elements along some dimensions";
  let description = [{
    What is counted of a sequence depends on its length: the number of elements
    in each window of a padded one, for example. A constant would be that of one
    length. This op keeps what it counts, until the stream has been derived.

    Constraints:
    * (ones_like_c1) the result has the element type and the rank of x, and each
      of its dimensions is that of x or 1.

    ```mlir
    func.func @ones_like(%x: tensor<2x8x16xf32>) -> tensor<1x1x16xf32> {
      %y = ssm.ones_like %x : tensor<2x8x16xf32> -> tensor<1x1x16xf32>
      return %y : tensor<1x1x16xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$x);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($y)";
  let hasVerifier = 1;
}

def SSM_GatherOp : SSM_Op<"gather", [Pure]> {
  let summary = "Slices of a tensor at given indices along one dimension";
  let description = [{
    ONNX Gather: the result's shape is data's with dimension `dim` replaced
    by the shape of `indices`. A negative index counts from the end; one out
    of range reads the nearest entry, never other memory.

    Constraints:
    * (gather_c1) the result has that shape.

    ```mlir
    func.func @gather(%data: tensor<8x4xf32>,
                      %indices: tensor<3xi64>) -> tensor<3x4xf32> {
      %y = ssm.gather %data, %indices dim 0
        : tensor<8x4xf32>, tensor<3xi64> -> tensor<3x4xf32>
      return %y : tensor<3x4xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$data, SSM_IntegerTensor:$indices, I64Attr:$dim);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $data `,` $indices `dim` $dim attr-dict
    `:` type($data) `,` type($indices) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_GatherElementsOp : SSM_Op<"gather_elements", [Pure]> {
  let summary = "Elements at given indices along one dimension";
  let description = [{
    ONNX GatherElements: y[..., i, ...] = data[..., indices[..., i, ...], ...]
    along `dim`. `y` has the shape of `indices` and the element type of
    `data`. Indices as in `ssm.gather`.

    ```mlir
    func.func @gather(%data: tensor<2x8xf32>,
                      %indices: tensor<2x3xi64>) -> tensor<2x3xf32> {
      %y = ssm.gather_elements %data, %indices dim 1
        : tensor<2x8xf32>, tensor<2x3xi64> -> tensor<2x3xf32>
      return %y : tensor<2x3xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$data, SSM_IntegerTensor:$indices, I64Attr:$dim);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $data `,` $indices `dim` $dim attr-dict
    `:` type($data) `,` type($indices) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_GatherNdOp : SSM_Op<"gather_nd", [Pure]> {
  let summary = "Slices at given index tuples";
  let description = [{
    ONNX GatherND: the last dimension of `indices` [b..., n..., r] is a tuple
    that indexes r dimensions of `data` after its first `batch_dims`. Indices
    as in `ssm.gather`.

    ```mlir
    func.func @gather(%data: tensor<8x4xf32>,
                      %indices: tensor<3x1xi64>) -> tensor<3x4xf32> {
      %y = ssm.gather_nd %data, %indices
        : tensor<8x4xf32>, tensor<3x1xi64> -> tensor<3x4xf32>
      return %y : tensor<3x4xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$data, SSM_IntegerTensor:$indices,
    DefaultValuedAttr<I64Attr, "0">:$batch_dims);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $data `,` $indices (`batch_dims` $batch_dims^)? attr-dict
    `:` type($data) `,` type($indices) `->` type($y)
  }];
  let hasVerifier = 1;
}

def SSM_ScatterNdOp : SSM_Op<"scatter_nd", [Pure, AllTypesMatch<["data", "y"]>]> {
  let summary = "A copy with slices written at given index tuples";
  let description = [{
    ONNX ScatterND: `indices` [n..., r], `updates` [n..., rest of data after r
    dimensions]. Tuples that point outside of `data` are skipped. With
    `valid` (a tensor<i64>), only the first `valid` entries along the first
    dimension of `indices` are written; the others are padding.

    Constraints:
    * (scatter_nd_c1) updates has the shape given above.

    ```mlir
    func.func @scatter(%data: tensor<8x4xf32>, %indices: tensor<3x1xi64>,
                       %updates: tensor<3x4xf32>) -> tensor<8x4xf32> {
      %y = ssm.scatter_nd %data, %indices, %updates replace
        : tensor<8x4xf32>, tensor<3x1xi64>, tensor<3x4xf32>
      return %y : tensor<8x4xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$data, SSM_IntegerTensor:$indices,
    SSM_Tensor:$updates, Optional<SSM_IntegerTensor>:$valid,
    SSM_ScatterKindAttr:$kind);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $data `,` $indices `,` $updates (`valid` `(` $valid^ `:` type($valid) `)`)?
    `` $kind attr-dict `:` type($data) `,` type($indices) `,` type($updates)
  }];
  let hasVerifier = 1;
}

def SSM_ScatterElementsOp : SSM_Op<"scatter_elements", [
    Pure, AllTypesMatch<["data", "y"]>]> {
  let summary = "A copy with elements written at given indices";
  let description = [{
    ONNX ScatterElements along `dim`. `indices` and `updates` have the same
    shape. Indices outside of `data` are skipped.

    ```mlir
    func.func @scatter(%data: tensor<2x8xf32>, %indices: tensor<2x3xi64>,
                       %updates: tensor<2x3xf32>) -> tensor<2x8xf32> {
      %y = ssm.scatter_elements %data, %indices, %updates dim 1 replace
        : tensor<2x8xf32>, tensor<2x3xi64>, tensor<2x3xf32>
      return %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$data, SSM_IntegerTensor:$indices,
    SSM_Tensor:$updates, I64Attr:$dim, SSM_ScatterKindAttr:$kind);
  let results = (outs SSM_Tensor:$y);
  let assemblyFormat = [{
    $data `,` $indices `,` $updates `dim` $dim `` $kind attr-dict
    `:` type($data) `,` type($indices) `,` type($updates)
  }];
  let hasVerifier = 1;
}

def SSM_TopKOp : SSM_Op<"top_k", [Pure]> {
  let summary = "The k largest (or smallest) entries along one dimension";
  let description = [{
    `values` and `indices` have size k along `dim`, in order: largest first,
    or smallest first with `smallest`; equal values by lower index first.

    ```mlir
    func.func @top_3(%x: tensor<2x8xf32>) -> (tensor<2x3xf32>, tensor<2x3xi64>) {
      %v, %i = ssm.top_k %x dim 1
        : tensor<2x8xf32> -> tensor<2x3xf32>, tensor<2x3xi64>
      return %v, %i : tensor<2x3xf32>, tensor<2x3xi64>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$x, I64Attr:$dim, UnitAttr:$smallest);
  let results = (outs SSM_Tensor:$values, SSM_IntegerTensor:$indices);
  let assemblyFormat = [{
    (`smallest` $smallest^)? $x `dim` $dim attr-dict
    `:` type($x) `->` type($values) `,` type($indices)
  }];
  let hasVerifier = 1;
}

def SSM_NonzeroOp : SSM_Op<"nonzero", [Pure]> {
  let summary = "Indices of the nonzero elements, padded to the worst case";
  let description = [{
    ONNX NonZero with a static shape: `indices` [rank, number of elements of
    x], of which the first `count` columns are the index tuples of the
    nonzero elements in row-major order; the other columns are zero.

    ```mlir
    func.func @nonzero(%x: tensor<2x8xi1>) -> (tensor<2x16xi64>, tensor<i64>) {
      %i, %n = ssm.nonzero %x : tensor<2x8xi1> -> tensor<2x16xi64>, tensor<i64>
      return %i, %n : tensor<2x16xi64>, tensor<i64>
    }
    ```
  }];
  let arguments = (ins SSM_Tensor:$x);
  let results = (outs SSM_IntegerTensor:$indices, SSM_IntegerTensor:$count);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($indices) `,` type($count)";
  let hasVerifier = 1;
}

#endif // ITERA_DIALECT_SSM_SSMTENSOROPS_TD
