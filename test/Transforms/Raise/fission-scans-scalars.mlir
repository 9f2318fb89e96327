// Reshapes from and to scalars are done for all time steps at once: time is the
// only dimension that counts.
// RUN: itera-opt --ssm-fission-scans --cse %s | FileCheck %s

// CHECK-LABEL: func @scalars
// CHECK: ssm.scan
// CHECK: %[[C:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1]] : tensor<6x1xf32> into tensor<6xf32>
// CHECK: math.exp {{.*}} : tensor<6xf32>
// CHECK: tensor.expand_shape %{{.*}} {{\[\[}}0, 1, 2]] output_shape [1, 1, 6] : tensor<6xf32> into tensor<1x1x6xf32>
func.func @scalars(%x: tensor<6x1xf32>, %h0: tensor<1xf32>) -> (tensor<1xf32>, tensor<6x1x1xf32>) {
  %last, %out = ssm.scan init(%h0 : tensor<1xf32>) sequences(%x : tensor<6x1xf32>) length 6 {
  ^bb0(%h: tensor<1xf32>, %xt: tensor<1xf32>):
    %n = arith.addf %h, %xt : tensor<1xf32>
    %c = tensor.collapse_shape %n [] : tensor<1xf32> into tensor<f32>
    %e = math.exp %c : tensor<f32>
    %y = tensor.expand_shape %e [] output_shape [1, 1] : tensor<f32> into tensor<1x1xf32>
    ssm.yield %n, %y : tensor<1xf32>, tensor<1x1xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<1xf32>, tensor<6x1x1xf32>
  return %last, %out : tensor<1xf32>, tensor<6x1x1xf32>
}
