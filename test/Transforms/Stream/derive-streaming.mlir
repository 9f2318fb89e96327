// Entries of a stream out of whole sequences: models whose ops say which
// dimension is time.
// RUN: itera-opt --ssm-derive-streaming=chunk=4 --canonicalize --cse --split-input-file %s | FileCheck %s

// A recurrence goes on from its last state. Its first one is a constant, its
// last one an output of the end.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: alignment = 1 : i64, chunk = 4 : i64, flush_frames = 0 : i64
// CHECK-SAME: inputs = [{time_dim = 1 : i64}, {time_dim = 1 : i64}, {time_dim = 1 : i64}]
// CHECK-SAME: lookahead = 0 : i64, stride = 1 : i64, time_dim = 1 : i64}
// CHECK-SAME: time_dim = -1 : i64}]
// CHECK-SAME: states = [{name = "ssm.selective_scan.state", node = "ssm.selective_scan", type = tensor<1x4x2xf32>}], warmup = 0 : i64
// CHECK-LABEL: func @forward
// CHECK-LABEL: func @reset() -> (tensor<1x4x2xf32> {ssm.state = 0 : i64})
// CHECK: %[[H0:.*]] = arith.constant dense<5.000000e-01> : tensor<1x4x2xf32>
// CHECK: return %[[H0]]
// CHECK-LABEL: func @step
// CHECK-SAME: %arg0: tensor<1x1x4xf32> {ssm.input = 0 : i64}, %arg1: tensor<1x1x4xf32> {ssm.input = 1 : i64}, %arg2: tensor<1x1x2xf32> {ssm.input = 2 : i64}
// CHECK-SAME: %[[H:.*]]: tensor<1x4x2xf32> {ssm.state = 0 : i64}, %{{.*}}: tensor<2xi64> {ssm.clock = 0 : i64}
// CHECK: %[[Y:.*]], %[[N:.*]] = ssm.selective_scan x(%arg0) dt(%arg1) {{.*}} init(%[[H]])
// CHECK: return %[[Y]], %[[N]] : tensor<1x1x4xf32>, tensor<1x4x2xf32>
// CHECK-LABEL: func @prefill
// CHECK-SAME: %arg0: tensor<1x4x4xf32> {ssm.input = 0 : i64}
// CHECK: ssm.selective_scan {{.*}} init(%arg3)
// CHECK-NOT: func @flush
// CHECK-LABEL: func @final
// CHECK-SAME: %[[H:[^:]*]]: tensor<1x4x2xf32> {ssm.state = 0 : i64}
// CHECK-SAME: -> (tensor<1x4x2xf32> {ssm.output = 1 : i64})
// CHECK: return %[[H]]
func.func @forward(%x: tensor<1x8x4xf32> {ssm.name = "x"}, %dt: tensor<1x8x4xf32> {ssm.name = "dt"}, %b: tensor<1x8x2xf32> {ssm.name = "b"})
    -> (tensor<1x8x4xf32> {ssm.name = "y"}, tensor<1x4x2xf32> {ssm.name = "last"}) {
  %a = arith.constant dense<-1.0> : tensor<4x2xf32>
  %h0 = arith.constant dense<0.5> : tensor<1x4x2xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%a) B(%b) C(%b) init(%h0)
      : tensor<1x8x4xf32>, tensor<4x2xf32>, tensor<1x8x2xf32>, tensor<1x4x2xf32>
  return %y, %last : tensor<1x8x4xf32>, tensor<1x4x2xf32>
}

// -----

// A convolution keeps the K-1 frames before. Its weight is an input without
// time: begin hands it on.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: inputs = [{batch_dim = 0 : i64, time_dim = 1 : i64}, {time_dim = -1 : i64}]
// CHECK-SAME: states = [{batch_dim = 0 : i64, name = "ssm.causal_conv1d.past", node = "ssm.causal_conv1d", type = tensor<2x3x3xf32>}]
// CHECK-LABEL: func @begin(%arg0: tensor<3x4xf32> {ssm.input = 1 : i64}) -> (tensor<3x4xf32> {ssm.constant = 0 : i64})
// CHECK-LABEL: func @reset
// CHECK: arith.constant dense<0.000000e+00> : tensor<2x3x3xf32>
// CHECK-LABEL: func @step
// CHECK: ssm.causal_conv1d %arg0, %arg1 past(%arg2 : tensor<2x3x3xf32>) silu : tensor<2x1x3xf32>
// CHECK: %[[ALL:.*]] = tensor.concat dim(1) %arg2, %arg0
// CHECK: tensor.extract_slice %[[ALL]][0, 1, 0] [2, 3, 3]
// CHECK-LABEL: func @prefill
// CHECK: ssm.causal_conv1d %arg0, %arg1 past(%arg2 : tensor<2x3x3xf32>) silu : tensor<2x4x3xf32>
// A chunk of 4 frames holds the next 3 frames itself.
// CHECK: tensor.extract_slice %arg0[0, 1, 0] [2, 3, 3]
func.func @forward(%x: tensor<2x8x3xf32> {ssm.name = "x"}, %w: tensor<3x4xf32> {ssm.name = "w"}) -> (tensor<2x8x3xf32> {ssm.name = "y"}) {
  %y = ssm.causal_conv1d %x, %w silu : tensor<2x8x3xf32>, tensor<3x4xf32>
  return %y : tensor<2x8x3xf32>
}

// -----

// Two frames of look-ahead: in the first two positions there is nothing to
// compute, and flush gives the last two frames.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: flush_frames = 2 : i64
// CHECK-SAME: length = [], lookahead = 2 : i64, stride = 1 : i64, time_dim = 2 : i64
// CHECK-SAME: warmup = 2 : i64
// CHECK-LABEL: func @step
// CHECK: %[[T:.*]] = arith.subi %{{.*}}, %c2
// CHECK: %[[READY:.*]] = arith.cmpi sge, %[[T]], %c0
// CHECK: scf.if %[[READY]] -> (tensor<1x2x1xf32>) {
// CHECK: ssm.conv
// CHECK-SAME: pads_low = array<i64: 0>
// CHECK-LABEL: func @prefill
// CHECK-NOT: scf.if
// CHECK: ssm.conv {{.*}} : tensor<1x3x8xf32>, tensor<2x3x5xf32> -> tensor<1x2x4xf32>
// In flush, what comes after the end is padding, and there are no inputs.
// CHECK-LABEL: func @flush
// CHECK-NOT: ssm.input
// CHECK: %[[PAD:.*]] = arith.constant dense<0.000000e+00> : tensor<1x3x1xf32>
// CHECK: %[[LENGTH:.*]] = arith.index_cast
// CHECK: %[[POSITION:.*]] = arith.index_cast
// CHECK: %[[BEHIND:.*]] = arith.cmpi sge, %[[POSITION]], %[[LENGTH]]
// CHECK: arith.select %[[BEHIND]], %[[PAD]]
// CHECK: ssm.conv
func.func @forward(%x: tensor<1x3x8xf32> {ssm.name = "x"}) -> (tensor<1x2x8xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<0.5> : tensor<2x3x5xf32>
  %y = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 2>,
      pads_low = array<i64: 2>, strides = array<i64: 1>} : tensor<1x3x8xf32>, tensor<2x3x5xf32> -> tensor<1x2x8xf32>
  return %y : tensor<1x2x8xf32>
}

// -----

// Every second position has a frame; a chunk is a multiple of that; the number
// of frames of T inputs is floor(T / 2).
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: alignment = 2 : i64, chunk = 4 : i64, flush_frames = 1 : i64
// CHECK-SAME: length = [array<i64: 0, 2, 1>], lookahead = 2 : i64, stride = 2 : i64
// CHECK-SAME: warmup = 2 : i64
// CHECK-LABEL: func @step
// CHECK: %[[R:.*]] = arith.remsi %{{.*}}, %c2
// CHECK: arith.cmpi eq, %[[R]], %c0
// CHECK: scf.if
// CHECK: ssm.conv
// CHECK: math.tanh
// CHECK: else
// CHECK-LABEL: func @prefill
// CHECK: ssm.conv {{.*}} -> tensor<1x3x2xf32>
func.func @forward(%x: tensor<1x3x8xf32> {ssm.name = "x"}) -> (tensor<1x3x4xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<0.5> : tensor<3x3x4xf32>
  %c = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 1>,
      pads_low = array<i64: 1>, strides = array<i64: 2>} : tensor<1x3x8xf32>, tensor<3x3x4xf32> -> tensor<1x3x4xf32>
  %y = math.tanh %c : tensor<1x3x4xf32>
  return %y : tensor<1x3x4xf32>
}

// -----

// A skip connection waits for the other branch. In flush the input gets no
// frames: which one is wanted depends on the position.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{name = "x.history", node = "x", type = tensor<1x3x3xf32>}
// CHECK-LABEL: func @step
// CHECK: scf.if
// CHECK: tensor.extract_slice %{{.*}}[0, 0, 0] [1, 3, 1]
// CHECK: arith.addf
// CHECK-LABEL: func @flush
// CHECK: %[[PLACE:.*]] = arith.minsi %{{.*}}, %c2
// CHECK: tensor.extract_slice %{{.*}}[0, 0, %[[PLACE]]] [1, 3, 1]
// CHECK: arith.addf
func.func @forward(%x: tensor<1x3x8xf32> {ssm.name = "x"}) -> (tensor<1x3x8xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<0.5> : tensor<3x3x5xf32>
  %c = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 2>,
      pads_low = array<i64: 2>, strides = array<i64: 1>} : tensor<1x3x8xf32>, tensor<3x3x5xf32> -> tensor<1x3x8xf32>
  %y = arith.addf %x, %c : tensor<1x3x8xf32>
  return %y : tensor<1x3x8xf32>
}

// -----

// The sum so far is a frame in front: the order of additions is that of one
// sum. An exclusive sum is cut one frame earlier.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{name = "ssm.cumsum.sum", {{.*}}}, {name = "ssm.cumsum.sum.1"
// CHECK-LABEL: func @prefill
// CHECK: %[[A:.*]] = tensor.concat dim(0) %arg1, %arg0
// CHECK: %[[S:.*]] = ssm.cumsum %[[A]] dim 0 : tensor<5x3xf32>
// CHECK: %[[SN:.*]] = tensor.extract_slice %[[S]][4, 0] [1, 3]
// CHECK: %[[SY:.*]] = tensor.extract_slice %[[S]][1, 0] [4, 3]
// CHECK: %[[B:.*]] = tensor.concat dim(0) %arg2, %arg0
// CHECK: %[[E:.*]] = ssm.cumsum %[[B]] dim 0 : tensor<5x3xf32>
// CHECK: %[[EN:.*]] = tensor.extract_slice %[[E]][4, 0] [1, 3]
// CHECK: %[[EY:.*]] = tensor.extract_slice %[[E]][0, 0] [4, 3]
// CHECK: return %[[SY]], %[[EY]], %[[SN]], %[[EN]]
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}, tensor<8x3xf32> {ssm.name = "z"}) {
  %y = ssm.cumsum %x dim 0 : tensor<8x3xf32>
  %z = ssm.cumsum %x dim 0 exclusive : tensor<8x3xf32>
  return %y, %z : tensor<8x3xf32>, tensor<8x3xf32>
}

// -----

// A scan that is no recurrence with a name of its own.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{name = "ssm.scan.state", node = "ssm.scan", type = tensor<3xf32>}]
// CHECK-LABEL: func @prefill
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg1 : tensor<3xf32>) sequences(%arg0 : tensor<4x3xf32>) length 4
// CHECK: return %[[R]]#1, %[[R]]#0 : tensor<4x3xf32>, tensor<3xf32>
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %h0 = arith.constant dense<1.0> : tensor<3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<3xf32>) sequences(%x : tensor<8x3xf32>) length 8 {
  ^bb0(%h: tensor<3xf32>, %xt: tensor<3xf32>):
    %n = arith.addf %h, %xt : tensor<3xf32>
    %t = math.tanh %n : tensor<3xf32>
    ssm.yield %t, %t : tensor<3xf32>, tensor<3xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<3xf32>, tensor<8x3xf32>
  return %y : tensor<8x3xf32>
}
