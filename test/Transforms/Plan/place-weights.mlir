// Equal weights of all functions share a place in one image.
// RUN: itera-opt --ssm-place-weights %s | FileCheck %s

// CHECK: ssm.weight_bytes = 128 : i64
// CHECK-SAME: ssm.weights = [{offset = 0 : i64, value = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>}, {offset = 64 : i64

// CHECK-LABEL: func.func @forward
// CHECK-SAME: %[[IMAGE:[a-z0-9]+]]: memref<128xi8> {ssm.weight_image}
func.func @forward() -> (tensor<2xf32>, tensor<3xi64>) {
  // CHECK: %[[A:.*]] = memref.view %[[IMAGE]][%c0{{.*}}][] : memref<128xi8> to memref<2xf32>
  // CHECK: bufferization.to_tensor %[[A]] restrict
  %a = ssm.weight "a" dense<[1.0, 2.0]> : tensor<2xf32>
  // CHECK: memref.view %[[IMAGE]][%c64{{.*}}][] : memref<128xi8> to memref<3xi64>
  %b = ssm.weight "b" dense<[1, 2, 3]> : tensor<3xi64>
  return %a, %b : tensor<2xf32>, tensor<3xi64>
}

// CHECK-LABEL: func.func @other
func.func @other() -> tensor<2xf32> {
  // CHECK: memref.view %{{.*}}[%c0{{.*}}][] : memref<128xi8> to memref<2xf32>
  %c = ssm.weight "same_as_a" dense<[1.0, 2.0]> : tensor<2xf32>
  return %c : tensor<2xf32>
}

// A function without weights gets no image.
// CHECK-LABEL: func.func @none(%arg0: tensor<f32>)
func.func @none(%x: tensor<f32>) -> tensor<f32> {
  return %x : tensor<f32>
}
