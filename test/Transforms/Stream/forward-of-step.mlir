// forward of a file of one step is one step of its stream: what the step has a
// recurrence for is one there, too.
// RUN: itera-opt --itera-stream %s | FileCheck %s

// CHECK-LABEL: func.func @forward
// CHECK-SAME: %[[X:.*]]: tensor<1x3xf32> {ssm.name = "x"}, %[[PAST:.*]]: tensor<1x3xf32> {ssm.name = "past_h"}
// CHECK-SAME: -> (tensor<1x3xf32> {ssm.name = "y"}, tensor<1x3xf32> {ssm.name = "present_h"})
// CHECK: %[[H:.*]], %[[LAST:.*]] = ssm.linear_recurrence %{{.*}}, %{{.*}}, %[[PAST]]
// CHECK-NOT: arith.addf
// CHECK: return %{{.*}}, %[[LAST]] : tensor<1x3xf32>, tensor<1x3xf32>
// CHECK-LABEL: func.func @begin
// CHECK-LABEL: func.func @step
// CHECK: ssm.linear_recurrence
func.func @forward(%x: tensor<1x3xf32> {ssm.name = "x"}, %past: tensor<1x3xf32> {ssm.name = "past_h"})
    -> (tensor<1x3xf32> {ssm.name = "y"}, tensor<1x3xf32> {ssm.name = "present_h"}) {
  %a = ssm.sigmoid %x : tensor<1x3xf32>
  %d = arith.mulf %a, %past : tensor<1x3xf32>
  %h = arith.addf %d, %x : tensor<1x3xf32>
  %y = math.tanh %h : tensor<1x3xf32>
  return %y, %h : tensor<1x3xf32>, tensor<1x3xf32>
}
