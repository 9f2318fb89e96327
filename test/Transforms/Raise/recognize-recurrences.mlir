// Recurrences get their names by decay, injection and readout.
// RUN: itera-opt --ssm-recognize-recurrences --ssm-fission-scans --ssm-recognize-recurrences --ssm-simplify-transposes %s | FileCheck %s

// Everything computed outside in layout [B, D, T, N], as PyTorch code has it;
// the readout a batched matmul, then the skip and a gate by a sigmoid.
#h = affine_map<(b, d, o, n) -> (b, d, n)>
#c = affine_map<(b, d, o, n) -> (b, n, o)>
#o = affine_map<(b, d, o, n) -> (b, d, o)>
// CHECK-LABEL: func @outside
// CHECK: %[[A:.*]] = arith.negf
// CHECK: %[[Y:.*]], %[[LAST:.*]] = ssm.selective_scan x(%arg0) dt(%arg1) A(%[[A]]) B(%arg3) C(%arg4) init(%arg7) D(%arg5 : tensor<4xf32>) z(%arg6 : tensor<2x6x4xf32>)
// CHECK: return %[[Y]], %[[LAST]]
func.func @outside(%x: tensor<2x6x4xf32>, %dt: tensor<2x6x4xf32>, %alog: tensor<4x3xf32>, %b: tensor<2x6x3xf32>, %c: tensor<2x6x3xf32>,
    %d: tensor<4xf32>, %z: tensor<2x6x4xf32>, %h0: tensor<2x4x3xf32>) -> (tensor<2x6x4xf32>, tensor<2x4x3xf32>) {
  %zero = arith.constant 0.0 : f32
  %e3 = tensor.empty() : tensor<2x4x6xf32>
  %e4 = tensor.empty() : tensor<2x4x6x3xf32>
  %xt = linalg.transpose ins(%x : tensor<2x6x4xf32>) outs(%e3 : tensor<2x4x6xf32>) permutation = [0, 2, 1]
  %dtt = linalg.transpose ins(%dt : tensor<2x6x4xf32>) outs(%e3 : tensor<2x4x6xf32>) permutation = [0, 2, 1]
  %zt = linalg.transpose ins(%z : tensor<2x6x4xf32>) outs(%e3 : tensor<2x4x6xf32>) permutation = [0, 2, 1]
  %ae = math.exp %alog : tensor<4x3xf32>
  %a = arith.negf %ae : tensor<4x3xf32>
  %ab = linalg.broadcast ins(%a : tensor<4x3xf32>) outs(%e4 : tensor<2x4x6x3xf32>) dimensions = [0, 2]
  %dtb = linalg.broadcast ins(%dtt : tensor<2x4x6xf32>) outs(%e4 : tensor<2x4x6x3xf32>) dimensions = [3]
  %da = arith.mulf %ab, %dtb : tensor<2x4x6x3xf32>
  %decay = math.exp %da : tensor<2x4x6x3xf32>
  %bb = linalg.broadcast ins(%b : tensor<2x6x3xf32>) outs(%e4 : tensor<2x4x6x3xf32>) dimensions = [1]
  %db = arith.mulf %dtb, %bb : tensor<2x4x6x3xf32>
  %xb = linalg.broadcast ins(%xt : tensor<2x4x6xf32>) outs(%e4 : tensor<2x4x6x3xf32>) dimensions = [3]
  %u = arith.mulf %db, %xb : tensor<2x4x6x3xf32>
  %last, %ys = ssm.scan init(%h0 : tensor<2x4x3xf32>)
      sequences(%decay, %u, %c : tensor<2x4x6x3xf32>, tensor<2x4x6x3xf32>, tensor<2x6x3xf32>) length 6 {
  ^bb0(%h: tensor<2x4x3xf32>, %at: tensor<2x4x3xf32>, %ut: tensor<2x4x3xf32>, %ct: tensor<2x3xf32>):
    %m = arith.mulf %at, %h : tensor<2x4x3xf32>
    %n = arith.addf %m, %ut : tensor<2x4x3xf32>
    %cx = tensor.expand_shape %ct [[0], [1, 2]] output_shape [2, 3, 1] : tensor<2x3xf32> into tensor<2x3x1xf32>
    %e1 = tensor.empty() : tensor<2x4x1xf32>
    %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<2x4x1xf32>) -> tensor<2x4x1xf32>
    %r = linalg.contract indexing_maps = [#h, #c, #o] ins(%n, %cx : tensor<2x4x3xf32>, tensor<2x3x1xf32>) outs(%z1 : tensor<2x4x1xf32>) -> tensor<2x4x1xf32>
    %y = tensor.extract_slice %r[0, 0, 0] [2, 4, 1] [1, 1, 1] : tensor<2x4x1xf32> to tensor<2x4xf32>
    ssm.yield %n, %y : tensor<2x4x3xf32>, tensor<2x4xf32>
  } {sequence_dims = array<i64: 2, 2, 1>, stack_dims = array<i64: 2>} -> tensor<2x4x3xf32>, tensor<2x4x6xf32>
  %dd = linalg.broadcast ins(%d : tensor<4xf32>) outs(%e3 : tensor<2x4x6xf32>) dimensions = [0, 2]
  %skip = arith.mulf %xt, %dd : tensor<2x4x6xf32>
  %sum = arith.addf %ys, %skip : tensor<2x4x6xf32>
  %s = ssm.sigmoid %zt : tensor<2x4x6xf32>
  %g = arith.mulf %zt, %s : tensor<2x4x6xf32>
  %gated = arith.mulf %sum, %g : tensor<2x4x6xf32>
  %eo = tensor.empty() : tensor<2x6x4xf32>
  %out = linalg.transpose ins(%gated : tensor<2x4x6xf32>) outs(%eo : tensor<2x6x4xf32>) permutation = [0, 2, 1]
  return %out, %last : tensor<2x6x4xf32>, tensor<2x4x3xf32>
}

// Everything computed inside of the loop, no batch dimension, time in reverse,
// dt * x as one product, the readout a multiplication and a sum.
// CHECK-LABEL: func @inside
// CHECK: %[[X:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<1x6x4xf32>
// CHECK: %[[Y:.*]], %[[LAST:.*]] = ssm.selective_scan x(%[[X]]) {{.*}} A(%arg2) {{.*}} reverse
// CHECK: return %{{.*}}, %{{.*}} : tensor<6x4xf32>, tensor<4x3xf32>
func.func @inside(%x: tensor<6x4xf32>, %dt: tensor<6x4xf32>, %a: tensor<4x3xf32>, %b: tensor<6x3xf32>, %c: tensor<6x3xf32>, %h0: tensor<4x3xf32>) -> (tensor<6x4xf32>, tensor<4x3xf32>) {
  %zeros = arith.constant dense<0.0> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x3xf32>
  %last, %y = ssm.scan init(%h0 : tensor<4x3xf32>)
      sequences(%x, %dt, %b, %c : tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x3xf32>, tensor<6x3xf32>) length 6 reverse {
  ^bb0(%h: tensor<4x3xf32>, %xt: tensor<4xf32>, %dtt: tensor<4xf32>, %bt: tensor<3xf32>, %ct: tensor<3xf32>):
    %db = linalg.broadcast ins(%dtt : tensor<4xf32>) outs(%e : tensor<4x3xf32>) dimensions = [1]
    %da = arith.mulf %db, %a : tensor<4x3xf32>
    %decay = math.exp %da : tensor<4x3xf32>
    %dx = arith.mulf %xt, %dtt : tensor<4xf32>
    %dxb = linalg.broadcast ins(%dx : tensor<4xf32>) outs(%e : tensor<4x3xf32>) dimensions = [1]
    %bb = linalg.broadcast ins(%bt : tensor<3xf32>) outs(%e : tensor<4x3xf32>) dimensions = [0]
    %u = arith.mulf %bb, %dxb : tensor<4x3xf32>
    %m = arith.mulf %h, %decay : tensor<4x3xf32>
    %n = arith.addf %u, %m : tensor<4x3xf32>
    %cb = linalg.broadcast ins(%ct : tensor<3xf32>) outs(%e : tensor<4x3xf32>) dimensions = [0]
    %hc = arith.mulf %n, %cb : tensor<4x3xf32>
    %r = linalg.reduce { arith.addf } ins(%hc : tensor<4x3xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
    ssm.yield %n, %r : tensor<4x3xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0, 0, 0, 0>, stack_dims = array<i64: 0>} -> tensor<4x3xf32>, tensor<6x4xf32>
  return %y, %last : tensor<6x4xf32>, tensor<4x3xf32>
}

// Heads: the channels are several dimensions, of which B and C may have the
// first (groups), and A lacks n. The batch is what A lacks and C has.
#hg = affine_map<(b, g, r, p, n) -> (b, g, r, p, n)>
#cg = affine_map<(b, g, r, p, n) -> (b, g, n)>
#og = affine_map<(b, g, r, p, n) -> (b, g, r, p)>
// CHECK-LABEL: func @heads
// CHECK: %[[A:.*]] = tensor.collapse_shape %{{.*}} : tensor<3x2x4xf32> into tensor<24xf32>
// CHECK: %[[INIT:.*]] = tensor.collapse_shape %arg5 {{\[\[}}0], [1, 2, 3], [4]] : tensor<7x3x2x4x5xf32> into tensor<7x24x5xf32>
// CHECK: %[[X:.*]] = tensor.collapse_shape %arg0 {{.*}} into tensor<7x6x24xf32>
// CHECK: %[[DT:.*]] = tensor.collapse_shape {{.*}} into tensor<7x6x24xf32>
// CHECK: ssm.selective_scan x(%[[X]]) dt(%[[DT]]) A(%[[A]]) B(%arg3) C(%arg4) init(%[[INIT]]) : tensor<7x6x24xf32>, tensor<24xf32>, tensor<7x6x3x5xf32>, tensor<7x24x5xf32>
func.func @heads(%x: tensor<7x6x3x2x4xf32>, %dt: tensor<7x6x3x2xf32>, %a: tensor<3x2xf32>, %b: tensor<7x6x3x5xf32>, %c: tensor<7x6x3x5xf32>,
    %h0: tensor<7x3x2x4x5xf32>) -> (tensor<7x6x3x2x4xf32>, tensor<7x3x2x4x5xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<7x6x3x2xf32>
  %ab = linalg.broadcast ins(%a : tensor<3x2xf32>) outs(%e : tensor<7x6x3x2xf32>) dimensions = [0, 1]
  %da = arith.mulf %dt, %ab : tensor<7x6x3x2xf32>
  %decay = math.exp %da : tensor<7x6x3x2xf32>
  %e5 = tensor.empty() : tensor<7x6x3x2x4xf32>
  %dtb = linalg.broadcast ins(%dt : tensor<7x6x3x2xf32>) outs(%e5 : tensor<7x6x3x2x4xf32>) dimensions = [4]
  %u = arith.mulf %dtb, %x : tensor<7x6x3x2x4xf32>
  %last, %ys = ssm.scan init(%h0 : tensor<7x3x2x4x5xf32>)
      sequences(%decay, %u, %b, %c : tensor<7x6x3x2xf32>, tensor<7x6x3x2x4xf32>, tensor<7x6x3x5xf32>, tensor<7x6x3x5xf32>) length 6 {
  ^bb0(%h: tensor<7x3x2x4x5xf32>, %at: tensor<7x3x2xf32>, %ut: tensor<7x3x2x4xf32>, %bt: tensor<7x3x5xf32>, %ct: tensor<7x3x5xf32>):
    %eh = tensor.empty() : tensor<7x3x2x4x5xf32>
    %ax = linalg.broadcast ins(%at : tensor<7x3x2xf32>) outs(%eh : tensor<7x3x2x4x5xf32>) dimensions = [3, 4]
    %m = arith.mulf %ax, %h : tensor<7x3x2x4x5xf32>
    %ub = linalg.broadcast ins(%ut : tensor<7x3x2x4xf32>) outs(%eh : tensor<7x3x2x4x5xf32>) dimensions = [4]
    %bb = linalg.broadcast ins(%bt : tensor<7x3x5xf32>) outs(%eh : tensor<7x3x2x4x5xf32>) dimensions = [2, 3]
    %v = arith.mulf %ub, %bb : tensor<7x3x2x4x5xf32>
    %n = arith.addf %m, %v : tensor<7x3x2x4x5xf32>
    %ey = tensor.empty() : tensor<7x3x2x4xf32>
    %z = linalg.fill ins(%zero : f32) outs(%ey : tensor<7x3x2x4xf32>) -> tensor<7x3x2x4xf32>
    %y = linalg.contract indexing_maps = [#hg, #cg, #og] ins(%n, %ct : tensor<7x3x2x4x5xf32>, tensor<7x3x5xf32>) outs(%z : tensor<7x3x2x4xf32>) -> tensor<7x3x2x4xf32>
    ssm.yield %n, %y : tensor<7x3x2x4x5xf32>, tensor<7x3x2x4xf32>
  } {sequence_dims = array<i64: 1, 1, 1, 1>, stack_dims = array<i64: 1>} -> tensor<7x3x2x4x5xf32>, tensor<7x6x3x2x4xf32>
  return %ys, %last : tensor<7x6x3x2x4xf32>, tensor<7x3x2x4x5xf32>
}

// A readout of the state before its update is no selective scan, and nor is an
// injection with another dt; both stay scans here.
// CHECK-LABEL: func @old_state
// CHECK-NOT: ssm.selective_scan
// CHECK: ssm.scan
func.func @old_state(%x: tensor<6x4xf32>, %dt: tensor<6x4xf32>, %a: tensor<4x32xf32>, %b: tensor<6x32xf32>, %c: tensor<6x32xf32>, %h0: tensor<4x32xf32>) -> tensor<6x4xf32> {
  %zeros = arith.constant dense<0.0> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x32xf32>
  %last, %y = ssm.scan init(%h0 : tensor<4x32xf32>)
      sequences(%x, %dt, %b, %c : tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x32xf32>, tensor<6x32xf32>) length 6 {
  ^bb0(%h: tensor<4x32xf32>, %xt: tensor<4xf32>, %dtt: tensor<4xf32>, %bt: tensor<32xf32>, %ct: tensor<32xf32>):
    %db = linalg.broadcast ins(%dtt : tensor<4xf32>) outs(%e : tensor<4x32xf32>) dimensions = [1]
    %da = arith.mulf %db, %a : tensor<4x32xf32>
    %decay = math.exp %da : tensor<4x32xf32>
    %dx = arith.mulf %xt, %dtt : tensor<4xf32>
    %dxb = linalg.broadcast ins(%dx : tensor<4xf32>) outs(%e : tensor<4x32xf32>) dimensions = [1]
    %bb = linalg.broadcast ins(%bt : tensor<32xf32>) outs(%e : tensor<4x32xf32>) dimensions = [0]
    %u = arith.mulf %bb, %dxb : tensor<4x32xf32>
    %m = arith.mulf %h, %decay : tensor<4x32xf32>
    %n = arith.addf %u, %m : tensor<4x32xf32>
    %cb = linalg.broadcast ins(%ct : tensor<32xf32>) outs(%e : tensor<4x32xf32>) dimensions = [0]
    %hc = arith.mulf %h, %cb : tensor<4x32xf32>
    %r = linalg.reduce { arith.addf } ins(%hc : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
    ssm.yield %n, %r : tensor<4x32xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0, 0, 0, 0>, stack_dims = array<i64: 0>} -> tensor<4x32xf32>, tensor<6x4xf32>
  return %y : tensor<6x4xf32>
}

// CHECK-LABEL: func @other_dt
// CHECK-NOT: ssm.selective_scan
// CHECK: ssm.scan
func.func @other_dt(%x: tensor<6x4xf32>, %dt: tensor<6x4xf32>, %dt2: tensor<6x4xf32>, %a: tensor<4x32xf32>, %b: tensor<6x32xf32>, %c: tensor<6x32xf32>, %h0: tensor<4x32xf32>) -> tensor<6x4xf32> {
  %zeros = arith.constant dense<0.0> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x32xf32>
  %last, %y = ssm.scan init(%h0 : tensor<4x32xf32>)
      sequences(%x, %dt, %dt2, %b, %c : tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x32xf32>, tensor<6x32xf32>) length 6 {
  ^bb0(%h: tensor<4x32xf32>, %xt: tensor<4xf32>, %dtt: tensor<4xf32>, %dtt2: tensor<4xf32>, %bt: tensor<32xf32>, %ct: tensor<32xf32>):
    %db = linalg.broadcast ins(%dtt : tensor<4xf32>) outs(%e : tensor<4x32xf32>) dimensions = [1]
    %da = arith.mulf %db, %a : tensor<4x32xf32>
    %decay = math.exp %da : tensor<4x32xf32>
    %dx = arith.mulf %xt, %dtt2 : tensor<4xf32>
    %dxb = linalg.broadcast ins(%dx : tensor<4xf32>) outs(%e : tensor<4x32xf32>) dimensions = [1]
    %bb = linalg.broadcast ins(%bt : tensor<32xf32>) outs(%e : tensor<4x32xf32>) dimensions = [0]
    %u = arith.mulf %bb, %dxb : tensor<4x32xf32>
    %m = arith.mulf %h, %decay : tensor<4x32xf32>
    %n = arith.addf %u, %m : tensor<4x32xf32>
    %cb = linalg.broadcast ins(%ct : tensor<32xf32>) outs(%e : tensor<4x32xf32>) dimensions = [0]
    %hc = arith.mulf %n, %cb : tensor<4x32xf32>
    %r = linalg.reduce { arith.addf } ins(%hc : tensor<4x32xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
    ssm.yield %n, %r : tensor<4x32xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0, 0, 0, 0, 0>, stack_dims = array<i64: 0>} -> tensor<4x32xf32>, tensor<6x4xf32>
  return %y : tensor<6x4xf32>
}

// A decay that the loop computes from another state is no invariant of it.
// CHECK-LABEL: func @decay_from_state
// CHECK-NOT: ssm.linear_recurrence
// CHECK-NOT: ssm.selective_scan
// CHECK: ssm.scan init(%arg1, %arg2
func.func @decay_from_state(%x: tensor<6x4xf32>, %p0: tensor<4xf32>, %q0: tensor<4xf32>) -> tensor<6x4xf32> {
  %r:3 = ssm.scan init(%p0, %q0 : tensor<4xf32>, tensor<4xf32>) sequences(%x : tensor<6x4xf32>) length 6 {
  ^bb0(%p: tensor<4xf32>, %q: tensor<4xf32>, %xt: tensor<4xf32>):
    %m = arith.mulf %q, %p : tensor<4xf32>
    %p1 = arith.addf %m, %xt : tensor<4xf32>
    %q1 = math.tanh %p1 : tensor<4xf32>
    ssm.yield %p1, %q1, %q1 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<4xf32>, tensor<6x4xf32>
  return %r#2 : tensor<6x4xf32>
}

// Elementwise, decay the same in every step, states stacked along another
// dimension than the input's time.
// CHECK-LABEL: func @elementwise
// CHECK: %[[A:.*]] = linalg.broadcast ins(%arg1 : tensor<2x4xf32>) outs(%{{.*}} : tensor<2x6x4xf32>) dimensions = [1]
// CHECK: %[[H:.*]], %[[LAST:.*]] = ssm.linear_recurrence %[[A]], %arg0, %arg2 dim 1 : tensor<2x6x4xf32>, tensor<2x4xf32>
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[H]] {{.*}} permutation = [1, 0, 2]
// CHECK: return %[[T]], %[[LAST]]
func.func @elementwise(%u: tensor<2x6x4xf32>, %a: tensor<2x4xf32>, %h0: tensor<2x4xf32>) -> (tensor<6x2x4xf32>, tensor<2x4xf32>) {
  %last, %h = ssm.scan init(%h0 : tensor<2x4xf32>) sequences(%u : tensor<2x6x4xf32>) length 6 {
  ^bb0(%s: tensor<2x4xf32>, %ut: tensor<2x4xf32>):
    %m = arith.mulf %s, %a : tensor<2x4xf32>
    %n = arith.addf %ut, %m : tensor<2x4xf32>
    ssm.yield %n, %n : tensor<2x4xf32>, tensor<2x4xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 0>} -> tensor<2x4xf32>, tensor<6x2x4xf32>
  return %h, %last : tensor<6x2x4xf32>, tensor<2x4xf32>
}
