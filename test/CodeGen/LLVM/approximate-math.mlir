// What has no instruction becomes a polynomial, small floats through f32.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-approximate-math))' %s | FileCheck %s

// CHECK-LABEL: func.func @functions
// CHECK-NOT: math.{{exp|log|tanh|erf|powf|sin|rsqrt}}
// CHECK: return
func.func @functions(%x: f32, %h: f16) -> (f32, f16) {
  %0 = math.exp %x : f32
  %1 = math.log1p %0 : f32
  %2 = math.tanh %1 : f32
  %3 = math.erf %2 : f32
  %4 = math.powf %3, %x : f32
  %5 = math.sin %4 : f32
  %6 = math.rsqrt %5 : f32
  %7 = math.exp %h : f16
  return %6, %7 : f32, f16
}

// CHECK-LABEL: func.func @instructions
func.func @instructions(%x: f64) -> f64 {
  // CHECK: math.sqrt
  %0 = math.sqrt %x : f64
  // CHECK: math.absf
  %1 = math.absf %0 : f64
  return %1 : f64
}
