// A state that the step takes in another order only is stored in that order, in
// every function of the stream; transposes that meet undo each other.
// RUN: itera-opt --ssm-transpose-states --canonicalize %s | FileCheck %s

// CHECK: ssm.stream = {states = [
// CHECK-SAME: {batch_dim = 0 : i64, name = "swapped", type = tensor<3x5x4xf32>}
// CHECK-SAME: {name = "plain", type = tensor<4x5xf32>}
// CHECK-SAME: {name = "mixed", type = tensor<2x4xf32>}
// CHECK-SAME: {batch_dim = 0 : i64, name = "rotated", type = tensor<2x3x4xf32>}
module attributes {ssm.stream = {states = [
    {batch_dim = 0 : i64, name = "swapped", type = tensor<3x4x5xf32>},
    {name = "plain", type = tensor<4x5xf32>},
    {name = "mixed", type = tensor<2x4xf32>},
    {batch_dim = 2 : i64, name = "rotated", type = tensor<3x4x2xf32>}]}} {

// CHECK-LABEL: func.func @reset() -> (tensor<3x5x4xf32> {ssm.state = 0 : i64})
// CHECK-NOT: transpose
// CHECK: return %{{.*}} : tensor<3x5x4xf32>
func.func @reset() -> (tensor<3x4x5xf32> {ssm.state = 0 : i64}) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x4x5xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x4x5xf32>) -> tensor<3x4x5xf32>
  return %init : tensor<3x4x5xf32>
}

// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[SWAPPED:.*]]: tensor<3x5x4xf32> {ssm.state = 0 : i64}
// CHECK-SAME: %[[PLAIN:.*]]: tensor<4x5xf32> {ssm.state = 1 : i64}
// CHECK-SAME: %[[MIXED:.*]]: tensor<2x4xf32> {ssm.state = 2 : i64}
// CHECK-SAME: %[[ROTATED:.*]]: tensor<2x3x4xf32> {ssm.state = 3 : i64}
func.func @step(%swapped: tensor<3x4x5xf32> {ssm.state = 0 : i64},
                %plain: tensor<4x5xf32> {ssm.state = 1 : i64},
                %mixed: tensor<2x4xf32> {ssm.state = 2 : i64},
                %rotated: tensor<3x4x2xf32> {ssm.state = 3 : i64})
    -> (tensor<3x4x5xf32> {ssm.state = 0 : i64}, tensor<4x5xf32> {ssm.state = 1 : i64},
        tensor<2x4xf32> {ssm.state = 2 : i64}, tensor<3x4x2xf32> {ssm.state = 3 : i64}) {
  // CHECK: %[[NEW:.*]] = arith.negf %[[SWAPPED]] : tensor<3x5x4xf32>
  %e0 = tensor.empty() : tensor<3x5x4xf32>
  %t0 = linalg.transpose ins(%swapped : tensor<3x4x5xf32>) outs(%e0 : tensor<3x5x4xf32>) permutation = [0, 2, 1]
  %new = arith.negf %t0 : tensor<3x5x4xf32>
  %e1 = tensor.empty() : tensor<3x4x5xf32>
  %r0 = linalg.transpose ins(%new : tensor<3x5x4xf32>) outs(%e1 : tensor<3x4x5xf32>) permutation = [0, 2, 1]
  // CHECK: %[[P:.*]] = arith.negf %[[PLAIN]]
  %r1 = arith.negf %plain : tensor<4x5xf32>
  // CHECK: linalg.transpose ins(%[[MIXED]]
  %e2 = tensor.empty() : tensor<4x2xf32>
  %t2 = linalg.transpose ins(%mixed : tensor<2x4xf32>) outs(%e2 : tensor<4x2xf32>) permutation = [1, 0]
  %m = arith.negf %t2 : tensor<4x2xf32>
  %e3 = tensor.empty() : tensor<2x4xf32>
  %back = linalg.transpose ins(%m : tensor<4x2xf32>) outs(%e3 : tensor<2x4xf32>) permutation = [1, 0]
  %r2 = arith.addf %mixed, %back : tensor<2x4xf32>
  // CHECK: %[[ROT:.*]] = arith.negf %[[ROTATED]] : tensor<2x3x4xf32>
  %e4 = tensor.empty() : tensor<2x3x4xf32>
  %t3 = linalg.transpose ins(%rotated : tensor<3x4x2xf32>) outs(%e4 : tensor<2x3x4xf32>) permutation = [2, 0, 1]
  %rot = arith.negf %t3 : tensor<2x3x4xf32>
  %e5 = tensor.empty() : tensor<3x4x2xf32>
  %r3 = linalg.transpose ins(%rot : tensor<2x3x4xf32>) outs(%e5 : tensor<3x4x2xf32>) permutation = [1, 2, 0]
  // CHECK: return %[[NEW]], %[[P]], %{{.*}}, %[[ROT]]
  return %r0, %r1, %r2, %r3 : tensor<3x4x5xf32>, tensor<4x5xf32>, tensor<2x4xf32>, tensor<3x4x2xf32>
}

// What wants the state as the model has it still gets it so.
// CHECK-LABEL: func.func @final
// CHECK-SAME: %[[SWAPPED:.*]]: tensor<3x5x4xf32>
// CHECK: %[[LAST:.*]] = linalg.transpose ins(%[[SWAPPED]]
// CHECK: return %[[LAST]] : tensor<3x4x5xf32>
func.func @final(%swapped: tensor<3x4x5xf32> {ssm.state = 0 : i64})
    -> (tensor<3x4x5xf32> {ssm.output = 0 : i64}) {
  return %swapped : tensor<3x4x5xf32>
}
}
