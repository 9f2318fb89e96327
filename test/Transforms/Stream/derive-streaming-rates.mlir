// Frames that become several, and several that become one. Time is dimension 0
// of x.
// RUN: itera-opt '--ssm-derive-streaming=chunk=4 time-dims=x=0' --canonicalize --cse --split-input-file %s | FileCheck %s

// A reshape from two frames' worth of rows to frames: a burst of two for each
// input, without any state.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: burst = 2 : i64
// CHECK-SAME: latency = 0 : i64
// CHECK-SAME: length = [array<i64: 0, 1, 2>], lookahead = 0 : i64, skip = 0 : i64, stride = 1 : i64
// CHECK-SAME: states = []
// CHECK-LABEL: func @step
// CHECK: tensor.collapse_shape %arg0 {{.*}} : tensor<1x2x3xf32> into tensor<2x3xf32>
// CHECK-LABEL: func @prefill
// CHECK: tensor<4x2x3xf32> into tensor<8x3xf32>
// CHECK-NOT: func @flush
func.func @forward(%x: tensor<8x2x3xf32> {ssm.name = "x"}) -> (tensor<16x3xf32> {ssm.name = "y"}) {
  %c = tensor.collapse_shape %x [[0, 1], [2]] : tensor<8x2x3xf32> into tensor<16x3xf32>
  %y = math.tanh %c : tensor<16x3xf32>
  return %y : tensor<16x3xf32>
}

// -----

// The inverse waits for the second of two frames.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-NOT: burst
// CHECK-SAME: length = [array<i64: 0, 2, 1>], lookahead = 1 : i64, stride = 2 : i64
// CHECK-SAME: states = [{{.*}}name = "x.history", node = "x", type = tensor<2x3xf32>}]
// CHECK-LABEL: func @step
// CHECK: arith.remsi
// CHECK: scf.if
// CHECK: tensor.expand_shape %{{.*}} : tensor<2x3xf32> into tensor<1x2x3xf32>
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<4x2x3xf32> {ssm.name = "y"}) {
  %e = tensor.expand_shape %x [[0, 1], [2]] output_shape [4, 2, 3] : tensor<8x3xf32> into tensor<4x2x3xf32>
  %y = math.tanh %e : tensor<4x2x3xf32>
  return %y : tensor<4x2x3xf32>
}

// -----

// There and back is nothing at all: both are ways to see rows of frames.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-NOT: burst
// CHECK-SAME: lookahead = 0 : i64, {{.*}}stride = 1 : i64
// CHECK-SAME: states = []
func.func @forward(%x: tensor<8x2x3xf32> {ssm.name = "x"}) -> (tensor<8x2x3xf32> {ssm.name = "y"}) {
  %c = tensor.collapse_shape %x [[0, 1], [2]] : tensor<8x2x3xf32> into tensor<16x3xf32>
  %t = math.tanh %c : tensor<16x3xf32>
  %y = tensor.expand_shape %t [[0, 1], [2]] output_shape [8, 2, 3] : tensor<16x3xf32> into tensor<8x2x3xf32>
  return %y : tensor<8x2x3xf32>
}

// -----

// A window that looks one frame ahead within bursts of two: the first burst has
// but its second frame, which comes first in the output's buffer; a sum does not
// see the other.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: burst = 2 : i64
// CHECK-SAME: latency = 1 : i64
// CHECK-SAME: lookahead = 0 : i64, skip = 1 : i64, stride = 1 : i64
// CHECK-LABEL: func @step
// CHECK: arith.addf %{{.*}} : tensor<2x3xf32>
// CHECK: scf.for
// CHECK: ssm.cumsum %{{.*}} dim 0 : tensor<2x3xf32>
// CHECK: bufferization.materialize_in_destination
// CHECK: scf.if
// CHECK: tensor.concat dim(0)
func.func @forward(%x: tensor<8x2x3xf32> {ssm.name = "x"}) -> (tensor<15x3xf32> {ssm.name = "y"}) {
  %c = tensor.collapse_shape %x [[0, 1], [2]] : tensor<8x2x3xf32> into tensor<16x3xf32>
  %a = tensor.extract_slice %c[0, 0] [15, 3] [1, 1] : tensor<16x3xf32> to tensor<15x3xf32>
  %b = tensor.extract_slice %c[1, 0] [15, 3] [1, 1] : tensor<16x3xf32> to tensor<15x3xf32>
  %s = arith.addf %a, %b : tensor<15x3xf32>
  %y = ssm.cumsum %s dim 0 : tensor<15x3xf32>
  return %y : tensor<15x3xf32>
}

// -----

// Every second frame, each twice, beside all frames: they have the same number
// of frames where the model is one, at even lengths.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: burst = 2 : i64
// CHECK-SAME: length = [array<i64: 0, 2, 2>], lookahead = 1 : i64, skip = 0 : i64, stride = 2 : i64
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %h = tensor.expand_shape %x [[0, 1], [2]] output_shape [4, 2, 3] : tensor<8x3xf32> into tensor<4x2x3xf32>
  %m = math.exp %h : tensor<4x2x3xf32>
  %c = tensor.collapse_shape %m [[0, 1], [2]] : tensor<4x2x3xf32> into tensor<8x3xf32>
  %y = arith.addf %c, %x : tensor<8x3xf32>
  return %y : tensor<8x3xf32>
}

// -----

// The first frame, repeated twice in front: at the first position the history
// is made of it. No frame waits for another.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: lookahead = 0 : i64
// CHECK-SAME: warmup = 1 : i64
// CHECK-LABEL: func @step
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %{{.*}}, %c0
// CHECK: scf.if %[[FIRST]]
// CHECK: tensor.concat dim(0) %arg0, %arg0
// CHECK-LABEL: func @prefill
// CHECK-NOT: scf.if
// CHECK-NOT: func @flush
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %i = arith.constant dense<[0, 0, 0, 1, 2, 3, 4, 5, 6, 7]> : tensor<10xi64>
  %p = ssm.gather %x, %i dim 0 : tensor<8x3xf32>, tensor<10xi64> -> tensor<10x3xf32>
  %a = tensor.extract_slice %p[0, 0] [8, 3] [1, 1] : tensor<10x3xf32> to tensor<8x3xf32>
  %b = tensor.extract_slice %p[2, 0] [8, 3] [1, 1] : tensor<10x3xf32> to tensor<8x3xf32>
  %y = arith.addf %a, %b : tensor<8x3xf32>
  return %y : tensor<8x3xf32>
}
