// Every op parses, prints and parses again.
// RUN: itera-opt --verify-roundtrip %s | FileCheck %s

// CHECK-LABEL: func @scan
func.func @scan(%h0: tensor<4xf32>, %a: tensor<16x4xf32>, %u: tensor<16x4xf32>) -> (tensor<4xf32>, tensor<16x4xf32>) {
  // CHECK: ssm.scan init(%{{.*}} : tensor<4xf32>) sequences(%{{.*}}, %{{.*}} : tensor<16x4xf32>, tensor<16x4xf32>) length 16
  %last, %h = ssm.scan init(%h0 : tensor<4xf32>)
      sequences(%a, %u : tensor<16x4xf32>, tensor<16x4xf32>) length 16 {
  ^bb0(%s: tensor<4xf32>, %at: tensor<4xf32>, %ut: tensor<4xf32>):
    %m = arith.mulf %at, %s : tensor<4xf32>
    %n = arith.addf %m, %ut : tensor<4xf32>
    // CHECK: ssm.yield %{{.*}}, %{{.*}} : tensor<4xf32>, tensor<4xf32>
    ssm.yield %n, %n : tensor<4xf32>, tensor<4xf32>
  } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>} -> tensor<4xf32>, tensor<16x4xf32>
  return %last, %h : tensor<4xf32>, tensor<16x4xf32>
}

// CHECK-LABEL: func @recurrences
func.func @recurrences(%a: tensor<2x16x8xf32>, %h0: tensor<2x8xf32>, %x: tensor<1x16x8xf32>, %A: tensor<8x4xf32>,
    %B: tensor<1x16x4xf32>, %B2: tensor<1x16x2x4xf32>, %s0: tensor<1x8x4xf32>, %d: tensor<8xf32>, %w: tensor<8x4xf32>, %p: tensor<1x3x8xf32>) {
  // CHECK: ssm.linear_recurrence %{{.*}}, %{{.*}}, %{{.*}} dim 1 : tensor<2x16x8xf32>, tensor<2x8xf32>
  %h, %last = ssm.linear_recurrence %a, %a, %h0 dim 1 : tensor<2x16x8xf32>, tensor<2x8xf32>
  // CHECK: ssm.selective_scan x(%{{.*}}) dt(%{{.*}}) A(%{{.*}}) B(%{{.*}}) C(%{{.*}}) init(%{{.*}}) D(%{{.*}} : tensor<8xf32>) z(%{{.*}} : tensor<1x16x8xf32>) reverse
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%s0) D(%d : tensor<8xf32>) z(%x : tensor<1x16x8xf32>) reverse
      : tensor<1x16x8xf32>, tensor<8x4xf32>, tensor<1x16x4xf32>, tensor<1x8x4xf32>
  // CHECK: ssm.selective_scan {{.*}} : tensor<1x16x8xf32>, tensor<8xf32>, tensor<1x16x2x4xf32>, tensor<1x8x4xf32>
  %y2, %l2 = ssm.selective_scan x(%x) dt(%x) A(%d) B(%B2) C(%B2) init(%s0)
      : tensor<1x16x8xf32>, tensor<8xf32>, tensor<1x16x2x4xf32>, tensor<1x8x4xf32>
  // CHECK: ssm.causal_conv1d %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<8xf32>) past(%{{.*}} : tensor<1x3x8xf32>) silu
  %c = ssm.causal_conv1d %x, %w bias(%d : tensor<8xf32>) past(%p : tensor<1x3x8xf32>) silu
      : tensor<1x16x8xf32>, tensor<8x4xf32>
  // CHECK: ssm.long_conv %{{.*}}, %{{.*}} : tensor<1x16x8xf32>, tensor<16x8xf32>
  %k = tensor.empty() : tensor<16x8xf32>
  %long = ssm.long_conv %x, %k : tensor<1x16x8xf32>, tensor<16x8xf32>
  return
}

// CHECK-LABEL: func @layers
func.func @layers(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>, %b: tensor<16xf32>, %pw: tensor<2x8x16xf32>, %s: tensor<8xf32>,
    %ids: tensor<1x4xi64>, %sel: tensor<4x2xi64>, %g: tensor<4x2xf32>, %up: tensor<3x16x8xf32>, %down: tensor<3x8x16xf32>) {
  // CHECK: ssm.sigmoid
  %0 = ssm.sigmoid %x : tensor<4x8xf32>
  // CHECK: ssm.silu
  %1 = ssm.silu %x : tensor<4x8xf32>
  // CHECK: ssm.softplus
  %2 = ssm.softplus %x : tensor<4x8xf32>
  // CHECK: ssm.gelu tanh
  %3 = ssm.gelu tanh %x : tensor<4x8xf32>
  // CHECK: ssm.linear %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<16xf32>)
  %4 = ssm.linear %x, %w bias(%b : tensor<16xf32>) : tensor<4x8xf32>, tensor<16x8xf32> -> tensor<4x16xf32>
  // CHECK: ssm.linear %{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<2x8x16xf32> -> tensor<4x20xf32>
  %5 = ssm.linear %x, %pw : tensor<4x8xf32>, tensor<2x8x16xf32> -> tensor<4x20xf32>
  // CHECK: ssm.norm rms %{{.*}} scale(%{{.*}} : tensor<8xf32>) epsilon
  %6 = ssm.norm rms %x scale(%s : tensor<8xf32>) epsilon 1.0e-5 : tensor<4x8xf32>
  // CHECK: ssm.embedding
  %7 = ssm.embedding %ids, %w : tensor<1x4xi64>, tensor<16x8xf32> -> tensor<1x4x8xf32>
  // CHECK: ssm.moe %{{.*}} gelu
  %8 = ssm.moe %x, %sel, %g, %up, %down gelu
      : tensor<4x8xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x16x8xf32>, tensor<3x8x16xf32>
  // CHECK: ssm.hadamard %{{.*}} block 4 : tensor<4x8xf32>
  %9 = ssm.hadamard %x block 4 : tensor<4x8xf32>
  return
}

// CHECK-LABEL: func @tensors
func.func @tensors(%x: tensor<1x8x16xf32>, %w: tensor<8x1x4xf32>, %data: tensor<8x4xf32>, %i: tensor<3xi64>, %i1: tensor<3x1xi64>,
    %i2: tensor<3x4xi64>, %u: tensor<3x4xf32>, %n: tensor<i64>, %m: tensor<2x8xi1>) {
  // CHECK: ssm.conv
  %0 = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 8 : i64, pads_high = array<i64: 3>,
      pads_low = array<i64: 3>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x1x4xf32> -> tensor<1x8x19xf32>
  // CHECK: ssm.cumsum %{{.*}} dim 1 exclusive reverse
  %1 = ssm.cumsum %data dim 1 exclusive reverse : tensor<8x4xf32>
  // CHECK: ssm.reverse %{{.*}} dims [1]
  %2 = ssm.reverse %data dims [1] : tensor<8x4xf32>
  // CHECK: ssm.ones_like %{{.*}} : tensor<8x4xf32> -> tensor<8x1xf32>
  %ones = ssm.ones_like %data : tensor<8x4xf32> -> tensor<8x1xf32>
  // CHECK: ssm.gather
  %3 = ssm.gather %data, %i dim 0 : tensor<8x4xf32>, tensor<3xi64> -> tensor<3x4xf32>
  // CHECK: ssm.gather_elements
  %4 = ssm.gather_elements %data, %i2 dim 0 : tensor<8x4xf32>, tensor<3x4xi64> -> tensor<3x4xf32>
  // CHECK: ssm.gather_nd
  %5 = ssm.gather_nd %data, %i1 : tensor<8x4xf32>, tensor<3x1xi64> -> tensor<3x4xf32>
  // CHECK: ssm.scatter_nd %{{.*}} valid(%{{.*}} : tensor<i64>) add
  %6 = ssm.scatter_nd %data, %i1, %u valid(%n : tensor<i64>) add : tensor<8x4xf32>, tensor<3x1xi64>, tensor<3x4xf32>
  // CHECK: ssm.scatter_elements %{{.*}} dim 0 replace
  %7 = ssm.scatter_elements %data, %i2, %u dim 0 replace : tensor<8x4xf32>, tensor<3x4xi64>, tensor<3x4xf32>
  // CHECK: ssm.top_k smallest
  %8, %9 = ssm.top_k smallest %data dim 1 : tensor<8x4xf32> -> tensor<8x2xf32>, tensor<8x2xi64>
  // CHECK: ssm.nonzero
  %10, %11 = ssm.nonzero %m : tensor<2x8xi1> -> tensor<2x16xi64>, tensor<i64>
  return
}

// CHECK-LABEL: func @weights
func.func @weights() -> tensor<2xf32> {
  // CHECK: ssm.weight "w" dense_resource<w> : tensor<2xf32>
  %w = ssm.weight "w" dense_resource<w> : tensor<2xf32>
  // CHECK: ssm.kernel @kernels::@twice(%{{.*}}) : (tensor<2xf32>) -> tensor<2xf32>
  %y = ssm.kernel @kernels::@twice(%w) : (tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}

module @kernels {
  func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
    %y = arith.addf %x, %x : tensor<2xf32>
    return %y : tensor<2xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000803F00000040"
    }
  }
#-}
