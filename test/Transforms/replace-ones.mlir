// Ones that were counted along a sequence become constants, in every function.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-replace-ones))' %s | FileCheck %s

// CHECK-LABEL: @f
// CHECK-NEXT: %[[C:.*]] = arith.constant dense<1.000000e+00> : tensor<1x1x16xf32>
// CHECK-NEXT: return %[[C]]
func.func @f(%x: tensor<2x8x16xf32>) -> tensor<1x1x16xf32> {
  %y = ssm.ones_like %x : tensor<2x8x16xf32> -> tensor<1x1x16xf32>
  return %y : tensor<1x1x16xf32>
}
