// Sums of products are fused; what only looks like one is not.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-fuse-multiply-add))' %s | FileCheck %s

// CHECK-LABEL: @contract
// CHECK: linalg.generic
// CHECK: math.fma
// CHECK-NOT: arith.addf
func.func @contract(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>, %z: tensor<2x4xf32>)
    -> tensor<2x4xf32> {
  %0 = linalg.contract
    indexing_maps = [affine_map<(i, j, k) -> (i, k)>,
                     affine_map<(i, j, k) -> (k, j)>,
                     affine_map<(i, j, k) -> (i, j)>]
    ins(%x, %y : tensor<2x3xf32>, tensor<3x4xf32>)
    outs(%z : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// A product and a sum of one element each: no kernel fuses them.
// CHECK-LABEL: @elementwise
// CHECK-NOT: math.fma
func.func @elementwise(%x: tensor<4xf32>, %y: tensor<4xf32>, %z: tensor<4xf32>)
    -> tensor<4xf32> {
  %0 = linalg.generic {
      indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>,
                       affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]}
    ins(%x, %y : tensor<4xf32>, tensor<4xf32>) outs(%z : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// The product holds the accumulator: a running product, not a sum of products.
// CHECK-LABEL: @accumulator_times_two
// CHECK-NOT: math.fma
func.func @accumulator_times_two(%x: tensor<4xf32>, %z: tensor<f32>) -> tensor<f32> {
  %0 = linalg.generic {
      indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>],
      iterator_types = ["reduction"]}
    ins(%x : tensor<4xf32>) outs(%z : tensor<f32>) {
  ^bb0(%a: f32, %c: f32):
    %p = arith.mulf %a, %a : f32
    %q = arith.mulf %p, %c : f32
    %s = arith.addf %a, %q : f32
    linalg.yield %s : f32
  } -> tensor<f32>
  return %0 : tensor<f32>
}

// There is no fused multiply-add of integers.
// CHECK-LABEL: @integers
// CHECK-NOT: math.fma
func.func @integers(%x: tensor<4xi32>, %z: tensor<i32>) -> tensor<i32> {
  %0 = linalg.dot ins(%x, %x : tensor<4xi32>, tensor<4xi32>)
                  outs(%z : tensor<i32>) -> tensor<i32>
  return %0 : tensor<i32>
}
