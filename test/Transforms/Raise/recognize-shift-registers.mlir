// A state that is a window over the frames becomes a causal convolution in
// front of the scan.
// RUN: itera-opt --ssm-recognize-shift-registers --canonicalize --cse --split-input-file %s | FileCheck %s

// Concat and slice; the state holds K-1 frames, oldest first, [B, D, K-1]. The
// state of the end is the last K-1 frames of the first state and all frames.
// CHECK-LABEL: func @concat
// CHECK-DAG: %[[PAST:.*]] = linalg.transpose ins(%arg1 : tensor<1x3x2xf32>) {{.*}} permutation = [0, 2, 1]
// CHECK-DAG: %[[TAPS:.*]] = tensor.collapse_shape %arg2 {{.*}} into tensor<3x3xf32>
// CHECK: %[[Y:.*]] = ssm.causal_conv1d %[[X:.*]], %[[TAPS]] past(%[[PAST]] : tensor<1x2x3xf32>)
// CHECK: %[[ALL:.*]] = tensor.concat dim(1) %[[PAST]], %[[X]]
// CHECK: tensor.extract_slice %[[ALL]][0, 6, 0] [1, 2, 3]
func.func @concat(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>, %taps: tensor<1x3x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3x2xf32>) {
  %zero = arith.constant dense<0.0> : tensor<1x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %w = tensor.concat dim(2) %h, %f : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %p = arith.mulf %w, %taps : tensor<1x3x3xf32>
    %s = linalg.reduce ins(%p : tensor<1x3x3xf32>) outs(%zero : tensor<1x3xf32>) dimensions = [2]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    %n = tensor.extract_slice %w[0, 0, 1] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %s : tensor<1x3x2xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3xf32>
  return %y, %last : tensor<1x6x3xf32>, tensor<1x3x2xf32>
}

// -----

// The state holds K frames: it is rolled, and the new frame put in its last
// place. Only K-1 of the first state are read.
// CHECK-LABEL: func @roll
// CHECK: %[[PAST:.*]] = tensor.extract_slice %{{.*}}[0, 1, 0] [1, 2, 3] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x2x3xf32>
// CHECK: ssm.causal_conv1d %{{.*}}, %{{.*}} past(%[[PAST]] : tensor<1x2x3xf32>)
func.func @roll(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x3xf32>, %taps: tensor<1x3x3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3x3xf32>) {
  %zero = arith.constant dense<0.0> : tensor<1x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<1x3x3xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x3xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %new = tensor.extract_slice %h[0, 0, 1] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    %old = tensor.extract_slice %h[0, 0, 0] [1, 3, 1] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x1xf32>
    %rolled = tensor.concat dim(2) %new, %old : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %w = tensor.insert_slice %f into %rolled[0, 0, 2] [1, 3, 1] [1, 1, 1] : tensor<1x3x1xf32> into tensor<1x3x3xf32>
    %p = arith.mulf %taps, %w : tensor<1x3x3xf32>
    %s = linalg.reduce ins(%p : tensor<1x3x3xf32>) outs(%zero : tensor<1x3xf32>) dimensions = [2]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    ssm.yield %w, %s : tensor<1x3x3xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x3xf32>, tensor<1x6x3xf32>
  return %y, %last : tensor<1x6x3xf32>, tensor<1x3x3xf32>
}

// -----

// Frames in front, [B, K, D], slice and concat to K frames, and a batch.
// CHECK-LABEL: func @frames_first
// CHECK: ssm.causal_conv1d %{{.*}}, %{{.*}} past(%{{.*}} : tensor<2x2x3xf32>)
// CHECK-NOT: tensor<2x3x3xf32>) sequences
func.func @frames_first(%x: tensor<2x6x3xf32>, %h0: tensor<2x3x3xf32>, %w1: tensor<3x3xf32>) -> (tensor<2x6x3xf32>, tensor<2x3x3xf32>) {
  %zero = arith.constant dense<0.0> : tensor<2x3xf32>
  %e = tensor.empty() : tensor<2x3x3xf32>
  %taps = linalg.broadcast ins(%w1 : tensor<3x3xf32>) outs(%e : tensor<2x3x3xf32>) dimensions = [0]
  %last, %y = ssm.scan init(%h0 : tensor<2x3x3xf32>) sequences(%x : tensor<2x6x3xf32>) length 6 {
  ^bb0(%h: tensor<2x3x3xf32>, %xt: tensor<2x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>
    %new = tensor.extract_slice %h[0, 1, 0] [2, 2, 3] [1, 1, 1] : tensor<2x3x3xf32> to tensor<2x2x3xf32>
    %w = tensor.concat dim(1) %new, %f : (tensor<2x2x3xf32>, tensor<2x1x3xf32>) -> tensor<2x3x3xf32>
    %p = arith.mulf %w, %taps : tensor<2x3x3xf32>
    %s = linalg.reduce ins(%p : tensor<2x3x3xf32>) outs(%zero : tensor<2x3xf32>) dimensions = [1]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    ssm.yield %w, %s : tensor<2x3x3xf32>, tensor<2x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<2x3x3xf32>, tensor<2x6x3xf32>
  return %y, %last : tensor<2x6x3xf32>, tensor<2x3x3xf32>
}

// -----

// The step is a causal convolution of one frame already; its bias and its
// activation stay.
// CHECK-LABEL: func @conv
// CHECK: ssm.causal_conv1d %{{.*}}, %arg2 bias(%arg3 : tensor<3xf32>) past(%{{.*}} : tensor<1x2x3xf32>) silu : tensor<1x6x3xf32>
// CHECK-NOT: init(
func.func @conv(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>, %w: tensor<3x3xf32>, %b: tensor<3xf32>) -> (tensor<1x6x3xf32>, tensor<1x3x2xf32>) {
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %g = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 1, 3] : tensor<1x3xf32> into tensor<1x1x3xf32>
    %e = tensor.empty() : tensor<1x2x3xf32>
    %past = linalg.transpose ins(%h : tensor<1x3x2xf32>) outs(%e : tensor<1x2x3xf32>) permutation = [0, 2, 1]
    %c = ssm.causal_conv1d %g, %w bias(%b : tensor<3xf32>) past(%past : tensor<1x2x3xf32>) silu : tensor<1x1x3xf32>, tensor<3x3xf32>
    %s = tensor.collapse_shape %c [[0], [1, 2]] : tensor<1x1x3xf32> into tensor<1x3xf32>
    %a = tensor.concat dim(2) %h, %f : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %n = tensor.extract_slice %a[0, 0, 1] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %s : tensor<1x3x2xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3xf32>
  return %y, %last : tensor<1x6x3xf32>, tensor<1x3x2xf32>
}

// -----

// The window is read by something that is no convolution.
// CHECK-LABEL: func @read_otherwise
// CHECK: ssm.scan init(%arg1
func.func @read_otherwise(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>) -> tensor<1x6x3x3xf32> {
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %w = tensor.concat dim(2) %h, %f : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %t = math.tanh %w : tensor<1x3x3xf32>
    %n = tensor.extract_slice %w[0, 0, 1] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %t : tensor<1x3x2xf32>, tensor<1x3x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

// Newest first: the taps would have to be turned around.
// CHECK-LABEL: func @wrong_order
// CHECK: ssm.scan init(%arg1
func.func @wrong_order(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>, %taps: tensor<1x3x3xf32>) -> tensor<1x6x3xf32> {
  %zero = arith.constant dense<0.0> : tensor<1x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %w = tensor.concat dim(2) %f, %h : (tensor<1x3x1xf32>, tensor<1x3x2xf32>) -> tensor<1x3x3xf32>
    %p = arith.mulf %w, %taps : tensor<1x3x3xf32>
    %s = linalg.reduce ins(%p : tensor<1x3x3xf32>) outs(%zero : tensor<1x3xf32>) dimensions = [2]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    %n = tensor.extract_slice %w[0, 0, 0] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %s : tensor<1x3x2xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3xf32>
  return %y : tensor<1x6x3xf32>
}

// -----

// Two frames at once: what is read and what is kept are not the same window.
// CHECK-LABEL: func @two_frames
// CHECK: ssm.scan init(%arg2
func.func @two_frames(%x: tensor<1x6x3xf32>, %z: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>, %taps: tensor<1x3x3xf32>) -> tensor<1x6x3xf32> {
  %zero = arith.constant dense<0.0> : tensor<1x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x, %z : tensor<1x6x3xf32>, tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>, %zt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %g = tensor.expand_shape %zt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %w = tensor.concat dim(2) %h, %f : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %v = tensor.concat dim(2) %h, %g : (tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<1x3x3xf32>
    %p = arith.mulf %w, %taps : tensor<1x3x3xf32>
    %s = linalg.reduce ins(%p : tensor<1x3x3xf32>) outs(%zero : tensor<1x3xf32>) dimensions = [2]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    %n = tensor.extract_slice %v[0, 0, 1] [1, 3, 2] [1, 1, 1] : tensor<1x3x3xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %s : tensor<1x3x2xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1, 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3xf32>
  return %y : tensor<1x6x3xf32>
}

// -----

// Shifted twice in a step.
// CHECK-LABEL: func @two_shifts
// CHECK: ssm.scan init(%arg1
func.func @two_shifts(%x: tensor<1x6x3xf32>, %h0: tensor<1x3x2xf32>, %taps: tensor<1x3x4xf32>) -> tensor<1x6x3xf32> {
  %zero = arith.constant dense<0.0> : tensor<1x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<1x3x2xf32>) sequences(%x : tensor<1x6x3xf32>) length 6 {
  ^bb0(%h: tensor<1x3x2xf32>, %xt: tensor<1x3xf32>):
    %f = tensor.expand_shape %xt [[0], [1, 2]] output_shape [1, 3, 1] : tensor<1x3xf32> into tensor<1x3x1xf32>
    %w = tensor.concat dim(2) %h, %f, %f : (tensor<1x3x2xf32>, tensor<1x3x1xf32>, tensor<1x3x1xf32>) -> tensor<1x3x4xf32>
    %p = arith.mulf %w, %taps : tensor<1x3x4xf32>
    %s = linalg.reduce ins(%p : tensor<1x3x4xf32>) outs(%zero : tensor<1x3xf32>) dimensions = [2]
      (%a: f32, %b: f32) {
        %c = arith.addf %a, %b : f32
        linalg.yield %c : f32
      }
    %n = tensor.extract_slice %w[0, 0, 2] [1, 3, 2] [1, 1, 1] : tensor<1x3x4xf32> to tensor<1x3x2xf32>
    ssm.yield %n, %s : tensor<1x3x2xf32>, tensor<1x3xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x3x2xf32>, tensor<1x6x3xf32>
  return %y : tensor<1x6x3xf32>
}
