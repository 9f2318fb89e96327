// Buffers share bytes only if they are never live together.
// RUN: itera-opt --ssm-plan-memory %s | FileCheck %s

// a and b are live together, c only after a's last use: it takes a's place.
// CHECK-LABEL: func.func @chain
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: memref<512xi8> {ssm.scratch}
func.func @chain(%x: memref<64xf32>, %y: memref<64xf32>) {
  // CHECK: memref.view %[[SCRATCH]][%c0{{.*}}][] : memref<512xi8> to memref<64xf32>
  %a = memref.alloc() : memref<64xf32>
  memref.copy %x, %a : memref<64xf32> to memref<64xf32>
  // CHECK: memref.view %[[SCRATCH]][%c256{{.*}}][] : memref<512xi8> to memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  memref.copy %a, %b : memref<64xf32> to memref<64xf32>
  // CHECK: memref.view %[[SCRATCH]][%c0{{.*}}][] : memref<512xi8> to memref<64xf32>
  %c = memref.alloc() : memref<64xf32>
  memref.copy %b, %c : memref<64xf32> to memref<64xf32>
  memref.copy %c, %y : memref<64xf32> to memref<64xf32>
  return
}

// A view keeps its buffer alive.
// CHECK-LABEL: func.func @views
// CHECK-SAME: memref<128xi8> {ssm.scratch}
func.func @views(%x: memref<16xf32>, %y: memref<16xf32>) {
  %a = memref.alloc() : memref<16xf32>
  memref.copy %x, %a : memref<16xf32> to memref<16xf32>
  %v = memref.expand_shape %a [[0, 1]] output_shape [4, 4] : memref<16xf32> into memref<4x4xf32>
  %b = memref.alloc() : memref<16xf32>
  memref.copy %x, %b : memref<16xf32> to memref<16xf32>
  %w = memref.collapse_shape %v [[0, 1]] : memref<4x4xf32> into memref<16xf32>
  memref.copy %w, %y : memref<16xf32> to memref<16xf32>
  memref.copy %b, %y : memref<16xf32> to memref<16xf32>
  return
}

// What a select chooses between lives as long as what it gives.
// CHECK-LABEL: func.func @choice
// CHECK-SAME: memref<128xi8> {ssm.scratch}
func.func @choice(%x: memref<16xf32>, %y: memref<16xf32>, %c: i1) {
  %a = memref.alloc() : memref<16xf32>
  memref.copy %x, %a : memref<16xf32> to memref<16xf32>
  %s = arith.select %c, %a, %x : memref<16xf32>
  %b = memref.alloc() : memref<16xf32>
  memref.copy %x, %b : memref<16xf32> to memref<16xf32>
  memref.copy %s, %y : memref<16xf32> to memref<16xf32>
  memref.copy %b, %y : memref<16xf32> to memref<16xf32>
  return
}

// A buffer that a loop uses lives for the whole loop.
// CHECK-LABEL: func.func @loop
// CHECK-SAME: memref<128xi8> {ssm.scratch}
func.func @loop(%x: memref<16xf32>, %y: memref<16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %a = memref.alloc() : memref<16xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    memref.copy %x, %a : memref<16xf32> to memref<16xf32>
    %b = memref.alloc() : memref<16xf32>
    memref.copy %a, %b : memref<16xf32> to memref<16xf32>
    memref.copy %b, %y : memref<16xf32> to memref<16xf32>
  }
  return
}

// No buffers, no scratch.
// CHECK-LABEL: func.func @nothing(%arg0: memref<4xf32>)
func.func @nothing(%x: memref<4xf32>) {
  return
}
