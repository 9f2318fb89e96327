// A scan keeps its recurrence; the rest is done for all time steps at once.
// RUN: itera-opt --ssm-fission-scans --cse %s | FileCheck %s

#x = affine_map<(b, n, k) -> (b, k)>
#w = affine_map<(b, n, k) -> (k, n)>
#y = affine_map<(b, n, k) -> (b, n)>

// The matmuls before and after a dense recurrence become matmuls over time;
// what varies with nothing leaves the loop.
// CHECK-LABEL: func @dense
// CHECK: %[[U:.*]] = linalg.contract {{.*}} ins(%arg0, %arg1 : tensor<1x6x8xf32>, tensor<8x4xf32>) {{.*}} -> tensor<1x6x4xf32>
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg3 : tensor<1x4xf32>) sequences(%[[U]] : tensor<1x6x4xf32>) length 6 {
// CHECK-NEXT: ^bb0(%[[S:[^:]*]]: tensor<1x4xf32>, %[[UT:[^:]*]]: tensor<1x4xf32>)
// CHECK-NEXT: %[[N:.*]] = arith.addf %[[S]], %[[UT]]
// CHECK-NEXT: ssm.yield %[[N]], %[[N]]
// CHECK-NEXT: } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>}
// CHECK: %[[Y:.*]] = linalg.contract {{.*}} ins(%[[R]]#1, %arg2 : tensor<1x6x4xf32>, tensor<4x8xf32>) {{.*}} -> tensor<1x6x8xf32>
// CHECK: %[[D:.*]] = ssm.silu %[[Y]] : tensor<1x6x8xf32>
// CHECK: return %[[D]], %[[R]]#0
func.func @dense(%x: tensor<1x6x8xf32>, %wi: tensor<8x4xf32>, %wo: tensor<4x8xf32>, %h0: tensor<1x4xf32>) -> (tensor<1x6x8xf32>, tensor<1x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %last, %out = ssm.scan init(%h0 : tensor<1x4xf32>) sequences(%x : tensor<1x6x8xf32>) length 6 {
  ^bb0(%h: tensor<1x4xf32>, %xt: tensor<1x8xf32>):
    %e4 = tensor.empty() : tensor<1x4xf32>
    %z4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<1x4xf32>) -> tensor<1x4xf32>
    %u = linalg.contract indexing_maps = [#x, #w, #y] ins(%xt, %wi : tensor<1x8xf32>, tensor<8x4xf32>) outs(%z4 : tensor<1x4xf32>) -> tensor<1x4xf32>
    %n = arith.addf %h, %u : tensor<1x4xf32>
    %e8 = tensor.empty() : tensor<1x8xf32>
    %z8 = linalg.fill ins(%zero : f32) outs(%e8 : tensor<1x8xf32>) -> tensor<1x8xf32>
    %r = linalg.contract indexing_maps = [#x, #w, #y] ins(%n, %wo : tensor<1x4xf32>, tensor<4x8xf32>) outs(%z8 : tensor<1x8xf32>) -> tensor<1x8xf32>
    %s = ssm.silu %r : tensor<1x8xf32>
    ssm.yield %n, %s : tensor<1x4xf32>, tensor<1x8xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<1x4xf32>, tensor<1x6x8xf32>
  return %out, %last : tensor<1x6x8xf32>, tensor<1x4xf32>
}

// A loop over two recurrences, one after the other, is two loops.
// CHECK-LABEL: func @two_recurrences
// CHECK: %[[P:.*]]:2 = ssm.scan init(%arg1 : tensor<4xf32>) sequences(%arg0 : tensor<6x4xf32>) length 6 {
// CHECK: %[[T:.*]] = math.tanh %[[P]]#1 : tensor<6x4xf32>
// CHECK: %[[Q:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%[[T]] : tensor<6x4xf32>) length 6 {
// CHECK: return %[[P]]#0, %[[Q]]#0, %[[Q]]#1
func.func @two_recurrences(%x: tensor<6x4xf32>, %p0: tensor<4xf32>, %q0: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<6x4xf32>) {
  %r:3 = ssm.scan init(%p0, %q0 : tensor<4xf32>, tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%p: tensor<4xf32>, %q: tensor<4xf32>, %xt: tensor<4xf32>):
    %p1 = arith.addf %p, %xt : tensor<4xf32>
    %t = math.tanh %p1 : tensor<4xf32>
    %q1 = arith.mulf %q, %t : tensor<4xf32>
    ssm.yield %p1, %q1, %q1 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<4xf32>, tensor<6x4xf32>
  return %r#0, %r#1, %r#2 : tensor<4xf32>, tensor<4xf32>, tensor<6x4xf32>
}

// A state that only delays its input is a shift, in the direction of time.
// CHECK-LABEL: func @delay
// CHECK-DAG: %[[LAST:.*]] = tensor.extract_slice %arg0[0, 0] [1, 4] [1, 1] : tensor<6x4xf32> to tensor<4xf32>
// CHECK-DAG: %[[REST:.*]] = tensor.extract_slice %arg0[1, 0] [5, 4] [1, 1]
// CHECK-DAG: %[[FIRST:.*]] = linalg.broadcast ins(%arg1 : tensor<4xf32>) {{.*}} dimensions = [0]
// CHECK: %[[OLD:.*]] = tensor.concat dim(0) %[[REST]], %[[FIRST]]
// CHECK: %[[Y:.*]] = arith.addf %[[OLD]], %arg0
// CHECK: return %[[Y]], %[[LAST]]
func.func @delay(%x: tensor<6x4xf32>, %p0: tensor<4xf32>) -> (tensor<6x4xf32>, tensor<4xf32>) {
  %last, %y = ssm.scan init(%p0 : tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 reverse {
  ^bb0(%p: tensor<4xf32>, %xt: tensor<4xf32>):
    %s = arith.addf %p, %xt : tensor<4xf32>
    ssm.yield %xt, %s : tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<6x4xf32>
  return %y, %last : tensor<6x4xf32>, tensor<4xf32>
}

// An outer product per step, and its readout, stay in the loop: nothing of
// [T, D, N] is written out. What is small before and after them leaves.
// CHECK-LABEL: func @outer_product
// CHECK: %[[X:.*]] = ssm.silu %arg0 : tensor<6x16xf32>
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<16x8xf32>) sequences(%[[X]], %arg1 : tensor<6x16xf32>, tensor<6x8xf32>) length 6 {
// CHECK: linalg.broadcast
// CHECK: linalg.broadcast
// CHECK: arith.mulf {{.*}} : tensor<16x8xf32>
// CHECK: arith.addf {{.*}} : tensor<16x8xf32>
// CHECK: linalg.reduce
// CHECK: } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>} -> tensor<16x8xf32>, tensor<6x16xf32>
// CHECK: math.tanh %[[R]]#1 : tensor<6x16xf32>
func.func @outer_product(%x: tensor<6x16xf32>, %b: tensor<6x8xf32>, %h0: tensor<16x8xf32>) -> tensor<6x16xf32> {
  %zero = arith.constant dense<0.0> : tensor<16xf32>
  %e = tensor.empty() : tensor<16x8xf32>
  %last, %y = ssm.scan init(%h0 : tensor<16x8xf32>) sequences(%x, %b : tensor<6x16xf32>, tensor<6x8xf32>) length 6 {
  ^bb0(%h: tensor<16x8xf32>, %xt: tensor<16xf32>, %bt: tensor<8xf32>):
    %s = ssm.silu %xt : tensor<16xf32>
    %xb = linalg.broadcast ins(%s : tensor<16xf32>) outs(%e : tensor<16x8xf32>) dimensions = [1]
    %bb = linalg.broadcast ins(%bt : tensor<8xf32>) outs(%e : tensor<16x8xf32>) dimensions = [0]
    %u = arith.mulf %xb, %bb : tensor<16x8xf32>
    %n = arith.addf %h, %u : tensor<16x8xf32>
    %r = linalg.reduce { arith.maximumf } ins(%n : tensor<16x8xf32>) outs(%zero : tensor<16xf32>) dimensions = [1]
    %t = math.tanh %r : tensor<16xf32>
    ssm.yield %n, %t : tensor<16x8xf32>, tensor<16xf32>
  } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>} -> tensor<16x8xf32>, tensor<6x16xf32>
  return %y : tensor<6x16xf32>
}

// The rules that move dimensions about, in a loop that carries nothing. Time
// is dimension 1 of the input and must come out in dimension 0.
// CHECK-LABEL: func @rules
// CHECK-NOT: ssm.scan
// CHECK: %[[SLICE:.*]] = tensor.extract_slice %arg0[0, 0, 1, 0] [2, 6, 1, 4] [1, 1, 1, 1] : tensor<2x6x3x4xf32> to tensor<2x6x4xf32>
// CHECK: %[[E:.*]] = tensor.expand_shape %[[SLICE]] {{\[}}[0], [1], [2, 3]] output_shape [2, 6, 2, 2]
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[E]] {{.*}} permutation = [3, 1, 0, 2]
// CHECK: %[[P:.*]] = tensor.pad %[[T]] low[0, 0, 0, 1] high[0, 0, 0, 0]
// CHECK: %[[C:.*]] = tensor.concat dim(2) %[[P]], %[[P]]
// CHECK: %[[S:.*]] = linalg.softmax dimension(3) ins(%[[C]]
// CHECK: %[[SUM:.*]] = linalg.reduce { arith.addf } ins(%[[S]] {{.*}} dimensions = [3]
// CHECK: %[[M:.*]] = linalg.transpose ins(%[[SUM]] : tensor<2x6x4xf32>) {{.*}} permutation = [1, 0, 2]
// CHECK: tensor.collapse_shape %{{.*}} {{\[}}[0], [1, 2]] : tensor<6x2x4xf32> into tensor<6x8xf32>
func.func @rules(%x: tensor<2x6x3x4xf32>) -> tensor<6x8xf32> {
  %zero = arith.constant 0.0 : f32
  %zeros = arith.constant dense<0.0> : tensor<2x4xf32>
  %y = ssm.scan sequences(%x : tensor<2x6x3x4xf32>) length 6 {
  ^bb0(%xt: tensor<2x3x4xf32>):
    %s = tensor.extract_slice %xt[0, 1, 0] [2, 1, 4] [1, 1, 1] : tensor<2x3x4xf32> to tensor<2x4xf32>
    %e = tensor.expand_shape %s [[0], [1, 2]] output_shape [2, 2, 2] : tensor<2x4xf32> into tensor<2x2x2xf32>
    %i = tensor.empty() : tensor<2x2x2xf32>
    %t = linalg.transpose ins(%e : tensor<2x2x2xf32>) outs(%i : tensor<2x2x2xf32>) permutation = [2, 0, 1]
    %p = tensor.pad %t low[0, 0, 1] high[0, 0, 0] {
    ^bb0(%a: index, %b: index, %c: index):
      tensor.yield %zero : f32
    } : tensor<2x2x2xf32> to tensor<2x2x3xf32>
    %c = tensor.concat dim(1) %p, %p : (tensor<2x2x3xf32>, tensor<2x2x3xf32>) -> tensor<2x4x3xf32>
    %j = tensor.empty() : tensor<2x4x3xf32>
    %m = linalg.softmax dimension(2) ins(%c : tensor<2x4x3xf32>) outs(%j : tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
    %r = linalg.reduce { arith.addf } ins(%m : tensor<2x4x3xf32>) outs(%zeros : tensor<2x4xf32>) dimensions = [2]
    %f = tensor.collapse_shape %r [[0, 1]] : tensor<2x4xf32> into tensor<8xf32>
    ssm.yield %f : tensor<8xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 0>} -> tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}

// An op without a rule that belongs to no recurrence stays in a loop alone.
// CHECK-LABEL: func @no_rule
// CHECK: %[[N:.*]] = arith.negf %arg0 : tensor<6x4xf32>
// CHECK: %[[R:.*]]:2 = ssm.scan sequences(%[[N]] : tensor<6x4xf32>) length 6 {
// CHECK: ssm.top_k
// CHECK: math.tanh %[[R]]#0 : tensor<6x2xf32>
func.func @no_rule(%x: tensor<6x4xf32>) -> tensor<6x2xf32> {
  %y = ssm.scan sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%xt: tensor<4xf32>):
    %n = arith.negf %xt : tensor<4xf32>
    %v, %i = ssm.top_k %n dim 0 : tensor<4xf32> -> tensor<2xf32>, tensor<2xi64>
    %t = math.tanh %v : tensor<2xf32>
    ssm.yield %t : tensor<2xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<6x2xf32>
  return %y : tensor<6x2xf32>
}

// A rotation of what the state gives is one of all time steps.
// CHECK-LABEL: func @rotation
// CHECK: %[[R:.*]]:2 = ssm.scan init
// CHECK-NOT: ssm.hadamard
// CHECK: ssm.yield
// CHECK: ssm.hadamard %[[R]]#1 block 4 : tensor<6x4xf32>
func.func @rotation(%x: tensor<6x4xf32>, %h0: tensor<4xf32>) -> (tensor<6x4xf32>, tensor<4xf32>) {
  %last, %out = ssm.scan init(%h0 : tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%h: tensor<4xf32>, %xt: tensor<4xf32>):
    %s = arith.addf %h, %xt : tensor<4xf32>
    %n = math.tanh %s : tensor<4xf32>
    %r = ssm.hadamard %n block 4 : tensor<4xf32>
    ssm.yield %n, %r : tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<6x4xf32>
  return %out, %last : tensor<6x4xf32>, tensor<4xf32>
}
