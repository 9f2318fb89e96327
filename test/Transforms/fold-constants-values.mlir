// The evaluator computes what the ops mean; the numbers are worked out by hand.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-fold-constants))' %s | FileCheck %s

// CHECK-LABEL: func.func @elementwise
func.func @elementwise() -> (tensor<3xf32>, tensor<3xi64>, tensor<3xi1>) {
  %a = arith.constant dense<[1.0, -2.0, 4.0]> : tensor<3xf32>
  %b = arith.constant dense<[0.5, 3.0, -1.0]> : tensor<3xf32>
  %i = arith.constant dense<[7, -7, 9]> : tensor<3xi64>
  %j = arith.constant dense<[2, 2, -4]> : tensor<3xi64>
  %0 = arith.mulf %a, %b : tensor<3xf32>
  %1 = arith.addf %0, %a : tensor<3xf32>
  %2 = arith.divsi %i, %j : tensor<3xi64>
  %3 = arith.cmpf olt, %a, %b : tensor<3xf32>
  // CHECK-DAG: dense<[1.500000e+00, -8.000000e+00, 0.000000e+00]> : tensor<3xf32>
  // CHECK-DAG: dense<[3, -3, -2]> : tensor<3xi64>
  // CHECK-DAG: dense<[false, true, false]> : tensor<3xi1>
  return %1, %2, %3 : tensor<3xf32>, tensor<3xi64>, tensor<3xi1>
}

// CHECK-LABEL: func.func @movement
func.func @movement() -> (tensor<3x2xi64>, tensor<2xi64>, tensor<5xi64>, tensor<2x2xi64>) {
  %m = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64>
  %e = tensor.empty() : tensor<3x2xi64>
  %t = linalg.transpose ins(%m : tensor<2x3xi64>) outs(%e : tensor<3x2xi64>) permutation = [1, 0]
  %s = tensor.extract_slice %m[1, 0] [1, 2] [1, 2] : tensor<2x3xi64> to tensor<2xi64>
  %r = ssm.reverse %s dims [0] : tensor<2xi64>
  %v = arith.constant dense<[7, 8, 9]> : tensor<3xi64>
  %c = tensor.concat dim(0) %r, %v : (tensor<2xi64>, tensor<3xi64>) -> tensor<5xi64>
  %i = arith.constant dense<[2, -3]> : tensor<2xi64>
  %g = ssm.gather %m, %i dim 1 : tensor<2x3xi64>, tensor<2xi64> -> tensor<2x2xi64>
  // CHECK-DAG: dense<{{\[}}[1, 4], [2, 5], [3, 6]]> : tensor<3x2xi64>
  // CHECK-DAG: dense<[4, 6]> : tensor<2xi64>
  // CHECK-DAG: dense<[6, 4, 7, 8, 9]> : tensor<5xi64>
  // CHECK-DAG: dense<{{\[}}[3, 1], [6, 4]]> : tensor<2x2xi64>
  return %t, %s, %c, %g : tensor<3x2xi64>, tensor<2xi64>, tensor<5xi64>, tensor<2x2xi64>
}

// H4 has the rows ++++, +-+-, ++-- and +--+.
// CHECK-LABEL: func.func @hadamard
func.func @hadamard() -> tensor<2x4xf32> {
  %x = arith.constant dense<[[1.0, 2.0, 3.0, 4.0], [0.0, 8.0, 0.0, 0.0]]> : tensor<2x4xf32>
  // CHECK: dense<{{\[}}[5.000000e+00, -1.000000e+00, -2.000000e+00, 0.000000e+00], [4.000000e+00, -4.000000e+00, 4.000000e+00, -4.000000e+00]]>
  %y = ssm.hadamard %x block 4 : tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @sums
func.func @sums() -> (tensor<2xf32>, tensor<2x3xf32>, tensor<2x2xf32>) {
  %m = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  %r = linalg.reduce { arith.addf } ins(%m : tensor<2x3xf32>) outs(%f : tensor<2xf32>) dimensions = [1]
  %c = ssm.cumsum %m dim 1 exclusive : tensor<2x3xf32>
  %e2 = tensor.empty() : tensor<2x2xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p = linalg.contract indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
    ins(%m, %m : tensor<2x3xf32>, tensor<2x3xf32>) outs(%f2 : tensor<2x2xf32>) -> tensor<2x2xf32>
  // CHECK-DAG: dense<[6.000000e+00, 1.500000e+01]> : tensor<2xf32>
  // CHECK-DAG: dense<{{\[}}[0.000000e+00, 1.000000e+00, 3.000000e+00], [0.000000e+00, 4.000000e+00, 9.000000e+00]]> : tensor<2x3xf32>
  // CHECK-DAG: dense<{{\[}}[1.400000e+01, 3.200000e+01], [3.200000e+01, 7.700000e+01]]> : tensor<2x2xf32>
  return %r, %c, %p : tensor<2xf32>, tensor<2x3xf32>, tensor<2x2xf32>
}

// What depends on an argument stays.
// CHECK-LABEL: func.func @not_constant
func.func @not_constant(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  // CHECK: arith.addf %arg0
  %0 = arith.addf %x, %a : tensor<2xf32>
  return %0 : tensor<2xf32>
}
