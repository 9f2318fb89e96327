// A kernel as long as the file's sequence says nothing of longer ones: the
// stream ends there. Until then it has the frames that it needs.
// RUN: itera-opt '--ssm-derive-streaming=chunk=4' --canonicalize --cse --split-input-file %s | FileCheck %s

// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: max_frames = 8 : i64
// CHECK-SAME: lookahead = 0 : i64
// CHECK-SAME: type = tensor<1x3x7xf32>
// CHECK-LABEL: func @step
// CHECK: %[[W:.*]] = ssm.reverse %{{.*}} dims [1] : tensor<3x8xf32>
// CHECK: ssm.conv %{{.*}} groups = 3 {{.*}} : tensor<1x3x8xf32>, tensor<3x1x8xf32> -> tensor<1x3x1xf32>
func.func @forward(%x: tensor<1x3x8xf32> {ssm.name = "x"}) -> (tensor<1x3x8xf32> {ssm.name = "y"}) {
  %k = ssm.weight "k" dense<[[1.0, 0.5, 0.25, 0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 0.5, 0.25, 0.0, 1.0, 2.0, 3.0, 4.0],
    [1.0, 0.5, 0.25, 0.0, 1.0, 2.0, 3.0, 4.0]]> : tensor<3x8xf32>
  %y = ssm.long_conv %x, %k : tensor<1x3x8xf32>, tensor<3x8xf32>
  return %y : tensor<1x3x8xf32>
}

// -----

// A shorter one is the same for all sequences.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-NOT: max_frames
// CHECK-LABEL: func @step
func.func @forward(%x: tensor<1x3x8xf32> {ssm.name = "x"}) -> (tensor<1x3x8xf32> {ssm.name = "y"}) {
  %k = arith.constant dense<[[1.0, 0.5], [0.25, 0.0], [1.0, 2.0]]> : tensor<3x2xf32>
  %y = ssm.long_conv %x, %k : tensor<1x3x8xf32>, tensor<3x2xf32>
  return %y : tensor<1x3x8xf32>
}
