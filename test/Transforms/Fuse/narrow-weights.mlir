// What is exact in half the bytes is stored in half the bytes, and widened by the
// kernels that read it.
// RUN: itera-opt --ssm-narrow-weights %s | FileCheck %s

// Taps, through a transpose in the kernel; a bias; a factor. One resource for both
// functions that read it.
// CHECK-LABEL: @forward
// CHECK: %[[T:.*]] = ssm.weight "taps" dense_resource<taps.f16> : tensor<2x4xf16>
// CHECK: %[[B:.*]] = ssm.weight "bias" dense_resource<bias.f16> : tensor<4xf16>
// CHECK: ssm.kernel @kernels::@conv(%{{.*}}, %[[T]], %[[B]]) : (tensor<1x3x4xf32>, tensor<2x4xf16>, tensor<4xf16>)
func.func @forward(%x: tensor<1x3x4xf32>) -> tensor<1x3x4xf32> {
  %t = ssm.weight "taps" dense<[[1.0, 0.5, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]> : tensor<2x4xf32>
  %b = ssm.weight "bias" dense<[1.0, 2.0, 3.0, 65504.0]> : tensor<4xf32>
  %y = ssm.kernel @kernels::@conv(%x, %t, %b) : (tensor<1x3x4xf32>, tensor<2x4xf32>, tensor<4xf32>) -> tensor<1x3x4xf32>
  return %y : tensor<1x3x4xf32>
}
// CHECK-LABEL: @step
// CHECK: ssm.weight "taps" dense_resource<taps.f16> : tensor<2x4xf16>
func.func @step(%x: tensor<1x3x4xf32>) -> tensor<1x3x4xf32> {
  %t = ssm.weight "taps" dense<[[1.0, 0.5, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]> : tensor<2x4xf32>
  %b = ssm.weight "bias" dense<[1.0, 2.0, 3.0, 65504.0]> : tensor<4xf32>
  %y = ssm.kernel @kernels::@conv(%x, %t, %b) : (tensor<1x3x4xf32>, tensor<2x4xf32>, tensor<4xf32>) -> tensor<1x3x4xf32>
  return %y : tensor<1x3x4xf32>
}

// Not exact; read outside of kernels too; passed where another call passes what is
// no weight, or a weight that must stay.
// CHECK-LABEL: @wide
// CHECK: ssm.weight "inexact" dense<{{.*}} : tensor<4xf32>
// CHECK: ssm.weight "outside" dense<{{.*}} : tensor<4xf32>
// CHECK: ssm.weight "shared" dense<{{.*}} : tensor<4xf32>
// CHECK: ssm.weight "with_inexact" dense<{{.*}} : tensor<4xf32>
func.func @wide(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %i = ssm.weight "inexact" dense<[1.0, 0.1, 1.0, 1.0]> : tensor<4xf32>
  %o = ssm.weight "outside" dense<[1.0, 2.0, 1.0, 1.0]> : tensor<4xf32>
  %s = ssm.weight "shared" dense<[1.0, 3.0, 1.0, 1.0]> : tensor<4xf32>
  %w = ssm.weight "with_inexact" dense<[1.0, 4.0, 1.0, 1.0]> : tensor<4xf32>
  %0 = ssm.kernel @kernels::@a(%x, %i) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = ssm.kernel @kernels::@a(%x, %w) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = ssm.kernel @kernels::@b(%x, %o) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = ssm.kernel @kernels::@c(%x, %s) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %4 = ssm.kernel @kernels::@c(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2, %3, %4, %o : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// A matrix of products, and what a scan reads at each step.
// CHECK-LABEL: @products
// CHECK: ssm.weight "matrix" dense<{{.*}} : tensor<2x2xf32>
// CHECK: ssm.weight "A" dense<{{.*}} : tensor<2x1xf32>
func.func @products(%x: tensor<1x3x2xf32>, %B: tensor<1x3x1xf32>, %h: tensor<1x2x1xf32>) -> (tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x2x1xf32>) {
  %m = ssm.weight "matrix" dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
  %A = ssm.weight "A" dense<[[-1.0], [-2.0]]> : tensor<2x1xf32>
  %y = ssm.kernel @kernels::@linear(%x, %m) : (tensor<1x3x2xf32>, tensor<2x2xf32>) -> tensor<1x3x2xf32>
  %z, %last = ssm.kernel @kernels::@scan(%y, %A, %B, %h)
    : (tensor<1x3x2xf32>, tensor<2x1xf32>, tensor<1x3x1xf32>, tensor<1x2x1xf32>) -> (tensor<1x3x2xf32>, tensor<1x2x1xf32>)
  return %y, %z, %last : tensor<1x3x2xf32>, tensor<1x3x2xf32>, tensor<1x2x1xf32>
}

// Rows of a table, and a part of them: the least type that holds them.
// CHECK-LABEL: @rows
// CHECK: %[[I:.*]] = ssm.weight "rows" dense_resource<rows.narrow> : tensor<1x3xi16>
// CHECK: ssm.weight "result" dense<{{.*}} : tensor<1x3xi64>
// CHECK: %[[S:.*]] = tensor.extract_slice %[[I]]{{.*}} : tensor<1x3xi16> to tensor<1x1xi16>
// CHECK: ssm.embedding %[[S]], %{{.*}} : tensor<1x1xi16>, tensor<130x2xf32>
func.func @rows(%t: tensor<130x2xf32>, %at: index) -> (tensor<1x3x2xf32>, tensor<1x1x2xf32>, tensor<1x3xi64>) {
  %i = ssm.weight "rows" dense<[[0, -1, 129]]> : tensor<1x3xi64>
  %r = ssm.weight "result" dense<[[0, 1, 2]]> : tensor<1x3xi64>
  %part = tensor.extract_slice %i[0, %at] [1, 1] [1, 1] : tensor<1x3xi64> to tensor<1x1xi64>
  %0 = ssm.embedding %i, %t : tensor<1x3xi64>, tensor<130x2xf32> -> tensor<1x3x2xf32>
  %1 = ssm.embedding %part, %t : tensor<1x1xi64>, tensor<130x2xf32> -> tensor<1x1x2xf32>
  return %0, %1, %r : tensor<1x3x2xf32>, tensor<1x1x2xf32>, tensor<1x3xi64>
}

module @kernels {
  // CHECK: func.func @conv(%{{.*}}, %[[T:.*]]: tensor<2x4xf16>, %[[B:.*]]: tensor<4xf16>)
  // CHECK-DAG: arith.extf %[[T]] : tensor<2x4xf16> to tensor<2x4xf32>
  // CHECK-DAG: arith.extf %[[B]] : tensor<4xf16> to tensor<4xf32>
  func.func @conv(%x: tensor<1x3x4xf32>, %t: tensor<2x4xf32>, %b: tensor<4xf32>) -> tensor<1x3x4xf32> {
    %e = tensor.empty() : tensor<4x2xf32>
    %w = linalg.transpose ins(%t : tensor<2x4xf32>) outs(%e : tensor<4x2xf32>) permutation = [1, 0]
    %y = ssm.causal_conv1d %x, %w bias(%b : tensor<4xf32>) none : tensor<1x3x4xf32>, tensor<4x2xf32>
    return %y : tensor<1x3x4xf32>
  }
  func.func @a(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
    %y = arith.addf %x, %w : tensor<4xf32>
    return %y : tensor<4xf32>
  }
  func.func @b(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
    %y = arith.mulf %x, %w : tensor<4xf32>
    return %y : tensor<4xf32>
  }
  func.func @c(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
    %y = arith.subf %x, %w : tensor<4xf32>
    return %y : tensor<4xf32>
  }
  func.func @linear(%x: tensor<1x3x2xf32>, %w: tensor<2x2xf32>) -> tensor<1x3x2xf32> {
    %y = ssm.linear %x, %w : tensor<1x3x2xf32>, tensor<2x2xf32> -> tensor<1x3x2xf32>
    return %y : tensor<1x3x2xf32>
  }
  func.func @scan(%x: tensor<1x3x2xf32>, %A: tensor<2x1xf32>, %B: tensor<1x3x1xf32>, %h: tensor<1x2x1xf32>) -> (tensor<1x3x2xf32>, tensor<1x2x1xf32>) {
    %y, %last = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
      : tensor<1x3x2xf32>, tensor<2x1xf32>, tensor<1x3x1xf32>, tensor<1x2x1xf32>
    return %y, %last : tensor<1x3x2xf32>, tensor<1x2x1xf32>
  }
}
