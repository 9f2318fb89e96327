// Each weight gets the precision of what it is for; names overrule the table.
// RUN: itera-opt --ssm-assign-precision=bits=4 %s | FileCheck %s --check-prefix=FOUR
// RUN: itera-opt --ssm-assign-precision=bits=8 %s | FileCheck %s --check-prefix=EIGHT
// RUN: itera-opt --ssm-assign-precision=bits=16 %s | FileCheck %s --check-prefix=HALF
// RUN: itera-opt --ssm-assign-precision='bits=4 group=128 only=in=i8,x_*=f32,head=i4,D=i4' %s | FileCheck %s --check-prefix=ONLY

// A mixer with a tied head: in_proj feeds the scan's x and z; x_proj feeds dt_proj,
// B and C; out_proj reads the scan.
// FOUR-LABEL: @mixer
// FOUR: ssm.weight "in" {{.*}}#ssm.precision<storage = i4, group = 32, input = token>
// FOUR: ssm.weight "x_proj" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "dt_proj" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "out" {{.*}}#ssm.precision<storage = i4, group = 32, input = group>
// FOUR: ssm.weight "table" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "norm" {{.*}}#ssm.precision<storage = f16>
// EIGHT-LABEL: @mixer
// EIGHT: ssm.weight "in" {{.*}}#ssm.precision<storage = i8, input = token>
// EIGHT: ssm.weight "out" {{.*}}#ssm.precision<storage = i8, input = token>
// HALF-LABEL: @mixer
// HALF: ssm.weight "in" {{.*}}#ssm.precision<storage = f16>
// HALF: ssm.weight "table" {{.*}}#ssm.precision<storage = f16>
// ONLY-LABEL: @mixer
// ONLY: ssm.weight "in" {{.*}}#ssm.precision<storage = i8, input = token>
// ONLY: ssm.weight "x_proj" dense_resource<x> : tensor<40x128xf32>{{$}}
// ONLY: ssm.weight "dt_proj" {{.*}}storage = i8
// ONLY: ssm.weight "out" {{.*}}storage = i4, group = 128, input = group
func.func @mixer(%ids: tensor<1x8xi64>) -> tensor<1x8x256xf32> {
  %in = ssm.weight "in" dense_resource<i> : tensor<256x64xf32>
  %xp = ssm.weight "x_proj" dense_resource<x> : tensor<40x128xf32>
  %dtp = ssm.weight "dt_proj" dense_resource<d> : tensor<128x8xf32>
  %outw = ssm.weight "out" dense_resource<o> : tensor<64x128xf32>
  %table = ssm.weight "table" dense_resource<t> : tensor<256x64xf32>
  %scale = ssm.weight "norm" dense_resource<n> : tensor<64xf32>
  %a = arith.constant dense<-1.0> : tensor<128x16xf32>
  %h0 = arith.constant dense<0.0> : tensor<1x128x16xf32>
  %e = ssm.embedding %ids, %table : tensor<1x8xi64>, tensor<256x64xf32> -> tensor<1x8x64xf32>
  %n = ssm.norm rms %e scale(%scale : tensor<64xf32>) epsilon 1.0e-5 : tensor<1x8x64xf32>
  %xz = ssm.linear %n, %in : tensor<1x8x64xf32>, tensor<256x64xf32> -> tensor<1x8x256xf32>
  %x = tensor.extract_slice %xz[0, 0, 0] [1, 8, 128] [1, 1, 1] : tensor<1x8x256xf32> to tensor<1x8x128xf32>
  %z = tensor.extract_slice %xz[0, 0, 128] [1, 8, 128] [1, 1, 1] : tensor<1x8x256xf32> to tensor<1x8x128xf32>
  %dbc = ssm.linear %x, %xp : tensor<1x8x128xf32>, tensor<40x128xf32> -> tensor<1x8x40xf32>
  %d = tensor.extract_slice %dbc[0, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<1x8x40xf32> to tensor<1x8x8xf32>
  %b = tensor.extract_slice %dbc[0, 0, 8] [1, 8, 16] [1, 1, 1] : tensor<1x8x40xf32> to tensor<1x8x16xf32>
  %c = tensor.extract_slice %dbc[0, 0, 24] [1, 8, 16] [1, 1, 1] : tensor<1x8x40xf32> to tensor<1x8x16xf32>
  %dl = ssm.linear %d, %dtp : tensor<1x8x8xf32>, tensor<128x8xf32> -> tensor<1x8x128xf32>
  %dt = ssm.softplus %dl : tensor<1x8x128xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%a) B(%b) C(%c) init(%h0) z(%z : tensor<1x8x128xf32>)
    : tensor<1x8x128xf32>, tensor<128x16xf32>, tensor<1x8x16xf32>, tensor<1x128x16xf32>
  %o = ssm.linear %y, %outw : tensor<1x8x128xf32>, tensor<64x128xf32> -> tensor<1x8x64xf32>
  %r = arith.addf %o, %e : tensor<1x8x64xf32>
  %m = ssm.norm rms %r scale(%scale : tensor<64xf32>) epsilon 1.0e-5 : tensor<1x8x64xf32>
  %logits = ssm.linear %m, %table : tensor<1x8x64xf32>, tensor<256x64xf32> -> tensor<1x8x256xf32>
  return %logits : tensor<1x8x256xf32>
}

// A router stays as it is, and what is added to its logits; a head of its own is a
// head.
// FOUR-LABEL: @router
// FOUR: ssm.weight "balance" dense_resource<ba> : tensor<32xf32>{{$}}
// FOUR: ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>{{$}}
// FOUR: ssm.weight "head" {{.*}}storage = i8
// ONLY-LABEL: @router
// ONLY: ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>{{$}}
// ONLY: ssm.weight "head" {{.*}}storage = i4, group = 128, input = token
func.func @router(%x: tensor<4x64xf32>) -> (tensor<4x2xi64>, tensor<4x256xf32>) {
  %balance = ssm.weight "balance" dense_resource<ba> : tensor<32xf32>
  %gates = ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>
  %head = ssm.weight "head" dense_resource<h> : tensor<256x64xf32>
  %g = ssm.linear %x, %gates : tensor<4x64xf32>, tensor<32x64xf32> -> tensor<4x32xf32>
  %e = tensor.empty() : tensor<4x32xf32>
  %b = linalg.broadcast ins(%balance : tensor<32xf32>) outs(%e : tensor<4x32xf32>) dimensions = [0]
  %biased = arith.addf %g, %b : tensor<4x32xf32>
  %values, %chosen = ssm.top_k %biased dim 1 : tensor<4x32xf32> -> tensor<4x2xf32>, tensor<4x2xi64>
  %y = ssm.linear %x, %head : tensor<4x64xf32>, tensor<256x64xf32> -> tensor<4x256xf32>
  return %chosen, %y : tensor<4x2xi64>, tensor<4x256xf32>
}

// Taps, biases and factors per channel are vectors, and have 16 bits at least; but
// not what a decay or a step is computed from.
// FOUR-LABEL: @vectors
// FOUR: ssm.weight "taps" {{.*}}#ssm.precision<storage = f16>
// FOUR: ssm.weight "conv_bias" {{.*}}#ssm.precision<storage = f16>
// FOUR: ssm.weight "D" {{.*}}#ssm.precision<storage = f16>
// FOUR: ssm.weight "D_row" {{.*}}#ssm.precision<storage = f16>
// FOUR: ssm.weight "out_bias" {{.*}}#ssm.precision<storage = f16>
// FOUR: ssm.weight "A" dense_resource<a> : tensor<128xf32>{{$}}
// FOUR-NEXT: ssm.weight "dt_bias" dense_resource<db> : tensor<128xf32>{{$}}
// FOUR-NEXT: ssm.weight "dt_shift" dense_resource<ds> : tensor<128xf32>{{$}}
// EIGHT-LABEL: @vectors
// EIGHT: ssm.weight "taps" {{.*}}#ssm.precision<storage = f16>
// ONLY-LABEL: @vectors
// ONLY: ssm.weight "taps" {{.*}}#ssm.precision<storage = f16>
// ONLY: ssm.weight "x_conv_bias" dense_resource<xcb> : tensor<128xf32>{{$}}
// ONLY: ssm.weight "D" {{.*}}#ssm.precision<storage = f16>
func.func @vectors(%u: tensor<1x8x128xf32>, %B: tensor<1x8x16xf32>) -> tensor<1x8x128xf32> {
  %taps = ssm.weight "taps" dense_resource<ta> : tensor<128x4xf32>
  %cb = ssm.weight "conv_bias" dense_resource<cb> : tensor<128xf32>
  %xcb = ssm.weight "x_conv_bias" dense_resource<xcb> : tensor<128xf32>
  %D = ssm.weight "D" dense_resource<D> : tensor<128xf32>
  %Dr = ssm.weight "D_row" dense_resource<Dr> : tensor<128xf32>
  %outb = ssm.weight "out_bias" dense_resource<ob> : tensor<128xf32>
  %A = ssm.weight "A" dense_resource<a> : tensor<128xf32>
  %dtb = ssm.weight "dt_bias" dense_resource<db> : tensor<128xf32>
  %dts = ssm.weight "dt_shift" dense_resource<ds> : tensor<128xf32>
  %dtp = ssm.weight "dt_proj" dense_resource<d> : tensor<128x128xf32>
  %big = ssm.weight "big" dense_resource<bg> : tensor<512x128xf32>
  %outw = ssm.weight "out" dense_resource<o> : tensor<128x512xf32>
  %A1 = tensor.expand_shape %A [[0, 1]] output_shape [128, 1] : tensor<128xf32> into tensor<128x1xf32>
  %e0 = tensor.empty() : tensor<128x16xf32>
  %flat = tensor.collapse_shape %A1 [[0, 1]] : tensor<128x1xf32> into tensor<128xf32>
  %A2 = linalg.broadcast ins(%flat : tensor<128xf32>) outs(%e0 : tensor<128x16xf32>) dimensions = [1]
  %h0 = arith.constant dense<0.0> : tensor<1x128x16xf32>
  %x0 = ssm.causal_conv1d %u, %taps bias(%cb : tensor<128xf32>) silu : tensor<1x8x128xf32>, tensor<128x4xf32>
  %x = ssm.causal_conv1d %x0, %taps bias(%xcb : tensor<128xf32>) silu : tensor<1x8x128xf32>, tensor<128x4xf32>
  %dl = ssm.linear %x, %dtp bias(%dtb : tensor<128xf32>) : tensor<1x8x128xf32>, tensor<128x128xf32> -> tensor<1x8x128xf32>
  %e1 = tensor.empty() : tensor<1x8x128xf32>
  %ds = linalg.broadcast ins(%dts : tensor<128xf32>) outs(%e1 : tensor<1x8x128xf32>) dimensions = [0, 1]
  %shifted = arith.addf %dl, %ds : tensor<1x8x128xf32>
  %dt = ssm.softplus %shifted : tensor<1x8x128xf32>
  %y, %last = ssm.selective_scan x(%x) dt(%dt) A(%A2) B(%B) C(%B) init(%h0) D(%D : tensor<128xf32>)
    : tensor<1x8x128xf32>, tensor<128x16xf32>, tensor<1x8x16xf32>, tensor<1x128x16xf32>
  %d2 = linalg.broadcast ins(%Dr : tensor<128xf32>) outs(%e1 : tensor<1x8x128xf32>) dimensions = [0, 1]
  %skip = arith.mulf %d2, %x : tensor<1x8x128xf32>
  %sum = arith.addf %y, %skip : tensor<1x8x128xf32>
  %wide = ssm.linear %sum, %big : tensor<1x8x128xf32>, tensor<512x128xf32> -> tensor<1x8x512xf32>
  %out = ssm.linear %wide, %outw bias(%outb : tensor<128xf32>) : tensor<1x8x512xf32>, tensor<128x512xf32> -> tensor<1x8x128xf32>
  return %out : tensor<1x8x128xf32>
}
