// Options that the model does not fit: one error each.
// RUN: not itera-opt '--ssm-derive-streaming=time-dims=z=0' %s 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not itera-opt '--ssm-derive-streaming=time-dims=x=2' %s 2>&1 | FileCheck %s --check-prefix=DIM
// RUN: not itera-opt '--ssm-derive-streaming=time-dims=x=one' %s 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: not itera-opt '--ssm-derive-streaming=states=z=y' %s 2>&1 | FileCheck %s --check-prefix=INPUT
// RUN: not itera-opt '--ssm-derive-streaming=states=h=z' %s 2>&1 | FileCheck %s --check-prefix=OUTPUT
// RUN: not itera-opt '--ssm-derive-streaming=states=h=y' %s 2>&1 | FileCheck %s --check-prefix=TYPE
// RUN: not itera-opt '--ssm-derive-streaming=states=h=n,h=n' %s 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: itera-opt '--ssm-derive-streaming=max-lookahead=0' %s | FileCheck %s --check-prefix=ENOUGH
// RUN: itera-opt '--ssm-derive-streaming=time-dims=x=0' %s | FileCheck %s --check-prefix=OTHER

// NAME: error: --time-dim: the model has no input 'z'
// DIM: error: expected --time-dim to name one of the 2 dimensions of input 'x', but got 2
// NUMBER: error: expected --time-dim to be NAME=DIM, but got 'x=one'
// INPUT: error: --state z=y: the model has no input 'z'
// OUTPUT: error: --state h=z: the model has no output 'z'
// TYPE: error: --state h=y: expected the two to have one type, but got 'tensor<3xf32>' and 'tensor<8x3xf32>'
// TWICE: error: --state h=n: one of the two is in another --state already
// NAME-NOT: error
// ENOUGH: ssm.stream =
// The rows of x are time for a recurrence over its columns.
// OTHER: states = [{{.*}}tensor<3xf32>
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}, %h: tensor<3xf32> {ssm.name = "h"}) -> (tensor<8x3xf32> {ssm.name = "y"}, tensor<3xf32> {ssm.name = "n"}) {
  %y, %n = ssm.linear_recurrence %x, %x, %h dim 0 : tensor<8x3xf32>, tensor<3xf32>
  return %y, %n : tensor<8x3xf32>, tensor<3xf32>
}
