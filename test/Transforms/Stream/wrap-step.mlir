// A step with its states as inputs and outputs is the body of a scan over time.
// RUN: itera-opt --ssm-wrap-step=frames=16 --split-input-file %s | FileCheck %s

// Paired by name, `h_in` and `h_out`. The frame is the dimension of size 1
// behind the batch.
// CHECK-LABEL: func @forward
// CHECK-LABEL: func @sequence
// CHECK-SAME: (%[[X:.*]]: tensor<2x16x4xf32> {ssm.name = "x"}, %[[H:.*]]: tensor<2x4xf32> {ssm.name = "h_in"}) -> (tensor<2x16x4xf32>, tensor<2x4xf32>)
// CHECK: %[[R:.*]]:2 = ssm.scan init(%[[H]] : tensor<2x4xf32>) sequences(%[[X]] : tensor<2x16x4xf32>) length 16 {
// CHECK-NEXT: ^bb0(%[[S:[^:]*]]: tensor<2x4xf32>, %[[XT:[^:]*]]: tensor<2x4xf32>)
// CHECK: tensor.expand_shape %[[XT]] {{.*}} into tensor<2x1x4xf32>
// CHECK: %[[N:.*]] = arith.addf %{{.*}}, %[[S]]
// CHECK: ssm.yield %[[N]], %{{.*}} : tensor<2x4xf32>, tensor<2x4xf32>
// CHECK: } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>}
// CHECK: return %[[R]]#1, %[[R]]#0
func.func @forward(%x: tensor<2x1x4xf32> {ssm.name = "x"}, %h: tensor<2x4xf32> {ssm.name = "h_in"})
    -> (tensor<2x1x4xf32> {ssm.name = "y"}, tensor<2x4xf32> {ssm.name = "h_out"}) {
  %f = tensor.collapse_shape %x [[0], [1, 2]] : tensor<2x1x4xf32> into tensor<2x4xf32>
  %n = arith.addf %f, %h : tensor<2x4xf32>
  %t = math.tanh %n : tensor<2x4xf32>
  %y = tensor.expand_shape %t [[0], [1, 2]] output_shape [2, 1, 4] : tensor<2x4xf32> into tensor<2x1x4xf32>
  return %y, %n : tensor<2x1x4xf32>, tensor<2x4xf32>
}

// -----

// Several states, each with its own: layers are told apart, `conv` from `ssm`.
// Their names may say that they are states at one end only.
// CHECK-LABEL: func @sequence
// CHECK: %[[R:.*]]:5 = ssm.scan init(%arg1, %arg2, %arg3, %arg4 : {{.*}}) sequences(%arg0 : tensor<1x16xi64>)
// CHECK-NEXT: ^bb0(%[[A:[^:]*]]: tensor<3xf32>, %[[B:[^:]*]]: tensor<3xf32>, %[[C:[^:]*]]: tensor<3xf32>, %[[D:[^:]*]]: tensor<3xf32>
// CHECK-DAG: %[[NA:.*]] = math.exp %[[A]]
// CHECK-DAG: %[[NB:.*]] = math.sin %[[B]]
// CHECK-DAG: %[[NC:.*]] = math.cos %[[C]]
// CHECK-DAG: %[[ND:.*]] = math.tanh %[[D]]
// CHECK: ssm.yield %[[NA]], %[[NB]], %[[NC]], %[[ND]], %{{.*}}
// CHECK: return %[[R]]#3, %[[R]]#2, %[[R]]#1, %[[R]]#0, %[[R]]#4
func.func @forward(%x: tensor<1x1xi64> {ssm.name = "token"}, %a: tensor<3xf32> {ssm.name = "past_conv.0"}, %b: tensor<3xf32> {ssm.name = "past_conv.1"},
      %c: tensor<3xf32> {ssm.name = "ssm_state.0"}, %d: tensor<3xf32> {ssm.name = "ssm_state.1"})
    -> (tensor<3xf32> {ssm.name = "new_ssm.1"}, tensor<3xf32> {ssm.name = "new_ssm.0"}, tensor<3xf32> {ssm.name = "present_conv.1"},
        tensor<3xf32> {ssm.name = "present_conv.0"}, tensor<1x1xi64> {ssm.name = "next"}) {
  %na = math.exp %a : tensor<3xf32>
  %nb = math.sin %b : tensor<3xf32>
  %nc = math.cos %c : tensor<3xf32>
  %nd = math.tanh %d : tensor<3xf32>
  %n = arith.addi %x, %x : tensor<1x1xi64>
  return %nd, %nc, %nb, %na, %n : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<1x1xi64>
}

// -----

// Names that say nothing pair nothing.
// CHECK-LABEL: func @forward
// CHECK-NOT: @sequence
func.func @forward(%x: tensor<1x4xf32> {ssm.name = "x"}, %h: tensor<4xf32> {ssm.name = "memory"})
    -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<4xf32> {ssm.name = "result"}) {
  %f = tensor.collapse_shape %x [[0, 1]] : tensor<1x4xf32> into tensor<4xf32>
  %n = arith.addf %f, %h : tensor<4xf32>
  %y = tensor.expand_shape %n [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  return %y, %n : tensor<1x4xf32>, tensor<4xf32>
}

// -----

// Two inputs that one output could be the next value of: none is it. And a
// state of another type is none.
// CHECK-LABEL: func @forward
// CHECK-NOT: @sequence
func.func @forward(%x: tensor<1x4xf32> {ssm.name = "x"}, %h: tensor<4xf32> {ssm.name = "h_in"}, %g: tensor<4xf32> {ssm.name = "past_h"}, %k: tensor<2xf32> {ssm.name = "k_in"})
    -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<4xf32> {ssm.name = "h_out"}, tensor<4xf32> {ssm.name = "k_out"}) {
  %n = arith.addf %h, %g : tensor<4xf32>
  return %x, %n, %n : tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// An output of more than a frame: this is no step.
// CHECK-LABEL: func @forward
// CHECK-NOT: @sequence
func.func @forward(%x: tensor<5x4xf32> {ssm.name = "x"}, %h: tensor<5x4xf32> {ssm.name = "h_in"})
    -> (tensor<5x4xf32> {ssm.name = "y"}, tensor<5x4xf32> {ssm.name = "h_out"}) {
  %n = arith.addf %x, %h : tensor<5x4xf32>
  return %n, %n : tensor<5x4xf32>, tensor<5x4xf32>
}
