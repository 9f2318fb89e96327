// Every constraint of every op, by its label, is checked.
// RUN: itera-opt --split-input-file --verify-diagnostics %s

func.func @scan_c1(%a: tensor<4x2xf32>) {
  // expected-error @below {{expected one sequence_dims entry per sequence}}
  ssm.scan sequences(%a : tensor<4x2xf32>) length 4 {
  ^bb0(%x: tensor<2xf32>):
    ssm.yield
  } {sequence_dims = array<i64>, stack_dims = array<i64>}
  return
}

// -----

func.func @scan_c1_rank(%a: tensor<4x2xf32>) {
  // expected-error @below {{expected a dimension in [0, 2), but got 2}}
  ssm.scan sequences(%a : tensor<4x2xf32>) length 4 {
  ^bb0(%x: tensor<2xf32>):
    ssm.yield
  } {sequence_dims = array<i64: 2>, stack_dims = array<i64>}
  return
}

// -----

func.func @scan_c2(%a: tensor<4x2xf32>) {
  // expected-error @below {{expected size 5 along the time dimension, but got 'tensor<4x2xf32>'}}
  ssm.scan sequences(%a : tensor<4x2xf32>) length 5 {
  ^bb0(%x: tensor<2xf32>):
    ssm.yield
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64>}
  return
}

// -----

func.func @scan_c3(%a: tensor<4x2xf32>) {
  // expected-error @below {{expected body arguments of types ('tensor<2xf32>'), but got ('tensor<3xf32>')}}
  ssm.scan sequences(%a : tensor<4x2xf32>) length 4 {
  ^bb0(%x: tensor<3xf32>):
    ssm.yield
  } {sequence_dims = array<i64: 0>, stack_dims = array<i64>}
  return
}

// -----

func.func @scan_c4(%h: tensor<2xf32>, %w: tensor<3xf32>) {
  // expected-error @below {{expected the body to yield ('tensor<2xf32>'), but got ('tensor<3xf32>')}}
  %l = ssm.scan init(%h : tensor<2xf32>) length 4 {
  ^bb0(%s: tensor<2xf32>):
    ssm.yield %w : tensor<3xf32>
  } {sequence_dims = array<i64>, stack_dims = array<i64>} -> tensor<2xf32>
  return
}

// -----

func.func @scan_c5(%h: tensor<2xf32>) {
  // expected-error @below {{expected one stack_dims entry per stacked result}}
  %l, %y = ssm.scan init(%h : tensor<2xf32>) length 4 {
  ^bb0(%s: tensor<2xf32>):
    ssm.yield %s, %s : tensor<2xf32>, tensor<2xf32>
  } {sequence_dims = array<i64>, stack_dims = array<i64>} -> tensor<2xf32>, tensor<4x2xf32>
  return
}

// -----

func.func @linear_recurrence_c1(%a: tensor<4x2xf32>, %h: tensor<2xf32>) {
  // expected-error @below {{expected a dimension in [0, 2), but got -1}}
  %y, %l = ssm.linear_recurrence %a, %a, %h dim -1 : tensor<4x2xf32>, tensor<2xf32>
  return
}

// -----

func.func @linear_recurrence_c2(%a: tensor<4x2xf32>, %h: tensor<4xf32>) {
  // expected-error @below {{expected init of shape [2], but got 'tensor<4xf32>'}}
  %y, %l = ssm.linear_recurrence %a, %a, %h dim 0 : tensor<4x2xf32>, tensor<4xf32>
  return
}

// -----

func.func @selective_scan_c1(%x: tensor<4x2xf32>, %A: tensor<2x3xf32>, %B: tensor<1x4x3xf32>, %h: tensor<1x2x3xf32>) {
  // expected-error @below {{expected x of rank 3, but got 'tensor<4x2xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<4x2xf32>, tensor<2x3xf32>, tensor<1x4x3xf32>, tensor<1x2x3xf32>
  return
}

// -----

func.func @selective_scan_c2(%x: tensor<1x4x2xf32>, %A: tensor<5x3xf32>, %B: tensor<1x4x3xf32>, %h: tensor<1x2x3xf32>) {
  // expected-error @below {{expected A of shape [D] or [D, N] with D = 2 and N = 3, but got 'tensor<5x3xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<1x4x2xf32>, tensor<5x3xf32>, tensor<1x4x3xf32>, tensor<1x2x3xf32>
  return
}

// -----

func.func @selective_scan_c2_rank(%x: tensor<1x4x2xf32>, %A: tensor<2xf32>, %B: tensor<4x3xf32>, %h: tensor<1x2x3xf32>) {
  // expected-error @below {{expected B of rank 3 or 4, but got 'tensor<4x3xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<1x4x2xf32>, tensor<2xf32>, tensor<4x3xf32>, tensor<1x2x3xf32>
  return
}

// -----

func.func @selective_scan_c2_groups(%x: tensor<1x4x2xf32>, %A: tensor<2xf32>, %B: tensor<1x4x3x5xf32>, %h: tensor<1x2x5xf32>) {
  // expected-error @below {{expected B with a number of groups that divides 2, but got 'tensor<1x4x3x5xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<1x4x2xf32>, tensor<2xf32>, tensor<1x4x3x5xf32>, tensor<1x2x5xf32>
  return
}

// -----

func.func @selective_scan_c2_frames(%x: tensor<1x4x2xf32>, %A: tensor<2xf32>, %B: tensor<1x5x3xf32>, %h: tensor<1x2x3xf32>) {
  // expected-error @below {{expected B of shape [1, 4, ...], but got 'tensor<1x5x3xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<1x4x2xf32>, tensor<2xf32>, tensor<1x5x3xf32>, tensor<1x2x3xf32>
  return
}

// -----

func.func @selective_scan_c3(%x: tensor<1x4x2xf32>, %A: tensor<2x3xf32>, %B: tensor<1x4x3xf32>, %h: tensor<1x3x2xf32>) {
  // expected-error @below {{expected init of shape [1, 2, 3], but got 'tensor<1x3x2xf32>'}}
  %y, %l = ssm.selective_scan x(%x) dt(%x) A(%A) B(%B) C(%B) init(%h)
    : tensor<1x4x2xf32>, tensor<2x3xf32>, tensor<1x4x3xf32>, tensor<1x3x2xf32>
  return
}

// -----

func.func @long_conv_c1(%x: tensor<4x2xf32>, %k: tensor<2x3xf32>) {
  // expected-error @below {{expected x of rank 3, but got 'tensor<4x2xf32>'}}
  %y = ssm.long_conv %x, %k : tensor<4x2xf32>, tensor<2x3xf32>
  return
}

// -----

func.func @long_conv_c2(%x: tensor<1x4x2xf32>, %k: tensor<2x4xf32>) {
  // expected-error @below {{expected a kernel of shape [D, K] with D = 4, but got 'tensor<2x4xf32>'}}
  %y = ssm.long_conv %x, %k : tensor<1x4x2xf32>, tensor<2x4xf32>
  return
}

// -----

func.func @causal_conv1d_c1(%x: tensor<4x2xf32>, %w: tensor<2x3xf32>) {
  // expected-error @below {{expected x of rank 3, but got 'tensor<4x2xf32>'}}
  %y = ssm.causal_conv1d %x, %w none : tensor<4x2xf32>, tensor<2x3xf32>
  return
}

// -----

func.func @causal_conv1d_c2(%x: tensor<1x4x2xf32>, %w: tensor<3x4xf32>) {
  // expected-error @below {{expected a weight of shape [D, K] with D = 2, but got 'tensor<3x4xf32>'}}
  %y = ssm.causal_conv1d %x, %w none : tensor<1x4x2xf32>, tensor<3x4xf32>
  return
}

// -----

func.func @causal_conv1d_c3(%x: tensor<1x4x2xf32>, %w: tensor<2x3xf32>, %p: tensor<1x3x2xf32>) {
  // expected-error @below {{expected past of shape [1, 2, 2], but got 'tensor<1x3x2xf32>'}}
  %y = ssm.causal_conv1d %x, %w past(%p : tensor<1x3x2xf32>) none : tensor<1x4x2xf32>, tensor<2x3xf32>
  return
}

// -----

func.func @causal_conv1d_c4(%x: tensor<1x4x2xf32>, %w: tensor<2x3xf32>) {
  // expected-error @below {{expected activation none or silu, but got gelu}}
  %y = ssm.causal_conv1d %x, %w gelu : tensor<1x4x2xf32>, tensor<2x3xf32>
  return
}

// -----

func.func @linear_c1(%x: tensor<4x2xf32>, %w: tensor<3x2xf32>) {
  // expected-error @below {{expected x and y with the same leading dimensions, but got 'tensor<4x2xf32>' and 'tensor<5x3xf32>'}}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<5x3xf32>
  return
}

// -----

func.func @linear_c2(%x: tensor<4x2xf32>, %w: tensor<2x3xf32>) {
  // expected-error @below {{expected a weight of shape [3, 2], or packed, but got 'tensor<2x3xf32>'}}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<2x3xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c3(%x: tensor<4x2xf32>, %w: tensor<3x2xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{expected bias of shape [3], but got 'tensor<2xf32>'}}
  %y = ssm.linear %x, %w bias(%b : tensor<2xf32>) : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c2_packed(%x: tensor<4x64xf32>, %w: tensor<1x4x16x4xi8>, %s: tensor<1x2x16xf32>) {
  // expected-error @below {{expected a weight of shape [16, 64], or packed, but got 'tensor<1x4x16x4xi8>'}}
  %y = ssm.linear %x, %w scales(%s : tensor<1x2x16xf32>) group 32 packed i4 : tensor<4x64xf32>, tensor<1x4x16x4xi8> -> tensor<4x16xf32>
  return
}

// -----

func.func @linear_c2_bytes(%x: tensor<4x64xf32>, %w: tensor<1x8x16x4xi32>, %s: tensor<1x2x16xf32>) {
  // expected-error @below {{expected bytes packed from i4 or i8, but got 'tensor<1x8x16x4xi32>' packed from 'i4'}}
  %y = ssm.linear %x, %w scales(%s : tensor<1x2x16xf32>) group 32 packed i4 : tensor<4x64xf32>, tensor<1x8x16x4xi32> -> tensor<4x16xf32>
  return
}

// -----

func.func @linear_c2_type(%x: tensor<4x2xf32>, %w: tensor<3x2xi16>, %s: tensor<3x1xf32>) {
  // expected-error @below {{expected a weight of floats, i8 or i4, but got 'tensor<3x2xi16>'}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x1xf32>) : tensor<4x2xf32>, tensor<3x2xi16> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c2_wide(%x: tensor<4x2xf32>, %w: tensor<3x2xf64>) {
  // expected-error @below {{expected a weight of at most 'f32', but got 'tensor<3x2xf64>'}}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<3x2xf64> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c4(%x: tensor<4x2xf32>, %w: tensor<3x2xi8>) {
  // expected-error @below {{expected scales for a weight of type 'tensor<3x2xi8>'}}
  %y = ssm.linear %x, %w : tensor<4x2xf32>, tensor<3x2xi8> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c4_floats(%x: tensor<4x2xf32>, %w: tensor<3x2xf32>, %s: tensor<3x1xf32>) {
  // expected-error @below {{expected no scales for a weight of type 'tensor<3x2xf32>'}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x1xf32>) : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c4_shape(%x: tensor<4x72xf32>, %w: tensor<3x72xi4>, %s: tensor<3x2xf32>) {
  // expected-error @below {{expected scales of shape [3, 3], but got 'tensor<3x2xf32>'}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x2xf32>) group 32 : tensor<4x72xf32>, tensor<3x72xi4> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c5(%x: tensor<4x2xf32>, %w: tensor<3x2xi8>, %s: tensor<3x1xf32>, %z: tensor<1x3xi8>) {
  // expected-error @below {{expected zero points of shape [3, 1], but got 'tensor<1x3xi8>'}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x1xf32>) zero_points(%z : tensor<1x3xi8>) : tensor<4x2xf32>, tensor<3x2xi8> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c6(%x: tensor<4x24xf32>, %w: tensor<3x24xi8>, %s: tensor<3x2xf32>) {
  // expected-error @below {{expected groups, of integers, of a positive multiple of 8, but got 12}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x2xf32>) group 12 : tensor<4x24xf32>, tensor<3x24xi8> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c7(%x: tensor<4x2xf32>, %w: tensor<3x2xf32>) {
  // expected-error @below {{expected integer weights in groups of at most 65536 for an int8 input}}
  %y = ssm.linear %x, %w int8_input token : tensor<4x2xf32>, tensor<3x2xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @linear_c7_group(%x: tensor<4x2xf32>, %w: tensor<3x2xi8>, %s: tensor<3x1xf32>) {
  // expected-error @below {{expected groups for input scales per group}}
  %y = ssm.linear %x, %w scales(%s : tensor<3x1xf32>) int8_input group : tensor<4x2xf32>, tensor<3x2xi8> -> tensor<4x3xf32>
  return
}

// -----

func.func @hadamard_c1(%x: tensor<4x24xf32>) {
  // expected-error @below {{expected a block of a power of two, but got 12}}
  %y = ssm.hadamard %x block 12 : tensor<4x24xf32>
  return
}

// -----

func.func @hadamard_c2(%x: tensor<4x24xf32>) {
  // expected-error @below {{expected a last dimension in blocks of 16, but got 'tensor<4x24xf32>'}}
  %y = ssm.hadamard %x block 16 : tensor<4x24xf32>
  return
}

// -----

func.func @norm_c1(%x: tensor<4x2xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{expected scale of shape [2], but got 'tensor<4xf32>'}}
  %y = ssm.norm rms %x scale(%s : tensor<4xf32>) epsilon 1.0e-5 : tensor<4x2xf32>
  return
}

// -----

func.func @embedding_c1(%i: tensor<3xi64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{expected a result of indices' shape and one dimension more, but got 'tensor<2x2xf32>'}}
  %y = ssm.embedding %i, %t : tensor<3xi64>, tensor<4x2xf32> -> tensor<2x2xf32>
  return
}

// -----

func.func @embedding_c2(%i: tensor<3xi64>, %t: tensor<4x2xf32>) {
  // expected-error @below {{expected a table of shape [4, 4], or packed, but got 'tensor<4x2xf32>'}}
  %y = ssm.embedding %i, %t : tensor<3xi64>, tensor<4x2xf32> -> tensor<3x4xf32>
  return
}

// -----

func.func @embedding_c2_rows(%i: tensor<3xi64>, %t: tensor<1x2x16x4xi8>, %s: tensor<1x1x16xf32>) {
  // expected-error @below {{expected a table of shape [17, 16], or packed, but got 'tensor<1x2x16x4xi8>'}}
  %y = ssm.embedding %i, %t scales(%s : tensor<1x1x16xf32>) rows 17 packed i4 : tensor<3xi64>, tensor<1x2x16x4xi8> -> tensor<3x16xf32>
  return
}

// -----

func.func @moe_c1(%x: tensor<4x2xf32>, %s: tensor<3x2xi64>, %g: tensor<3x2xf32>, %u: tensor<3x5x2xf32>, %d: tensor<3x2x5xf32>) {
  // expected-error @below {{expected selected of shape [T, J] with T = 4, but got 'tensor<3x2xi64>'}}
  %y = ssm.moe %x, %s, %g, %u, %d relu
    : tensor<4x2xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<3x5x2xf32>, tensor<3x2x5xf32>
  return
}

// -----

func.func @moe_c2(%x: tensor<4x2xf32>, %s: tensor<4x2xi64>, %g: tensor<4x2xf32>, %u: tensor<3x5x2xf32>, %d: tensor<3x5x2xf32>) {
  // expected-error @below {{expected down of shape [3, 2, 5], but got 'tensor<3x5x2xf32>'}}
  %y = ssm.moe %x, %s, %g, %u, %d relu
    : tensor<4x2xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x5x2xf32>, tensor<3x5x2xf32>
  return
}

// -----

func.func @moe_c3(%x: tensor<4x2xf32>, %s: tensor<4x2xi64>, %g: tensor<4x2xf32>, %u: tensor<3x5x2xf32>, %d: tensor<3x2x5xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{expected up_bias of shape [3, 5], but got 'tensor<5xf32>'}}
  %y = ssm.moe %x, %s, %g, %u, %d up_bias(%b : tensor<5xf32>) relu
    : tensor<4x2xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<3x5x2xf32>, tensor<3x2x5xf32>
  return
}

// -----

func.func @conv_c1(%x: tensor<1x8x16xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected x, weight and y of one rank, 3 or more}}
  %y = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 0>,
    pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x4xf32> -> tensor<1x8x13xf32>
  return
}

// -----

func.func @conv_c2(%x: tensor<1x8x16xf32>, %w: tensor<8x8x4xf32>) {
  // expected-error @below {{expected positive strides and dilations and pads that are not negative}}
  %y = ssm.conv %x, %w {dilations = array<i64: 0>, groups = 1 : i64, pads_high = array<i64: 0>,
    pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x8x4xf32> -> tensor<1x8x13xf32>
  return
}

// -----

func.func @conv_c3(%x: tensor<1x8x16xf32>, %w: tensor<8x8x4xf32>) {
  // expected-error @below {{expected channels that match the weight and 2 groups}}
  %y = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 2 : i64, pads_high = array<i64: 0>,
    pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x8x4xf32> -> tensor<1x8x13xf32>
  return
}

// -----

func.func @conv_c4(%x: tensor<1x8x16xf32>, %w: tensor<8x8x4xf32>) {
  // expected-error @below {{expected size 13 along dimension 2, but got 'tensor<1x8x14xf32>'}}
  %y = ssm.conv %x, %w {dilations = array<i64: 1>, groups = 1 : i64, pads_high = array<i64: 0>,
    pads_low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x8x16xf32>, tensor<8x8x4xf32> -> tensor<1x8x14xf32>
  return
}

// -----

func.func @cumsum(%x: tensor<4xf32>) {
  // expected-error @below {{expected a dimension in [0, 1), but got 1}}
  %y = ssm.cumsum %x dim 1 : tensor<4xf32>
  return
}

// -----

func.func @reverse(%x: tensor<4xf32>) {
  // expected-error @below {{expected a dimension in [0, 1), but got 3}}
  %y = ssm.reverse %x dims [3] : tensor<4xf32>
  return
}

// -----

func.func @ones_like_c1(%x: tensor<2x4xf32>) {
  // expected-error @below {{expected a result with the dimensions of 'tensor<2x4xf32>' or 1, but got 'tensor<1x3xf32>'}}
  %y = ssm.ones_like %x : tensor<2x4xf32> -> tensor<1x3xf32>
  return
}

// -----

func.func @gather_c1(%x: tensor<4x2xf32>, %i: tensor<3xi64>) {
  // expected-error @below {{expected a result of shape [3, 2], but got 'tensor<2x3xf32>'}}
  %y = ssm.gather %x, %i dim 0 : tensor<4x2xf32>, tensor<3xi64> -> tensor<2x3xf32>
  return
}

// -----

func.func @gather_elements(%x: tensor<4x2xf32>, %i: tensor<3xi64>) {
  // expected-error @below {{expected indices of data's rank, but got 'tensor<3xi64>'}}
  %y = ssm.gather_elements %x, %i dim 0 : tensor<4x2xf32>, tensor<3xi64> -> tensor<3xf32>
  return
}

// -----

func.func @gather_nd(%x: tensor<4x2xf32>, %i: tensor<3x3xi64>) {
  // expected-error @below {{expected index tuples that fit data, but got 'tensor<3x3xi64>'}}
  %y = ssm.gather_nd %x, %i : tensor<4x2xf32>, tensor<3x3xi64> -> tensor<3xf32>
  return
}

// -----

func.func @scatter_nd_c1(%x: tensor<4x2xf32>, %i: tensor<3x1xi64>, %u: tensor<3xf32>) {
  // expected-error @below {{expected updates of shape [3, 2], but got 'tensor<3xf32>'}}
  %y = ssm.scatter_nd %x, %i, %u add : tensor<4x2xf32>, tensor<3x1xi64>, tensor<3xf32>
  return
}

// -----

func.func @scatter_elements(%x: tensor<4x2xf32>, %i: tensor<1x2xi64>, %u: tensor<2x2xf32>) {
  // expected-error @below {{expected updates of shape [1, 2], but got 'tensor<2x2xf32>'}}
  %y = ssm.scatter_elements %x, %i, %u dim 0 replace : tensor<4x2xf32>, tensor<1x2xi64>, tensor<2x2xf32>
  return
}

// -----

func.func @top_k(%x: tensor<4x2xf32>) {
  // expected-error @below {{expected at most 2 values along dimension 1, but got 'tensor<4x3xf32>'}}
  %v, %i = ssm.top_k %x dim 1 : tensor<4x2xf32> -> tensor<4x3xf32>, tensor<4x3xi64>
  return
}

// -----

func.func @nonzero(%x: tensor<4x2xi1>) {
  // expected-error @below {{expected indices of shape [2, 8], but got 'tensor<2x4xi64>'}}
  %i, %n = ssm.nonzero %x : tensor<4x2xi1> -> tensor<2x4xi64>, tensor<i64>
  return
}

// -----

func.func @kernel_c1(%x: tensor<2xf32>) {
  // expected-error @below {{expected a kernel function, but got @kernels::@nothing}}
  %y = ssm.kernel @kernels::@nothing(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @kernel_c1_type(%x: tensor<2xf32>) {
  // expected-error @below {{expected the types of @kernels::@twice}}
  %y = ssm.kernel @kernels::@twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return
}
module @kernels {
  func.func @twice(%x: tensor<3xf32>) -> tensor<3xf32> {
    return %x : tensor<3xf32>
  }
}
