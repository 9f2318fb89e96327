// A rotation before the linears that read a recurrence and have integer weights,
// and in their weights.
// RUN: itera-opt --ssm-rotate-weights --split-input-file --verify-diagnostics %s | FileCheck %s
// RUN: itera-opt --ssm-rotate-weights=which=all --split-input-file %s | FileCheck %s --check-prefix=ALL
// RUN: itera-opt --ssm-rotate-weights=block=2 --split-input-file %s | FileCheck %s --check-prefix=BLOCK

// [8, 0, 0, 4] H4 / 2 is [6, 2, 2, 6], [1, 2, 3, 4] H4 / 2 is [5, -1, -2, 0]; what
// feeds the recurrence stays, as does a weight of floats. The file no longer has it.
// CHECK-LABEL: func @reads
// CHECK: ssm.linear %arg0, %{{.*}} : tensor<2x4xf32>, tensor<4x4xf32>
// CHECK: %[[H:.*]], %{{.*}} = ssm.linear_recurrence
// CHECK: %[[G:.*]] = arith.mulf %[[H]], %arg1
// CHECK: %[[R:.*]] = ssm.hadamard %[[G]] block 4
// CHECK: %[[W:.*]] = ssm.weight "out" dense_resource<out.rotated> : tensor<2x4xf32> {ssm.precision = #ssm.precision<{{[^>]*}}>}{{$}}
// CHECK: ssm.linear %[[R]], %[[W]]
// CHECK: ssm.linear %[[G]], %{{.*}}
// One block is the row: there is nothing left for scales of groups to do.
// CHECK: ssm.weight "other" {{.*}}group = 8, input = {{ *}}token>
// CHECK: ssm.linear %[[R]], %{{.*}}
// ALL-LABEL: func @reads
// ALL: ssm.hadamard %arg0 block 4
// BLOCK-LABEL: func @reads
// BLOCK: ssm.hadamard %{{.*}} block 2
// BLOCK: ssm.weight "other" {{.*}}group = 8, input = {{ *}}group>
func.func @reads(%x: tensor<2x4xf32>, %g: tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) {
  %in = ssm.weight "in" dense<1.0> : tensor<4x4xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %a = arith.constant dense<0.5> : tensor<2x4xf32>
  %h0 = arith.constant dense<0.0> : tensor<4xf32>
  %u = ssm.linear %x, %in : tensor<2x4xf32>, tensor<4x4xf32> -> tensor<2x4xf32>
  %h, %last = ssm.linear_recurrence %a, %u, %h0 dim 0 : tensor<2x4xf32>, tensor<4xf32>
  %y = arith.mulf %h, %g : tensor<2x4xf32>
  %out = ssm.weight "out" dense<[[8.0, 0.0, 0.0, 4.0], [1.0, 2.0, 3.0, 4.0]]> : tensor<2x4xf32> {file = "m.onnx", offset = 64 : i64, ssm.precision = #ssm.precision<storage = i8, input = token>}
  %0 = ssm.linear %y, %out : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x2xf32>
  %half = ssm.weight "half" dense<1.0> : tensor<2x4xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %1 = ssm.linear %y, %half : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x2xf32>
  %other = ssm.weight "other" dense<2.0> : tensor<2x4xf32> {ssm.precision = #ssm.precision<storage = i4, input = group, group = 8>}
  %2 = ssm.linear %y, %other : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<2x2xf32>
  return %0, %1, %2 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>
}
// 6, 2, 2, 6 and 5, -1, -2, 0.
// CHECK: out.rotated: "0x040000000000C0400000004000000040{{0000C040}}0000A040000080BF000000C0{{00000000}}"
// Blocks of two: 8, 8, 4, -4 and 3, -1, 7, -1, each over sqrt(2).
// BLOCK: out.rotated: "0x04000000F304B540F304B540F3043540F30435C0{{.*}}"

// -----

// The largest power of two in 12 columns is 4.
// CHECK-LABEL: func @twelve
// CHECK: ssm.hadamard %{{.*}} block 4 : tensor<2x12xf32>
func.func @twelve(%x: tensor<2x12xf32>) -> tensor<2x1xf32> {
  %h0 = arith.constant dense<0.0> : tensor<12xf32>
  %h, %last = ssm.linear_recurrence %x, %x, %h0 dim 0 : tensor<2x12xf32>, tensor<12xf32>
  %w = ssm.weight "w" dense<1.0> : tensor<1x12xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %y = ssm.linear %h, %w : tensor<2x12xf32>, tensor<1x12xf32> -> tensor<2x1xf32>
  return %y : tensor<2x1xf32>
}

// -----

// What else reads the weight would have to be rotated, too; five columns have no
// rotation of this kind. NaN is for ssm-quantize-weights to name.
// CHECK-LABEL: func @left_alone
// CHECK-NOT: ssm.hadamard
// CHECK: return
func.func @left_alone(%x: tensor<2x4xf32>, %z: tensor<2x5xf32>, %ids: tensor<2xi64>) -> (tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x1xf32>, tensor<2x1xf32>) {
  %h0 = arith.constant dense<0.0> : tensor<4xf32>
  %h, %last = ssm.linear_recurrence %x, %x, %h0 dim 0 : tensor<2x4xf32>, tensor<4xf32>
  // expected-remark @below {{is not rotated: weight 'tied' is read at 2 places}}
  %w = ssm.weight "tied" dense<1.0> : tensor<8x4xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %e = ssm.embedding %ids, %w : tensor<2xi64>, tensor<8x4xf32> -> tensor<2x4xf32>
  %y = ssm.linear %h, %w : tensor<2x4xf32>, tensor<8x4xf32> -> tensor<2x8xf32>
  %z0 = arith.constant dense<0.0> : tensor<5xf32>
  %s, %slast = ssm.linear_recurrence %z, %z, %z0 dim 0 : tensor<2x5xf32>, tensor<5xf32>
  // expected-remark @below {{is not rotated: weight 'odd' has an odd number of columns, 5}}
  %v = ssm.weight "odd" dense<1.0> : tensor<1x5xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %o = ssm.linear %s, %v : tensor<2x5xf32>, tensor<1x5xf32> -> tensor<2x1xf32>
  %n = ssm.weight "nan" dense<[[1.0, 0x7FC00000, 0.0, 0.0]]> : tensor<1x4xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %p = ssm.linear %h, %n : tensor<2x4xf32>, tensor<1x4xf32> -> tensor<2x1xf32>
  return %y, %e, %o, %p : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x1xf32>, tensor<2x1xf32>
}
