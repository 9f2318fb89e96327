// Unrolled loops of every kind become one ssm.scan.
// RUN: itera-opt --ssm-reroll-recurrences %s | FileCheck %s

// A stack of all states; the last one is used besides.
// CHECK-LABEL: func @stack
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>,
// CHECK:   %[[M:.*]] = arith.mulf %{{.*}}, %[[S]]
// CHECK:   %[[N:.*]] = arith.addf %[[M]]
// CHECK:   ssm.yield %[[N]], %[[N]]
// CHECK: } {sequence_dims = array<i64: 0, 0>, stack_dims = array<i64: 0>}
// CHECK: return %[[R]]#1, %[[R]]#0
func.func @stack(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> (tensor<3x4xf32>, tensor<4xf32>) {
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %h0 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %g0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y, %g2 : tensor<3x4xf32>, tensor<4xf32>
}

// Only the last state is used: nothing is stacked.
// CHECK-LABEL: func @last_only
// CHECK: %[[R:.*]] = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 {
// CHECK: stack_dims = array<i64>
// CHECK: return %[[R]]
func.func @last_only(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<4xf32> {
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %h0 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %g0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  return %g2 : tensor<4xf32>
}

// Time runs from the end.
// CHECK-LABEL: func @reverse
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 reverse {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>,
// CHECK:   %[[M:.*]] = arith.mulf %{{.*}}, %[[S]]
// CHECK:   %[[N:.*]] = arith.addf %[[M]]
// CHECK:   ssm.yield %[[N]], %[[N]]
// CHECK: return %[[R]]#1
func.func @reverse(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %h0 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %g2 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %g1 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// Lanes run against the slices: a scan in reverse, read backwards.
// CHECK-LABEL: func @reversed_lanes
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 reverse {
// CHECK: %[[B:.*]] = ssm.reverse %[[R]]#1 dims [0]
// CHECK: return %[[B]]
func.func @reversed_lanes(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %h0 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %g2 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %g1 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %s0 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// Operands of commutative ops in another order in one step.
// CHECK-LABEL: func @swapped
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>,
// CHECK:   %[[M:.*]] = arith.mulf %{{.*}}, %[[S]]
// CHECK:   %[[N:.*]] = arith.addf %[[M]]
// CHECK:   ssm.yield %[[N]], %[[N]]
// CHECK: return %[[R]]#1
func.func @swapped(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %h0 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %g0, %a1 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %u1, %m1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// The first step was folded because the state starts from zero.
// CHECK-LABEL: func @folded_first
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.0
// CHECK: %[[R:.*]]:2 = ssm.scan init(%[[ZERO]] : tensor<4xf32>) sequences(%arg0, %arg1 : tensor<3x4xf32>, tensor<3x4xf32>) length 3 {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>,
// CHECK:   %[[M:.*]] = arith.mulf %{{.*}}, %[[S]]
// CHECK:   %[[N:.*]] = arith.addf %[[M]]
// CHECK:   ssm.yield %[[N]], %[[N]]
// CHECK: return %[[R]]#1
func.func @folded_first(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %u0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %u0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// Steps read the state before its update, and the last update is missing.
// CHECK-LABEL: func @read_before_update
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg2 : tensor<4xf32>) sequences(%arg1, %arg0 : tensor<4x4xf32>, tensor<4x4xf32>) length 4 {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>, %[[U:[^:]*]]: tensor<4xf32>, %[[A:[^:]*]]: tensor<4xf32>)
// CHECK-DAG: %[[N:.*]] = arith.addf %[[S]], %[[A]]
// CHECK-DAG: %[[Y:.*]] = arith.mulf %[[U]], %[[S]]
// CHECK: ssm.yield %[[N]], %[[Y]]
func.func @read_before_update(%a: tensor<4x4xf32>, %u: tensor<4x4xf32>, %h0: tensor<4xf32>) -> tensor<4x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %y0 = arith.mulf %u0, %h0 : tensor<4xf32>
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %g0 = arith.addf %h0, %a0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %y1 = arith.mulf %u1, %g0 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %g1 = arith.addf %g0, %a1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %y2 = arith.mulf %u2, %g1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %g2 = arith.addf %g1, %a2 : tensor<4xf32>
  %u3 = tensor.extract_slice %u[3, 0] [1, 4] [1, 1] : tensor<4x4xf32> to tensor<4xf32>
  %y3 = arith.mulf %u3, %g2 : tensor<4xf32>
  %s0 = tensor.expand_shape %y0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %y1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %y2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s3 = tensor.expand_shape %y3 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2, %s3 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// Two states that feed each other, two steps.
// CHECK-LABEL: func @two_states
// CHECK: ssm.scan init(%arg1, %arg2 : tensor<4xf32>, tensor<4xf32>) sequences(%arg0 : tensor<2x4xf32>) length 2 {
// CHECK: ^bb0(%[[P:[^:]*]]: tensor<4xf32>, %[[Q:[^:]*]]: tensor<4xf32>, %[[U:[^:]*]]: tensor<4xf32>)
// CHECK: %[[P1:.*]] = arith.addf %[[Q]], %[[U]]
// CHECK: %[[Q1:.*]] = arith.mulf %[[P]], %[[P1]]
// CHECK: ssm.yield %[[P1]], %[[Q1]], %[[Q1]]
func.func @two_states(%u: tensor<2x4xf32>, %h0: tensor<4xf32>, %k0: tensor<4xf32>) -> tensor<2x4xf32> {
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %p0 = arith.addf %k0, %u0 : tensor<4xf32>
  %q0 = arith.mulf %h0, %p0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %p1 = arith.addf %q0, %u1 : tensor<4xf32>
  %q1 = arith.mulf %p0, %p1 : tensor<4xf32>
  %s0 = tensor.expand_shape %q0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %q1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// In-place writes, each step reads back what the one before it wrote.
// CHECK-LABEL: func @writes
// CHECK-NOT: tensor.insert_slice
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg1 : tensor<4xf32>) sequences(%arg0 : tensor<3x4xf32>) length 3 {
// CHECK: return %[[R]]#1
func.func @writes(%u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %base = arith.constant dense<0.0> : tensor<3x4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %h0, %u0 : tensor<4xf32>
  %b0 = tensor.insert_slice %g0 into %base[0, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<3x4xf32>
  %r0 = tensor.extract_slice %b0[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %r0, %u1 : tensor<4xf32>
  %b1 = tensor.insert_slice %g1 into %b0[1, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<3x4xf32>
  %r1 = tensor.extract_slice %b1[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %r1, %u2 : tensor<4xf32>
  %b2 = tensor.insert_slice %g2 into %b1[2, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<3x4xf32>
  return %b2 : tensor<3x4xf32>
}

// Scatters whose constant indices fill one slot after another.
// CHECK-LABEL: func @scatters
// CHECK-NOT: ssm.scatter_nd
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg1 : tensor<2x3xf32>) sequences(%arg0 : tensor<2x4x3xf32>) length 4 {
// CHECK: sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>
// CHECK: return %[[R]]#1
func.func @scatters(%u: tensor<2x4x3xf32>, %h0: tensor<2x3xf32>) -> tensor<2x4x3xf32> {
  %base = arith.constant dense<0.0> : tensor<2x4x3xf32>
  %i0 = arith.constant dense<[[[0, 0]], [[1, 0]]]> : tensor<2x1x2xi64>
  %u0 = tensor.extract_slice %u[0, 0, 0] [2, 1, 3] [1, 1, 1] : tensor<2x4x3xf32> to tensor<2x3xf32>
  %g0 = arith.addf %h0, %u0 : tensor<2x3xf32>
  %e0 = tensor.expand_shape %g0 [[0, 1], [2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>
  %b0 = ssm.scatter_nd %base, %i0, %e0 replace : tensor<2x4x3xf32>, tensor<2x1x2xi64>, tensor<2x1x3xf32>
  %i1 = arith.constant dense<[[[0, 1]], [[1, 1]]]> : tensor<2x1x2xi64>
  %u1 = tensor.extract_slice %u[0, 1, 0] [2, 1, 3] [1, 1, 1] : tensor<2x4x3xf32> to tensor<2x3xf32>
  %g1 = arith.addf %g0, %u1 : tensor<2x3xf32>
  %e1 = tensor.expand_shape %g1 [[0, 1], [2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>
  %b1 = ssm.scatter_nd %b0, %i1, %e1 replace : tensor<2x4x3xf32>, tensor<2x1x2xi64>, tensor<2x1x3xf32>
  %i2 = arith.constant dense<[[[0, 2]], [[1, 2]]]> : tensor<2x1x2xi64>
  %u2 = tensor.extract_slice %u[0, 2, 0] [2, 1, 3] [1, 1, 1] : tensor<2x4x3xf32> to tensor<2x3xf32>
  %g2 = arith.addf %g1, %u2 : tensor<2x3xf32>
  %e2 = tensor.expand_shape %g2 [[0, 1], [2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>
  %b2 = ssm.scatter_nd %b1, %i2, %e2 replace : tensor<2x4x3xf32>, tensor<2x1x2xi64>, tensor<2x1x3xf32>
  %i3 = arith.constant dense<[[[0, 3]], [[1, 3]]]> : tensor<2x1x2xi64>
  %u3 = tensor.extract_slice %u[0, 3, 0] [2, 1, 3] [1, 1, 1] : tensor<2x4x3xf32> to tensor<2x3xf32>
  %g3 = arith.addf %g2, %u3 : tensor<2x3xf32>
  %e3 = tensor.expand_shape %g3 [[0, 1], [2]] output_shape [2, 1, 3] : tensor<2x3xf32> into tensor<2x1x3xf32>
  %b3 = ssm.scatter_nd %b2, %i3, %e3 replace : tensor<2x4x3xf32>, tensor<2x1x2xi64>, tensor<2x1x3xf32>
  return %b3 : tensor<2x4x3xf32>
}

// Scalars that differ from step to step are a sequence.
// CHECK-LABEL: func @constants
// CHECK: %[[C:.*]] = arith.constant dense<[1.000000e+00, 2.000000e+00, 5.000000e+00]> : tensor<3xf32>
// CHECK: ssm.scan init(%arg1 : tensor<4xf32>) sequences(%[[C]], %arg0 : tensor<3xf32>, tensor<3x4xf32>) length 3
func.func @constants(%u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> tensor<3x4xf32> {
  %c0 = arith.constant dense<1.0> : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %h0, %c0 : tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %c1 = arith.constant dense<2.0> : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %g0, %c1 : tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %c2 = arith.constant dense<5.0> : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %g1, %c2 : tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// A first step of another kind stays outside; the loop starts from it.
// CHECK-LABEL: func @odd_first
// CHECK: %[[FIRST:.*]] = arith.negf
// CHECK: %[[R:.*]]:2 = ssm.scan init(%[[FIRST]] : tensor<4xf32>)
// CHECK: tensor.concat dim(0) %{{.*}}, %[[R]]#1 : (tensor<1x4xf32>, tensor<4x4xf32>)
func.func @odd_first(%u: tensor<5x4xf32>) -> tensor<5x4xf32> {
  %x0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %n0 = arith.negf %x0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %n0, %u1 : tensor<4xf32>
  %g1 = math.tanh %m1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %g1, %u2 : tensor<4xf32>
  %g2 = math.tanh %m2 : tensor<4xf32>
  %u3 = tensor.extract_slice %u[3, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %m3 = arith.mulf %g2, %u3 : tensor<4xf32>
  %g3 = math.tanh %m3 : tensor<4xf32>
  %u4 = tensor.extract_slice %u[4, 0] [1, 4] [1, 1] : tensor<5x4xf32> to tensor<4xf32>
  %m4 = arith.mulf %g3, %u4 : tensor<4xf32>
  %g4 = math.tanh %m4 : tensor<4xf32>
  %s0 = tensor.expand_shape %n0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s3 = tensor.expand_shape %g3 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s4 = tensor.expand_shape %g4 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2, %s3, %s4 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<5x4xf32>
  return %y : tensor<5x4xf32>
}

// A loop over chunks around a loop inside of each.
// CHECK-LABEL: func @chunks
// CHECK: %[[C:.*]] = tensor.expand_shape %arg0 {{\[}}[0, 1], [2]] output_shape [2, 2, 4]
// CHECK: %[[R:.*]]:2 = ssm.scan init(%arg1 : tensor<4xf32>) sequences(%[[C]] : tensor<2x2x4xf32>) length 2 {
// CHECK: ^bb0(%[[S:[^:]*]]: tensor<4xf32>, %[[U:[^:]*]]: tensor<2x4xf32>)
// CHECK: %[[I:.*]]:2 = ssm.scan init(%[[S]] : tensor<4xf32>) sequences(%[[U]] : tensor<2x4xf32>) length 2 {
// CHECK: ssm.yield %[[I]]#0, %[[I]]#1
// CHECK: tensor.collapse_shape %[[R]]#1 {{\[}}[0, 1], [2]]
func.func @chunks(%u: tensor<4x4xf32>, %h0: tensor<4xf32>) -> tensor<4x4xf32> {
  %c0 = tensor.extract_slice %u[0, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %u0_0 = tensor.extract_slice %c0[0, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g0_0 = arith.addf %h0, %u0_0 : tensor<4xf32>
  %s0_0 = tensor.expand_shape %g0_0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %u0_1 = tensor.extract_slice %c0[1, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g0_1 = arith.addf %g0_0, %u0_1 : tensor<4xf32>
  %s0_1 = tensor.expand_shape %g0_1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %k0 = tensor.concat dim(0) %s0_0, %s0_1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
  %c1 = tensor.extract_slice %u[2, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
  %u1_0 = tensor.extract_slice %c1[0, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g1_0 = arith.addf %g0_1, %u1_0 : tensor<4xf32>
  %s1_0 = tensor.expand_shape %g1_0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %u1_1 = tensor.extract_slice %c1[1, 0] [1, 4] [1, 1] : tensor<2x4xf32> to tensor<4xf32>
  %g1_1 = arith.addf %g1_0, %u1_1 : tensor<4xf32>
  %s1_1 = tensor.expand_shape %g1_1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %k1 = tensor.concat dim(0) %s1_0, %s1_1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<2x4xf32>
  %y = tensor.concat dim(0) %k0, %k1 : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// A state from the middle, used elsewhere, is a slice of all states.
// CHECK-LABEL: func @used_elsewhere
// CHECK: %[[R:.*]]:2 = ssm.scan
// CHECK: %[[G:.*]] = tensor.extract_slice %[[R]]#1[1, 0] [1, 4] [1, 1]
// CHECK: arith.negf %[[G]]
func.func @used_elsewhere(%a: tensor<3x4xf32>, %u: tensor<3x4xf32>, %h0: tensor<4xf32>) -> (tensor<3x4xf32>, tensor<4xf32>) {
  %a0 = tensor.extract_slice %a[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m0 = arith.mulf %a0, %h0 : tensor<4xf32>
  %u0 = tensor.extract_slice %u[0, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g0 = arith.addf %m0, %u0 : tensor<4xf32>
  %a1 = tensor.extract_slice %a[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m1 = arith.mulf %a1, %g0 : tensor<4xf32>
  %u1 = tensor.extract_slice %u[1, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g1 = arith.addf %m1, %u1 : tensor<4xf32>
  %a2 = tensor.extract_slice %a[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %m2 = arith.mulf %a2, %g1 : tensor<4xf32>
  %u2 = tensor.extract_slice %u[2, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
  %g2 = arith.addf %m2, %u2 : tensor<4xf32>
  %s0 = tensor.expand_shape %g0 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s1 = tensor.expand_shape %g1 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %s2 = tensor.expand_shape %g2 [[0, 1]] output_shape [1, 4] : tensor<4xf32> into tensor<1x4xf32>
  %y = tensor.concat dim(0) %s0, %s1, %s2 : (tensor<1x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<3x4xf32>
  %n = arith.negf %g1 : tensor<4xf32>
  return %y, %n : tensor<3x4xf32>, tensor<4xf32>
}
