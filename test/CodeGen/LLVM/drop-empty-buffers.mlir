// Buffers without elements cost nothing and keep their place in the interface.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-drop-empty-buffers))' %s | FileCheck %s

// CHECK-LABEL: func.func @empty
// CHECK-SAME: (%[[X:.*]]: memref<4xf32>, %{{.*}}: memref<1xf32>, %[[Y:.*]]: memref<4xf32>)
func.func @empty(%x: memref<4xf32>, %state: memref<2x0xf32>, %y: memref<4xf32>) {
  // CHECK-NOT: memref<0
  %none = memref.subview %x[0] [0] [1] : memref<4xf32> to memref<0xf32, strided<[1]>>
  %zero = arith.constant 0.0 : f32
  %flat = memref.collapse_shape %state [[0, 1]] : memref<2x0xf32> into memref<0xf32>
  memref.copy %none, %flat : memref<0xf32, strided<[1]>> to memref<0xf32>
  linalg.fill ins(%zero : f32) outs(%state : memref<2x0xf32>)
  // CHECK: memref.copy %[[X]], %[[Y]]
  memref.copy %x, %y : memref<4xf32> to memref<4xf32>
  return
}
