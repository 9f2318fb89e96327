// Results of nodes become outputs behind those of the model, which stay what
// they are.
// RUN: itera-opt --ssm-tap-values=nodes=all --split-input-file --mlir-print-debuginfo %s | FileCheck %s

// A node is the last op with its name; ops without one have their own, with a
// number. What depends on no input is left out.
// CHECK-LABEL: func @forward
// CHECK-SAME: tensor<4xf32> {ssm.name = "y"}, tensor<4xf32> {ssm.name = "tap:Exp_0", ssm.node = "Exp_0"}, tensor<4xf32> {ssm.name = "tap:math.tanh", ssm.node = "math.tanh"}, tensor<4xf32> {ssm.name = "tap:math.tanh#2", ssm.node = "math.tanh#2"})
// CHECK: %[[C:.*]] = math.sqrt %{{cst.*}} :
// CHECK: %[[A:.*]] = math.exp %arg0
// CHECK: %[[B:.*]] = math.absf %[[A]]
// CHECK: %[[T:.*]] = math.tanh %[[B]]
// CHECK: %[[Y:.*]] = math.tanh %[[T]]
// CHECK: return %[[Y]], %[[B]], %[[T]], %[[Y]] :
func.func @forward(%x: tensor<4xf32> {ssm.name = "x"}) -> (tensor<4xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<2.0> : tensor<4xf32>
  %c = math.sqrt %w : tensor<4xf32> loc("Sqrt_0")
  %a = math.exp %x : tensor<4xf32> loc("Exp_0")
  %b = math.absf %a : tensor<4xf32> loc("Exp_0")
  %t = math.tanh %b : tensor<4xf32>
  %y = math.tanh %t : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// Of a model that streams, a value whose time is a part of a dimension, which
// has others outside of time, is no output; one that is known at the end is.
// CHECK-LABEL: func @forward
// CHECK-SAME: tensor<2x8xf32> {ssm.name = "y"}
// CHECK-SAME: {ssm.name = "tap:scan", ssm.node = "scan"}, tensor<2xf32> {ssm.name = "tap:scan:1", ssm.node = "scan"}
// CHECK-NOT: tap:flat
// CHECK-SAME: {ssm.name = "tap:back", ssm.node = "back"})
func.func @forward(%x: tensor<2x8xf32> {ssm.name = "x"}, %a: tensor<2x8xf32> {ssm.name = "a"})
    -> (tensor<2x8xf32> {ssm.name = "y"}) {
  %zero = arith.constant dense<0.0> : tensor<2xf32>
  %h, %last = ssm.linear_recurrence %a, %x, %zero dim 1 : tensor<2x8xf32>, tensor<2xf32> loc("scan")
  %f = tensor.collapse_shape %h [[0, 1]] : tensor<2x8xf32> into tensor<16xf32> loc("flat")
  %e = tensor.expand_shape %f [[0, 1]] output_shape [2, 8] : tensor<16xf32> into tensor<2x8xf32> loc("back")
  return %e : tensor<2x8xf32>
}

// -----

// Of a step, a value without a dimension of size 1 for time is none.
// CHECK-LABEL: func @forward
// CHECK-SAME: tensor<1x4xf32> {ssm.name = "tap:sum", ssm.node = "sum"}, tensor<1x4xf32> {ssm.name = "tap:tanh", ssm.node = "tanh"})
func.func @forward(%x: tensor<1x4xf32> {ssm.name = "x"}, %h: tensor<1x4xf32> {ssm.name = "h_in"})
    -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<1x4xf32> {ssm.name = "h_out"}) {
  %n = arith.addf %x, %h : tensor<1x4xf32> loc("sum")
  %s = tensor.collapse_shape %n [[0, 1]] : tensor<1x4xf32> into tensor<4xf32> loc("squeeze")
  %y = math.tanh %n : tensor<1x4xf32> loc("tanh")
  return %y, %n : tensor<1x4xf32>, tensor<1x4xf32>
}
