// Buffers without elements become empty vectors; what looks into one looks into
// an empty buffer of the function.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-replace-empty-arguments))' %s | FileCheck %s

// CHECK-LABEL: func.func @unused(
// CHECK-SAME:    %{{.*}}: memref<0xf32>, %{{.*}}: memref<3xf32>, %{{.*}}: memref<0xi64>)
func.func @unused(%a: memref<5x0xf32>, %b: memref<3xf32>, %c: memref<0x2xi64>) {
  return
}

// CHECK-LABEL: func.func @viewed(%{{.*}}: memref<0xf32>)
// CHECK:         %[[OWN:.*]] = memref.alloca() : memref<5x0xf32>
// CHECK:         memref.subview %[[OWN]]
func.func @viewed(%a: memref<5x0xf32>) {
  %v = memref.subview %a[1, 0] [2, 0] [1, 1]
    : memref<5x0xf32> to memref<2x0xf32, strided<[0, 1], offset: 0>>
  return
}
