// Each weight gets the precision of what it is for; names overrule the table.
// RUN: itera-opt --ssm-assign-precision=bits=4 %s | FileCheck %s --check-prefix=FOUR
// RUN: itera-opt --ssm-assign-precision=bits=8 %s | FileCheck %s --check-prefix=EIGHT
// RUN: itera-opt --ssm-assign-precision=bits=16 %s | FileCheck %s --check-prefix=HALF
// RUN: itera-opt --ssm-assign-precision='bits=4 group=128 only=in=i8,x_*=f32,head=i4' %s | FileCheck %s --check-prefix=ONLY

// A mixer with a tied head: in_proj feeds the scan's x and z; x_proj feeds dt_proj,
// B and C; out_proj reads the scan.
// FOUR-LABEL: @mixer
// FOUR: ssm.weight "in" {{.*}}#ssm.precision<storage = i4, group = 32, input = token>
// FOUR: ssm.weight "x_proj" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "dt_proj" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "out" {{.*}}#ssm.precision<storage = i4, group = 32, input = group>
// FOUR: ssm.weight "table" {{.*}}#ssm.precision<storage = i8, input = token>
// FOUR: ssm.weight "norm" dense_resource<n> : tensor<64xf32>
// EIGHT-LABEL: @mixer
// EIGHT: ssm.weight "in" {{.*}}#ssm.precision<storage = i8, input = token>
// EIGHT: ssm.weight "out" {{.*}}#ssm.precision<storage = i8, input = token>
// HALF-LABEL: @mixer
// HALF: ssm.weight "in" {{.*}}#ssm.precision<storage = f16>
// HALF: ssm.weight "table" {{.*}}#ssm.precision<storage = f16>
// ONLY-LABEL: @mixer
// ONLY: ssm.weight "in" {{.*}}#ssm.precision<storage = i8, input = token>
// ONLY: ssm.weight "x_proj" dense_resource<x> : tensor<40x128xf32>
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

// A router stays as it is; a head of its own is a head.
// FOUR-LABEL: @router
// FOUR: ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>
// FOUR: ssm.weight "head" {{.*}}storage = i8
// ONLY-LABEL: @router
// ONLY: ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>
// ONLY: ssm.weight "head" {{.*}}storage = i4, group = 128, input = token
func.func @router(%x: tensor<4x64xf32>) -> (tensor<4x2xi64>, tensor<4x256xf32>) {
  %gates = ssm.weight "gates" dense_resource<g> : tensor<32x64xf32>
  %head = ssm.weight "head" dense_resource<h> : tensor<256x64xf32>
  %g = ssm.linear %x, %gates : tensor<4x64xf32>, tensor<32x64xf32> -> tensor<4x32xf32>
  %values, %chosen = ssm.top_k %g dim 1 : tensor<4x32xf32> -> tensor<4x2xf32>, tensor<4x2xi64>
  %y = ssm.linear %x, %head : tensor<4x64xf32>, tensor<256x64xf32> -> tensor<4x256xf32>
  return %chosen, %y : tensor<4x2xi64>, tensor<4x256xf32>
}
