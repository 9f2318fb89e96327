// Options out of their range.
// RUN: not itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=1}))' %s 2>&1 | FileCheck %s
// RUN: not itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=-0.5}))' %s 2>&1 | FileCheck --check-prefix=NEGATIVE %s
// RUN: not itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{ratio=nan}))' %s 2>&1 | FileCheck --check-prefix=NAN %s
// RUN: not itera-opt --pass-pipeline='builtin.module(func.func(ssm-prune-channels{multiple=0}))' %s 2>&1 | FileCheck --check-prefix=MULTIPLE %s

// CHECK: error: expected a ratio from 0 to less than 1, but got 1.000000e+00
// NEGATIVE: error: expected a ratio from 0 to less than 1, but got -5.000000e-01
// NAN: error: expected a ratio from 0 to less than 1, but got nan
// MULTIPLE: error: expected a positive multiple, but got 0{{$}}
func.func @forward(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}
