// Where names say nothing, the user pairs the states.
// RUN: itera-opt '--ssm-wrap-step=frames=16 states=memory=result' %s | FileCheck %s

// CHECK-LABEL: func @sequence
// CHECK: ssm.scan init(%arg1 : tensor<4xf32>) sequences(%arg0 : tensor<16x4xf32>) length 16 {
// CHECK: } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>}
func.func @forward(%x: tensor<1x4xf32> {ssm.name = "x"}, %h: tensor<4xf32> {ssm.name = "memory"})
    -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<4xf32> {ssm.name = "result"}) {
  %f = tensor.collapse_shape %x [[0, 1]] : tensor<1x4xf32> into tensor<4xf32>
  %n = arith.addf %f, %h : tensor<4xf32>
  %y = tensor.expand_shape %n [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  return %y, %n : tensor<1x4xf32>, tensor<4xf32>
}
