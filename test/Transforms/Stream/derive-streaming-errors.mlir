// Why a model cannot stream: a remark names the node and its op, the module
// keeps the reason, and no entry is written. Time is dimension 0 of x.
// RUN: itera-opt '--ssm-derive-streaming=time-dims=x=0' --split-input-file %s 2>&1 >/dev/null | FileCheck %s
// RUN: itera-opt '--ssm-derive-streaming=time-dims=x=0' --split-input-file %s 2>/dev/null | FileCheck %s --check-prefix=MODULE

// CHECK: remark: {{.*}}the model cannot stream: node '/back/Scan' (ssm.linear_recurrence) runs backward in time, so its first frame needs the last one
// MODULE: module attributes {ssm.stream_problem = "node '/back/Scan' (ssm.linear_recurrence) runs backward in time
// MODULE-NOT: @step
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %h0 = arith.constant dense<1.0> : tensor<3xf32>
  %y, %l = ssm.linear_recurrence %x, %x, %h0 dim 0 reverse : tensor<8x3xf32>, tensor<3xf32> loc("/back/Scan")
  return %y : tensor<8x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/attention/Softmax' (linalg.softmax) normalises over time, so its first frame needs the last one
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %e = tensor.empty() : tensor<8x3xf32>
  %y = linalg.softmax dimension(0) ins(%x : tensor<8x3xf32>) outs(%e : tensor<8x3xf32>) -> tensor<8x3xf32> loc("/attention/Softmax")
  return %y : tensor<8x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node 'ssm.norm' (ssm.norm) normalises over time
func.func @forward(%x: tensor<8xf32> {ssm.name = "x"}) -> (tensor<8xf32> {ssm.name = "y"}) {
  %w = arith.constant dense<1.0> : tensor<8xf32>
  %y = ssm.norm rms %x scale(%w : tensor<8xf32>) epsilon 1.0e-5 : tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node 'ssm.hadamard' (ssm.hadamard) mixes all time steps by its weights
func.func @forward(%x: tensor<8xf32> {ssm.name = "x"}) -> (tensor<8xf32> {ssm.name = "y"}) {
  %y = ssm.hadamard %x block 4 : tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/NonZero' (ssm.nonzero) has no rule for streaming
func.func @forward(%x: tensor<8xi1> {ssm.name = "x"}) -> (tensor<1x8xi64> {ssm.name = "y"}) {
  %y, %n = ssm.nonzero %x : tensor<8xi1> -> tensor<1x8xi64>, tensor<i64> loc("/NonZero")
  return %y : tensor<1x8xi64>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Gather' (tensor.extract_slice) takes one time step by its number
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<3xf32> {ssm.name = "y"}) {
  %y = tensor.extract_slice %x[2, 0] [1, 3] [1, 1] : tensor<8x3xf32> to tensor<3xf32> loc("/Gather")
  return %y : tensor<3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Flip' (ssm.reverse) reverses time, so its first frame needs the last one
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %y = ssm.reverse %x dims [0] : tensor<8x3xf32> loc("/Flip")
  return %y : tensor<8x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Add' (arith.addf) joins frames at two rates, one every 1 and one every 2 frames of the input
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<4x3xf32> {ssm.name = "y"}) {
  %c = tensor.extract_slice %x[0, 0] [4, 3] [1, 1] : tensor<8x3xf32> to tensor<4x3xf32>
  %s = tensor.extract_slice %x[0, 0] [4, 3] [2, 1] : tensor<8x3xf32> to tensor<4x3xf32>
  %y = arith.addf %c, %s : tensor<4x3xf32> loc("/Add")
  return %y : tensor<4x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/MatMul' (linalg.contract) mixes the time of one operand with another dimension
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x8xf32> {ssm.name = "y"}) {
  %z = arith.constant dense<0.0> : tensor<8x8xf32>
  %y = linalg.contract indexing_maps = [#a, #b, #c] ins(%x, %x : tensor<8x3xf32>, tensor<8x3xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32> loc("/MatMul")
  return %y : tensor<8x8xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Sub' (arith.subf) needs what is known at the end only, for every frame
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<8x3xf32> {ssm.name = "y"}) {
  %zero = arith.constant dense<0.0> : tensor<3xf32>
  %s = linalg.reduce ins(%x : tensor<8x3xf32>) outs(%zero : tensor<3xf32>) dimensions = [0]
    (%a: f32, %b: f32) {
      %c = arith.addf %a, %b : f32
      linalg.yield %c : f32
    }
  %e = tensor.empty() : tensor<8x3xf32>
  %b = linalg.broadcast ins(%s : tensor<3xf32>) outs(%e : tensor<8x3xf32>) dimensions = [0]
  %y = arith.subf %x, %b : tensor<8x3xf32> loc("/Sub")
  return %y : tensor<8x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Concat' (tensor.concat) joins sequences end to end
func.func @forward(%x: tensor<8x3xf32> {ssm.name = "x"}) -> (tensor<16x3xf32> {ssm.name = "y"}) {
  %y = tensor.concat dim(0) %x, %x : (tensor<8x3xf32>, tensor<8x3xf32>) -> tensor<16x3xf32> loc("/Concat")
  return %y : tensor<16x3xf32>
}

// -----

// Two frames for each input, and of these every third: now one comes, now none.
// CHECK: remark: {{.*}}the model cannot stream: node '/Slice' (tensor.extract_slice) has frames at a rate that the number of inputs does not divide into
func.func @forward(%x: tensor<9x2x3xf32> {ssm.name = "x"}) -> (tensor<6x3xf32> {ssm.name = "y"}) {
  %c = tensor.collapse_shape %x [[0, 1], [2]] : tensor<9x2x3xf32> into tensor<18x3xf32>
  %y = tensor.extract_slice %c[0, 0] [6, 3] [3, 1] : tensor<18x3xf32> to tensor<6x3xf32> loc("/Slice")
  return %y : tensor<6x3xf32>
}

// -----

// CHECK: remark: {{.*}}the model cannot stream: node '/Pad' (ssm.gather) picks time steps by number
func.func @forward(%x: tensor<4x3xf32> {ssm.name = "x"}) -> (tensor<6x3xf32> {ssm.name = "y"}) {
  %i = arith.constant dense<[2, 1, 0, 1, 2, 3]> : tensor<6xi64>
  %y = ssm.gather %x, %i dim 0 : tensor<4x3xf32>, tensor<6xi64> -> tensor<6x3xf32> loc("/Pad")
  return %y : tensor<6x3xf32>
}

// -----

// The sum begins with a frame that is known with the first input, and so are the
// next two: three at one position.
// CHECK: remark: {{.*}}the model cannot stream: node '/CumSum' (ssm.cumsum) needs the frames in front of a sequence, which repeat its first one, before that
func.func @forward(%x: tensor<4x3xf32> {ssm.name = "x"}) -> (tensor<6x3xf32> {ssm.name = "y"}) {
  %i = arith.constant dense<[0, 0, 0, 1, 2, 3]> : tensor<6xi64>
  %p = ssm.gather %x, %i dim 0 : tensor<4x3xf32>, tensor<6xi64> -> tensor<6x3xf32>
  %y = ssm.cumsum %p dim 0 : tensor<6x3xf32> loc("/CumSum")
  return %y : tensor<6x3xf32>
}

// -----

// Blocks of two beside blocks of three: of two inputs the one has frames, of
// three the other has more.
// CHECK: remark: {{.*}}the model cannot stream: node '/Add' (arith.addf) joins sequences of which now the one and now the other is longer
func.func @forward(%x: tensor<12x3xf32> {ssm.name = "x"}) -> (tensor<12x3xf32> {ssm.name = "y"}) {
  %a = tensor.expand_shape %x [[0, 1], [2]] output_shape [6, 2, 3] : tensor<12x3xf32> into tensor<6x2x3xf32>
  %b = math.exp %a : tensor<6x2x3xf32>
  %c = tensor.collapse_shape %b [[0, 1], [2]] : tensor<6x2x3xf32> into tensor<12x3xf32>
  %d = tensor.expand_shape %x [[0, 1], [2]] output_shape [4, 3, 3] : tensor<12x3xf32> into tensor<4x3x3xf32>
  %e = math.exp %d : tensor<4x3x3xf32>
  %f = tensor.collapse_shape %e [[0, 1], [2]] : tensor<4x3x3xf32> into tensor<12x3xf32>
  %y = arith.addf %c, %f : tensor<12x3xf32> loc("/Add")
  return %y : tensor<12x3xf32>
}
