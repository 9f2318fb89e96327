// RUN: itera-opt --ssm-fold-constants %s | FileCheck %s
// RUN: itera-opt --ssm-fold-constants=small-bytes=5120 %s | FileCheck %s --check-prefix=SMALL

// -exp(A_log) folds into one weight of its own; the bare weight stays.
// CHECK-LABEL: func.func @chain
// CHECK-DAG: %[[F:.*]] = ssm.weight "a.folded"
// CHECK-DAG: %[[A:.*]] = ssm.weight "a" dense_resource<a>
// CHECK-NOT: math.exp
// CHECK: arith.mulf %{{.*}}, %[[F]]
// CHECK: arith.addf %{{.*}}, %[[A]]
func.func @chain(%x: tensor<10x8xf32>) -> tensor<10x8xf32> {
  %a = ssm.weight "a" dense_resource<a> : tensor<10x8xf32>
  %e = math.exp %a : tensor<10x8xf32>
  %n = arith.negf %e : tensor<10x8xf32>
  %y = arith.mulf %x, %n : tensor<10x8xf32>
  %z = arith.addf %y, %a : tensor<10x8xf32>
  return %z : tensor<10x8xf32>
}

// The values are right: 0, 1, 2, ... summed over 8 gives 28 in the first row.
// CHECK-LABEL: func.func @sum
// CHECK: arith.constant dense<[2.800000e+01, 9.200000e+01, 1.560000e+02,
// CHECK-NOT: linalg.reduce
func.func @sum(%x: tensor<10xf32>) -> tensor<10xf32> {
  %a = ssm.weight "a" dense_resource<a> : tensor<10x8xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<10xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<10xf32>) -> tensor<10xf32>
  %sum = linalg.reduce ins(%a : tensor<10x8xf32>) outs(%init : tensor<10xf32>) dimensions = [1]
    (%in: f32, %acc: f32) {
      %s = arith.addf %in, %acc : f32
      linalg.yield %s : f32
    }
  %y = arith.addf %x, %sum : tensor<10xf32>
  return %y : tensor<10xf32>
}

// A transposed weight folds; a broadcast that takes more than four times the
// weight's bytes does not, nor does an init.
// CHECK-LABEL: func.func @growth
// CHECK-DAG: ssm.weight "a.folded" {{.*}} : tensor<8x10xf32>
// CHECK-DAG: %[[A:.*]] = ssm.weight "a" dense_resource<a>
// CHECK: linalg.broadcast ins(%[[A]]
// CHECK: linalg.fill
func.func @growth(%x: tensor<16x10x8xf32>, %y: tensor<8x10xf32>)
    -> (tensor<16x10x8xf32>, tensor<8x10xf32>, tensor<16x10x8xf32>) {
  %a = ssm.weight "a" dense_resource<a> : tensor<10x8xf32>
  %e = tensor.empty() : tensor<8x10xf32>
  %t = linalg.transpose ins(%a : tensor<10x8xf32>) outs(%e : tensor<8x10xf32>) permutation = [1, 0]
  %u = arith.addf %y, %t : tensor<8x10xf32>
  %w = tensor.empty() : tensor<16x10x8xf32>
  %b = linalg.broadcast ins(%a : tensor<10x8xf32>) outs(%w : tensor<16x10x8xf32>) dimensions = [0]
  %c = arith.addf %x, %b : tensor<16x10x8xf32>
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%w : tensor<16x10x8xf32>) -> tensor<16x10x8xf32>
  return %c, %u, %f : tensor<16x10x8xf32>, tensor<8x10xf32>, tensor<16x10x8xf32>
}

// With small-bytes what is small in the end, 5,120 bytes here, is computed; what
// is the same along a dimension is stored once.
// CHECK-LABEL: func.func @repeated
// CHECK: math.exp
// SMALL-LABEL: func.func @repeated
// SMALL: %[[ONCE:.*]] = ssm.weight {{.*}} : tensor<10x8xf32>
// SMALL: %[[B:.*]] = linalg.broadcast ins(%[[ONCE]] : tensor<10x8xf32>) {{.*}} dimensions = [0]
// SMALL-NOT: math.exp
// SMALL: arith.addf %{{.*}}, %[[B]]
func.func @repeated(%x: tensor<16x10x8xf32>) -> tensor<16x10x8xf32> {
  %a = ssm.weight "a" dense_resource<a> : tensor<10x8xf32>
  %w = tensor.empty() : tensor<16x10x8xf32>
  %b = linalg.broadcast ins(%a : tensor<10x8xf32>) outs(%w : tensor<16x10x8xf32>) dimensions = [0]
  %e = math.exp %b : tensor<16x10x8xf32>
  %c = arith.addf %x, %e : tensor<16x10x8xf32>
  return %c : tensor<16x10x8xf32>
}

// What a scan's body computes from constants moves out of it.
// CHECK-LABEL: func.func @scan
// CHECK: ssm.weight "a.folded"
// CHECK: ssm.scan
// CHECK-NOT: math.exp
func.func @scan(%h: tensor<10x8xf32>, %x: tensor<4x10x8xf32>) -> tensor<10x8xf32> {
  %a = ssm.weight "a" dense_resource<a> : tensor<10x8xf32>
  %last = ssm.scan init(%h : tensor<10x8xf32>) sequences(%x : tensor<4x10x8xf32>) length 4 {
  ^bb0(%s: tensor<10x8xf32>, %xt: tensor<10x8xf32>):
    %e = math.exp %a : tensor<10x8xf32>
    %m = arith.mulf %s, %e : tensor<10x8xf32>
    %n = arith.addf %m, %xt : tensor<10x8xf32>
    ssm.yield %n : tensor<10x8xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64>} -> tensor<10x8xf32>
  return %last : tensor<10x8xf32>
}

{-#
  dialect_resources: {
    builtin: {
      a: "0x04000000000000000000803F0000004000004040000080400000A0400000C0400000E0400000004100001041000020410000304100004041000050410000604100007041000080410000884100009041000098410000A0410000A8410000B0410000B8410000C0410000C8410000D0410000D8410000E0410000E8410000F0410000F84100000042000004420000084200000C4200001042000014420000184200001C4200002042000024420000284200002C4200003042000034420000384200003C4200004042000044420000484200004C4200005042000054420000584200005C4200006042000064420000684200006C4200007042000074420000784200007C42000080420000824200008442000086420000884200008A4200008C4200008E42000090420000924200009442000096420000984200009A4200009C4200009E42"
    }
  }
#-}
