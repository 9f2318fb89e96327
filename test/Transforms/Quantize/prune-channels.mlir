// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=0.5 multiple=1},canonicalize))' --split-input-file %s | FileCheck %s
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=0}))' --split-input-file %s | FileCheck --check-prefix=ZERO %s

// A mixer loses the channel that the layers which read it depend on least, 1:
// its rows of what writes it, its columns of what reads it, and its entry of
// every constant beside the scan. The gate's slice begins where it now begins.
// ZERO-LABEL: func.func @mixer
// ZERO: ssm.selective_scan {{.*}} : tensor<1x8x2xf32>
// CHECK-LABEL: func.func @mixer(
// CHECK-SAME: %[[U:.*]]: tensor<1x8x1xf32>
// CHECK-DAG: %[[IN:.*]] = arith.constant dense<{{\[\[}}3.0{{.*}}], [5.0{{.*}}]]> : tensor<2x1xf32>
// CHECK-DAG: %[[TAPS:.*]] = arith.constant dense<{{\[\[}}1.0{{.*}}, 2.0{{.*}}]]> : tensor<1x2xf32>
// CHECK-DAG: %[[BIAS:.*]] = arith.constant dense<1.0{{.*}}e-01> : tensor<1xf32>
// CHECK-DAG: %[[SELECT:.*]] = arith.constant dense<{{\[\[}}1.0{{.*}}], [2.0{{.*}}], [3.0{{.*}}]]> : tensor<3x1xf32>
// CHECK-DAG: %[[STEP:.*]] = arith.constant dense<7.0{{.*}}> : tensor<1x1xf32>
// CHECK-DAG: %[[A:.*]] = arith.constant dense<-1.0{{.*}}> : tensor<1x1xf32>
// CHECK-DAG: %[[D:.*]] = arith.constant dense<5.0{{.*}}e-01> : tensor<1xf32>
// CHECK-DAG: %[[H:.*]] = arith.constant dense<0.0{{.*}}> : tensor<1x1x1xf32>
// CHECK-DAG: %[[OUT:.*]] = arith.constant dense<9.0{{.*}}> : tensor<1x1xf32>
// CHECK: %[[XZ:.*]] = ssm.linear %[[U]], %[[IN]]
// CHECK: %[[X0:.*]] = tensor.extract_slice %[[XZ]][0, 0, 0] [1, 8, 1]
// CHECK: %[[Z:.*]] = tensor.extract_slice %[[XZ]][0, 0, 1] [1, 8, 1]
// CHECK: %[[X:.*]] = ssm.causal_conv1d %[[X0]], %[[TAPS]] bias(%[[BIAS]] : tensor<1xf32>) silu
// CHECK: %[[DBC:.*]] = ssm.linear %[[X]], %[[SELECT]]
// CHECK: %[[DT0:.*]] = tensor.extract_slice %[[DBC]][0, 0, 0] [1, 8, 1]
// CHECK: %[[DT1:.*]] = ssm.linear %[[DT0]], %[[STEP]]
// CHECK: %[[DT:.*]] = ssm.softplus %[[DT1]]
// CHECK: ssm.selective_scan x(%[[X]]) dt(%[[DT]]) A(%[[A]]) {{.*}} init(%[[H]]) D(%[[D]] : tensor<1xf32>) z(%[[Z]] : tensor<1x8x1xf32>)
// CHECK: ssm.linear %{{.*}}, %[[OUT]] : tensor<1x8x1xf32>, tensor<1x1xf32> -> tensor<1x8x1xf32>
func.func @mixer(%u: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
  %in = ssm.weight "in" dense<[[3.0], [0.5], [5.0], [6.0]]> : tensor<4x1xf32>
  %taps = arith.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %bias = arith.constant dense<[0.1, 0.2]> : tensor<2xf32>
  %select = arith.constant dense<[[1.0, 0.1], [2.0, 0.2], [3.0, 0.3]]> : tensor<3x2xf32>
  %step = arith.constant dense<[[7.0], [8.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<[[-1.0], [-2.0]]> : tensor<2x1xf32>
  %D = arith.constant dense<[0.5, 0.6]> : tensor<2xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x1xf32>
  %out = arith.constant dense<[[9.0, 0.1]]> : tensor<1x2xf32>
  %xz = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<4x1xf32> -> tensor<1x8x4xf32>
  %x0 = tensor.extract_slice %xz[0, 0, 0] [1, 8, 2] [1, 1, 1] : tensor<1x8x4xf32> to tensor<1x8x2xf32>
  %z = tensor.extract_slice %xz[0, 0, 2] [1, 8, 2] [1, 1, 1] : tensor<1x8x4xf32> to tensor<1x8x2xf32>
  %x = ssm.causal_conv1d %x0, %taps bias(%bias : tensor<2xf32>) silu : tensor<1x8x2xf32>, tensor<2x2xf32>
  %dbc = ssm.linear %x, %select : tensor<1x8x2xf32>, tensor<3x2xf32> -> tensor<1x8x3xf32>
  %dt0 = tensor.extract_slice %dbc[0, 0, 0] [1, 8, 1] [1, 1, 1] : tensor<1x8x3xf32> to tensor<1x8x1xf32>
  %B = tensor.extract_slice %dbc[0, 0, 1] [1, 8, 1] [1, 1, 1] : tensor<1x8x3xf32> to tensor<1x8x1xf32>
  %C = tensor.extract_slice %dbc[0, 0, 2] [1, 8, 1] [1, 1, 1] : tensor<1x8x3xf32> to tensor<1x8x1xf32>
  %dt1 = ssm.linear %dt0, %step : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %dt1 : tensor<1x8x2xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%C) init(%h) D(%D : tensor<2xf32>) z(%z : tensor<1x8x2xf32>) : tensor<1x8x2xf32>, tensor<2x1xf32>, tensor<1x8x1xf32>, tensor<1x2x1xf32>
  %r = ssm.linear %y, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// A decay per head: head 0 goes with both of its channels, and with its step,
// which a broadcast repeats. The RMS norm still divides by the mean over four:
// its scale is [7, 8] sqrt(4 / 2), its epsilon 0.25 * 4 / 2.
// CHECK-LABEL: func.func @heads
// CHECK-DAG: %[[IN:.*]] = arith.constant dense<{{\[\[}}3.0{{.*}}], [4.0{{.*}}]]> : tensor<2x1xf32>
// CHECK-DAG: %[[STEP:.*]] = arith.constant dense<6.0{{.*}}> : tensor<1x1xf32>
// CHECK-DAG: %[[A0:.*]] = arith.constant dense<-2.0{{.*}}> : tensor<1xf32>
// CHECK-DAG: %[[SCALE:.*]] = arith.constant dense<[9.89949{{.*}}, 11.3137{{.*}}]> : tensor<2xf32>
// CHECK: linalg.broadcast ins(%[[A0]] : tensor<1xf32>) outs(%{{.*}} : tensor<1x2xf32>)
// CHECK: ssm.linear %{{.*}}, %[[IN]]
// CHECK: %[[DT0:.*]] = ssm.linear %{{.*}}, %[[STEP]]
// CHECK: linalg.broadcast ins(%{{.*}} : tensor<1x8x1xf32>) outs(%{{.*}} : tensor<1x8x1x2xf32>)
// CHECK: tensor.collapse_shape {{.*}} : tensor<1x8x1x2xf32> into tensor<1x8x2xf32>
// CHECK: ssm.selective_scan
// CHECK: tensor.expand_shape {{.*}} output_shape [1, 8, 1, 2]
// CHECK: ssm.norm rms %{{.*}} scale(%[[SCALE]] : tensor<2xf32>) epsilon 5.000000e-01 : tensor<1x8x1x2xf32>
func.func @heads(%u: tensor<1x8x1xf32>, %B: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0], [3.0], [4.0]]> : tensor<4x1xf32>
  %step = arith.constant dense<[[5.0], [6.0]]> : tensor<2x1xf32>
  %a0 = arith.constant dense<[-1.0, -2.0]> : tensor<2xf32>
  %h = arith.constant dense<0.0> : tensor<1x4x1xf32>
  %scale = arith.constant dense<[5.0, 6.0, 7.0, 8.0]> : tensor<4xf32>
  %out = arith.constant dense<[[0.1, 0.1, 1.0, 1.0]]> : tensor<1x4xf32>
  %ea = tensor.empty() : tensor<2x2xf32>
  %a1 = linalg.broadcast ins(%a0 : tensor<2xf32>) outs(%ea : tensor<2x2xf32>) dimensions = [1]
  %A = tensor.collapse_shape %a1 [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<4x1xf32> -> tensor<1x8x4xf32>
  %dt0 = ssm.linear %u, %step : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt1 = ssm.softplus %dt0 : tensor<1x8x2xf32>
  %e = tensor.empty() : tensor<1x8x2x2xf32>
  %dt2 = linalg.broadcast ins(%dt1 : tensor<1x8x2xf32>) outs(%e : tensor<1x8x2x2xf32>) dimensions = [3]
  %dt = tensor.collapse_shape %dt2 [[0], [1], [2, 3]] : tensor<1x8x2x2xf32> into tensor<1x8x4xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x4xf32>, tensor<4xf32>, tensor<1x8x1xf32>, tensor<1x4x1xf32>
  %y1 = tensor.expand_shape %y [[0], [1], [2, 3]] output_shape [1, 8, 1, 4] : tensor<1x8x4xf32> into tensor<1x8x1x4xf32>
  %n = ssm.norm rms %y1 scale(%scale : tensor<4xf32>) epsilon 0.25 : tensor<1x8x1x4xf32>
  %n1 = tensor.collapse_shape %n [[0], [1], [2, 3]] : tensor<1x8x1x4xf32> into tensor<1x8x4xf32>
  %r = ssm.linear %n1, %out : tensor<1x8x4xf32>, tensor<1x4xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// Two layers that share their constants are pruned apart: each has its own copy
// of what is cut, and of the broadcast in between. The first keeps channel 1,
// the second channel 0. What both cut alike they still share.
// CHECK-LABEL: func.func @shared
// CHECK-DAG: %[[FIRST:.*]] = arith.constant dense<-2.0{{.*}}> : tensor<1xf32>
// CHECK-DAG: %[[SECOND:.*]] = arith.constant dense<-1.0{{.*}}> : tensor<1xf32>
// CHECK-DAG: linalg.broadcast ins(%[[FIRST]] : tensor<1xf32>) outs(%{{.*}} : tensor<1x3xf32>)
// CHECK-DAG: linalg.broadcast ins(%[[SECOND]] : tensor<1xf32>) outs(%{{.*}} : tensor<1x3xf32>)
// CHECK-COUNT-2: ssm.selective_scan {{.*}} : tensor<1x8x1xf32>, tensor<1x3xf32>
func.func @shared(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %a0 = arith.constant dense<[-1.0, -2.0]> : tensor<2xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out0 = arith.constant dense<[[0.01, 1.0]]> : tensor<1x2xf32>
  %out1 = arith.constant dense<[[1.0, 0.01]]> : tensor<1x2xf32>
  %ea = tensor.empty() : tensor<2x3xf32>
  %A = linalg.broadcast ins(%a0 : tensor<2xf32>) outs(%ea : tensor<2x3xf32>) dimensions = [1]
  %x0 = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt0 = ssm.softplus %x0 : tensor<1x8x2xf32>
  %y0, %last0 = ssm.selective_scan x(%x0) dt(%dt0) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %r0 = ssm.linear %y0, %out0 : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  %x1 = ssm.linear %r0, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt1 = ssm.softplus %x1 : tensor<1x8x2xf32>
  %y1, %last1 = ssm.selective_scan x(%x1) dt(%dt1) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %r1 = ssm.linear %y1, %out1 : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r1 : tensor<1x8x1xf32>
}

// -----

// Two directions that are added up lose the same channel, although each reads
// its input through transposes and a reversal.
// CHECK-LABEL: func.func @directions
// CHECK-DAG: %[[IN:.*]] = arith.constant dense<2.0{{.*}}> : tensor<1x1xf32>
// CHECK-DAG: %[[OUT:.*]] = arith.constant dense<4.0{{.*}}> : tensor<1x1xf32>
// CHECK: ssm.linear %{{.*}}, %[[IN]]
// CHECK: linalg.transpose ins(%{{.*}} : tensor<1x8x1xf32>) outs(%{{.*}} : tensor<1x1x8xf32>)
// CHECK: ssm.reverse %{{.*}} dims [2] : tensor<1x1x8xf32>
// CHECK-COUNT-2: ssm.selective_scan {{.*}} : tensor<1x8x1xf32>
// CHECK: arith.addf {{.*}} : tensor<1x1x8xf32>
// CHECK: ssm.linear %{{.*}}, %[[OUT]]
func.func @directions(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %e = tensor.empty() : tensor<1x2x8xf32>
  %f = tensor.empty() : tensor<1x8x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %xt = linalg.transpose ins(%x : tensor<1x8x2xf32>) outs(%e : tensor<1x2x8xf32>) permutation = [0, 2, 1]
  %xr = ssm.reverse %xt dims [2] : tensor<1x2x8xf32>
  %x1 = linalg.transpose ins(%xr : tensor<1x2x8xf32>) outs(%f : tensor<1x8x2xf32>) permutation = [0, 2, 1]
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  %dt1 = ssm.softplus %x1 : tensor<1x8x2xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %y1, %last1 = ssm.selective_scan x(%x1) dt(%dt1) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %yt = linalg.transpose ins(%y : tensor<1x8x2xf32>) outs(%e : tensor<1x2x8xf32>) permutation = [0, 2, 1]
  %y1t = linalg.transpose ins(%y1 : tensor<1x8x2xf32>) outs(%e : tensor<1x2x8xf32>) permutation = [0, 2, 1]
  %y1r = ssm.reverse %y1t dims [2] : tensor<1x2x8xf32>
  %s = arith.addf %yt, %y1r : tensor<1x2x8xf32>
  %st = linalg.transpose ins(%s : tensor<1x2x8xf32>) outs(%f : tensor<1x8x2xf32>) permutation = [0, 2, 1]
  %r = ssm.linear %st, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// Groups of B and C have as many channels each, so whole groups go.
// CHECK-LABEL: func.func @groups
// CHECK: ssm.selective_scan {{.*}} : tensor<1x8x2xf32>, tensor<2xf32>, tensor<1x8x1x3xf32>, tensor<1x2x3xf32>
func.func @groups(%u: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0], [3.0], [4.0]]> : tensor<4x1xf32>
  %bc = arith.constant dense<[[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]> : tensor<6x1xf32>
  %A = arith.constant dense<-1.0> : tensor<4xf32>
  %h = arith.constant dense<0.0> : tensor<1x4x3xf32>
  %out = arith.constant dense<[[1.0, 0.1, 1.0, 0.1]]> : tensor<1x4xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<4x1xf32> -> tensor<1x8x4xf32>
  %dt = ssm.softplus %x : tensor<1x8x4xf32>
  %b0 = ssm.linear %u, %bc : tensor<1x8x1xf32>, tensor<6x1xf32> -> tensor<1x8x6xf32>
  %B = tensor.expand_shape %b0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 3] : tensor<1x8x6xf32> into tensor<1x8x2x3xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x4xf32>, tensor<4xf32>, tensor<1x8x2x3xf32>, tensor<1x4x3xf32>
  %r = ssm.linear %y, %out : tensor<1x8x4xf32>, tensor<1x4xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// Eight columns of a weight of integers share a scale: they go together, and the
// scale with them.
// CHECK-LABEL: func.func @integers
// CHECK-DAG: %[[OUT:.*]] = arith.constant dense<3> : tensor<1x8xi4>
// CHECK-DAG: %[[SCALES:.*]] = arith.constant dense<2.0{{.*}}> : tensor<1x1xf32>
// CHECK: ssm.selective_scan {{.*}} : tensor<1x8x8xf32>
// CHECK: ssm.linear %{{.*}}, %[[OUT]] scales(%[[SCALES]] : tensor<1x1xf32>) group 8 : tensor<1x8x8xf32>
func.func @integers(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<1.0> : tensor<16x1xf32>
  %A = arith.constant dense<-1.0> : tensor<16x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x16x3xf32>
  %out = arith.constant dense<3> : tensor<1x16xi4>
  %scales = arith.constant dense<[[1.0, 2.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<16x1xf32> -> tensor<1x8x16xf32>
  %dt = ssm.softplus %x : tensor<1x8x16xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x16xf32>, tensor<16x3xf32>, tensor<1x8x3xf32>, tensor<1x16x3xf32>
  %r = ssm.linear %y, %out scales(%scales : tensor<1x2xf32>) group 8 : tensor<1x8x16xf32>, tensor<1x16xi4> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}
