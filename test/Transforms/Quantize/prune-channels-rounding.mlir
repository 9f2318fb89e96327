// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=0.5 multiple=2},canonicalize))' --split-input-file --verify-diagnostics %s | FileCheck %s

// Three may go of six, which leaves no multiple of two: two go.
// CHECK-LABEL: func.func @six
// CHECK: ssm.selective_scan {{.*}} : tensor<1x8x4xf32>
func.func @six(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<1.0> : tensor<6x1xf32>
  %A = arith.constant dense<-1.0> : tensor<6x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x6x3xf32>
  %out = arith.constant dense<1.0> : tensor<1x6xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<6x1xf32> -> tensor<1x8x6xf32>
  %dt = ssm.softplus %x : tensor<1x8x6xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x6xf32>, tensor<6x3xf32>, tensor<1x8x3xf32>, tensor<1x6x3xf32>
  %r = ssm.linear %y, %out : tensor<1x8x6xf32>, tensor<1x6xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// One may go of two, but what is left must be two.
// CHECK-LABEL: func.func @two
// CHECK: ssm.selective_scan {{.*}} : tensor<1x8x2xf32>
func.func @two(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<1.0> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<1.0> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: of 2, no more than 1 may go, and what is left must be a multiple of 2}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %r = ssm.linear %y, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// Of two slices of the channels none may become empty, although all that the
// first reads is worth nothing: it keeps its channels.
// CHECK-LABEL: func.func @slices
// CHECK: ssm.selective_scan {{.*}} : tensor<1x8x4xf32>
// CHECK: tensor.extract_slice %{{.*}}[0, 0, 0] [1, 8, 2]
func.func @slices(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<1.0> : tensor<4x1xf32>
  %A = arith.constant dense<-1.0> : tensor<4x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x4x3xf32>
  %out = arith.constant dense<[[0.0, 0.0, 1.0, 1.0]]> : tensor<1x4xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<4x1xf32> -> tensor<1x8x4xf32>
  %dt = ssm.softplus %x : tensor<1x8x4xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x4xf32>, tensor<4x3xf32>, tensor<1x8x3xf32>, tensor<1x4x3xf32>
  %a = tensor.extract_slice %y[0, 0, 0] [1, 8, 2] [1, 1, 1] : tensor<1x8x4xf32> to tensor<1x8x2xf32>
  %b = tensor.extract_slice %y[0, 0, 2] [1, 8, 2] [1, 1, 1] : tensor<1x8x4xf32> to tensor<1x8x2xf32>
  %c = ssm.silu %a : tensor<1x8x2xf32>
  %d = tensor.concat dim(2) %c, %b : (tensor<1x8x2xf32>, tensor<1x8x2xf32>) -> tensor<1x8x4xf32>
  %r = ssm.linear %d, %out : tensor<1x8x4xf32>, tensor<1x4xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}
