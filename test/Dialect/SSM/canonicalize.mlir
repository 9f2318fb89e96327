// Reversing nothing, and reversing twice, is nothing.
// RUN: itera-opt --canonicalize %s | FileCheck %s

// CHECK-LABEL: func.func @reverse
// CHECK-SAME: (%[[X:.*]]: tensor<1x4xf32>)
func.func @reverse(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) {
  %a = ssm.reverse %x dims [0] : tensor<1x4xf32>
  // CHECK: %[[R:.*]] = ssm.reverse %[[X]] dims [1]
  %b = ssm.reverse %x dims [1] : tensor<1x4xf32>
  %c = ssm.reverse %b dims [1] : tensor<1x4xf32>
  // CHECK: return %[[X]], %[[R]], %[[X]]
  return %a, %b, %c : tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>
}
