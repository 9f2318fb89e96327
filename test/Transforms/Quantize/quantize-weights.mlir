// A weight becomes integers and scales wherever it is read; scales are searched.
// RUN: itera-opt --ssm-quantize-weights %s | FileCheck %s
// RUN: itera-opt --ssm-quantize-weights=search=max %s | FileCheck %s --check-prefix=MAX
// RUN: itera-opt --ssm-quantize-weights=search=absmax %s | FileCheck %s --check-prefix=ABSMAX

// Of eight weights -8/4 ... 7/4 with a group of eight nothing is lost: the scale is
// 0.25 for the search and for max (0x3e80), and 2/7 = 0x3e92 for absmax.
// CHECK-LABEL: @exact
// CHECK: %[[W:.*]] = ssm.weight "w" dense_resource<w.i4> : tensor<1x8xi4>
// CHECK: %[[S:.*]] = ssm.weight "w.scales" dense_resource<w.scales> : tensor<1x1xbf16>
// CHECK: ssm.embedding %{{.*}}, %[[W]] scales(%[[S]] : tensor<1x1xbf16>) group 8
// CHECK: ssm.linear %{{.*}}, %[[W]] scales(%[[S]] : tensor<1x1xbf16>) group 8 int8_input token
func.func @exact(%x: tensor<4x8xf32>, %ids: tensor<4xi64>) -> (tensor<4x1xf32>, tensor<4x8xf32>) {
  %w = ssm.weight "w" dense<[[-2.0, -1.25, 0.25, 1.25, -0.25, 0.75, 1.5, 1.75]]>
    : tensor<1x8xf32> {ssm.precision = #ssm.precision<storage = i4, group = 8, input = token>}
  %e = ssm.embedding %ids, %w : tensor<4xi64>, tensor<1x8xf32> -> tensor<4x8xf32>
  %y = ssm.linear %x, %w : tensor<4x8xf32>, tensor<1x8xf32> -> tensor<4x1xf32>
  return %y, %e : tensor<4x1xf32>, tensor<4x8xf32>
}

// Eight bits: one scale per row, rounded up so that the largest fits; a row of zeros.
// CHECK-LABEL: @rows
// CHECK: ssm.linear {{.*}} scales(%{{.*}} : tensor<2x1xbf16>) int8_input token :
func.func @rows(%x: tensor<4x2xf32>) -> tensor<4x2xf32> {
  %w = ssm.weight "v" dense<[[3.0, -1.0], [0.0, 0.0]]>
    : tensor<2x2xf32> {ssm.precision = #ssm.precision<storage = i8, input = token>}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32> -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// 16 bits: bf16 where f16 would overflow.
// CHECK-LABEL: @halves
// CHECK: ssm.weight "a" dense_resource<a.f16> : tensor<1x2xf16>
// CHECK: ssm.weight "b" dense_resource<b.bf16> : tensor<1x2xbf16>
func.func @halves(%x: tensor<4x2xf32>) -> (tensor<4x1xf32>, tensor<4x1xf32>) {
  %a = ssm.weight "a" dense<[[3.0, -1.0]]>
    : tensor<1x2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %b = ssm.weight "b" dense<[[3.0e5, -1.0]]>
    : tensor<1x2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %y = ssm.linear %x, %a : tensor<4x2xf32>, tensor<1x2xf32> -> tensor<4x1xf32>
  %z = ssm.linear %x, %b : tensor<4x2xf32>, tensor<1x2xf32> -> tensor<4x1xf32>
  return %y, %z : tensor<4x1xf32>, tensor<4x1xf32>
}

// What is no matrix is rounded to f16 and stays f32: 1.0001 to 1, 0.1 to 0x3DCCC000.
// Not where f16 would be coarse (all below 2^-14), nor overflow.
// CHECK-LABEL: @vectors
// CHECK: ssm.weight "bias" dense_resource<bias.rounded> : tensor<2xf32>
// CHECK: ssm.weight "tiny" dense<[9.99999974E-6, 2.{{0*}}e-05]> : tensor<2xf32>
// CHECK: ssm.weight "huge" dense<[7.{{0*}}e+04, 1.{{0*}}e+00]> : tensor<2xf32>
func.func @vectors(%x: tensor<2xf32>) -> tensor<2xf32> {
  %b = ssm.weight "bias" dense<[1.0001, 0.1]> : tensor<2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %t = ssm.weight "tiny" dense<[1.0e-5, 2.0e-5]> : tensor<2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %h = ssm.weight "huge" dense<[7.0e4, 1.0]> : tensor<2xf32> {ssm.precision = #ssm.precision<storage = f16>}
  %0 = arith.addf %x, %b : tensor<2xf32>
  %1 = arith.addf %0, %t : tensor<2xf32>
  %2 = arith.addf %1, %h : tensor<2xf32>
  return %2 : tensor<2xf32>
}

// CHECK-DAG: bias.rounded: "0x040000000000803F00C0CC3D"
// CHECK-DAG: w.i4: "0x01000000F8FB0105FF030607"
// CHECK-DAG: w.scales: "0x02000000803E"
// MAX-DAG: w.scales: "0x02000000803E"
// ABSMAX-DAG: w.scales: "0x02000000923E"
// CHECK-DAG: v.i8: "0x010000007FD60000"
