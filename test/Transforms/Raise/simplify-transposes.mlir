// Transposes that only undo each other go away.
// RUN: itera-opt --ssm-simplify-transposes %s | FileCheck %s

// CHECK-DAG: #[[$W:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d3)>
// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
// CHECK-DAG: #[[$Y:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1)>

// Through elementwise ops, slices, broadcasts and constants.
// CHECK-LABEL: func @absorb
// CHECK-NOT: linalg.transpose
// CHECK: %[[S:.*]] = tensor.extract_slice %arg0[0, 0, 2] [1, 6, 4] [1, 1, 1]
// CHECK: %[[B:.*]] = linalg.broadcast ins(%arg1 : tensor<4xf32>) {{.*}} dimensions = [0, 1]
// CHECK: %[[M:.*]] = arith.mulf %[[S]], %[[B]] : tensor<1x6x4xf32>
// CHECK: %[[A:.*]] = arith.addf %[[M]], %{{.*}} : tensor<1x6x4xf32>
// CHECK: return %[[A]]
func.func @absorb(%x: tensor<1x6x8xf32>, %d: tensor<4xf32>) -> tensor<1x6x4xf32> {
  %one = arith.constant dense<1.0> : tensor<1x4x6xf32>
  %e = tensor.empty() : tensor<1x8x6xf32>
  %f = tensor.empty() : tensor<1x4x6xf32>
  %g = tensor.empty() : tensor<1x6x4xf32>
  %t = linalg.transpose ins(%x : tensor<1x6x8xf32>) outs(%e : tensor<1x8x6xf32>) permutation = [0, 2, 1]
  %s = tensor.extract_slice %t[0, 2, 0] [1, 4, 6] [1, 1, 1] : tensor<1x8x6xf32> to tensor<1x4x6xf32>
  %b = linalg.broadcast ins(%d : tensor<4xf32>) outs(%f : tensor<1x4x6xf32>) dimensions = [0, 2]
  %m = arith.mulf %s, %b : tensor<1x4x6xf32>
  %a = arith.addf %m, %one : tensor<1x4x6xf32>
  %r = linalg.transpose ins(%a : tensor<1x4x6xf32>) outs(%g : tensor<1x6x4xf32>) permutation = [0, 2, 1]
  return %r : tensor<1x6x4xf32>
}

// A matmul reads and writes transposed tensors in place.
#w = affine_map<(b, d, t, r) -> (d, r)>
#x = affine_map<(b, d, t, r) -> (b, r, t)>
#y = affine_map<(b, d, t, r) -> (b, d, t)>
// CHECK-LABEL: func @contract
// CHECK-NOT: linalg.transpose
// CHECK: linalg.contract indexing_maps = [#[[$W]], #[[$X]], #[[$Y]]] ins(%arg0, %arg1 : tensor<5x3xf32>, tensor<1x6x3xf32>) {{.*}} -> tensor<1x6x5xf32>
func.func @contract(%wt: tensor<5x3xf32>, %in: tensor<1x6x3xf32>) -> tensor<1x6x5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x3x6xf32>
  %f = tensor.empty() : tensor<1x5x6xf32>
  %g = tensor.empty() : tensor<1x6x5xf32>
  %t = linalg.transpose ins(%in : tensor<1x6x3xf32>) outs(%e : tensor<1x3x6xf32>) permutation = [0, 2, 1]
  %z = linalg.fill ins(%zero : f32) outs(%f : tensor<1x5x6xf32>) -> tensor<1x5x6xf32>
  %c = linalg.contract indexing_maps = [#w, #x, #y] ins(%wt, %t : tensor<5x3xf32>, tensor<1x3x6xf32>) outs(%z : tensor<1x5x6xf32>) -> tensor<1x5x6xf32>
  %r = linalg.transpose ins(%c : tensor<1x5x6xf32>) outs(%g : tensor<1x6x5xf32>) permutation = [0, 2, 1]
  return %r : tensor<1x6x5xf32>
}

// What something else reads, too, is not computed twice.
// CHECK-LABEL: func @shared
// CHECK: linalg.transpose
// CHECK: %[[S:.*]] = ssm.silu {{.*}} : tensor<4x6xf32>
// CHECK: linalg.transpose ins(%[[S]]
func.func @shared(%x: tensor<6x4xf32>) -> (tensor<6x4xf32>, tensor<4x6xf32>) {
  %e = tensor.empty() : tensor<4x6xf32>
  %f = tensor.empty() : tensor<6x4xf32>
  %t = linalg.transpose ins(%x : tensor<6x4xf32>) outs(%e : tensor<4x6xf32>) permutation = [1, 0]
  %s = ssm.silu %t : tensor<4x6xf32>
  %r = linalg.transpose ins(%s : tensor<4x6xf32>) outs(%f : tensor<6x4xf32>) permutation = [1, 0]
  return %r, %s : tensor<6x4xf32>, tensor<4x6xf32>
}

// Moving dimensions of size one is a reshape; three transposes in a row are one.
// CHECK-LABEL: func @compose
// CHECK: tensor.collapse_shape %arg0 {{\[}}[0, 1], [2]]
// CHECK: %[[T:.*]] = linalg.transpose ins(%arg1 : tensor<2x3x4xf32>) {{.*}} permutation = [2, 1, 0]
// CHECK: return %{{.*}}, %[[T]]
func.func @compose(%x: tensor<1x6x4xf32>, %y: tensor<2x3x4xf32>) -> (tensor<6x1x4xf32>, tensor<4x3x2xf32>) {
  %e = tensor.empty() : tensor<6x1x4xf32>
  %a = linalg.transpose ins(%x : tensor<1x6x4xf32>) outs(%e : tensor<6x1x4xf32>) permutation = [1, 0, 2]
  %f = tensor.empty() : tensor<3x2x4xf32>
  %g = tensor.empty() : tensor<3x4x2xf32>
  %h = tensor.empty() : tensor<4x3x2xf32>
  %b = linalg.transpose ins(%y : tensor<2x3x4xf32>) outs(%f : tensor<3x2x4xf32>) permutation = [1, 0, 2]
  %c = linalg.transpose ins(%b : tensor<3x2x4xf32>) outs(%g : tensor<3x4x2xf32>) permutation = [0, 2, 1]
  %d = linalg.transpose ins(%c : tensor<3x4x2xf32>) outs(%h : tensor<4x3x2xf32>) permutation = [1, 0, 2]
  return %a, %d : tensor<6x1x4xf32>, tensor<4x3x2xf32>
}

// A scan of one step: as a reshape, the transpose would leave two dimensions of
// size one, of which nothing says any more that the other one is time.
// CHECK-LABEL: func @one_step
// CHECK: stack_dims = array<i64: 1>
// CHECK-NOT: linalg.transpose
func.func @one_step(%h: tensor<1x4xf32>, %x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %s:2 = ssm.scan init(%h : tensor<1x4xf32>) sequences(%x : tensor<1x1x4xf32>) length 1 {
  ^bb0(%a: tensor<1x4xf32>, %b: tensor<1x4xf32>):
    %c = arith.addf %a, %b : tensor<1x4xf32>
    %t = math.tanh %c : tensor<1x4xf32>
    ssm.yield %t, %t : tensor<1x4xf32>, tensor<1x4xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 0>} -> tensor<1x4xf32>, tensor<1x1x4xf32>
  %e = tensor.empty() : tensor<1x1x4xf32>
  %y = linalg.transpose ins(%s#1 : tensor<1x1x4xf32>) outs(%e : tensor<1x1x4xf32>) permutation = [1, 0, 2]
  return %y : tensor<1x1x4xf32>
}
