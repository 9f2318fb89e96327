// A weight that is not finite is named and refused.
// RUN: itera-opt --ssm-quantize-weights --verify-diagnostics --split-input-file %s
// RUN: not itera-opt --ssm-quantize-weights=search=best %s 2>&1 | FileCheck %s
// CHECK: expected a search of mse, max or absmax, but got 'best'

func.func @nan(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  // expected-error @below {{cannot be stored in fewer bits: weight 'in_proj' is NaN at [1, 0]; --precision=in_proj=f32 keeps it}}
  %w = ssm.weight "in_proj" dense<[[1.0, 2.0], [0x7FC00000, 3.0]]>
    : tensor<2x2xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

func.func @infinite(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  // expected-error @below {{weight 'head' is infinite at [0, 1]}}
  %w = ssm.weight "head" dense<[[1.0, 0xFF800000], [2.0, 3.0]]>
    : tensor<2x2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

func.func @rank(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  // expected-error @below {{expected a weight [N, K] of f32}}
  %w = ssm.weight "w" dense<1.0>
    : tensor<1x2x2xf32> {ssm.precision = #ssm.precision<storage = i8>}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<1x2x2xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

func.func @vector(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @below {{cannot be stored in fewer bits: weight 'conv.bias' is infinite at [1]}}
  %b = ssm.weight "conv.bias" dense<[1.0, 0xFF800000]>
    : tensor<2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %y = arith.addf %x, %b : tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----

func.func @integers(%x: tensor<2xi64>) -> tensor<2xi64> {
  // expected-error @below {{expected a weight of f32 for precision f16, but got 'tensor<2xi64>'}}
  %b = ssm.weight "rows" dense<[1, 2]>
    : tensor<2xi64> {ssm.precision = #ssm.precision<storage = f16>}
  %y = arith.addi %x, %b : tensor<2xi64>
  return %y : tensor<2xi64>
}
