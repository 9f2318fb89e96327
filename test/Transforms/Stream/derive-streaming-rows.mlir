// Which dimension of states is that of a batch, and where its rows meet.
// RUN: itera-opt --ssm-derive-streaming --split-input-file %s | FileCheck %s

// A history, and a state that begins with zeros; the inputs and outputs.
// CHECK: inputs = [{batch_dim = 0 : i64, time_dim = 1 : i64}]
// CHECK-SAME: outputs = [{adds = [], batch_dim = 0 : i64
// CHECK-SAME: rows = 3 : i64
// CHECK-SAME: {batch_dim = 0 : i64, name = "Conv_0.history"
// CHECK-SAME: {batch_dim = 0 : i64, name = "Scan_0.state"
func.func @forward(%x: tensor<3x16x4xf32> {ssm.name = "x"}) -> (tensor<3x16x4xf32> {ssm.name = "y"}) {
  %zero = arith.constant dense<0.0> : tensor<3x4xf32>
  %a = arith.constant dense<0.5> : tensor<3x16x4xf32>
  %w = arith.constant dense<0.5> : tensor<4x1x2xf32>
  %e = tensor.empty() : tensor<3x4x16xf32>
  %t = linalg.transpose ins(%x : tensor<3x16x4xf32>) outs(%e : tensor<3x4x16xf32>) permutation = [0, 2, 1] loc("Conv_0")
  %c = ssm.conv %t, %w {dilations = array<i64: 1>, groups = 4 : i64, pads_low = array<i64: 0>, pads_high = array<i64: 0>, strides = array<i64: 1>}
    : tensor<3x4x16xf32>, tensor<4x1x2xf32> -> tensor<3x4x15xf32>
  %e2 = tensor.empty() : tensor<3x15x4xf32>
  %u = linalg.transpose ins(%c : tensor<3x4x15xf32>) outs(%e2 : tensor<3x15x4xf32>) permutation = [0, 2, 1]
  %h, %last = ssm.linear_recurrence %a, %x, %zero dim 1 : tensor<3x16x4xf32>, tensor<3x4xf32> loc("Scan_0")
  %s = linalg.reduce { arith.addf } ins(%u : tensor<3x15x4xf32>) outs(%zero : tensor<3x4xf32>) dimensions = [1]
  return %h : tensor<3x16x4xf32>
}

// -----

// A scan whose state does not say which of its dimensions is the batch: the
// second, as its body shows.
// CHECK: rows = 2 : i64
// CHECK-SAME: {batch_dim = 1 : i64, name = "Scan_1.state"
func.func @forward(%x: tensor<2x16x2xf32> {ssm.name = "x"}) -> (tensor<2x16x2xf32> {ssm.name = "y"}) {
  %zero = arith.constant dense<0.0> : tensor<2x2xf32>
  %last, %y = ssm.scan init(%zero : tensor<2x2xf32>) sequences(%x : tensor<2x16x2xf32>) length 16 {
  ^bb0(%h: tensor<2x2xf32>, %u: tensor<2x2xf32>):
    %e = tensor.empty() : tensor<2x2xf32>
    %t = linalg.transpose ins(%u : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
    %s = arith.addf %h, %t : tensor<2x2xf32>
    %n = math.tanh %s : tensor<2x2xf32>
    %o = linalg.transpose ins(%n : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) permutation = [1, 0]
    ssm.yield %n, %o : tensor<2x2xf32>, tensor<2x2xf32>
  } {sequence_dims = array<i64: 1>, stack_dims = array<i64: 1>} -> tensor<2x2xf32>, tensor<2x16x2xf32> loc("Scan_1")
  return %y : tensor<2x16x2xf32>
}

// -----

// A sum over the batch.
// CHECK: rows_problem = "node 'Sum_0' mixes the rows of a batch"
// CHECK-NOT: batch_dim
func.func @forward(%x: tensor<3x16x4xf32> {ssm.name = "x"}) -> (tensor<3x16x4xf32> {ssm.name = "y"}) {
  %u = ssm.cumsum %x dim 1 : tensor<3x16x4xf32>
  %y = ssm.cumsum %u dim 1 : tensor<3x16x4xf32>
  %z = ssm.cumsum %y dim 0 : tensor<3x16x4xf32> loc("Sum_0")
  return %z : tensor<3x16x4xf32>
}

// -----

// Another factor in each row.
// CHECK: rows_problem = "node 'Mul_0' reads what is not the same for all rows of a batch"
func.func @forward(%x: tensor<2x16x1xf32> {ssm.name = "x"}) -> (tensor<2x16x1xf32> {ssm.name = "y"}) {
  %c = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %e = tensor.empty() : tensor<2x16x1xf32>
  %f = linalg.broadcast ins(%c : tensor<2xf32>) outs(%e : tensor<2x16x1xf32>) dimensions = [1, 2]
  %y = ssm.cumsum %x dim 1 : tensor<2x16x1xf32>
  %z = arith.mulf %y, %f : tensor<2x16x1xf32> loc("Mul_0")
  return %z : tensor<2x16x1xf32>
}
