// Big splats take no space in the artefact; concat and pad write in place.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-prepare-bufferization))' %s | FileCheck %s

// CHECK-LABEL: func.func @splats
func.func @splats() -> (tensor<65xf32>, tensor<64xf32>) {
  // CHECK: %[[BIG:.*]] = linalg.fill {{.*}} -> tensor<65xf32>
  %big = arith.constant dense<2.0> : tensor<65xf32>
  // CHECK: %[[SMALL:.*]] = arith.constant dense<2.000000e+00> : tensor<64xf32>
  %small = arith.constant dense<2.0> : tensor<64xf32>
  return %big, %small : tensor<65xf32>, tensor<64xf32>
}

// CHECK-LABEL: func.func @movement
// CHECK-SAME: (%[[X:.*]]: tensor<2x3xf32>)
func.func @movement(%x: tensor<2x3xf32>) -> (tensor<4x3xf32>, tensor<2x5xf32>) {
  // CHECK: tensor.insert_slice %[[X]] into %{{.*}}[0, 0] [2, 3] [1, 1]
  // CHECK: tensor.insert_slice %[[X]] into %{{.*}}[2, 0] [2, 3] [1, 1]
  %c = tensor.concat dim(0) %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>
  %zero = arith.constant 0.0 : f32
  // CHECK: %[[FILL:.*]] = linalg.fill {{.*}} -> tensor<2x5xf32>
  // CHECK: tensor.insert_slice %[[X]] into %[[FILL]][0, 2] [2, 3] [1, 1]
  %p = tensor.pad %x low[0, 2] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x5xf32>
  return %c, %p : tensor<4x3xf32>, tensor<2x5xf32>
}
