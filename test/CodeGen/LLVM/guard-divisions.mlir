// Divisors that are not known get a guard; what a CPU would trap on is defined.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-guard-divisions))' %s | FileCheck %s

// CHECK-LABEL: func.func @unsigned(%arg0: i32, %arg1: i32)
// CHECK:         %[[IS_ZERO:.*]] = arith.cmpi eq, %arg1, %[[ZERO:.*]] : i32
// CHECK:         %[[SAFE:.*]] = arith.select %[[IS_ZERO]], %{{.*}}, %arg1 : i32
// CHECK:         %[[Q:.*]] = arith.divui %arg0, %[[SAFE]] : i32
// CHECK:         %[[R:.*]] = arith.select %[[IS_ZERO]], %[[ZERO]], %[[Q]] : i32
// CHECK:         return %[[R]] : i32
func.func @unsigned(%x: i32, %d: i32) -> i32 {
  %q = arith.divui %x, %d : i32
  return %q : i32
}

// The least number by -1 overflows.
// CHECK-LABEL: func.func @signed(%arg0: i8, %arg1: i8)
// CHECK-DAG:     %[[MINUS_ONE:.*]] = arith.constant -1 : i8
// CHECK-DAG:     %[[LEAST:.*]] = arith.constant -128 : i8
// CHECK-DAG:     arith.cmpi eq, %arg0, %[[LEAST]] : i8
// CHECK-DAG:     arith.cmpi eq, %arg1, %[[MINUS_ONE]] : i8
// CHECK:         %[[SAFE:.*]] = arith.select
// CHECK:         arith.remsi %arg0, %[[SAFE]] : i8
func.func @signed(%x: i8, %d: i8) -> i8 {
  %r = arith.remsi %x, %d : i8
  return %r : i8
}

// CHECK-LABEL: func.func @known
// CHECK-NOT:     arith.select
func.func @known(%x: i64) -> i64 {
  %seven = arith.constant 7 : i64
  %q = arith.divsi %x, %seven : i64
  return %q : i64
}
