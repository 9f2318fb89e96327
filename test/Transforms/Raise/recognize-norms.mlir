// RUN: itera-opt --ssm-recognize-norms --split-input-file %s | FileCheck %s

// A layer norm as exporters write it: the mean is expanded to a unit
// dimension, the square is a power, scale and bias are weights.
// CHECK-LABEL: func @layer
func.func @layer(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
  // CHECK-DAG: %[[S:.*]] = ssm.weight "scale"
  // CHECK-DAG: %[[B:.*]] = ssm.weight "bias"
  %scale = ssm.weight "scale" dense_resource<scale> : tensor<8xf32>
  %bias = ssm.weight "bias" dense_resource<bias> : tensor<8xf32>
  %zero = arith.constant 0.0 : f32
  %count = arith.constant dense<8.0> : tensor<1x4xf32>
  %eps = arith.constant dense<1.0e-5> : tensor<1x4x1xf32>
  %two = arith.constant dense<2.0> : tensor<1x4x8xf32>
  %r = tensor.empty() : tensor<1x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%r : tensor<1x4xf32>) -> tensor<1x4xf32>
  %e = tensor.empty() : tensor<1x4x8xf32>
  %sum = linalg.reduce { arith.addf } ins(%x : tensor<1x4x8xf32>) outs(%init : tensor<1x4xf32>) dimensions = [2]
  %mean = arith.divf %sum, %count : tensor<1x4xf32>
  %meanb = linalg.broadcast ins(%mean : tensor<1x4xf32>) outs(%e : tensor<1x4x8xf32>) dimensions = [2]
  %d = arith.subf %x, %meanb : tensor<1x4x8xf32>
  %sq = math.powf %d, %two : tensor<1x4x8xf32>
  %sqsum = linalg.reduce { arith.addf } ins(%sq : tensor<1x4x8xf32>) outs(%init : tensor<1x4xf32>) dimensions = [2]
  %var = arith.divf %sqsum, %count : tensor<1x4xf32>
  %vare = tensor.expand_shape %var [[0], [1, 2]] output_shape [1, 4, 1] : tensor<1x4xf32> into tensor<1x4x1xf32>
  %safe = arith.addf %vare, %eps : tensor<1x4x1xf32>
  %std = math.sqrt %safe : tensor<1x4x1xf32>
  %stdc = tensor.collapse_shape %std [[0], [1, 2]] : tensor<1x4x1xf32> into tensor<1x4xf32>
  %stdb = linalg.broadcast ins(%stdc : tensor<1x4xf32>) outs(%e : tensor<1x4x8xf32>) dimensions = [2]
  %n = arith.divf %d, %stdb : tensor<1x4x8xf32>
  %scaleb = linalg.broadcast ins(%scale : tensor<8xf32>) outs(%e : tensor<1x4x8xf32>) dimensions = [0, 1]
  %ns = arith.mulf %n, %scaleb : tensor<1x4x8xf32>
  %biasb = linalg.broadcast ins(%bias : tensor<8xf32>) outs(%e : tensor<1x4x8xf32>) dimensions = [0, 1]
  // CHECK-NEXT: %[[Y:.*]] = ssm.norm layer %arg0 scale(%[[S]] : tensor<8xf32>) bias(%[[B]] : tensor<8xf32>) epsilon 9.99999974E-6
  // CHECK-NEXT: return %[[Y]]
  %y = arith.addf %ns, %biasb : tensor<1x4x8xf32>
  return %y : tensor<1x4x8xf32>
}

// -----

// An RMS norm by a reciprocal root, with the scale on the left, a splat.
// CHECK-LABEL: func @rms
func.func @rms(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %init = arith.constant dense<0.0> : tensor<4xf32>
  %count = arith.constant dense<0.125> : tensor<4xf32>
  %eps = arith.constant dense<1.0e-6> : tensor<4xf32>
  %scale = arith.constant dense<0.5> : tensor<4x8xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %sq = arith.mulf %x, %x : tensor<4x8xf32>
  %sum = linalg.reduce { arith.addf } ins(%sq : tensor<4x8xf32>) outs(%init : tensor<4xf32>) dimensions = [1]
  %mean = arith.mulf %sum, %count : tensor<4xf32>
  %safe = arith.addf %eps, %mean : tensor<4xf32>
  %inv = math.rsqrt %safe : tensor<4xf32>
  %invb = linalg.broadcast ins(%inv : tensor<4xf32>) outs(%e : tensor<4x8xf32>) dimensions = [1]
  %n = arith.mulf %invb, %x : tensor<4x8xf32>
  // CHECK: %[[S:.*]] = arith.constant dense<5.000000e-01> : tensor<8xf32>
  // CHECK-NEXT: ssm.norm rms %arg0 scale(%[[S]] : tensor<8xf32>) epsilon 9.99999997E-7
  // CHECK-NEXT: return
  %y = arith.mulf %scale, %n : tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// The reciprocal as 1 / sqrt; what follows is a gate, which stays.
// CHECK-LABEL: func @rms_then_gate
func.func @rms_then_gate(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %init = arith.constant dense<0.0> : tensor<4xf32>
  %count = arith.constant dense<8.0> : tensor<4xf32>
  %one = arith.constant dense<1.0> : tensor<4x1xf32>
  %eps = arith.constant dense<1.0e-6> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x8xf32>
  %sq = arith.mulf %x, %x : tensor<4x8xf32>
  %sum = linalg.reduce { arith.addf } ins(%sq : tensor<4x8xf32>) outs(%init : tensor<4xf32>) dimensions = [1]
  %mean = arith.divf %sum, %count : tensor<4xf32>
  %safe = arith.addf %mean, %eps : tensor<4xf32>
  %std = math.sqrt %safe : tensor<4xf32>
  %stde = tensor.expand_shape %std [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
  %inv = arith.divf %one, %stde : tensor<4x1xf32>
  %invc = tensor.collapse_shape %inv [[0, 1]] : tensor<4x1xf32> into tensor<4xf32>
  %invb = linalg.broadcast ins(%invc : tensor<4xf32>) outs(%e : tensor<4x8xf32>) dimensions = [1]
  // CHECK: %[[N:.*]] = ssm.norm rms %arg0 epsilon
  // CHECK-NEXT: arith.mulf %[[N]], %arg1
  %n = arith.mulf %x, %invb : tensor<4x8xf32>
  %y = arith.mulf %n, %z : tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Near misses: the count is not the dimension's size; the sum of another
// value's squares; a mean over the first dimension.
// CHECK-LABEL: func @no_norm
// CHECK-NOT: ssm.norm
func.func @no_norm(%x: tensor<8x8xf32>, %z: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) {
  %init = arith.constant dense<0.0> : tensor<8xf32>
  %count = arith.constant dense<8.0> : tensor<8xf32>
  %wrong = arith.constant dense<7.0> : tensor<8xf32>
  %eps = arith.constant dense<1.0e-6> : tensor<8xf32>
  %e = tensor.empty() : tensor<8x8xf32>
  %sq = arith.mulf %x, %x : tensor<8x8xf32>
  %sum = linalg.reduce { arith.addf } ins(%sq : tensor<8x8xf32>) outs(%init : tensor<8xf32>) dimensions = [1]
  %m0 = arith.divf %sum, %wrong : tensor<8xf32>
  %s0 = arith.addf %m0, %eps : tensor<8xf32>
  %r0 = math.rsqrt %s0 : tensor<8xf32>
  %b0 = linalg.broadcast ins(%r0 : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [1]
  %0 = arith.mulf %x, %b0 : tensor<8x8xf32>
  %m1 = arith.divf %sum, %count : tensor<8xf32>
  %s1 = arith.addf %m1, %eps : tensor<8xf32>
  %r1 = math.rsqrt %s1 : tensor<8xf32>
  %b1 = linalg.broadcast ins(%r1 : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [1]
  %1 = arith.mulf %z, %b1 : tensor<8x8xf32>
  %sum2 = linalg.reduce { arith.addf } ins(%sq : tensor<8x8xf32>) outs(%init : tensor<8xf32>) dimensions = [0]
  %m2 = arith.divf %sum2, %count : tensor<8xf32>
  %s2 = arith.addf %m2, %eps : tensor<8xf32>
  %r2 = math.rsqrt %s2 : tensor<8xf32>
  %b2 = linalg.broadcast ins(%r2 : tensor<8xf32>) outs(%e : tensor<8x8xf32>) dimensions = [0]
  %2 = arith.mulf %x, %b2 : tensor<8x8xf32>
  return %0, %1, %2 : tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>
}
