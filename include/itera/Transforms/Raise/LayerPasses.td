// SPDX-License-Identifier: Apache-2.0
// Passes that give layers their names. Each matches exactly what the name
// means, constants within rounding, and leaves everything else alone.

#ifndef ITERA_TRANSFORMS_RAISE_LAYERPASSES_TD
#define ITERA_TRANSFORMS_RAISE_LAYERPASSES_TD

include "mlir/Pass/PassBase.td"

class RecognizePass<string flag> : Pass<flag, "::mlir::func::FuncOp"> {
  let dependentDialects = ["::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"numRaised", "raised", "Layers raised">];
}

def RecognizeActivationsPass : RecognizePass<"ssm-recognize-activations"> {
  let summary = "Name sigmoid, silu, softplus and gelu";
  let description = [{
    Raises activations that are written as arithmetic: the quotients and
    products of sigmoid and silu, log(1 + exp(x)) in its spellings, gelu with
    erf or tanh in any association. Removes what exporters put around them:
    the guard x > 20 ? x : softplus(x) and clamps that never act.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %s = ssm.sigmoid %x : tensor<4x8xf32>
      %y = arith.mulf %x, %s : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = ssm.silu %x : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
}

def RecognizeNormsPass : RecognizePass<"ssm-recognize-norms"> {
  let summary = "Name layer norms and RMS norms over the last dimension";
  let description = [{
    Raises x / sqrt(mean(x^2) + epsilon) and the same of x - mean(x), written
    with a division or a reciprocal, and takes in a constant scale and a
    constant bias along the last dimension that follow directly.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %zero = arith.constant dense<0.0> : tensor<4xf32>
      %eight = arith.constant dense<8.0> : tensor<4xf32>
      %epsilon = arith.constant dense<1.0e-5> : tensor<4xf32>
      %squares = arith.mulf %x, %x : tensor<4x8xf32>
      %sum = linalg.reduce { arith.addf } ins(%squares : tensor<4x8xf32>)
        outs(%zero : tensor<4xf32>) dimensions = [1]
      %mean = arith.divf %sum, %eight : tensor<4xf32>
      %e = arith.addf %mean, %epsilon : tensor<4xf32>
      %d = math.rsqrt %e : tensor<4xf32>
      %i = tensor.empty() : tensor<4x8xf32>
      %b = linalg.broadcast ins(%d : tensor<4xf32>) outs(%i : tensor<4x8xf32>)
        dimensions = [1]
      %y = arith.mulf %x, %b : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = ssm.norm rms %x epsilon 1.0e-5 : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
}

def RecognizeLinearPass : RecognizePass<"ssm-recognize-linear"> {
  let summary = "Name contractions of an activation with a constant weight";
  let description = [{
    Raises linalg.contract to ssm.linear when each of its dimensions belongs
    to exactly two of activation, weight and result, whatever the order of the
    operands and dimensions. Transposes of the activation, the weight and the
    result are added where they are needed; a constant bias that follows
    directly is taken in. A convolution by a kernel of one point is raised too.

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %w = ssm.weight "w" dense<1.0> : tensor<8x16xf32>
      %zero = arith.constant dense<0.0> : tensor<4x16xf32>
      %y = linalg.contract indexing_maps = [
          affine_map<(t, n, k) -> (t, k)>, affine_map<(t, n, k) -> (k, n)>,
          affine_map<(t, n, k) -> (t, n)>]
        ins(%x, %w : tensor<4x8xf32>, tensor<8x16xf32>)
        outs(%zero : tensor<4x16xf32>) -> tensor<4x16xf32>
      return %y : tensor<4x16xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %w = ssm.weight "w" dense<1.0> : tensor<8x16xf32>
      %i = tensor.empty() : tensor<16x8xf32>
      %t = linalg.transpose ins(%w : tensor<8x16xf32>)
        outs(%i : tensor<16x8xf32>) permutation = [1, 0]
      %y = ssm.linear %x, %t
        : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
      return %y : tensor<4x16xf32>
    }
    ```
  }];
}

def RecognizeEmbeddingPass : RecognizePass<"ssm-recognize-embedding"> {
  let summary = "Name gathers of rows of a constant table";
  let description = [{
    ```mlir
    func.func @f(%ids: tensor<3xi64>) -> tensor<3x2xf32> {
      %w = ssm.weight "w" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %y = ssm.gather %w, %ids dim 0
        : tensor<2x2xf32>, tensor<3xi64> -> tensor<3x2xf32>
      return %y : tensor<3x2xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%ids: tensor<3xi64>) -> tensor<3x2xf32> {
      %w = ssm.weight "w" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %y = ssm.embedding %ids, %w
        : tensor<3xi64>, tensor<2x2xf32> -> tensor<3x2xf32>
      return %y : tensor<3x2xf32>
    }
    ```
  }];
}

def RecognizeShiftRegistersPass : RecognizePass<"ssm-recognize-shift-registers"> {
  let summary = "Name the causal convolutions that a step keeps in a state";
  let description = [{
    In an `ssm.scan`, a state that drops its oldest frame and takes the new one
    in, and is read by a sum of products with taps, or as the past of a
    convolution of one frame, is a causal convolution of all frames. It goes
    before the scan, and the state is gone. Shifts by slices and concat, by a
    roll and a write, and both layouts are found.

    ```mlir
    func.func @f(%x: tensor<1x16x8x1xf32>, %s: tensor<1x8x3xf32>, %w: tensor<1x8x4xf32>) -> tensor<1x16x8xf32> {
      %zero = arith.constant dense<0.0> : tensor<1x8xf32>
      %last, %y = ssm.scan init(%s : tensor<1x8x3xf32>) sequences(%x : tensor<1x16x8x1xf32>) length 16 {
      ^bb0(%st: tensor<1x8x3xf32>, %xt: tensor<1x8x1xf32>):
        %all = tensor.concat dim(2) %st, %xt : (tensor<1x8x3xf32>, tensor<1x8x1xf32>) -> tensor<1x8x4xf32>
        %p = arith.mulf %all, %w : tensor<1x8x4xf32>
        %yt = linalg.reduce { arith.addf } ins(%p : tensor<1x8x4xf32>) outs(%zero : tensor<1x8xf32>) dimensions = [2]
        %n = tensor.extract_slice %all[0, 0, 1] [1, 8, 3] [1, 1, 1] : tensor<1x8x4xf32> to tensor<1x8x3xf32>
        ssm.yield %n, %yt : tensor<1x8x3xf32>, tensor<1x8xf32>
      } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x8x3xf32>, tensor<1x16x8xf32>
      return %y : tensor<1x16x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%arg0: tensor<1x16x8x1xf32>, %arg1: tensor<1x8x3xf32>, %arg2: tensor<1x8x4xf32>) -> tensor<1x16x8xf32> {
      %cst = arith.constant dense<0.000000e+00> : tensor<1x8xf32>
      %collapsed = tensor.collapse_shape %arg2 [[0, 1], [2]] : tensor<1x8x4xf32> into tensor<8x4xf32>
      %0 = ssm.scan sequences(%arg0 : tensor<1x16x8x1xf32>) length 16 {
      ^bb0(%arg3: tensor<1x8x1xf32>):
        ssm.yield %arg3 : tensor<1x8x1xf32>
      } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 0>} -> tensor<16x1x8x1xf32>
      %collapsed_0 = tensor.collapse_shape %0 [[0], [1], [2, 3]] : tensor<16x1x8x1xf32> into tensor<16x1x8xf32>
      %1 = tensor.empty() : tensor<1x16x8xf32>
      %transposed = linalg.transpose ins(%collapsed_0 : tensor<16x1x8xf32>) outs(%1 : tensor<1x16x8xf32>) permutation = [1, 0, 2] 
      %2 = tensor.empty() : tensor<1x3x8xf32>
      %transposed_1 = linalg.transpose ins(%arg1 : tensor<1x8x3xf32>) outs(%2 : tensor<1x3x8xf32>) permutation = [0, 2, 1] 
      %3 = ssm.causal_conv1d %transposed, %collapsed past(%transposed_1 : tensor<1x3x8xf32>) none : tensor<1x16x8xf32>, tensor<8x4xf32>
      %concat = tensor.concat dim(1) %transposed_1, %transposed : (tensor<1x3x8xf32>, tensor<1x16x8xf32>) -> tensor<1x19x8xf32>
      %extracted_slice = tensor.extract_slice %concat[0, 16, 0] [1, 3, 8] [1, 1, 1] : tensor<1x19x8xf32> to tensor<1x3x8xf32>
      %4 = tensor.empty() : tensor<1x8x3xf32>
      %transposed_2 = linalg.transpose ins(%extracted_slice : tensor<1x3x8xf32>) outs(%4 : tensor<1x8x3xf32>) permutation = [0, 2, 1] 
      %5 = ssm.scan sequences(%arg0, %3 : tensor<1x16x8x1xf32>, tensor<1x16x8xf32>) length 16 {
      ^bb0(%arg3: tensor<1x8x1xf32>, %arg4: tensor<1x8xf32>):
        ssm.yield %arg4 : tensor<1x8xf32>
      } {sequence_dims = array<i64: 1, 1>, stack_dims = array<i64: 1>} -> tensor<1x16x8xf32>
      return %5 : tensor<1x16x8xf32>
    }
    ```
  }];
}

def RecognizeCausalConvPass : RecognizePass<"ssm-recognize-causal-conv"> {
  let summary = "Name depthwise convolutions that look back only";
  let description = [{
    Raises depthwise ssm.conv of stride and dilation one whose used outputs
    end with the frames of its input: padded on both sides and cropped, padded
    on the left (also by tensor.pad), or with a past in front by tensor.concat.
    Time and channels are swapped around it, for ssm.causal_conv1d has the
    channels last; a silu that follows directly is taken in.

    ```mlir
    func.func @f(%x: tensor<1x8x16xf32>) -> tensor<1x8x16xf32> {
      %w = ssm.weight "w" dense<1.0> : tensor<8x1x4xf32>
      %c = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 8 : i64,
          pads_high = array<i64: 3>, pads_low = array<i64: 3>,
          strides = array<i64: 1>}
        : tensor<1x8x16xf32>, tensor<8x1x4xf32> -> tensor<1x8x19xf32>
      %y = tensor.extract_slice %c[0, 0, 0] [1, 8, 16] [1, 1, 1]
        : tensor<1x8x19xf32> to tensor<1x8x16xf32>
      return %y : tensor<1x8x16xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<1x8x16xf32>) -> tensor<1x8x16xf32> {
      %w = ssm.weight "w" dense<1.0> : tensor<8x1x4xf32>
      %k = tensor.collapse_shape %w [[0], [1, 2]]
        : tensor<8x1x4xf32> into tensor<8x4xf32>
      %i = tensor.empty() : tensor<1x16x8xf32>
      %t = linalg.transpose ins(%x : tensor<1x8x16xf32>)
        outs(%i : tensor<1x16x8xf32>) permutation = [0, 2, 1]
      %c = ssm.causal_conv1d %t, %k none : tensor<1x16x8xf32>, tensor<8x4xf32>
      %j = tensor.empty() : tensor<1x8x16xf32>
      %y = linalg.transpose ins(%c : tensor<1x16x8xf32>)
        outs(%j : tensor<1x8x16xf32>) permutation = [0, 2, 1]
      return %y : tensor<1x8x16xf32>
    }
    ```
  }];
}

def RecognizeMoePass : RecognizePass<"ssm-recognize-moe"> {
  let summary = "Name mixtures of experts that gather, compute and scatter";
  let description = [{
    Raises a chain of ssm.scatter_nd into zeros, one per expert, each of which
    adds gate * expert(x) to the rows of the tokens that selected the expert,
    to one ssm.moe. Every expert that the top-k router can select must appear
    once. Runs after activations and linears have their names.

    ```text
    %i, %n = ssm.nonzero %chosen : tensor<4xi1> -> tensor<1x4xi64>, tensor<i64>
    ... // rows %i of %x, of the selections and of the gates
    %1 = ssm.scatter_nd %0, %t, %update valid(%n : tensor<i64>) replace
      : tensor<4x8xf32>, tensor<4x1xi64>, tensor<4x8xf32>
    ... // the same for the other experts
    ```
    becomes
    ```text
    %y = ssm.moe %x, %selected, %gates, %up, %down gelu
      : tensor<4x8xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x16x8xf32>, tensor<3x8x16xf32>
    ```
  }];
}

def RecognizeQuantizedWeightsPass : RecognizePass<"ssm-recognize-quantized-weights"> {
  let summary = "Keep the integers of weights that a file holds in few bits";
  let description = [{
    A weight of ssm.linear or a table of ssm.embedding that is written as
    (number - zero) * scale, of constants and in float32, with transposes and
    reshapes anywhere, is stored as integers of four bits if they fit, else of
    eight. Scales and zero points must repeat along K, over the whole row or in
    groups of a multiple of eight; they may be one for all, per row or per
    block. The weight keeps its bits. What is not of this form, or has a scale
    that is not finite, stays as it is, to be folded.

    ```mlir
    func.func @f(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
      %q = arith.constant dense<[[1, 15], [0, 8], [3, 5]]> : tensor<3x2xi8>
      %z = arith.constant dense<8.0> : tensor<3x2xf32>
      %s = arith.constant dense<[0.5, 0.25, 2.0]> : tensor<3xf32>
      %f = arith.uitofp %q : tensor<3x2xi8> to tensor<3x2xf32>
      %d = arith.subf %f, %z : tensor<3x2xf32>
      %e = tensor.empty() : tensor<3x2xf32>
      %b = linalg.broadcast ins(%s : tensor<3xf32>) outs(%e : tensor<3x2xf32>)
        dimensions = [1]
      %w = arith.mulf %d, %b : tensor<3x2xf32>
      %y = ssm.linear %x, %w
        : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    ```
    becomes
    ```mlir
    func.func @f(%x: tensor<4x2xf32>) -> tensor<4x3xf32> {
      %w = arith.constant dense<[[-7, 7], [-8, 0], [-5, -3]]> : tensor<3x2xi4>
      %s = arith.constant dense<[[0.5], [0.25], [2.0]]> : tensor<3x1xf32>
      %y = ssm.linear %x, %w scales(%s : tensor<3x1xf32>)
        : tensor<4x2xf32>, tensor<3x2xi4> -> tensor<4x3xf32>
      return %y : tensor<4x3xf32>
    }
    ```
  }];
}

#endif // ITERA_TRANSFORMS_RAISE_LAYERPASSES_TD
