// Why channels stay. Nothing changes then.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=0.5 multiple=1}))' --split-input-file --verify-diagnostics %s | FileCheck %s

// CHECK-COUNT-8: ssm.selective_scan {{.*}} : tensor<1x8x2xf32>

// A layer norm takes a mean that the channels left would change; the remark
// names the node.
func.func @layer_norm(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: node '/mixer/norm' (ssm.norm) takes the mean over them}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %n = ssm.norm layer %y epsilon 1.0e-5 : tensor<1x8x2xf32> loc("/mixer/norm")
  %r = ssm.linear %n, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// A sum over the channels.
func.func @sum(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: linalg.reduce reduces over them}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %e = tensor.empty() : tensor<1x8xf32>
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8xf32>) -> tensor<1x8xf32>
  %s = linalg.reduce { arith.addf } ins(%y : tensor<1x8x2xf32>) outs(%f : tensor<1x8xf32>) dimensions = [2]
  return %s : tensor<1x8xf32>
}

// -----

// The caller gets the last state.
func.func @result(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> (tensor<1x8x1xf32>, tensor<1x2x3xf32>) {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: func.return gives them to the caller}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %r = ssm.linear %y, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r, %last : tensor<1x8x1xf32>, tensor<1x2x3xf32>
}

// -----

// The caller gives the first state.
func.func @argument(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>, %h0: tensor<1x2x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: they are an argument of the function}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h0) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %r = ssm.linear %y, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// An op that the pass does not know.
func.func @unknown(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: ssm.cumsum is not understood}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %c = ssm.cumsum %y dim 1 : tensor<1x8x2xf32>
  %r = ssm.linear %c, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// Softmax over the channels.
func.func @softmax(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: linalg.softmax normalises over them}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %e = tensor.empty() : tensor<1x8x2xf32>
  %s = linalg.softmax dimension(2) ins(%y : tensor<1x8x2xf32>) outs(%e : tensor<1x8x2xf32>) -> tensor<1x8x2xf32>
  %r = ssm.linear %s, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// A reshape that mixes time and channels.
func.func @reshape(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x16xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: tensor.collapse_shape splits or joins them otherwise than in blocks}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %c = tensor.collapse_shape %y [[0], [1, 2]] : tensor<1x8x2xf32> into tensor<1x16xf32>
  return %c : tensor<1x16xf32>
}

// -----

// Captured by the body of another op.
func.func @captured(%u: tensor<1x8x1xf32>, %B: tensor<1x8x3xf32>) -> tensor<1x8x1xf32> {
  %in = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %A = arith.constant dense<-1.0> : tensor<2x3xf32>
  %h = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %out = arith.constant dense<[[3.0, 4.0]]> : tensor<1x2xf32>
  %x = ssm.linear %u, %in : tensor<1x8x1xf32>, tensor<2x1xf32> -> tensor<1x8x2xf32>
  %dt = ssm.softplus %x : tensor<1x8x2xf32>
  // expected-remark @below {{channels are not pruned: arith.addf is not understood}}
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A) B(%B) C(%B) init(%h) : tensor<1x8x2xf32>, tensor<2x3xf32>, tensor<1x8x3xf32>, tensor<1x2x3xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %s = scf.for %i = %c0 to %c1 step %c1 iter_args(%a = %dt) -> tensor<1x8x2xf32> {
    %b = arith.addf %a, %y : tensor<1x8x2xf32>
    scf.yield %b : tensor<1x8x2xf32>
  }
  %r = ssm.linear %y, %out : tensor<1x8x2xf32>, tensor<1x2xf32> -> tensor<1x8x1xf32>
  return %r : tensor<1x8x1xf32>
}

// -----

// There is nothing to prune.
// expected-remark @below {{no channels are pruned: there is no selective scan}}
func.func @none(%u: tensor<1x8x1xf32>) -> tensor<1x8x1xf32> {
  return %u : tensor<1x8x1xf32>
}
