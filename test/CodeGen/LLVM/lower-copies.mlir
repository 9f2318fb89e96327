// A strided copy becomes a loop, a dense one stays.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-lower-copies))' %s | FileCheck %s

// CHECK-LABEL: func.func @copies
func.func @copies(%a: memref<4x4xf32>, %b: memref<4x4xf32>, %c: memref<4xf32>) {
  // CHECK: memref.copy %{{.*}}, %{{.*}} : memref<4x4xf32> to memref<4x4xf32>
  memref.copy %a, %b : memref<4x4xf32> to memref<4x4xf32>
  %column = memref.subview %a[0, 1] [4, 1] [1, 1] : memref<4x4xf32> to memref<4xf32, strided<[4], offset: 1>>
  // CHECK: linalg.generic
  // CHECK-NOT: memref.copy
  memref.copy %column, %c : memref<4xf32, strided<[4], offset: 1>> to memref<4xf32>
  return
}
