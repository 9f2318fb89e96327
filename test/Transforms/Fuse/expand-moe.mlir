// A small mixture of experts becomes products over all experts and a mask.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-expand-moe))' %s | FileCheck %s
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-expand-moe{max-experts-per-slot=1}))' %s | FileCheck --check-prefix=ROUTED %s

// CHECK-LABEL: func.func @masked
// ROUTED-LABEL: func.func @masked
func.func @masked(%x: tensor<4x2xf32>, %s: tensor<4x2xi64>, %g: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %up = ssm.weight "up" dense<1.0> : tensor<3x5x2xf32>
  %down = ssm.weight "down" dense<2.0> : tensor<3x2x5xf32>
  %bias = ssm.weight "bias" dense<3.0> : tensor<3x2xf32>
  // CHECK: %[[GATES:.*]] = linalg.generic
  // CHECK: -> tensor<4x3xf32>
  // CHECK: %[[H:.*]] = ssm.linear %{{.*}}, %{{.*}} : tensor<4x2xf32>, tensor<15x2xf32> -> tensor<4x15xf32>
  // CHECK: %[[A:.*]] = ssm.gelu %[[H]]
  // CHECK: %[[WIDE:.*]] = tensor.collapse_shape %{{.*}} {{\[}}[0], [1, 2]] : tensor<4x3x5xf32> into tensor<4x15xf32>
  // CHECK: %[[CHOSEN:.*]] = arith.cmpf une, %[[WIDE]]
  // CHECK: %[[M:.*]] = arith.mulf %[[A]], %[[WIDE]]
  // CHECK: %[[S:.*]] = arith.select %[[CHOSEN]], %[[M]], %{{.*}}
  // CHECK: %[[Y:.*]] = ssm.linear %[[S]], %{{.*}} : tensor<4x15xf32>, tensor<2x15xf32> -> tensor<4x2xf32>
  // CHECK: %[[B:.*]] = ssm.linear %[[GATES]], %{{.*}} : tensor<4x3xf32>, tensor<2x3xf32> -> tensor<4x2xf32>
  // CHECK: arith.addf %[[Y]], %[[B]]
  // CHECK-NOT: ssm.moe
  // ROUTED: ssm.moe
  %y = ssm.moe %x, %s, %g, %up, %down down_bias(%bias : tensor<3x2xf32>) gelu
    : tensor<4x2xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x5x2xf32>, tensor<3x2x5xf32>
  return %y : tensor<4x2xf32>
}

// Weights that are no constants would have to be put side by side at run time.
// CHECK-LABEL: func.func @dynamic_weights
func.func @dynamic_weights(%x: tensor<4x2xf32>, %s: tensor<4x2xi64>, %g: tensor<4x2xf32>,
                           %up: tensor<3x5x2xf32>, %down: tensor<3x2x5xf32>) -> tensor<4x2xf32> {
  // CHECK: ssm.moe
  %y = ssm.moe %x, %s, %g, %up, %down gelu
    : tensor<4x2xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x5x2xf32>, tensor<3x2x5xf32>
  return %y : tensor<4x2xf32>
}
