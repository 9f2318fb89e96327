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

// The frames that a window keeps are taken from where they are.
// CHECK-LABEL: func.func @windows
// CHECK-SAME: (%[[PAST:.*]]: tensor<3x8xf32>, %[[NEW:.*]]: tensor<1x8xf32>, %[[CHUNK:.*]]: tensor<4x8xf32>)
func.func @windows(%past: tensor<3x8xf32>, %new: tensor<1x8xf32>, %chunk: tensor<4x8xf32>)
    -> (tensor<3x8xf32>, tensor<3x8xf32>, tensor<7x8xf32>, tensor<4x8xf32>) {
  // CHECK-DAG: %[[KEPT:.*]] = tensor.extract_slice %[[PAST]][1, 0] [2, 8] [1, 1]
  // CHECK-DAG: %[[PART:.*]] = tensor.insert_slice %[[KEPT]] into %{{.*}}[0, 0] [2, 8] [1, 1]
  // CHECK-DAG: %[[STEP:.*]] = tensor.insert_slice {{.*}} into %[[PART]][2, 0] [1, 8] [1, 1]
  %a = tensor.concat dim(0) %past, %new : (tensor<3x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  %step = tensor.extract_slice %a[1, 0] [3, 8] [1, 1] : tensor<4x8xf32> to tensor<3x8xf32>
  // CHECK-DAG: %[[LAST:.*]] = tensor.extract_slice %[[CHUNK]][1, 0] [3, 8] [1, 1]
  %b = tensor.concat dim(0) %past, %chunk : (tensor<3x8xf32>, tensor<4x8xf32>) -> tensor<7x8xf32>
  %last = tensor.extract_slice %b[4, 0] [3, 8] [1, 1] : tensor<7x8xf32> to tensor<3x8xf32>
  // A concat with other uses is there anyway.
  // CHECK-DAG: %[[ACROSS:.*]] = tensor.extract_slice %{{.*}}[2, 0] [4, 8] [1, 1] : tensor<7x8xf32>
  %across = tensor.extract_slice %b[2, 0] [4, 8] [1, 1] : tensor<7x8xf32> to tensor<4x8xf32>
  // CHECK: return %[[STEP]], %[[LAST]], %{{.*}}, %[[ACROSS]]
  return %step, %last, %b, %across : tensor<3x8xf32>, tensor<3x8xf32>, tensor<7x8xf32>, tensor<4x8xf32>
}
