// Where two values meet, of which one is known later, the other waits where it
// is narrowest. Time is dimension 0 of x.
// RUN: itera-opt '--ssm-derive-streaming=chunk=4 time-dims=x=0' --canonicalize --cse --split-input-file %s | FileCheck %s

// Two ops up: through one that is as wide, to the four channels that it is made
// of, although the last of the three is wider than what it is made of.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: adds = [{frames = 2 : i64, node = "tensor.extract_slice"}], length = [array<i64: -2, 1, 1>], lookahead = 2 : i64
// CHECK-SAME: states = [{name = "x.history", {{.*}} type = tensor<3x4xf32>}]
// CHECK-LABEL: func @step
// CHECK: scf.if
// CHECK: ssm.linear
// CHECK: ssm.linear
func.func @forward(%x: tensor<8x4xf32> {ssm.name = "x"}, %w: tensor<16x4xf32> {ssm.name = "w"}, %v: tensor<8x16xf32> {ssm.name = "v"})
    -> (tensor<6x8xf32> {ssm.name = "y"}) {
  %s = tensor.extract_slice %x[2, 0] [6, 1] [1, 1] : tensor<8x4xf32> to tensor<6x1xf32>
  %e = tensor.empty() : tensor<6x8xf32>
  %c = tensor.collapse_shape %s [[0, 1]] : tensor<6x1xf32> into tensor<6xf32>
  %late = linalg.broadcast ins(%c : tensor<6xf32>) outs(%e : tensor<6x8xf32>) dimensions = [1]
  %p = ssm.linear %x, %w : tensor<8x4xf32>, tensor<16x4xf32> -> tensor<8x16xf32>
  %q = ssm.silu %p : tensor<8x16xf32>
  %r = ssm.linear %q, %v : tensor<8x16xf32>, tensor<8x16xf32> -> tensor<8x8xf32>
  %early = tensor.extract_slice %r[0, 0] [6, 8] [1, 1] : tensor<8x8xf32> to tensor<6x8xf32>
  %y = arith.addf %late, %early : tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// -----

// A result that is narrower than what it is made of waits itself.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: {name = "ssm.linear.history", {{.*}} type = tensor<3x1xf32>}]
func.func @forward(%x: tensor<8x4xf32> {ssm.name = "x"}, %w: tensor<1x4xf32> {ssm.name = "w"})
    -> (tensor<6x1xf32> {ssm.name = "y"}) {
  %s = tensor.extract_slice %x[2, 0] [6, 1] [1, 1] : tensor<8x4xf32> to tensor<6x1xf32>
  %p = ssm.linear %x, %w : tensor<8x4xf32>, tensor<1x4xf32> -> tensor<8x1xf32>
  %early = tensor.extract_slice %p[0, 0] [6, 1] [1, 1] : tensor<8x1xf32> to tensor<6x1xf32>
  %y = arith.addf %s, %early : tensor<6x1xf32>
  return %y : tensor<6x1xf32>
}

// -----

// What runs at the same positions is put together, whatever its order was: two
// waits, one region. A region would keep its result for the other.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{name = "x.history", {{.*}} type = tensor<1x4xf32>}]
// CHECK-LABEL: func @step
// CHECK: math.tanh
// CHECK: math.sin
// CHECK: scf.if
// CHECK: math.exp
// CHECK: math.cos
// CHECK: arith.addf
// CHECK-LABEL: func @prefill
func.func @forward(%x: tensor<8x4xf32> {ssm.name = "x"}) -> (tensor<8x4xf32> {ssm.name = "a"}, tensor<7x4xf32> {ssm.name = "y"}) {
  %t = math.tanh %x : tensor<8x4xf32>
  %s = tensor.extract_slice %x[1, 0] [7, 4] [1, 1] : tensor<8x4xf32> to tensor<7x4xf32>
  %e = math.exp %s : tensor<7x4xf32>
  %u = math.sin %t : tensor<8x4xf32>
  %c = math.cos %e : tensor<7x4xf32>
  %y = arith.addf %c, %e : tensor<7x4xf32>
  return %u, %y : tensor<8x4xf32>, tensor<7x4xf32>
}
