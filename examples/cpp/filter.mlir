// A small filter for sound: eight filters of five samples, of which two lie
// ahead, each followed by a decaying sum, mixed to one channel again.
func.func @forward(%sound: tensor<1x1x64xf32> {ssm.name = "sound"})
    -> (tensor<1x1x64xf32> {ssm.name = "filtered"}) {
  %taps = arith.constant dense<[
    [[ 0.1,  0.2,  0.4,  0.2,  0.1]], [[-0.1, -0.2,  0.6, -0.2, -0.1]],
    [[ 0.0,  0.5,  0.0, -0.5,  0.0]], [[ 0.2, -0.4,  0.4, -0.4,  0.2]],
    [[ 0.2,  0.2,  0.2,  0.2,  0.2]], [[ 0.0,  0.0,  1.0,  0.0,  0.0]],
    [[ 0.3,  0.0, -0.3,  0.0,  0.3]], [[ 0.0, -0.3,  0.6, -0.3,  0.0]]]>
    : tensor<8x1x5xf32>
  %bands = ssm.conv %sound, %taps {dilations = array<i64: 1>, groups = 1 : i64,
      pads_low = array<i64: 2>, pads_high = array<i64: 2>,
      strides = array<i64: 1>}
      : tensor<1x1x64xf32>, tensor<8x1x5xf32> -> tensor<1x8x64xf32>
  %decay = arith.constant dense<0.9> : tensor<1x8x64xf32>
  %silence = arith.constant dense<0.0> : tensor<1x8xf32>
  %sums, %last = ssm.linear_recurrence %decay, %bands, %silence dim 2
      : tensor<1x8x64xf32>, tensor<1x8xf32>
  %mix = arith.constant dense<0.125> : tensor<1x8x1xf32>
  %filtered = ssm.conv %sums, %mix {dilations = array<i64: 1>,
      groups = 1 : i64, pads_low = array<i64: 0>, pads_high = array<i64: 0>,
      strides = array<i64: 1>}
      : tensor<1x8x64xf32>, tensor<1x8x1xf32> -> tensor<1x1x64xf32>
  return %filtered : tensor<1x1x64xf32>
}
