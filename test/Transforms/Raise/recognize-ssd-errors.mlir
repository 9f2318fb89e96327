// Why exponentials of sums are no recurrence.
// RUN: itera-opt --ssm-recognize-ssd --remarks-filter-missed=raise %s 2>&1 >/dev/null | FileCheck %s

// CHECK: exponentials of sums are no recurrence: it computes something else
func.func @something_else(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %q = arith.mulf %u, %p : tensor<16x4xf32>
  return %q : tensor<16x4xf32>
}

// CHECK: exponentials of sums are no recurrence: no value has all of its exponentials
func.func @nothing_follows(%d: tensor<16x4xf32>) -> tensor<16x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %q = math.tanh %p : tensor<16x4xf32>
  return %q : tensor<16x4xf32>
}

// CHECK: exponentials of sums are no recurrence: an input is no sequence over the decay's frames
func.func @other_length(%d: tensor<16x4xf32>, %u: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %c = tensor.extract_slice %p[0, 0] [8, 4] [1, 1] : tensor<16x4xf32> to tensor<8x4xf32>
  %q = arith.mulf %u, %c : tensor<8x4xf32>
  %r = ssm.cumsum %q dim 0 : tensor<8x4xf32>
  return %r : tensor<8x4xf32>
}
