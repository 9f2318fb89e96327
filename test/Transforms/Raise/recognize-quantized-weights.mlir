// RUN: itera-opt --ssm-recognize-quantized-weights --split-input-file %s | FileCheck %s

// Blocks of eight along K, each with a scale and a zero point, transposed on
// the way: unsigned nibbles become signed ones.
// CHECK-LABEL: func @blocks
func.func @blocks(%x: tensor<4x16xf32>) -> tensor<4x2xf32> {
  // CHECK-DAG: %[[W:.*]] = arith.constant dense<{{\[\[}}-8, 7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7],
  // CHECK-DAG: %[[S:.*]] = arith.constant dense<{{\[\[}}1.000000e+00, 3.000000e+00], [2.000000e+00, 4.000000e+00]]> : tensor<2x2xf32>
  // CHECK-DAG: %[[Z:.*]] = arith.constant dense<{{\[\[}}-1, 0], [7, -8]]> : tensor<2x2xi8>
  // CHECK: ssm.linear %arg0, %[[W]] scales(%[[S]] : tensor<2x2xf32>) zero_points(%[[Z]] : tensor<2x2xi8>) group 8 : tensor<4x16xf32>, tensor<2x16xi4> -> tensor<4x2xf32>
  %q = arith.constant dense<[[0, 1], [15, 1], [2, 1], [3, 1], [4, 1], [5, 1], [6, 1], [7, 1], [8, 2], [9, 2], [10, 2], [11, 2], [12, 2], [13, 2], [14, 2], [15, 2]]> : tensor<16x2xi8>
  %z = arith.constant dense<[[7, 15], [8, 0]]> : tensor<2x2xi8>
  %s = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %f = arith.uitofp %q : tensor<16x2xi8> to tensor<16x2xf32>
  %zf = arith.uitofp %z : tensor<2x2xi8> to tensor<2x2xf32>
  %e = tensor.empty() : tensor<2x8x2xf32>
  %zb = linalg.broadcast ins(%zf : tensor<2x2xf32>) outs(%e : tensor<2x8x2xf32>) dimensions = [1]
  %sb = linalg.broadcast ins(%s : tensor<2x2xf32>) outs(%e : tensor<2x8x2xf32>) dimensions = [1]
  %zw = tensor.collapse_shape %zb [[0, 1], [2]] : tensor<2x8x2xf32> into tensor<16x2xf32>
  %sw = tensor.collapse_shape %sb [[0, 1], [2]] : tensor<2x8x2xf32> into tensor<16x2xf32>
  %d = arith.subf %f, %zw : tensor<16x2xf32>
  %w = arith.mulf %sw, %d : tensor<16x2xf32>
  %i = tensor.empty() : tensor<2x16xf32>
  %t = linalg.transpose ins(%w : tensor<16x2xf32>) outs(%i : tensor<2x16xf32>) permutation = [1, 0]
  %y = ssm.linear %x, %t : tensor<4x16xf32>, tensor<2x16xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// One scale for all, eight bits, no zero points, a bias: one group a row.
// CHECK-LABEL: func @one_scale
func.func @one_scale(%x: tensor<4x3xf32>, %b: tensor<2xf32>) -> tensor<4x2xf32> {
  // CHECK-DAG: %[[W:.*]] = arith.constant dense<{{\[\[}}-128, 127, 0], [1, 2, 3]]> : tensor<2x3xi8>
  // CHECK-DAG: %[[S:.*]] = arith.constant dense<5.000000e-01> : tensor<2x1xf32>
  // CHECK: ssm.linear %arg0, %[[W]] scales(%[[S]] : tensor<2x1xf32>) bias(%arg1 : tensor<2xf32>) : tensor<4x3xf32>
  %q = arith.constant dense<[[-128, 127, 0], [1, 2, 3]]> : tensor<2x3xi8>
  %s = arith.constant dense<0.5> : tensor<2x3xf32>
  %f = arith.sitofp %q : tensor<2x3xi8> to tensor<2x3xf32>
  %w = arith.mulf %f, %s : tensor<2x3xf32>
  %y = ssm.linear %x, %w bias(%b : tensor<2xf32>) : tensor<4x3xf32>, tensor<2x3xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A zero point that is subtracted as an integer; a weight of two uses is
// stored once, for the rows of a table too.
// CHECK-LABEL: func @shared
func.func @shared(%x: tensor<4x2xf32>, %ids: tensor<3xi64>) -> (tensor<4x2xf32>, tensor<3x2xf32>) {
  // CHECK-DAG: %[[W:.*]] = arith.constant dense<{{\[\[}}72, 127], [-128, -127]]> : tensor<2x2xi8>
  // CHECK-DAG: %[[Z:.*]] = arith.constant dense<-28> : tensor<2x1xi8>
  // CHECK-DAG: %[[S:.*]] = arith.constant dense<2.500000e-01> : tensor<2x1xf32>
  // CHECK: ssm.linear %arg0, %[[W]] scales(%[[S]] : tensor<2x1xf32>) zero_points(%[[Z]] : tensor<2x1xi8>) :
  // CHECK: ssm.embedding %arg1, %[[W]] scales(%[[S]] : tensor<2x1xf32>) zero_points(%[[Z]] : tensor<2x1xi8>) :
  // CHECK-NOT: sitofp
  %q = arith.constant dense<[[200, 255], [0, 1]]> : tensor<2x2xi8>
  %z = arith.constant dense<100> : tensor<2x2xi32>
  %s = arith.constant dense<0.25> : tensor<2x2xf32>
  %wide = arith.extui %q : tensor<2x2xi8> to tensor<2x2xi32>
  %d = arith.subi %wide, %z : tensor<2x2xi32>
  %f = arith.sitofp %d : tensor<2x2xi32> to tensor<2x2xf32>
  %w = arith.mulf %f, %s : tensor<2x2xf32>
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %r = ssm.embedding %ids, %w : tensor<3xi64>, tensor<2x2xf32> -> tensor<3x2xf32>
  return %y, %r : tensor<4x2xf32>, tensor<3x2xf32>
}

// -----

// What a layer cannot store, or would round in another way, stays: scales along
// K, a zero point between the integers, a zero point after the scale, integers
// of more than eight bits, a scale that is not finite, activations of 16 bits.
// CHECK-LABEL: func @others
// CHECK-NOT: scales(
func.func @others(%x: tensor<4x2xf32>, %h: tensor<4x2xf16>) -> (tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf16>) {
  %q = arith.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xi16>
  %f = arith.sitofp %q : tensor<2x2xi16> to tensor<2x2xf32>
  %along = arith.constant dense<[[0.5, 0.25], [0.5, 0.25]]> : tensor<2x2xf32>
  %half = arith.constant dense<0.5> : tensor<2x2xf32>
  %w0 = arith.mulf %f, %along : tensor<2x2xf32>
  %d1 = arith.subf %f, %half : tensor<2x2xf32>
  %w1 = arith.mulf %d1, %half : tensor<2x2xf32>
  %d2 = arith.mulf %f, %half : tensor<2x2xf32>
  %two = arith.constant dense<2.0> : tensor<2x2xf32>
  %w2 = arith.subf %d2, %two : tensor<2x2xf32>
  %large = arith.constant dense<[[1, 256], [3, 4]]> : tensor<2x2xi16>
  %f3 = arith.sitofp %large : tensor<2x2xi16> to tensor<2x2xf32>
  %w3 = arith.mulf %f3, %half : tensor<2x2xf32>
  %inf = arith.constant dense<0x7F800000> : tensor<2x2xf32>
  %w4 = arith.mulf %f, %inf : tensor<2x2xf32>
  %f5 = arith.sitofp %q : tensor<2x2xi16> to tensor<2x2xf16>
  %s5 = arith.constant dense<0.5> : tensor<2x2xf16>
  %w5 = arith.mulf %f5, %s5 : tensor<2x2xf16>
  %y0 = ssm.linear %x, %w0 : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %y1 = ssm.linear %x, %w1 : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %y2 = ssm.linear %x, %w2 : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %y3 = ssm.linear %x, %w3 : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %y4 = ssm.linear %x, %w4 : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  %y5 = ssm.linear %h, %w5 : tensor<4x2xf16>, tensor<2x2xf16> -> tensor<4x2xf16>
  return %y0, %y1, %y2, %y3, %y4, %y5 : tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf32>, tensor<4x2xf16>
}
