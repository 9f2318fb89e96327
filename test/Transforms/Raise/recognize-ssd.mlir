// Closed forms become the recurrence that they compute; what computes something
// else stays.
// RUN: itera-opt --ssm-recognize-ssd --canonicalize --split-input-file %s | FileCheck %s

// A running sum of quotients, as in the pass's description.
// CHECK-LABEL: func @quotient(
// CHECK-SAME: %[[D:.*]]: tensor<16x4xf32>, %[[U:.*]]: tensor<16x4xf32>
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.0{{.*}}> : tensor<4xf32>
// CHECK: %[[H:.*]]:2 = ssm.scan init(%[[ZERO]] : tensor<4xf32>) sequences(%[[D]], %[[U]] : tensor<16x4xf32>, tensor<16x4xf32>) length 16 {
// CHECK: ^bb0(%[[S:.*]]: tensor<4xf32>, %[[DT:.*]]: tensor<4xf32>, %[[UT:.*]]: tensor<4xf32>):
// CHECK-NEXT: %[[A:.*]] = math.exp %[[DT]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[A]], %[[S]]
// CHECK-NEXT: %[[N:.*]] = arith.addf %[[M]], %[[UT]]
// CHECK-NEXT: ssm.yield %[[N]], %[[N]]
// CHECK: return %[[H]]#1
func.func @quotient(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %q = arith.divf %u, %p : tensor<16x4xf32>
  %r = ssm.cumsum %q dim 0 : tensor<16x4xf32>
  %h = arith.mulf %r, %p : tensor<16x4xf32>
  return %h : tensor<16x4xf32>
}

// -----

// The same without the last product is no recurrence.
// CHECK-LABEL: func @no_recurrence(
// CHECK-NOT: ssm.scan
// CHECK: arith.divf
func.func @no_recurrence(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> tensor<16x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %q = arith.divf %u, %p : tensor<16x4xf32>
  %r = ssm.cumsum %q dim 0 : tensor<16x4xf32>
  return %r : tensor<16x4xf32>
}

// -----

// What an input decides is no closed form, whatever it does for some inputs.
// CHECK-LABEL: func @selected(
// CHECK-NOT: ssm.scan
// CHECK: arith.select
func.func @selected(%d: tensor<16x4xf32>, %u: tensor<16x4xf32>, %m: tensor<16x4xi1>) -> tensor<16x4xf32> {
  %s = ssm.cumsum %d dim 0 : tensor<16x4xf32>
  %p = math.exp %s : tensor<16x4xf32>
  %q = arith.divf %u, %p : tensor<16x4xf32>
  %c = arith.select %m, %q, %u : tensor<16x4xi1>, tensor<16x4xf32>
  %r = ssm.cumsum %c dim 0 : tensor<16x4xf32>
  %h = arith.mulf %r, %p : tensor<16x4xf32>
  return %h : tensor<16x4xf32>
}

// -----

// One matrix over all pairs of frames, with a skip and a gate. One dt and one A
// for the three channels of a head.
#lh = affine_map<(h, t, s, n) -> (t, n)>
#rh = affine_map<(h, t, s, n) -> (s, n)>
#oh = affine_map<(h, t, s, n) -> (h, t, s)>
#ly = affine_map<(t, h, p, s) -> (h, t, s)>
#ry = affine_map<(t, h, p, s) -> (s, h, p)>
#oy = affine_map<(t, h, p, s) -> (t, h, p)>
// CHECK-LABEL: func @square(
// CHECK-SAME: %[[X:.*]]: tensor<4x2x3xf32>, %[[DT:.*]]: tensor<4x2xf32>, %[[A:.*]]: tensor<2xf32>, %[[B:.*]]: tensor<4x5xf32>, %[[C:.*]]: tensor<4x5xf32>, %[[D:.*]]: tensor<2xf32>, %[[Z:.*]]: tensor<4x6xf32>
// CHECK-NOT: math.exp
// CHECK-DAG: %[[A1:.*]] = linalg.broadcast ins(%[[A]] : tensor<2xf32>) {{.*}}dimensions = [1]
// CHECK-DAG: %[[A2:.*]] = tensor.collapse_shape %[[A1]] {{.*}} into tensor<6xf32>
// CHECK-DAG: %[[DT1:.*]] = linalg.broadcast ins(%[[DT]] : tensor<4x2xf32>) {{.*}}dimensions = [2]
// CHECK: %[[Y:.*]], %{{.*}} = ssm.selective_scan x(%{{.*}}) dt(%{{.*}}) A(%[[A2]]) B(%{{.*}}) C(%{{.*}}) init(%{{.*}}) D(%{{.*}} : tensor<6xf32>) z(%{{.*}} : tensor<1x4x6xf32>) : tensor<1x4x6xf32>, tensor<6xf32>, tensor<1x4x5xf32>, tensor<1x6x5xf32>
// CHECK: %[[R:.*]] = tensor.collapse_shape %[[Y]] {{.*}} into tensor<4x6xf32>
// CHECK: return %[[R]]
func.func @square(%x: tensor<4x2x3xf32>, %dt: tensor<4x2xf32>, %a: tensor<2xf32>, %b: tensor<4x5xf32>, %c: tensor<4x5xf32>,
    %d: tensor<2xf32>, %z: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %zero = arith.constant 0.0 : f32
  %future = arith.constant dense<[[false, true, true, true], [false, false, true, true], [false, false, false, true], [false, false, false, false]]> : tensor<4x4xi1>
  %inf = arith.constant dense<0xFF800000> : tensor<2x4x4xf32>
  %e2 = tensor.empty() : tensor<4x2xf32>
  %et = tensor.empty() : tensor<2x4xf32>
  %em = tensor.empty() : tensor<2x4x4xf32>
  %eb = tensor.empty() : tensor<2x4x4xi1>
  %ex = tensor.empty() : tensor<4x2x3xf32>
  %ab = linalg.broadcast ins(%a : tensor<2xf32>) outs(%e2 : tensor<4x2xf32>) dimensions = [0]
  %da = arith.mulf %dt, %ab : tensor<4x2xf32>
  %dat = linalg.transpose ins(%da : tensor<4x2xf32>) outs(%et : tensor<2x4xf32>) permutation = [1, 0]
  %sums = ssm.cumsum %dat dim 1 : tensor<2x4xf32>
  %to = linalg.broadcast ins(%sums : tensor<2x4xf32>) outs(%em : tensor<2x4x4xf32>) dimensions = [2]
  %from = linalg.broadcast ins(%sums : tensor<2x4xf32>) outs(%em : tensor<2x4x4xf32>) dimensions = [1]
  %diff = arith.subf %to, %from : tensor<2x4x4xf32>
  %mask = linalg.broadcast ins(%future : tensor<4x4xi1>) outs(%eb : tensor<2x4x4xi1>) dimensions = [0]
  %masked = arith.select %mask, %inf, %diff : tensor<2x4x4xi1>, tensor<2x4x4xf32>
  %l = math.exp %masked : tensor<2x4x4xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%em : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %g = linalg.contract indexing_maps = [#lh, #rh, #oh] ins(%c, %b : tensor<4x5xf32>, tensor<4x5xf32>) outs(%z1 : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %m = arith.mulf %g, %l : tensor<2x4x4xf32>
  %dtb = linalg.broadcast ins(%dt : tensor<4x2xf32>) outs(%ex : tensor<4x2x3xf32>) dimensions = [2]
  %xdt = arith.mulf %x, %dtb : tensor<4x2x3xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%ex : tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  %y = linalg.contract indexing_maps = [#ly, #ry, #oy] ins(%m, %xdt : tensor<2x4x4xf32>, tensor<4x2x3xf32>) outs(%z2 : tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  %db = linalg.broadcast ins(%d : tensor<2xf32>) outs(%ex : tensor<4x2x3xf32>) dimensions = [0, 2]
  %skip = arith.mulf %x, %db : tensor<4x2x3xf32>
  %sum = arith.addf %y, %skip : tensor<4x2x3xf32>
  %flat = tensor.collapse_shape %sum [[0], [1, 2]] : tensor<4x2x3xf32> into tensor<4x6xf32>
  %gate = ssm.silu %z : tensor<4x6xf32>
  %out = arith.mulf %flat, %gate : tensor<4x6xf32>
  return %out : tensor<4x6xf32>
}

// -----

// A mask that also lets the next frame in.
#lh = affine_map<(h, t, s, n) -> (t, n)>
#rh = affine_map<(h, t, s, n) -> (s, n)>
#oh = affine_map<(h, t, s, n) -> (h, t, s)>
#ly = affine_map<(t, h, p, s) -> (h, t, s)>
#ry = affine_map<(t, h, p, s) -> (s, h, p)>
#oy = affine_map<(t, h, p, s) -> (t, h, p)>
// CHECK-LABEL: func @wrong_mask(
// CHECK-NOT: ssm.scan
// CHECK: math.exp
func.func @wrong_mask(%x: tensor<4x2x3xf32>, %da: tensor<2x4xf32>, %b: tensor<4x5xf32>, %c: tensor<4x5xf32>) -> tensor<4x2x3xf32> {
  %zero = arith.constant 0.0 : f32
  %future = arith.constant dense<[[false, false, true, true], [false, false, false, true], [false, false, false, false], [false, false, false, false]]> : tensor<4x4xi1>
  %inf = arith.constant dense<0xFF800000> : tensor<2x4x4xf32>
  %em = tensor.empty() : tensor<2x4x4xf32>
  %eb = tensor.empty() : tensor<2x4x4xi1>
  %ex = tensor.empty() : tensor<4x2x3xf32>
  %sums = ssm.cumsum %da dim 1 : tensor<2x4xf32>
  %to = linalg.broadcast ins(%sums : tensor<2x4xf32>) outs(%em : tensor<2x4x4xf32>) dimensions = [2]
  %from = linalg.broadcast ins(%sums : tensor<2x4xf32>) outs(%em : tensor<2x4x4xf32>) dimensions = [1]
  %diff = arith.subf %to, %from : tensor<2x4x4xf32>
  %mask = linalg.broadcast ins(%future : tensor<4x4xi1>) outs(%eb : tensor<2x4x4xi1>) dimensions = [0]
  %masked = arith.select %mask, %inf, %diff : tensor<2x4x4xi1>, tensor<2x4x4xf32>
  %l = math.exp %masked : tensor<2x4x4xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%em : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %g = linalg.contract indexing_maps = [#lh, #rh, #oh] ins(%c, %b : tensor<4x5xf32>, tensor<4x5xf32>) outs(%z1 : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %m = arith.mulf %g, %l : tensor<2x4x4xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%ex : tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  %y = linalg.contract indexing_maps = [#ly, #ry, #oy] ins(%m, %x : tensor<2x4x4xf32>, tensor<4x2x3xf32>) outs(%z2 : tensor<4x2x3xf32>) -> tensor<4x2x3xf32>
  return %y : tensor<4x2x3xf32>
}

// -----

// Two chunks of two frames, of which the last is a pad: sums inside of chunks,
// the states of chunks, one step between them, cut off at the end. The last
// state is a result.
#g0 = affine_map<(c, l, s, n) -> (c, l, n)>
#g1 = affine_map<(c, l, s, n) -> (c, s, n)>
#g2 = affine_map<(c, l, s, n) -> (c, l, s)>
#y0 = affine_map<(c, l, p, s) -> (c, l, s)>
#y1 = affine_map<(c, l, p, s) -> (c, s, p)>
#y2 = affine_map<(c, l, p, s) -> (c, l, p)>
#s0 = affine_map<(c, p, n, l) -> (c, l, n)>
#s1 = affine_map<(c, p, n, l) -> (c, l, p)>
#s2 = affine_map<(c, p, n, l) -> (c, p, n)>
#o0 = affine_map<(c, l, p, n) -> (c, l, n)>
#o1 = affine_map<(c, l, p, n) -> (c, p, n)>
#o2 = affine_map<(c, l, p, n) -> (c, l, p)>
// CHECK-LABEL: func @chunks(
// CHECK-SAME: %[[X:.*]]: tensor<3x4xf32>, %[[DA:.*]]: tensor<3xf32>, %[[B:.*]]: tensor<3x5xf32>, %[[C:.*]]: tensor<3x5xf32>
// CHECK-NOT: ssm.cumsum
// CHECK: %[[H:.*]]:2 = ssm.scan init(%{{.*}} : tensor<4x5xf32>) sequences(%[[DA]], %{{.*}}, %{{.*}}, %[[C]] : tensor<3xf32>, {{.*}}) length 3 {
// CHECK: return %[[H]]#1, %[[H]]#0
func.func @chunks(%x: tensor<3x4xf32>, %da: tensor<3xf32>, %b: tensor<3x5xf32>, %c: tensor<3x5xf32>) -> (tensor<3x4xf32>, tensor<4x5xf32>) {
  %zero = arith.constant 0.0 : f32
  %future = arith.constant dense<[[false, true], [false, false]]> : tensor<2x2xi1>
  %inf = arith.constant dense<0xFF800000> : tensor<2x2x2xf32>
  %e22 = tensor.empty() : tensor<2x2xf32>
  %e222 = tensor.empty() : tensor<2x2x2xf32>
  %eb = tensor.empty() : tensor<2x2x2xi1>
  %e224 = tensor.empty() : tensor<2x2x4xf32>
  %e225 = tensor.empty() : tensor<2x2x5xf32>
  %e245 = tensor.empty() : tensor<2x4x5xf32>
  %e45 = tensor.empty() : tensor<4x5xf32>
  %xp = tensor.pad %x low[0, 0] high[1, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<3x4xf32> to tensor<4x4xf32>
  %dap = tensor.pad %da low[0] high[1] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<3xf32> to tensor<4xf32>
  %bp = tensor.pad %b low[0, 0] high[1, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<3x5xf32> to tensor<4x5xf32>
  %cp = tensor.pad %c low[0, 0] high[1, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<3x5xf32> to tensor<4x5xf32>
  %xc = tensor.expand_shape %xp [[0, 1], [2]] output_shape [2, 2, 4] : tensor<4x4xf32> into tensor<2x2x4xf32>
  %dac = tensor.expand_shape %dap [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
  %bc = tensor.expand_shape %bp [[0, 1], [2]] output_shape [2, 2, 5] : tensor<4x5xf32> into tensor<2x2x5xf32>
  %cc = tensor.expand_shape %cp [[0, 1], [2]] output_shape [2, 2, 5] : tensor<4x5xf32> into tensor<2x2x5xf32>
  // Inside of chunks.
  %sums = ssm.cumsum %dac dim 1 : tensor<2x2xf32>
  %to = linalg.broadcast ins(%sums : tensor<2x2xf32>) outs(%e222 : tensor<2x2x2xf32>) dimensions = [2]
  %from = linalg.broadcast ins(%sums : tensor<2x2xf32>) outs(%e222 : tensor<2x2x2xf32>) dimensions = [1]
  %diff = arith.subf %to, %from : tensor<2x2x2xf32>
  %mask = linalg.broadcast ins(%future : tensor<2x2xi1>) outs(%eb : tensor<2x2x2xi1>) dimensions = [0]
  %masked = arith.select %mask, %inf, %diff : tensor<2x2x2xi1>, tensor<2x2x2xf32>
  %l = math.exp %masked : tensor<2x2x2xf32>
  %z222 = linalg.fill ins(%zero : f32) outs(%e222 : tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %g = linalg.contract indexing_maps = [#g0, #g1, #g2] ins(%cc, %bc : tensor<2x2x5xf32>, tensor<2x2x5xf32>) outs(%z222 : tensor<2x2x2xf32>) -> tensor<2x2x2xf32>
  %m = arith.mulf %g, %l : tensor<2x2x2xf32>
  %z224 = linalg.fill ins(%zero : f32) outs(%e224 : tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  %inner = linalg.contract indexing_maps = [#y0, #y1, #y2] ins(%m, %xc : tensor<2x2x2xf32>, tensor<2x2x4xf32>) outs(%z224 : tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  // What each chunk adds to the state.
  %total = tensor.extract_slice %sums[0, 1] [2, 1] [1, 1] : tensor<2x2xf32> to tensor<2xf32>
  %totals = linalg.broadcast ins(%total : tensor<2xf32>) outs(%e22 : tensor<2x2xf32>) dimensions = [1]
  %rest = arith.subf %totals, %sums : tensor<2x2xf32>
  %decay = math.exp %rest : tensor<2x2xf32>
  %decays = linalg.broadcast ins(%decay : tensor<2x2xf32>) outs(%e225 : tensor<2x2x5xf32>) dimensions = [2]
  %keys = arith.mulf %bc, %decays : tensor<2x2x5xf32>
  %z245 = linalg.fill ins(%zero : f32) outs(%e245 : tensor<2x4x5xf32>) -> tensor<2x4x5xf32>
  %added = linalg.contract indexing_maps = [#s0, #s1, #s2] ins(%keys, %xc : tensor<2x2x5xf32>, tensor<2x2x4xf32>) outs(%z245 : tensor<2x4x5xf32>) -> tensor<2x4x5xf32>
  // From chunk to chunk.
  %state1 = tensor.extract_slice %added[0, 0, 0] [1, 4, 5] [1, 1, 1] : tensor<2x4x5xf32> to tensor<4x5xf32>
  %added2 = tensor.extract_slice %added[1, 0, 0] [1, 4, 5] [1, 1, 1] : tensor<2x4x5xf32> to tensor<4x5xf32>
  %total2 = tensor.extract_slice %total[1] [1] [1] : tensor<2xf32> to tensor<1xf32>
  %decay2 = math.exp %total2 : tensor<1xf32>
  %decay2c = tensor.collapse_shape %decay2 [] : tensor<1xf32> into tensor<f32>
  %decay2b = linalg.broadcast ins(%decay2c : tensor<f32>) outs(%e45 : tensor<4x5xf32>) dimensions = [0, 1]
  %decayed = arith.mulf %state1, %decay2b : tensor<4x5xf32>
  %state2 = arith.addf %decayed, %added2 : tensor<4x5xf32>
  %none = arith.constant dense<0.0> : tensor<1x4x5xf32>
  %state1e = tensor.expand_shape %state1 [[0, 1], [2]] output_shape [1, 4, 5] : tensor<4x5xf32> into tensor<1x4x5xf32>
  %before = tensor.concat dim(0) %none, %state1e : (tensor<1x4x5xf32>, tensor<1x4x5xf32>) -> tensor<2x4x5xf32>
  // What the states add to the output.
  %read = linalg.contract indexing_maps = [#o0, #o1, #o2] ins(%cc, %before : tensor<2x2x5xf32>, tensor<2x4x5xf32>) outs(%z224 : tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  %since = math.exp %sums : tensor<2x2xf32>
  %sinceb = linalg.broadcast ins(%since : tensor<2x2xf32>) outs(%e224 : tensor<2x2x4xf32>) dimensions = [2]
  %outer = arith.mulf %read, %sinceb : tensor<2x2x4xf32>
  %y = arith.addf %inner, %outer : tensor<2x2x4xf32>
  %frames = tensor.collapse_shape %y [[0, 1], [2]] : tensor<2x2x4xf32> into tensor<4x4xf32>
  %cut = tensor.extract_slice %frames[0, 0] [3, 4] [1, 1] : tensor<4x4xf32> to tensor<3x4xf32>
  return %cut, %state2 : tensor<3x4xf32>, tensor<4x5xf32>
}

// -----

// Four frames in two rounds, in each of which every frame takes in one before.
// CHECK-LABEL: func @doubling(
// CHECK-SAME: %[[D:.*]]: tensor<4x3xf32>, %[[U:.*]]: tensor<4x3xf32>
// CHECK: ssm.scan init(%{{.*}}) sequences(%[[D]], %[[U]] : tensor<4x3xf32>, tensor<4x3xf32>) length 4
func.func @doubling(%d: tensor<4x3xf32>, %u: tensor<4x3xf32>) -> tensor<4x3xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %a = math.exp %d : tensor<4x3xf32>
  %up = tensor.pad %u low[1, 0] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<4x3xf32> to tensor<5x3xf32>
  %us = tensor.extract_slice %up[0, 0] [4, 3] [1, 1] : tensor<5x3xf32> to tensor<4x3xf32>
  %um = arith.mulf %a, %us : tensor<4x3xf32>
  %u1 = arith.addf %u, %um : tensor<4x3xf32>
  %ap = tensor.pad %a low[1, 0] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %one : f32
  } : tensor<4x3xf32> to tensor<5x3xf32>
  %as = tensor.extract_slice %ap[0, 0] [4, 3] [1, 1] : tensor<5x3xf32> to tensor<4x3xf32>
  %a1 = arith.mulf %a, %as : tensor<4x3xf32>
  %u1p = tensor.pad %u1 low[2, 0] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<4x3xf32> to tensor<6x3xf32>
  %u1s = tensor.extract_slice %u1p[0, 0] [4, 3] [1, 1] : tensor<6x3xf32> to tensor<4x3xf32>
  %u1m = arith.mulf %a1, %u1s : tensor<4x3xf32>
  %u2 = arith.addf %u1, %u1m : tensor<4x3xf32>
  return %u2 : tensor<4x3xf32>
}
