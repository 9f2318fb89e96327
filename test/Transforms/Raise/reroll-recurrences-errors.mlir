// What is not rolled, and what the remark says about it.
// RUN: itera-opt --ssm-reroll-recurrences --split-input-file %s | FileCheck %s
// RUN: itera-opt --ssm-reroll-recurrences --remarks-filter-missed=raise --split-input-file %s 2>&1 >/dev/null | FileCheck %s --check-prefix=MISSED

// The middle step differs.
// MISSED: a stack of 3 values is not rolled: step 1 has arith.subf where others have arith.addf
// CHECK-LABEL: func @unlike
// CHECK-NOT: ssm.scan
func.func @unlike(%u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %h0, %u0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.subf %g0, %u1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %g1, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Slices that are not evenly spaced.
// MISSED: a stack of 3 values is not rolled: step 1 has another tensor.extract_slice than the others
// CHECK-LABEL: func @uneven
// CHECK-NOT: ssm.scan
func.func @uneven(%u: tensor<5x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %g0 = arith.addf %h0, %u0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %g1 = arith.addf %g0, %u1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[3, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %g2 = arith.addf %g1, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// A sequence is made of what the first step computes.
// MISSED: a stack of 3 values is not rolled: a step depends on another step through ops outside of the loop
// CHECK-LABEL: func @out_of_turn
// CHECK-NOT: ssm.scan
func.func @out_of_turn(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %x0 = tensor.extract_slice %x[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %u0 = arith.negf %x0 : tensor<4xf32>
  %e = tensor.empty() : tensor<3x4xf32>
  %a = linalg.broadcast ins(%u0 : tensor<4xf32>) outs(%e : tensor<3x4xf32>) dimensions = [0]
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %u0 : tensor<4xf32>
  %x1 = tensor.extract_slice %x[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %u1 = arith.negf %x1 : tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %x2 = tensor.extract_slice %x[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %u2 = arith.negf %x2 : tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %u0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// Two alike values without a state between them are no loop.
// CHECK-LABEL: func @pair
// CHECK-NOT: ssm.scan
func.func @pair(%u: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g0 = arith.negf %u0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g1 = arith.negf %u1 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}
