// Why a state stays in its scan.
// RUN: itera-opt --ssm-recognize-recurrences --remarks-filter-missed=raise %s 2>&1 >/dev/null | FileCheck %s

// CHECK: state 0 stays in a scan: the state is not multiplied and added to
func.func @nonlinear(%x: tensor<6x4xf32>, %h0: tensor<4xf32>) -> tensor<4xf32> {
  %last = ssm.scan init(%h0 : tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%h: tensor<4xf32>, %xt: tensor<4xf32>):
    %n = arith.addf %h, %xt : tensor<4xf32>
    %t = math.tanh %n : tensor<4xf32>
    ssm.yield %t : tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64>} -> tensor<4xf32>
  return %last : tensor<4xf32>
}

// CHECK: state 0 stays in a scan: all states are used, not only their readout
func.func @all_states(%x: tensor<6x4xf32>, %h0: tensor<4xf32>) -> tensor<6x4xf32> {
  %last, %y = ssm.scan init(%h0 : tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%h: tensor<4xf32>, %xt: tensor<4xf32>):
    %a = math.tanh %xt : tensor<4xf32>
    %m = arith.mulf %h, %a : tensor<4xf32>
    %n = arith.addf %m, %xt : tensor<4xf32>
    ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<6x4xf32>
  return %y : tensor<6x4xf32>
}
