// Kernels are external functions on buffers; equal ones are declared once.
// RUN: itera-opt --ssm-call-kernels %s | FileCheck %s

// CHECK-LABEL: func.func @forward
// CHECK-SAME: (%[[X:.*]]: memref<2xf32>, %[[Y:.*]]: memref<2xf32>)
func.func @forward(%x: memref<2xf32>, %y: memref<2xf32>) {
  // CHECK: call @itera_kernel_twice(%[[X]], %[[Y]])
  ssm.kernel @kernels::@twice(%x, %y) : (memref<2xf32>, memref<2xf32>) -> ()
  // CHECK: call @itera_kernel_twice(%[[Y]], %[[X]])
  ssm.kernel @kernels::@twice(%y, %x) : (memref<2xf32>, memref<2xf32>) -> ()
  return
}
// CHECK-NOT: @kernels
// CHECK: func.func private @itera_kernel_twice(memref<2xf32>, memref<2xf32>)
// CHECK-NOT: @itera_kernel_twice
module @kernels {
  func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
    return %x : tensor<2xf32>
  }
}
