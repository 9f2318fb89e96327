// Options that no table has are refused.
// RUN: not itera-opt --ssm-assign-precision=bits=5 %s 2>&1 | FileCheck %s --check-prefix=BITS
// RUN: not itera-opt --ssm-assign-precision=group=48 %s 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not itera-opt --ssm-assign-precision=only=head=i2 %s 2>&1 | FileCheck %s --check-prefix=ONLY
// BITS: expected 4, 8, 16 or 32 bits, but got 5
// GROUP: expected groups of 16, 32, 64 or 128 elements, but got 48
// ONLY: expected NAME=f32, f16, i8 or i4, but got 'head=i2'
func.func @f() {
  return
}
