// RUN: itera-opt --ssm-recognize-embedding %s | FileCheck %s

// Rows of a constant table are an embedding.
// CHECK-LABEL: func @rows
func.func @rows(%ids: tensor<1x4xi64>) -> tensor<1x4x8xf32> {
  // CHECK: %[[W:.*]] = ssm.weight
  %w = ssm.weight "w" dense_resource<w> : tensor<100x8xf32>
  // CHECK-NEXT: ssm.embedding %arg0, %[[W]] : tensor<1x4xi64>, tensor<100x8xf32> -> tensor<1x4x8xf32>
  %y = ssm.gather %w, %ids dim 0 : tensor<100x8xf32>, tensor<1x4xi64> -> tensor<1x4x8xf32>
  return %y : tensor<1x4x8xf32>
}

// Columns are none, nor are rows of an activation, nor of a table that says
// nothing.
// CHECK-LABEL: func @other
// CHECK-NOT: ssm.embedding
func.func @other(%ids: tensor<3xi64>, %x: tensor<100x8xf32>) -> (tensor<100x3xf32>, tensor<3x8xf32>, tensor<3x8xf32>) {
  %w = ssm.weight "w" dense_resource<w> : tensor<100x8xf32>
  %0 = ssm.gather %w, %ids dim 1 : tensor<100x8xf32>, tensor<3xi64> -> tensor<100x3xf32>
  %1 = ssm.gather %x, %ids dim 0 : tensor<100x8xf32>, tensor<3xi64> -> tensor<3x8xf32>
  %zeros = arith.constant dense<0.0> : tensor<100x8xf32>
  %2 = ssm.gather %zeros, %ids dim 0 : tensor<100x8xf32>, tensor<3xi64> -> tensor<3x8xf32>
  return %0, %1, %2 : tensor<100x3xf32>, tensor<3x8xf32>, tensor<3x8xf32>
}
