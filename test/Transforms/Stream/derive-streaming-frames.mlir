// Frames that a model adds and leaves out, what is known at the end only, and
// what has no time. Time is dimension 0 of x.
// RUN: itera-opt '--ssm-derive-streaming=chunk=4 time-dims=x=0' --canonicalize --cse --split-input-file %s | FileCheck %s

// A shift: two frames of padding in front, which are known before the first
// input is, so the delay line begins with them. Nothing of the end is padded:
// there is no flush.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: flush_frames = 0 : i64
// CHECK-SAME: lookahead = 0 : i64
// CHECK-LABEL: func @reset
// CHECK: arith.constant dense<7.000000e+00>
// CHECK-LABEL: func @step
// CHECK-NOT: scf.if
// CHECK: arith.addf %{{.*}}, %arg0 : tensor<1x3xf32>
// CHECK-NOT: func @flush
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %v = arith.constant 7.0 : f32
  %p = tensor.pad %x low[2, 0] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %v : f32
  } : tensor<8x3xf32> to tensor<10x3xf32>
  %s = tensor.extract_slice %p[0, 0] [8, 3] [1, 1] : tensor<10x3xf32> to tensor<8x3xf32>
  %y = arith.addf %s, %x : tensor<8x3xf32>
  return %y : tensor<8x3xf32>
}

// -----

// Constant frames in front and behind. An output has no more frames than there
// were inputs until the end, where flush gives the rest.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: flush_frames = 3 : i64
// CHECK-SAME: length = [array<i64: 3, 1, 1>], lookahead = 0 : i64
// CHECK-LABEL: func @reset
// CHECK: dense<{{\[\[}}0.761594176, 0.964027583, 0.995054781], [0.999329328
// CHECK-LABEL: func @step
// CHECK-NOT: scf.if
// CHECK-LABEL: func @flush
// CHECK: arith.constant dense<9.000000e+00> : tensor<1x3xf32>
// CHECK: scf.if
// CHECK: arith.select
// CHECK: math.tanh
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<11x3xf32> {ssm.name = "y"}) {
  %front = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %back = arith.constant dense<9.0> : tensor<1x3xf32>
  %c = tensor.concat dim(0) %front, %x, %back : (tensor<2x3xf32>, tensor<8x3xf32>, tensor<1x3xf32>) -> tensor<11x3xf32>
  %y = math.tanh %c : tensor<11x3xf32>
  return %y : tensor<11x3xf32>
}

// -----

// Cropped on both sides: the frames behind cannot be told from the end of a
// longer stream, so the output waits for them.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: length = [array<i64: -3, 1, 1>], lookahead = 3 : i64
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<5x3xf32> {ssm.name = "y"}) {
  %s = tensor.extract_slice %x[1, 0] [5, 3] [1, 1] : tensor<8x3xf32> to tensor<5x3xf32>
  %y = math.tanh %s : tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}

// -----

// The last frames: a history, read at the end.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: outputs = [{{.*}}time_dim = -1 : i64}, {{.*}}time_dim = -1 : i64}]
// CHECK-SAME: states = [{name = "x.history", node = "x", type = tensor<2x3xf32>}]
// CHECK-LABEL: func @step
// CHECK-NOT: math.exp
// CHECK-LABEL: func @final
// CHECK-SAME: %[[TAIL:[^:]*]]: tensor<2x3xf32> {ssm.state = 0 : i64}
// CHECK: math.exp %[[TAIL]]
// CHECK: tensor.extract_slice %[[TAIL]][1, 0] [1, 3]
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<2x3xf32> {ssm.name = "tail"}, tensor<3xf32> {ssm.name = "last"}) {
  %t = tensor.extract_slice %x[6, 0] [2, 3] [1, 1] : tensor<8x3xf32> to tensor<2x3xf32>
  %e = math.exp %t : tensor<2x3xf32>
  %l = tensor.extract_slice %x[7, 0] [1, 3] [1, 1] : tensor<8x3xf32> to tensor<3xf32>
  return %e, %l : tensor<2x3xf32>, tensor<3xf32>
}

// -----

// A mean over time: a running sum, and at the end the number of frames.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{name = "linalg.reduce.sum"
// CHECK-LABEL: func @step
// CHECK: linalg.reduce ins(%arg0 : tensor<1x3xf32>) outs(%arg1 : tensor<3xf32>)
// CHECK-LABEL: func @final
// CHECK: %[[LENGTH:.*]] = tensor.extract %arg1[%c1]
// CHECK: %[[N:.*]] = arith.sitofp %[[LENGTH]]
// CHECK: %[[ALL:.*]] = linalg.fill ins(%[[N]] : f32)
// CHECK: arith.divf %arg0, %[[ALL]]
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<3xf32> {ssm.name = "mean"}) {
  %zero = arith.constant dense<0.0> : tensor<3xf32>
  %n = arith.constant dense<8.0> : tensor<3xf32>
  %s = linalg.reduce ins(%x : tensor<8x3xf32>) outs(%zero : tensor<3xf32>) dimensions = [0]
    (%a: f32, %b: f32) {
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    }
  %m = arith.divf %s, %n : tensor<3xf32>
  return %m : tensor<3xf32>
}

// -----

// What depends on an input without time is computed by begin, but for the copy
// over time, which is made frame by frame; an output of it is one of the end.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-LABEL: func @begin
// CHECK-SAME: (%arg0: tensor<3xf32> {ssm.input = 1 : i64}) -> (tensor<3xf32> {ssm.constant = 0 : i64}, tensor<3xf32> {ssm.constant = 1 : i64})
// CHECK: %[[T:.*]] = math.tanh %arg0
// CHECK: %[[E:.*]] = math.exp %[[T]]
// CHECK: return %[[E]], %[[T]]
// CHECK-LABEL: func @step
// CHECK-NOT: math.
// CHECK: linalg.broadcast ins(%arg1 : tensor<3xf32>) outs(%{{.*}} : tensor<1x3xf32>)
// CHECK-LABEL: func @final
// CHECK: return %arg1
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}, %s: tensor<3xf32> {ssm.name = "s"}) -> (tensor<8x3xf32> {ssm.name = "y"}, tensor<3xf32> {ssm.name = "z"}) {
  %t = math.tanh %s : tensor<3xf32>
  %u = math.exp %t : tensor<3xf32>
  %e = tensor.empty() : tensor<8x3xf32>
  %b = linalg.broadcast ins(%u : tensor<3xf32>) outs(%e : tensor<8x3xf32>) dimensions = [0]
  %y = arith.addf %x, %b : tensor<8x3xf32>
  return %y, %t : tensor<8x3xf32>, tensor<3xf32>
}

// -----

// A table of positions ends; a frame of it is at the position.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: max_frames = 4 : i64
// CHECK-LABEL: func @step
// CHECK: %[[TABLE:.*]] = arith.constant dense<{{\[\[}}1.0{{.*}}> : tensor<4x2xf32>
// CHECK: %[[P:.*]] = arith.index_cast
// CHECK: tensor.extract_slice %[[TABLE]][%[[P]], 0] [1, 2]
func.func @forward(%x: tensor<4x2xf32> {ssm.name = "x"}) -> (tensor<4x2xf32> {ssm.name = "y"}) {
  %t = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]> : tensor<4x2xf32>
  %y = arith.addf %x, %t : tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// A constant that has the same frame at all times is no table: it never ends.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-NOT: max_frames
// CHECK-LABEL: func @step
// CHECK: arith.constant dense<{{\[\[}}1.000000e+00, 2.000000e+00]]> : tensor<1x2xf32>
func.func @forward(%x: tensor<4x2xf32> {ssm.name = "x"}) -> (tensor<4x2xf32> {ssm.name = "y"}) {
  %t = arith.constant dense<[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]> : tensor<4x2xf32>
  %y = arith.addf %x, %t : tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Rows of time and something else, as layers of experts want them: time is a
// factor of a dimension for a while.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-LABEL: func @prefill
// CHECK: tensor.collapse_shape %arg0 {{.*}} : tensor<4x5x3xf32> into tensor<20x3xf32>
// CHECK: ssm.linear {{.*}} -> tensor<20x3xf32>
// CHECK: tensor.expand_shape {{.*}} output_shape [4, 5, 3]
func.func @forward(%x: tensor<8x5x3xf32> {ssm.name = "x"}) -> (tensor<8x5x3xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<0.5> : tensor<3x3xf32>
  %r = tensor.collapse_shape %x [[0, 1], [2]] : tensor<8x5x3xf32> into tensor<40x3xf32>
  %m = ssm.linear %r, %w : tensor<40x3xf32>, tensor<3x3xf32> -> tensor<40x3xf32>
  %y = tensor.expand_shape %m [[0, 1], [2]] output_shape [8, 5, 3] : tensor<40x3xf32> into tensor<8x5x3xf32>
  return %y : tensor<8x5x3xf32>
}

// -----

// A recurrence over another dimension starts anew in every frame: no state.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = []
// CHECK-LABEL: func @step
// CHECK: %[[H:.*]] = arith.constant dense<1.000000e+00> : tensor<1x2xf32>
// CHECK: ssm.linear_recurrence %arg0, %arg0, %[[H]] dim 1 : tensor<1x3x2xf32>
func.func @forward(%x: tensor<8x3x2xf32> {ssm.name = "x"}) -> (tensor<8x3x2xf32> {ssm.name = "y"}) {
  %h0 = arith.constant dense<1.0> : tensor<8x2xf32>
  %y, %l = ssm.linear_recurrence %x, %x, %h0 dim 1 : tensor<8x3x2xf32>, tensor<8x2xf32>
  return %y : tensor<8x3x2xf32>
}
