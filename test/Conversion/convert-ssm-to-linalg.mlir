// The plain lowering leaves no ssm op but weights and kernels. What the ops
// compute is checked by running them: see Execution/check_ops.py.
// RUN: itera-opt --convert-ssm-to-linalg %s | FileCheck %s

// CHECK-LABEL: func @activation
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>)
func.func @activation(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[N:.*]] = arith.negf %[[X]]
  // CHECK: %[[E:.*]] = math.exp %[[N]]
  // CHECK: %[[D:.*]] = arith.addf %[[E]]
  // CHECK: arith.divf %[[X]], %[[D]]
  %y = ssm.silu %x : tensor<4xf32>
  return %y : tensor<4xf32>
}

// A state keeps its buffer: the body's result is copied into it.
// CHECK-LABEL: func @scan
func.func @scan(%h: tensor<3xf32>, %u: tensor<6x3xf32>) -> (tensor<3xf32>, tensor<6x3xf32>) {
  // CHECK: scf.for %[[I:.*]] = {{.*}} iter_args(%[[S:.*]] = %{{.*}}, %[[Y:.*]] = %{{.*}})
  // CHECK: %[[T:.*]] = arith.subi %{{.*}}, %[[I]]
  // CHECK: tensor.extract_slice %{{.*}}[%[[T]], 0] [1, 3] [1, 1]
  // CHECK: %[[N:.*]] = arith.addf %[[S]]
  // CHECK: %[[W:.*]] = tensor.insert_slice %[[N]] into %[[Y]][%[[T]], 0]
  // CHECK: %[[C:.*]] = linalg.copy ins(%[[N]] : tensor<3xf32>) outs(%[[S]] : tensor<3xf32>)
  // CHECK: scf.yield %[[C]], %[[W]]
  %last, %y = ssm.scan init(%h : tensor<3xf32>) sequences(%u : tensor<6x3xf32>) length 6 reverse {
  ^bb0(%s: tensor<3xf32>, %ut: tensor<3xf32>):
    %n = arith.addf %s, %ut : tensor<3xf32>
    ssm.yield %n, %n : tensor<3xf32>, tensor<3xf32>
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64: 0>} -> tensor<3xf32>, tensor<6x3xf32>
  return %last, %y : tensor<3xf32>, tensor<6x3xf32>
}

// A round for each bit, the lowest first; one product at the end.
// CHECK-LABEL: func @hadamard
func.func @hadamard(%x: tensor<3x12xf32>) -> tensor<3x12xf32> {
  // CHECK: arith.ori %{{.*}}, %c1{{[ _]}}
  // CHECK: %[[A:.*]] = arith.addf
  // CHECK: %[[B:.*]] = arith.subf
  // CHECK: arith.select %{{.*}}, %[[A]], %[[B]]
  // CHECK: arith.ori %{{.*}}, %c2{{[ _]}}
  // CHECK: arith.addf
  // CHECK: arith.mulf %{{.*}}, %cst{{.*}} : f32
  // CHECK-NOT: ssm.hadamard
  %y = ssm.hadamard %x block 4 : tensor<3x12xf32>
  return %y : tensor<3x12xf32>
}

// CHECK-LABEL: func @weight_and_softmax
func.func @weight_and_softmax() -> tensor<2xf32> {
  // CHECK: ssm.weight
  %w = ssm.weight "w" dense<[1.0, 2.0]> : tensor<2xf32>
  %e = tensor.empty() : tensor<2xf32>
  // CHECK-NOT: linalg.softmax
  %y = linalg.softmax dimension(0) ins(%w : tensor<2xf32>) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}

// A product of narrow integers is summed in a register; one of wider ones is
// left to its own lowering.
// CHECK-LABEL: func @integer_products
func.func @integer_products(%a: tensor<2x5xi16>, %b: tensor<3x5xi8>, %c: tensor<3x5xi32>, %d: tensor<2x5xi32>) -> (tensor<2x3xi32>, tensor<2x3xi32>) {
  %zero = arith.constant dense<0> : tensor<2x3xi32>
  // CHECK: scf.for {{.*}} iter_args(%[[S:.*]] = %{{.*}}) -> (i32)
  // CHECK: %[[L:.*]] = tensor.extract %arg0
  // CHECK: %[[LW:.*]] = arith.extsi %[[L]] : i16 to i32
  // CHECK: %[[R:.*]] = tensor.extract %arg1
  // CHECK: %[[RW:.*]] = arith.extsi %[[R]] : i8 to i32
  // CHECK: %[[P:.*]] = arith.muli %[[LW]], %[[RW]]
  // CHECK: arith.addi %[[S]], %[[P]]
  %y = linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : tensor<2x5xi16>, tensor<3x5xi8>) outs(%zero : tensor<2x3xi32>) -> tensor<2x3xi32>
  // CHECK: linalg.contract {{.*}} ins(%arg3, %arg2
  %z = linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%d, %c : tensor<2x5xi32>, tensor<3x5xi32>) outs(%zero : tensor<2x3xi32>) -> tensor<2x3xi32>
  return %y, %z : tensor<2x3xi32>, tensor<2x3xi32>
}
