// RUN: itera-opt --ssm-form-kernels %s --split-input-file | FileCheck %s

// A linear takes its gate and its residual; two alike layers share one kernel.
// CHECK-LABEL: func @layers
// CHECK: %[[A:.*]] = ssm.kernel @kernels::@linear_0(%arg0, %arg1, %arg3)
// CHECK: %[[B:.*]] = ssm.kernel @kernels::@linear_0(%[[A]], %arg2, %arg3)
// CHECK-NEXT: return %[[B]]
func.func @layers(%x: tensor<4x8xf32>, %w0: tensor<8x8xf32>, %w1: tensor<8x8xf32>, %g: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = ssm.linear %x, %w0 : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
  %1 = ssm.silu %0 : tensor<4x8xf32>
  %2 = arith.mulf %1, %g : tensor<4x8xf32>
  %3 = ssm.linear %2, %w1 : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
  %4 = ssm.silu %3 : tensor<4x8xf32>
  %5 = arith.mulf %4, %g : tensor<4x8xf32>
  return %5 : tensor<4x8xf32>
}
// CHECK-LABEL: module @kernels
// CHECK: func.func @linear_0(%[[X:.*]]: tensor<4x8xf32>, %[[W:.*]]: tensor<8x8xf32>, %[[G:.*]]: tensor<4x8xf32>)
// CHECK-NEXT: %[[Y:.*]] = ssm.linear %[[X]], %[[W]]
// CHECK-NEXT: %[[S:.*]] = ssm.silu %[[Y]]
// CHECK-NEXT: %[[P:.*]] = arith.mulf %[[S]], %[[G]]
// CHECK-NEXT: return %[[P]]
// CHECK-NOT: func.func

// -----

// Joining the sum would make the linear's kernel wait for the norm of its own
// result: the sum stays apart, and the linear's result goes out.
// CHECK-LABEL: func @no_cycle
// CHECK: %[[Y:.*]] = ssm.kernel @kernels::@linear_0
// CHECK: %[[N:.*]] = ssm.kernel @kernels::@norm_0(%[[Y]]{{.*}})
func.func @no_cycle(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %y = ssm.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
  %n = ssm.norm rms %y epsilon 1.0e-5 : tensor<4x8xf32>
  %s = arith.addf %y, %n : tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}
// The sum needs the norm alone besides: it is the norm's.
// CHECK: func.func @norm_0
// CHECK: ssm.norm
// CHECK: arith.addf

// -----

// A gather between two elementwise ops keeps them apart, in order.
// CHECK-LABEL: func @gather_between
// CHECK: %[[E:.*]] = ssm.kernel @kernels::@pointwise_0(%arg0)
// CHECK: %[[G:.*]] = ssm.gather %[[E]], %arg1
// CHECK: ssm.kernel @kernels::@pointwise_1(%[[E]], %[[G]])
func.func @gather_between(%x: tensor<4x8xf32>, %i: tensor<4xi64>) -> tensor<4x8xf32> {
  %e = math.exp %x : tensor<4x8xf32>
  %g = ssm.gather %e, %i dim 0 : tensor<4x8xf32>, tensor<4xi64> -> tensor<4x8xf32>
  %s = arith.addf %e, %g : tensor<4x8xf32>
  return %s : tensor<4x8xf32>
}

// -----

// Slices are read through; softplus goes into the scan, whose decay and state
// it takes with the channels innermost, and whose last state is written even
// if nobody reads it.
// CHECK-LABEL: func @scan
// CHECK-DAG: %[[A:.*]] = linalg.transpose ins(%arg2 : tensor<8x4xf32>)
// CHECK: %[[R:.*]]:2 = ssm.kernel @kernels::@selective_scan_0(%arg1, %arg0, %[[A]], %arg3) : (tensor<1x16x8xf32>, tensor<1x16x16xf32>, tensor<4x8xf32>, tensor<1x16x4xf32>) -> (tensor<1x16x8xf32>, tensor<1x4x8xf32>)
// CHECK-NEXT: return %[[R]]#0
func.func @scan(%xz: tensor<1x16x16xf32>, %dt: tensor<1x16x8xf32>, %a: tensor<8x4xf32>, %b: tensor<1x16x4xf32>) -> tensor<1x16x8xf32> {
  %h0 = arith.constant dense<0.0> : tensor<1x8x4xf32>
  %x = tensor.extract_slice %xz[0, 0, 8] [1, 16, 8] [1, 1, 1] : tensor<1x16x16xf32> to tensor<1x16x8xf32>
  %s = ssm.softplus %dt : tensor<1x16x8xf32>
  %y, %l = ssm.selective_scan x(%x) dt(%s) A(%a) B(%b) C(%b) init(%h0)
      : tensor<1x16x8xf32>, tensor<8x4xf32>, tensor<1x16x4xf32>, tensor<1x8x4xf32>
  return %y : tensor<1x16x8xf32>
}
// CHECK: func.func @selective_scan_0
// CHECK: ssm.softplus
// CHECK: tensor.extract_slice
// CHECK: %[[AT:.*]] = linalg.transpose
// CHECK: ssm.selective_scan {{.*}} A(%[[AT]])

// -----

// Views cost nothing outside of a kernel; integer work and weights stay.
// CHECK-LABEL: func @stays
// CHECK: ssm.weight "w"
// CHECK: arith.addi
// CHECK: tensor.expand_shape
// CHECK: ssm.kernel @kernels::@linear_0
func.func @stays(%x: tensor<32xf32>, %i: tensor<4xi64>) -> (tensor<4x2xf32>, tensor<4xi64>) {
  %w = ssm.weight "w" dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0]]> : tensor<2x8xf32>
  %j = arith.addi %i, %i : tensor<4xi64>
  %v = tensor.expand_shape %x [[0, 1]] output_shape [4, 8] : tensor<32xf32> into tensor<4x8xf32>
  %y = ssm.linear %v, %w : tensor<4x8xf32>, tensor<2x8xf32> -> tensor<4x2xf32>
  return %y, %j : tensor<4x2xf32>, tensor<4xi64>
}

// -----

// A rotation takes its gate, however long the sequence is; the linear of integers
// after it has its own kernel.
// CHECK-LABEL: func @rotation
// CHECK: %[[R:.*]] = ssm.kernel @kernels::@hadamard_0(%arg1, %arg0)
// CHECK: ssm.kernel @kernels::@linear_0(%[[R]], %arg2)
func.func @rotation(%x: tensor<4096x8xf32>, %g: tensor<4096x8xf32>, %w: tensor<8x8xf32>) -> tensor<4096x8xf32> {
  %s = ssm.silu %g : tensor<4096x8xf32>
  %p = arith.mulf %x, %s : tensor<4096x8xf32>
  %r = ssm.hadamard %p block 8 : tensor<4096x8xf32>
  %y = ssm.linear %r, %w : tensor<4096x8xf32>, tensor<8x8xf32> -> tensor<4096x8xf32>
  return %y : tensor<4096x8xf32>
}
// CHECK: func.func @hadamard_0
// CHECK-NEXT: ssm.silu
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: ssm.hadamard
// CHECK-NEXT: return
