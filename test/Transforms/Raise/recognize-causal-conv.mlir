// RUN: itera-opt --ssm-recognize-causal-conv --split-input-file %s | FileCheck %s

// Padded on both sides and cropped to T; the silu behind is taken in.
// CHECK-LABEL: func @cropped
func.func @cropped(%x: tensor<1x8x16xf32>, %w: tensor<8x1x4xf32>, %b: tensor<8xf32>) -> tensor<1x8x16xf32> {
  // CHECK-DAG: %[[W:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0], [1, 2]] : tensor<8x1x4xf32> into tensor<8x4xf32>
  // CHECK-DAG: %[[X:.*]] = linalg.transpose ins(%arg0 : tensor<1x8x16xf32>) {{.*}} permutation = [0, 2, 1]
  // CHECK: %[[C:.*]] = ssm.causal_conv1d %[[X]], %[[W]] bias(%arg2 : tensor<8xf32>) silu
  // CHECK: %[[Y:.*]] = linalg.transpose ins(%[[C]] : tensor<1x16x8xf32>) {{.*}} permutation = [0, 2, 1]
  // CHECK-NEXT: return %[[Y]]
  %c = ssm.conv %x, %w bias(%b : tensor<8xf32>) {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 3>,
      pads_low = array<i64: 3>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x1x4xf32> -> tensor<1x8x19xf32>
  %s = tensor.extract_slice %c[0, 0, 0] [1, 8, 16] [1, 1, 1] : tensor<1x8x19xf32> to tensor<1x8x16xf32>
  %y = ssm.silu %s : tensor<1x8x16xf32>
  return %y : tensor<1x8x16xf32>
}

// -----

// Padded on the left by tensor.pad. The result has a second use: no silu.
// CHECK-LABEL: func @padded
func.func @padded(%x: tensor<1x8x16xf32>, %w: tensor<8x1x4xf32>) -> (tensor<1x8x16xf32>, tensor<1x8x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %p = tensor.pad %x low[0, 0, 3] high[0, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index):
    tensor.yield %zero : f32
  } : tensor<1x8x16xf32> to tensor<1x8x19xf32>
  // CHECK: linalg.transpose ins(%arg0
  // CHECK: ssm.causal_conv1d %{{.*}}, %{{.*}} none
  // CHECK: ssm.silu
  %c = ssm.conv %p, %w {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 0>,
      pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x19xf32>, tensor<8x1x4xf32> -> tensor<1x8x16xf32>
  %y = ssm.silu %c : tensor<1x8x16xf32>
  return %c, %y : tensor<1x8x16xf32>, tensor<1x8x16xf32>
}

// -----

// A past in front. Only its last K-1 frames count when it is wider.
// CHECK-LABEL: func @past
func.func @past(%x: tensor<1x8x2xf32>, %past: tensor<1x8x4xf32>, %w: tensor<8x1x4xf32>) -> tensor<1x8x2xf32> {
  // CHECK: %[[S:.*]] = tensor.extract_slice %arg1[0, 0, 1] [1, 8, 3] [1, 1, 1]
  // CHECK: %[[P:.*]] = linalg.transpose ins(%[[S]] : tensor<1x8x3xf32>)
  // CHECK: ssm.causal_conv1d %{{.*}}, %{{.*}} past(%[[P]] : tensor<1x3x8xf32>) none
  // CHECK-NOT: tensor.extract_slice
  // CHECK: return
  %f = tensor.concat dim(2) %past, %x : (tensor<1x8x4xf32>, tensor<1x8x2xf32>) -> tensor<1x8x6xf32>
  %c = ssm.conv %f, %w {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 0>,
      pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x6xf32>, tensor<8x1x4xf32> -> tensor<1x8x3xf32>
  %y = tensor.extract_slice %c[0, 0, 1] [1, 8, 2] [1, 1, 1] : tensor<1x8x3xf32> to tensor<1x8x2xf32>
  return %y : tensor<1x8x2xf32>
}

// -----

// Not causal: padded by one on both sides, a crop from the wrong end, and two
// output channels per input channel.
// CHECK-LABEL: func @no_causal
// CHECK-NOT: ssm.causal_conv1d
func.func @no_causal(%x: tensor<1x8x16xf32>, %w: tensor<8x1x3xf32>, %v: tensor<16x1x3xf32>)
    -> (tensor<1x8x16xf32>, tensor<1x8x16xf32>, tensor<1x16x16xf32>) {
  %0 = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 1>,
      pads_low = array<i64: 1>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x1x3xf32> -> tensor<1x8x16xf32>
  %c = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 2>,
      pads_low = array<i64: 2>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x1x3xf32> -> tensor<1x8x18xf32>
  %1 = tensor.extract_slice %c[0, 0, 1] [1, 8, 16] [1, 1, 1] : tensor<1x8x18xf32> to tensor<1x8x16xf32>
  %2 = ssm.conv %x, %v {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 0>,
      pads_low = array<i64: 2>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<16x1x3xf32> -> tensor<1x16x16xf32>
  return %0, %1, %2 : tensor<1x8x16xf32>, tensor<1x8x16xf32>, tensor<1x16x16xf32>
}

// -----

// A bias that was added behind the convolution is taken in, and the silu
// behind it. A second use of the sum without bias keeps the two apart.
// CHECK-LABEL: func @bias
// CHECK: ssm.causal_conv1d %arg0, %arg1 bias(%arg2 : tensor<8xf32>) silu
// CHECK-NOT: arith.addf
// CHECK: %[[C:.*]] = ssm.causal_conv1d %arg0, %arg1 none
// CHECK: math.tanh %[[C]]
// CHECK: arith.addf %[[C]]
func.func @bias(%x: tensor<2x16x8xf32>, %w: tensor<8x4xf32>, %b: tensor<8xf32>) -> (tensor<2x16x8xf32>, tensor<2x16x8xf32>, tensor<2x16x8xf32>) {
  %e = tensor.empty() : tensor<2x16x8xf32>
  %wide = linalg.broadcast ins(%b : tensor<8xf32>) outs(%e : tensor<2x16x8xf32>) dimensions = [0, 1]
  %c = ssm.causal_conv1d %x, %w none : tensor<2x16x8xf32>, tensor<8x4xf32>
  %s = arith.addf %wide, %c : tensor<2x16x8xf32>
  %y = ssm.silu %s : tensor<2x16x8xf32>
  %c2 = ssm.causal_conv1d %x, %w none : tensor<2x16x8xf32>, tensor<8x4xf32>
  %t2 = math.tanh %c2 : tensor<2x16x8xf32>
  %s2 = arith.addf %c2, %wide : tensor<2x16x8xf32>
  return %y, %t2, %s2 : tensor<2x16x8xf32>, tensor<2x16x8xf32>, tensor<2x16x8xf32>
}
