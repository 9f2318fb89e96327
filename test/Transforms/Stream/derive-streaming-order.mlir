// A sum over time is marked in forward, so that its kernel takes the frames in
// their order, as a stream does. Another sum is not.
// RUN: itera-opt --ssm-derive-streaming="chunk=4 time-dims=x=1" %s | FileCheck %s
// RUN: itera-opt --ssm-derive-streaming="chunk=4 time-dims=x=1" --ssm-form-kernels %s | FileCheck --check-prefix=KERNEL %s

// CHECK-LABEL: func.func @forward
// CHECK: linalg.reduce {{.*}} dimensions = [1] {ssm.in_order}
// CHECK: linalg.reduce {{.*}} dimensions = [2]{{ *$}}
// KERNEL-LABEL: module @kernels
// KERNEL: linalg.reduce { arith.addf } ins(%arg0 : tensor<1x8x4xf32>) {{.*}} dimensions = [1] {ssm.in_order}
func.func @forward(%x: tensor<1x8x4xf32> {ssm.name = "x"}) -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<1x8xf32> {ssm.name = "z"}) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x4xf32>
  %f = tensor.empty() : tensor<1x8xf32>
  %m = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4xf32>) -> tensor<1x4xf32>
  %n = linalg.fill ins(%zero : f32) outs(%f : tensor<1x8xf32>) -> tensor<1x8xf32>
  %y = linalg.reduce { arith.addf } ins(%x : tensor<1x8x4xf32>) outs(%m : tensor<1x4xf32>) dimensions = [1]
  %z = linalg.reduce { arith.addf } ins(%x : tensor<1x8x4xf32>) outs(%n : tensor<1x8xf32>) dimensions = [2]
  return %y, %z : tensor<1x4xf32>, tensor<1x8xf32>
}
