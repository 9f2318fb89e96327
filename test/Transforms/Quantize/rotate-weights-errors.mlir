// What no option allows is refused.
// RUN: not itera-opt --ssm-rotate-weights=which=some %s 2>&1 | FileCheck %s --check-prefix=WHICH
// RUN: not itera-opt --ssm-rotate-weights=block=48 %s 2>&1 | FileCheck %s --check-prefix=BLOCK
// RUN: not itera-opt --ssm-rotate-weights=block=1 %s 2>&1 | FileCheck %s --check-prefix=ONE
// WHICH: expected recurrence or all as what to rotate, but got 'some'
// BLOCK: expected a block of a power of two from 2 on, but got 48
// ONE: expected a block of a power of two from 2 on, but got 1
func.func @f() {
  return
}
