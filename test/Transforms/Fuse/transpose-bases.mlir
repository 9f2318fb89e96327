// The base of a state is stored as the state is, whatever the step does with
// it; what is chosen for it is chosen in that order.
// RUN: itera-opt --ssm-transpose-states --canonicalize %s | FileCheck %s

// CHECK: {base = 1 : i64, name = "state", type = tensor<5x4xf32>}
// CHECK-SAME: {name = "base", type = tensor<5x4xf32>}
module attributes {ssm.stream = {states = [
    {base = 1 : i64, name = "state", type = tensor<4x5xf32>},
    {name = "base", type = tensor<4x5xf32>}]}} {

// CHECK-LABEL: func.func @step
// CHECK-SAME: %[[STATE:[a-z0-9]+]]: tensor<5x4xf32> {ssm.state = 0 : i64}, %[[BASE:[a-z0-9]+]]: tensor<5x4xf32> {ssm.state = 1 : i64}
// CHECK-NOT: transpose
// CHECK: %[[CHOSEN:.*]] = scf.if %{{.*}} -> (tensor<5x4xf32>)
// CHECK:   %[[NEW:.*]] = math.exp %[[BASE]] : tensor<5x4xf32>
// CHECK:   scf.yield %[[NEW]]
// CHECK:   scf.yield %[[BASE]]
// CHECK-NOT: transpose
// CHECK: return %{{.*}}, %[[CHOSEN]]
func.func @step(%state: tensor<4x5xf32> {ssm.state = 0 : i64}, %base: tensor<4x5xf32> {ssm.state = 1 : i64}, %full: i1)
    -> (tensor<4x5xf32> {ssm.state = 0 : i64}, tensor<4x5xf32> {ssm.state = 1 : i64}) {
  %e = tensor.empty() : tensor<5x4xf32>
  %d = tensor.empty() : tensor<4x5xf32>
  %s = linalg.transpose ins(%state : tensor<4x5xf32>) outs(%e : tensor<5x4xf32>) permutation = [1, 0]
  %n = math.exp %s : tensor<5x4xf32>
  %next = linalg.transpose ins(%n : tensor<5x4xf32>) outs(%d : tensor<4x5xf32>) permutation = [1, 0]
  %chosen = scf.if %full -> (tensor<4x5xf32>) {
    %b = linalg.transpose ins(%base : tensor<4x5xf32>) outs(%e : tensor<5x4xf32>) permutation = [1, 0]
    %m = math.exp %b : tensor<5x4xf32>
    %later = linalg.transpose ins(%m : tensor<5x4xf32>) outs(%d : tensor<4x5xf32>) permutation = [1, 0]
    scf.yield %later : tensor<4x5xf32>
  } else {
    scf.yield %base : tensor<4x5xf32>
  }
  return %next, %chosen : tensor<4x5xf32>, tensor<4x5xf32>
}
}
