// States say where the model's own constants can make them infinite, and only
// there.
// RUN: itera-opt --ssm-derive-streaming="chunk=4 time-dims=x=1" --split-input-file %s | FileCheck %s

// The padding of a maximum over three frames is in its history. The maximum
// itself always has a real frame, and so is finite.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{infinite, name = "tensor.pad.history"
// CHECK-SAME: {name = "ssm.cumsum.sum"
func.func @forward(%x: tensor<1x8x4xf32> {ssm.name = "x"}) -> (tensor<1x8x4xf32> {ssm.name = "y"}) {
  %inf = arith.constant 0xFF800000 : f32
  %p = tensor.pad %x low[0, 2, 0] high[0, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index):
    tensor.yield %inf : f32
  } : tensor<1x8x4xf32> to tensor<1x10x4xf32>
  %a = tensor.extract_slice %p[0, 0, 0] [1, 8, 4] [1, 1, 1] : tensor<1x10x4xf32> to tensor<1x8x4xf32>
  %b = tensor.extract_slice %p[0, 1, 0] [1, 8, 4] [1, 1, 1] : tensor<1x10x4xf32> to tensor<1x8x4xf32>
  %c = tensor.extract_slice %p[0, 2, 0] [1, 8, 4] [1, 1, 1] : tensor<1x10x4xf32> to tensor<1x8x4xf32>
  %d = arith.maximumf %a, %b : tensor<1x8x4xf32>
  %e = arith.maximumf %d, %c : tensor<1x8x4xf32>
  %y = ssm.cumsum %e dim 1 : tensor<1x8x4xf32>
  return %y : tensor<1x8x4xf32>
}

// -----

// A maximum of padding alone passes its infinity on, but tanh does not.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: {infinite, name = "ssm.cumsum.sum"
// CHECK-SAME: {name = "ssm.cumsum.sum.1"
func.func @forward(%x: tensor<1x8x4xf32> {ssm.name = "x"}) -> (tensor<1x9x4xf32> {ssm.name = "y"}, tensor<1x9x4xf32> {ssm.name = "z"}) {
  %inf = arith.constant 0xFF800000 : f32
  %p = tensor.pad %x low[0, 1, 0] high[0, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index):
    tensor.yield %inf : f32
  } : tensor<1x8x4xf32> to tensor<1x9x4xf32>
  %y = ssm.cumsum %p dim 1 : tensor<1x9x4xf32>
  %t = math.tanh %p : tensor<1x9x4xf32>
  %z = ssm.cumsum %t dim 1 : tensor<1x9x4xf32>
  return %y, %z : tensor<1x9x4xf32>, tensor<1x9x4xf32>
}

// -----

// A running maximum begins with minus infinity; a sum begins with zero.
// CHECK-LABEL: module attributes {ssm.stream
// CHECK-SAME: states = [{infinite, name = "linalg.reduce.sum"
// CHECK-SAME: {name = "linalg.reduce.sum.1"
func.func @forward(%x: tensor<1x8x4xf32> {ssm.name = "x"}) -> (tensor<1x4xf32> {ssm.name = "y"}, tensor<1x4xf32> {ssm.name = "z"}) {
  %inf = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x4xf32>
  %i = linalg.fill ins(%inf : f32) outs(%e : tensor<1x4xf32>) -> tensor<1x4xf32>
  %n = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4xf32>) -> tensor<1x4xf32>
  %y = linalg.reduce { arith.maximumf } ins(%x : tensor<1x8x4xf32>) outs(%i : tensor<1x4xf32>) dimensions = [1]
  %z = linalg.reduce { arith.addf } ins(%x : tensor<1x8x4xf32>) outs(%n : tensor<1x4xf32>) dimensions = [1]
  return %y, %z : tensor<1x4xf32>, tensor<1x4xf32>
}
