// A kernel call takes buffers; the kernel keeps its tensors.
// RUN: itera-opt --ssm-bufferize %s | FileCheck %s

// CHECK-LABEL: func.func @forward
// CHECK-SAME: (%[[X:.*]]: memref<4x2xf32>
// CHECK-SAME: ssm.outputs = [{ssm.name = "y"}]
func.func @forward(%x: tensor<4x2xf32> {ssm.name = "x"}) -> (tensor<2xf32> {ssm.name = "y"}) {
  %s = tensor.extract_slice %x[0, 1] [2, 1] [1, 1] : tensor<4x2xf32> to tensor<2xf32>
  // A strided operand is copied, and inputs are never written.
  // CHECK: %[[S:.*]] = memref.subview %[[X]]
  // CHECK: %[[COPY:.*]] = memref.alloc() : memref<2xf32>
  // CHECK: memref.copy %[[S]], %[[COPY]]
  // CHECK: %[[Y:.*]] = memref.alloc(){{.*}} : memref<2xf32>
  // CHECK: ssm.kernel @kernels::@twice(%[[COPY]], %[[Y]]) : (memref<2xf32>, memref<2xf32>) -> ()
  %y = ssm.kernel @kernels::@twice(%s) : (tensor<2xf32>) -> tensor<2xf32>
  // CHECK: return %[[Y]]
  return %y : tensor<2xf32>
}

module @kernels {
  // CHECK: func.func @twice(%{{.*}}: tensor<2xf32>) -> tensor<2xf32>
  func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
    %y = arith.addf %x, %x : tensor<2xf32>
    return %y : tensor<2xf32>
  }
}
