// RUN: itera-opt --ssm-recognize-linear --split-input-file %s | FileCheck %s

// x W + b, with W as ONNX stores it.
// CHECK-LABEL: func @matmul
func.func @matmul(%x: tensor<1x4x8xf32>) -> tensor<1x4x16xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "w"
  // CHECK-DAG: %[[T:.*]] = linalg.transpose ins(%[[W]] : tensor<8x16xf32>) {{.*}} permutation = [1, 0]
  // CHECK-DAG: %[[B:.*]] = ssm.weight "b"
  %w = ssm.weight "w" dense_resource<w> : tensor<8x16xf32>
  %b = ssm.weight "b" dense_resource<b> : tensor<16xf32>
  %init = arith.constant dense<0.0> : tensor<1x4x16xf32>
  %e = tensor.empty() : tensor<1x4x16xf32>
  %0 = linalg.contract indexing_maps = [affine_map<(i, t, n, k) -> (i, t, k)>, affine_map<(i, t, n, k) -> (k, n)>,
      affine_map<(i, t, n, k) -> (i, t, n)>]
    ins(%x, %w : tensor<1x4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<1x4x16xf32>) -> tensor<1x4x16xf32>
  %bb = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<1x4x16xf32>) dimensions = [0, 1]
  // CHECK: %[[Y:.*]] = ssm.linear %arg0, %[[T]] bias(%[[B]] : tensor<16xf32>)
  // CHECK-NEXT: return %[[Y]]
  %1 = arith.addf %bb, %0 : tensor<1x4x16xf32>
  return %1 : tensor<1x4x16xf32>
}

// -----

// W x on channels before time, the bias along the channels: x and the result
// are transposed, the weight is not.
// CHECK-LABEL: func @weight_first
func.func @weight_first(%x: tensor<1x8x4xf32>) -> tensor<1x16x4xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "w"
  // CHECK-DAG: %[[B:.*]] = ssm.weight "b"
  %w = ssm.weight "w" dense_resource<w> : tensor<16x8xf32>
  %b = ssm.weight "b" dense_resource<b> : tensor<16xf32>
  %init = arith.constant dense<0.0> : tensor<1x16x4xf32>
  %e = tensor.empty() : tensor<1x16x4xf32>
  // CHECK: %[[X:.*]] = linalg.transpose ins(%arg0 : tensor<1x8x4xf32>) {{.*}} permutation = [0, 2, 1]
  // CHECK: %[[Y:.*]] = ssm.linear %[[X]], %[[W]] bias(%[[B]] : tensor<16xf32>) : tensor<1x4x8xf32>, tensor<16x8xf32> -> tensor<1x4x16xf32>
  // CHECK: linalg.transpose ins(%[[Y]] : tensor<1x4x16xf32>) {{.*}} permutation = [0, 2, 1]
  %0 = linalg.contract indexing_maps = [affine_map<(i, n, t, k) -> (n, k)>, affine_map<(i, n, t, k) -> (i, k, t)>,
      affine_map<(i, n, t, k) -> (i, n, t)>]
    ins(%w, %x : tensor<16x8xf32>, tensor<1x8x4xf32>) outs(%init : tensor<1x16x4xf32>) -> tensor<1x16x4xf32>
  %bb = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<1x16x4xf32>) dimensions = [0, 2]
  %1 = arith.addf %0, %bb : tensor<1x16x4xf32>
  return %1 : tensor<1x16x4xf32>
}

// -----

// Two reduced and two output dimensions are collapsed, and expanded again.
// CHECK-LABEL: func @several_dims
func.func @several_dims(%x: tensor<4x2x3xf32>) -> tensor<4x5x6xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight
  // CHECK-DAG: %[[P:.*]] = linalg.transpose ins(%[[W]] : tensor<2x3x5x6xf32>) {{.*}} permutation = [2, 3, 0, 1]
  // CHECK-DAG: %[[T:.*]] = tensor.collapse_shape %[[P]] {{\[\[}}0, 1], [2, 3]] : tensor<5x6x2x3xf32> into tensor<30x6xf32>
  %w = ssm.weight "w" dense_resource<w> : tensor<2x3x5x6xf32>
  %init = arith.constant dense<0.0> : tensor<4x5x6xf32>
  // CHECK: %[[X:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0], [1, 2]]
  // CHECK-NEXT: %[[Y:.*]] = ssm.linear %[[X]], %[[T]] : tensor<4x6xf32>, tensor<30x6xf32> -> tensor<4x30xf32>
  // CHECK-NEXT: tensor.expand_shape %[[Y]] {{\[\[}}0], [1, 2]] output_shape [4, 5, 6]
  %0 = linalg.contract indexing_maps = [affine_map<(t, n, m, j, k) -> (t, j, k)>, affine_map<(t, n, m, j, k) -> (j, k, n, m)>,
      affine_map<(t, n, m, j, k) -> (t, n, m)>]
    ins(%x, %w : tensor<4x2x3xf32>, tensor<2x3x5x6xf32>) outs(%init : tensor<4x5x6xf32>) -> tensor<4x5x6xf32>
  return %0 : tensor<4x5x6xf32>
}

// -----

// All uses of one weight share its transposition.
// CHECK-LABEL: func @shared
// CHECK: linalg.transpose
// CHECK-NOT: linalg.transpose
func.func @shared(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %w = ssm.weight "w" dense_resource<w> : tensor<8x16xf32>
  %init = arith.constant dense<0.0> : tensor<4x16xf32>
  // CHECK: ssm.linear %arg0
  %0 = linalg.contract indexing_maps = [affine_map<(t, n, k) -> (t, k)>, affine_map<(t, n, k) -> (k, n)>, affine_map<(t, n, k) -> (t, n)>]
    ins(%x, %w : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  // CHECK: ssm.linear %arg1
  %1 = linalg.contract indexing_maps = [affine_map<(t, n, k) -> (t, k)>, affine_map<(t, n, k) -> (k, n)>, affine_map<(t, n, k) -> (t, n)>]
    ins(%z, %w : tensor<4x8xf32>, tensor<8x16xf32>) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %0, %1 : tensor<4x16xf32>, tensor<4x16xf32>
}

// -----

// A weight may carry the batch dimension when that is one.
// CHECK-LABEL: func @unit_batch
func.func @unit_batch(%x: tensor<1x4x8xf32>) -> tensor<1x4x16xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "w"
  // CHECK-DAG: %[[T:.*]] = linalg.transpose ins(%[[W]] : tensor<1x8x16xf32>) {{.*}} permutation = [0, 2, 1]
  // CHECK-DAG: %[[C:.*]] = tensor.collapse_shape %[[T]] {{\[\[}}0, 1], [2]]
  %w = ssm.weight "w" dense_resource<w> : tensor<1x8x16xf32>
  %init = arith.constant dense<0.0> : tensor<1x4x16xf32>
  // CHECK: ssm.linear %arg0, %[[C]]
  %0 = linalg.contract indexing_maps = [affine_map<(i, t, n, k) -> (i, t, k)>, affine_map<(i, t, n, k) -> (i, k, n)>,
      affine_map<(i, t, n, k) -> (i, t, n)>]
    ins(%x, %w : tensor<1x4x8xf32>, tensor<1x8x16xf32>) outs(%init : tensor<1x4x16xf32>) -> tensor<1x4x16xf32>
  return %0 : tensor<1x4x16xf32>
}

// -----

// A bias is found behind a reshape, and may be defined after the linear.
// CHECK-LABEL: func @bias_after_reshape
func.func @bias_after_reshape(%x: tensor<1x1x8xf32>) -> tensor<1x16xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "w"
  // CHECK-DAG: %[[B:.*]] = ssm.weight "b"
  %w = ssm.weight "w" dense_resource<w> : tensor<16x8xf32>
  // CHECK: %[[Y:.*]] = ssm.linear %arg0, %[[W]] bias(%[[B]] : tensor<16xf32>)
  %y = ssm.linear %x, %w : tensor<1x1x8xf32>, tensor<16x8xf32> -> tensor<1x1x16xf32>
  // CHECK-NEXT: %[[R:.*]] = tensor.collapse_shape %[[Y]]
  // CHECK-NEXT: return %[[R]]
  %r = tensor.collapse_shape %y [[0], [1, 2]] : tensor<1x1x16xf32> into tensor<1x16xf32>
  %b = ssm.weight "b" dense_resource<b> : tensor<16xf32>
  %be = tensor.expand_shape %b [[0, 1]] output_shape [1, 16] : tensor<16xf32> into tensor<1x16xf32>
  %z = arith.addf %r, %be : tensor<1x16xf32>
  return %z : tensor<1x16xf32>
}

// -----

// A vector along another dimension of the same size is no bias.
// CHECK-LABEL: func @no_bias
func.func @no_bias(%x: tensor<16x8xf32>) -> tensor<16x16xf32> {
  %w = ssm.weight "w" dense_resource<w> : tensor<16x8xf32>
  %b = ssm.weight "b" dense_resource<b> : tensor<16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %y = ssm.linear %x, %w : tensor<16x8xf32>, tensor<16x8xf32> -> tensor<16x16xf32>
  %bb = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<16x16xf32>) dimensions = [1]
  // CHECK: arith.addf
  %z = arith.addf %y, %bb : tensor<16x16xf32>
  return %z : tensor<16x16xf32>
}

// -----

// A convolution by one point is linear over the channels.
// CHECK-LABEL: func @pointwise
func.func @pointwise(%x: tensor<1x8x4xf32>) -> tensor<1x16x4xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "w"
  // CHECK-DAG: %[[B:.*]] = ssm.weight "b"
  // CHECK-DAG: %[[K:.*]] = tensor.collapse_shape %[[W]] {{\[\[}}0], [1, 2]]
  %w = ssm.weight "w" dense_resource<w> : tensor<16x8x1xf32>
  %b = ssm.weight "b" dense_resource<b> : tensor<16xf32>
  // CHECK: %[[X:.*]] = linalg.transpose ins(%arg0 : tensor<1x8x4xf32>) {{.*}} permutation = [0, 2, 1]
  // CHECK: %[[Y:.*]] = ssm.linear %[[X]], %[[K]] bias(%[[B]] : tensor<16xf32>)
  // CHECK: linalg.transpose ins(%[[Y]] : tensor<1x4x16xf32>) {{.*}} permutation = [0, 2, 1]
  %y = ssm.conv %x, %w bias(%b : tensor<16xf32>) {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 0>,
      pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x4xf32>, tensor<16x8x1xf32> -> tensor<1x16x4xf32>
  return %y : tensor<1x16x4xf32>
}

// -----

// Not linear: two activations, a batch of weights, a start that is not zero.
// CHECK-LABEL: func @no_linear
// CHECK-NOT: ssm.linear
func.func @no_linear(%x: tensor<2x4x8xf32>, %z: tensor<2x8x16xf32>) -> (tensor<2x4x16xf32>, tensor<2x4x16xf32>, tensor<2x4x16xf32>) {
  %w = ssm.weight "w" dense_resource<w> : tensor<2x8x16xf32>
  %v = ssm.weight "v" dense_resource<v> : tensor<8x16xf32>
  %init = arith.constant dense<0.0> : tensor<2x4x16xf32>
  %one = arith.constant dense<1.0> : tensor<2x4x16xf32>
  %0 = linalg.contract indexing_maps = [affine_map<(i, t, n, k) -> (i, t, k)>, affine_map<(i, t, n, k) -> (i, k, n)>,
      affine_map<(i, t, n, k) -> (i, t, n)>]
    ins(%x, %z : tensor<2x4x8xf32>, tensor<2x8x16xf32>) outs(%init : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %1 = linalg.contract indexing_maps = [affine_map<(i, t, n, k) -> (i, t, k)>, affine_map<(i, t, n, k) -> (i, k, n)>,
      affine_map<(i, t, n, k) -> (i, t, n)>]
    ins(%x, %w : tensor<2x4x8xf32>, tensor<2x8x16xf32>) outs(%init : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %2 = linalg.contract indexing_maps = [affine_map<(i, t, n, k) -> (i, t, k)>, affine_map<(i, t, n, k) -> (k, n)>,
      affine_map<(i, t, n, k) -> (i, t, n)>]
    ins(%x, %v : tensor<2x4x8xf32>, tensor<8x16xf32>) outs(%one : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  return %0, %1, %2 : tensor<2x4x16xf32>, tensor<2x4x16xf32>, tensor<2x4x16xf32>
}
