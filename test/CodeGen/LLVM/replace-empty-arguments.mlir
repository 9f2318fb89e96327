// Upstream makes no bare pointer of a buffer whose outer stride is zero.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-replace-empty-arguments))' %s | FileCheck %s

// CHECK-LABEL: func.func @arguments
// CHECK-SAME: (%{{.*}}: memref<0xf32> {ssm.name = "state"}, %[[X:.*]]: memref<5x4xf32>, %[[Y:.*]]: memref<5x4xf32>, %{{.*}}: memref<0xf32>)
func.func @arguments(%state: memref<5x0xf32> {ssm.name = "state"}, %x: memref<5x4xf32>,
                     %y: memref<5x4xf32>, %next: memref<5x0xf32>) {
  // CHECK: memref.copy %[[X]], %[[Y]]
  memref.copy %x, %y : memref<5x4xf32> to memref<5x4xf32>
  // CHECK: memref.copy %{{.*}}, %{{.*}} : memref<5x0xf32> to memref<5x0xf32>
  memref.copy %state, %next : memref<5x0xf32> to memref<5x0xf32>
  return
}
