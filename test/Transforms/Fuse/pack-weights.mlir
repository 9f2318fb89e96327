// RUN: itera-opt --ssm-pack-weights=rows=4,2 %s | FileCheck %s

// Rows come in blocks of 2, the height without padding for 6 rows; an embedding
// of the same table reads the packed copy.
// CHECK-LABEL: func @tied
func.func @tied(%x: tensor<1x2xf32>, %ids: tensor<3xi64>) -> (tensor<1x6xf32>, tensor<3x2xf32>) {
  // CHECK: %[[W:.*]] = ssm.weight "w.packed" dense_resource<[[R:.*]]> : tensor<3x2x2xf32>
  // CHECK-NOT: ssm.weight
  %w = ssm.weight "w" dense_resource<w> : tensor<6x2xf32>
  // CHECK: ssm.linear %{{.*}}, %[[W]] : tensor<1x2xf32>, tensor<3x2x2xf32> -> tensor<1x6xf32>
  %y = ssm.linear %x, %w : tensor<1x2xf32>, tensor<6x2xf32> -> tensor<1x6xf32>
  // CHECK: ssm.embedding %{{.*}}, %[[W]] rows 6 : tensor<3xi64>, tensor<3x2x2xf32> -> tensor<3x2xf32>
  %e = ssm.embedding %ids, %w : tensor<3xi64>, tensor<6x2xf32> -> tensor<3x2xf32>
  return %y, %e : tensor<1x6xf32>, tensor<3x2xf32>
}

// What something else reads stays as it was, beside the packed copy.
// CHECK-LABEL: func @other_use
func.func @other_use(%x: tensor<1x2xf32>) -> (tensor<1x6xf32>, tensor<6x2xf32>) {
  // CHECK: ssm.weight "w.packed" dense_resource<{{.*}}> : tensor<3x2x2xf32>
  // CHECK: %[[W:.*]] = ssm.weight "w" dense_resource<w> : tensor<6x2xf32>
  %w = ssm.weight "w" dense_resource<w> : tensor<6x2xf32>
  %y = ssm.linear %x, %w : tensor<1x2xf32>, tensor<6x2xf32> -> tensor<1x6xf32>
  // CHECK: return %{{.*}}, %[[W]]
  return %y, %w : tensor<1x6xf32>, tensor<6x2xf32>
}

// An embedding alone keeps its rows together.
// CHECK-LABEL: func @embedding_alone
func.func @embedding_alone(%ids: tensor<3xi64>) -> tensor<3x2xf32> {
  // CHECK: ssm.weight "w" dense_resource<w>
  %w = ssm.weight "w" dense_resource<w> : tensor<6x2xf32>
  %e = ssm.embedding %ids, %w : tensor<3xi64>, tensor<6x2xf32> -> tensor<3x2xf32>
  return %e : tensor<3x2xf32>
}

// One splat is a matrix as well as its zero points: each has its own packed form.
// CHECK-LABEL: func @splat
func.func @splat(%x: tensor<4x1xf32>) -> tensor<4x16xf32> {
  // CHECK-DAG: %[[W:.*]] = ssm.weight "m.packed" dense_resource<{{.*}}> : tensor<1x1x16x4xi8>
  // CHECK-DAG: %[[Z:.*]] = ssm.weight "z.packed" dense_resource<{{.*}}> : tensor<1x1x16xi8>
  %w = ssm.weight "m" dense<3> : tensor<16x1xi8>
  %z = ssm.weight "z" dense<3> : tensor<16x1xi8>
  %s = ssm.weight "s" dense<0.5> : tensor<16x1xf32>
  // CHECK: ssm.linear %{{.*}}, %[[W]] scales(%{{.*}} : tensor<1x1x16xf32>) zero_points(%[[Z]] : tensor<1x1x16xi8>) packed i8
  %y = ssm.linear %x, %w scales(%s : tensor<16x1xf32>) zero_points(%z : tensor<16x1xi8>)
    : tensor<4x1xf32>, tensor<16x1xi8> -> tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}

// Element [n / R, k, n % R] is weight[n, k]: 1, 3, 2, 4, then 5, 7, 6, 8.
// CHECK: w.packed: "0x040000000000803F0000404000000040000080400000A0400000E0400000C04000000041
{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000803F0000004000004040000080400000A0400000C0400000E0400000004100001041000020410000304100004041"
    }
  }
#-}
