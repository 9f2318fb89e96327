// A function that would need libm is refused.
// RUN: itera-opt --pass-pipeline='builtin.module(func.func(ssm-approximate-math))' --verify-diagnostics %s

func.func @double(%x: f64) -> f64 {
  // expected-error @below {{no code for math.exp on 'f64'; export the model in float32}}
  %0 = math.exp %x : f64
  return %0 : f64
}
