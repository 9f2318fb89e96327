// Convolutions by Fourier transforms, written as products with matrices. The
// numbers are those that NumPy's rfft and irfft stand for.
// RUN: itera-opt --ssm-recognize-long-conv --split-input-file %s | FileCheck %s

#x = affine_map<(d, i, j) -> (d, j)>
#m = affine_map<(d, i, j) -> (i, j)>
#y = affine_map<(d, i, j) -> (d, i)>

// Any kernel: the convolution itself. Transforms of twice the length.
// CHECK-LABEL: func @kernel_of_numbers
func.func @kernel_of_numbers(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK-DAG: %[[K:.*]] = arith.constant dense<{{.*}}5.000000e-01, -1.250000e+00, 2.000000e+00
  // CHECK-DAG: %[[X:.*]] = tensor.expand_shape %arg0 {{.*}} into tensor<1x2x3xf32>
  // CHECK: %[[Y:.*]] = ssm.long_conv %[[X]], %[[K]] : tensor<1x2x3xf32>, tensor<2x3xf32>
  // CHECK: tensor.collapse_shape %[[Y]]
  // CHECK-NOT: linalg.contract
  // CHECK: return
  %k = arith.constant dense<[[5.0000000e-01, -1.2500000e+00, 2.0000000e+00], [1.5000000e+00, 2.5000000e-01, -7.5000000e-01]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %cos = arith.constant dense<[[1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00], [1.0000000e+00, 5.0000000e-01, -5.0000000e-01, -1.0000000e+00, -5.0000000e-01, 5.0000000e-01], [1.0000000e+00, -5.0000000e-01, -5.0000000e-01, 1.0000000e+00, -5.0000000e-01, -5.0000000e-01], [1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00]]> : tensor<4x6xf32>
  %sin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 8.6602540e-01, 8.6602540e-01, 0.0000000e+00, -8.6602540e-01, -8.6602540e-01], [0.0000000e+00, 8.6602540e-01, -8.6602540e-01, 0.0000000e+00, 8.6602540e-01, -8.6602540e-01], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00]]> : tensor<4x6xf32>
  %icos = arith.constant dense<[[1.6666667e-01, 3.3333333e-01, 3.3333333e-01, 1.6666667e-01], [1.6666667e-01, 1.6666667e-01, -1.6666667e-01, -1.6666667e-01], [1.6666667e-01, -1.6666667e-01, -1.6666667e-01, 1.6666667e-01], [1.6666667e-01, -3.3333333e-01, 3.3333333e-01, -1.6666667e-01], [1.6666667e-01, -1.6666667e-01, -1.6666667e-01, 1.6666667e-01], [1.6666667e-01, 1.6666667e-01, -1.6666667e-01, -1.6666667e-01]]> : tensor<6x4xf32>
  %isin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, -2.8867513e-01, -2.8867513e-01, 0.0000000e+00], [0.0000000e+00, -2.8867513e-01, 2.8867513e-01, 0.0000000e+00], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 2.8867513e-01, -2.8867513e-01, 0.0000000e+00], [0.0000000e+00, 2.8867513e-01, 2.8867513e-01, 0.0000000e+00]]> : tensor<6x4xf32>
  %es = tensor.empty() : tensor<2x4xf32>
  %s = linalg.fill ins(%zero : f32) outs(%es : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ep = tensor.empty() : tensor<2x6xf32>
  %p = linalg.fill ins(%zero : f32) outs(%ep : tensor<2x6xf32>) -> tensor<2x6xf32>
  %xp = tensor.pad %x low[0, 0] high[0, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x6xf32>
  %kp = tensor.pad %k low[0, 0] high[0, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x6xf32>
  %xr = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %cos : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %xs = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %sin : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %xi = arith.negf %xs : tensor<2x4xf32>
  %kr = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %cos : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ks = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %sin : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ki = arith.negf %ks : tensor<2x4xf32>
  %yr0 = arith.mulf %xr, %kr : tensor<2x4xf32>
  %yr1 = arith.mulf %xi, %ki : tensor<2x4xf32>
  %yr = arith.subf %yr0, %yr1 : tensor<2x4xf32>
  %yi0 = arith.mulf %xr, %ki : tensor<2x4xf32>
  %yi1 = arith.mulf %xi, %kr : tensor<2x4xf32>
  %yi = arith.addf %yi0, %yi1 : tensor<2x4xf32>
  %w0 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yr, %icos : tensor<2x4xf32>, tensor<6x4xf32>) outs(%p : tensor<2x6xf32>) -> tensor<2x6xf32>
  %w1 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yi, %isin : tensor<2x4xf32>, tensor<6x4xf32>) outs(%p : tensor<2x6xf32>) -> tensor<2x6xf32>
  %w = arith.addf %w0, %w1 : tensor<2x6xf32>
  %y = tensor.extract_slice %w[0, 0] [2, 3] [1, 1] : tensor<2x6xf32> to tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
// -----

#x = affine_map<(d, i, j) -> (d, j)>
#m = affine_map<(d, i, j) -> (i, j)>
#y = affine_map<(d, i, j) -> (d, i)>

// The least length with which nothing wraps around: 2T - 1.
// CHECK-LABEL: func @shortest
func.func @shortest(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK: ssm.long_conv
  %k = arith.constant dense<[[5.0000000e-01, -1.2500000e+00, 2.0000000e+00], [1.5000000e+00, 2.5000000e-01, -7.5000000e-01]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %cos = arith.constant dense<[[1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00], [1.0000000e+00, 3.0901699e-01, -8.0901699e-01, -8.0901699e-01, 3.0901699e-01], [1.0000000e+00, -8.0901699e-01, 3.0901699e-01, 3.0901699e-01, -8.0901699e-01]]> : tensor<3x5xf32>
  %sin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 9.5105652e-01, 5.8778525e-01, -5.8778525e-01, -9.5105652e-01], [0.0000000e+00, 5.8778525e-01, -9.5105652e-01, 9.5105652e-01, -5.8778525e-01]]> : tensor<3x5xf32>
  %icos = arith.constant dense<[[2.0000000e-01, 4.0000000e-01, 4.0000000e-01], [2.0000000e-01, 1.2360680e-01, -3.2360680e-01], [2.0000000e-01, -3.2360680e-01, 1.2360680e-01], [2.0000000e-01, -3.2360680e-01, 1.2360680e-01], [2.0000000e-01, 1.2360680e-01, -3.2360680e-01]]> : tensor<5x3xf32>
  %isin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, -3.8042261e-01, -2.3511410e-01], [0.0000000e+00, -2.3511410e-01, 3.8042261e-01], [0.0000000e+00, 2.3511410e-01, -3.8042261e-01], [0.0000000e+00, 3.8042261e-01, 2.3511410e-01]]> : tensor<5x3xf32>
  %es = tensor.empty() : tensor<2x3xf32>
  %s = linalg.fill ins(%zero : f32) outs(%es : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ep = tensor.empty() : tensor<2x5xf32>
  %p = linalg.fill ins(%zero : f32) outs(%ep : tensor<2x5xf32>) -> tensor<2x5xf32>
  %xp = tensor.pad %x low[0, 0] high[0, 2] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x5xf32>
  %kp = tensor.pad %k low[0, 0] high[0, 2] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x5xf32>
  %xr = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %cos : tensor<2x5xf32>, tensor<3x5xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %xs = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %sin : tensor<2x5xf32>, tensor<3x5xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %xi = arith.negf %xs : tensor<2x3xf32>
  %kr = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %cos : tensor<2x5xf32>, tensor<3x5xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ks = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %sin : tensor<2x5xf32>, tensor<3x5xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ki = arith.negf %ks : tensor<2x3xf32>
  %yr0 = arith.mulf %xr, %kr : tensor<2x3xf32>
  %yr1 = arith.mulf %xi, %ki : tensor<2x3xf32>
  %yr = arith.subf %yr0, %yr1 : tensor<2x3xf32>
  %yi0 = arith.mulf %xr, %ki : tensor<2x3xf32>
  %yi1 = arith.mulf %xi, %kr : tensor<2x3xf32>
  %yi = arith.addf %yi0, %yi1 : tensor<2x3xf32>
  %w0 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yr, %icos : tensor<2x3xf32>, tensor<5x3xf32>) outs(%p : tensor<2x5xf32>) -> tensor<2x5xf32>
  %w1 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yi, %isin : tensor<2x3xf32>, tensor<5x3xf32>) outs(%p : tensor<2x5xf32>) -> tensor<2x5xf32>
  %w = arith.addf %w0, %w1 : tensor<2x5xf32>
  %y = tensor.extract_slice %w[0, 0] [2, 3] [1, 1] : tensor<2x5xf32> to tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
// -----

#x = affine_map<(d, i, j) -> (d, j)>
#m = affine_map<(d, i, j) -> (i, j)>
#y = affine_map<(d, i, j) -> (d, i)>

// A transform that is too short lets the end of the kernel meet the beginning of
// the sequence: not causal.
// CHECK-LABEL: func @wraps_around
func.func @wraps_around(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK-NOT: ssm.long_conv
  // CHECK: tensor.extract_slice
  %k = arith.constant dense<[[5.0000000e-01, -1.2500000e+00, 2.0000000e+00], [1.5000000e+00, 2.5000000e-01, -7.5000000e-01]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %cos = arith.constant dense<[[1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00], [1.0000000e+00, 0.0000000e+00, -1.0000000e+00, 0.0000000e+00], [1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00]]> : tensor<3x4xf32>
  %sin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 1.0000000e+00, 0.0000000e+00, -1.0000000e+00], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00]]> : tensor<3x4xf32>
  %icos = arith.constant dense<[[2.5000000e-01, 5.0000000e-01, 2.5000000e-01], [2.5000000e-01, 0.0000000e+00, -2.5000000e-01], [2.5000000e-01, -5.0000000e-01, 2.5000000e-01], [2.5000000e-01, 0.0000000e+00, -2.5000000e-01]]> : tensor<4x3xf32>
  %isin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, -5.0000000e-01, 0.0000000e+00], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 5.0000000e-01, 0.0000000e+00]]> : tensor<4x3xf32>
  %es = tensor.empty() : tensor<2x3xf32>
  %s = linalg.fill ins(%zero : f32) outs(%es : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ep = tensor.empty() : tensor<2x4xf32>
  %p = linalg.fill ins(%zero : f32) outs(%ep : tensor<2x4xf32>) -> tensor<2x4xf32>
  %xp = tensor.pad %x low[0, 0] high[0, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x4xf32>
  %kp = tensor.pad %k low[0, 0] high[0, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x4xf32>
  %xr = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %cos : tensor<2x4xf32>, tensor<3x4xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %xs = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %sin : tensor<2x4xf32>, tensor<3x4xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %xi = arith.negf %xs : tensor<2x3xf32>
  %kr = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %cos : tensor<2x4xf32>, tensor<3x4xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ks = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %sin : tensor<2x4xf32>, tensor<3x4xf32>) outs(%s : tensor<2x3xf32>) -> tensor<2x3xf32>
  %ki = arith.negf %ks : tensor<2x3xf32>
  %yr0 = arith.mulf %xr, %kr : tensor<2x3xf32>
  %yr1 = arith.mulf %xi, %ki : tensor<2x3xf32>
  %yr = arith.subf %yr0, %yr1 : tensor<2x3xf32>
  %yi0 = arith.mulf %xr, %ki : tensor<2x3xf32>
  %yi1 = arith.mulf %xi, %kr : tensor<2x3xf32>
  %yi = arith.addf %yi0, %yi1 : tensor<2x3xf32>
  %w0 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yr, %icos : tensor<2x3xf32>, tensor<4x3xf32>) outs(%p : tensor<2x4xf32>) -> tensor<2x4xf32>
  %w1 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yi, %isin : tensor<2x3xf32>, tensor<4x3xf32>) outs(%p : tensor<2x4xf32>) -> tensor<2x4xf32>
  %w = arith.addf %w0, %w1 : tensor<2x4xf32>
  %y = tensor.extract_slice %w[0, 0] [2, 3] [1, 1] : tensor<2x4xf32> to tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
// -----

#x = affine_map<(d, i, j) -> (d, j)>
#m = affine_map<(d, i, j) -> (i, j)>
#y = affine_map<(d, i, j) -> (d, i)>

// A kernel that depends on an input may depend on frames that come later.
// CHECK-LABEL: func @computed_kernel
func.func @computed_kernel(%x: tensor<2x3xf32>, %a: tensor<2x3xf32>) -> tensor<2x3xf32> {
  // CHECK-NOT: ssm.long_conv
  // CHECK: tensor.extract_slice
  %k = math.exp %a : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %cos = arith.constant dense<[[1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00], [1.0000000e+00, 5.0000000e-01, -5.0000000e-01, -1.0000000e+00, -5.0000000e-01, 5.0000000e-01], [1.0000000e+00, -5.0000000e-01, -5.0000000e-01, 1.0000000e+00, -5.0000000e-01, -5.0000000e-01], [1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00]]> : tensor<4x6xf32>
  %sin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 8.6602540e-01, 8.6602540e-01, 0.0000000e+00, -8.6602540e-01, -8.6602540e-01], [0.0000000e+00, 8.6602540e-01, -8.6602540e-01, 0.0000000e+00, 8.6602540e-01, -8.6602540e-01], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00]]> : tensor<4x6xf32>
  %icos = arith.constant dense<[[1.6666667e-01, 3.3333333e-01, 3.3333333e-01, 1.6666667e-01], [1.6666667e-01, 1.6666667e-01, -1.6666667e-01, -1.6666667e-01], [1.6666667e-01, -1.6666667e-01, -1.6666667e-01, 1.6666667e-01], [1.6666667e-01, -3.3333333e-01, 3.3333333e-01, -1.6666667e-01], [1.6666667e-01, -1.6666667e-01, -1.6666667e-01, 1.6666667e-01], [1.6666667e-01, 1.6666667e-01, -1.6666667e-01, -1.6666667e-01]]> : tensor<6x4xf32>
  %isin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, -2.8867513e-01, -2.8867513e-01, 0.0000000e+00], [0.0000000e+00, -2.8867513e-01, 2.8867513e-01, 0.0000000e+00], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 2.8867513e-01, -2.8867513e-01, 0.0000000e+00], [0.0000000e+00, 2.8867513e-01, 2.8867513e-01, 0.0000000e+00]]> : tensor<6x4xf32>
  %es = tensor.empty() : tensor<2x4xf32>
  %s = linalg.fill ins(%zero : f32) outs(%es : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ep = tensor.empty() : tensor<2x6xf32>
  %p = linalg.fill ins(%zero : f32) outs(%ep : tensor<2x6xf32>) -> tensor<2x6xf32>
  %xp = tensor.pad %x low[0, 0] high[0, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x6xf32>
  %kp = tensor.pad %k low[0, 0] high[0, 3] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x3xf32> to tensor<2x6xf32>
  %xr = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %cos : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %xs = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %sin : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %xi = arith.negf %xs : tensor<2x4xf32>
  %kr = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %cos : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ks = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %sin : tensor<2x6xf32>, tensor<4x6xf32>) outs(%s : tensor<2x4xf32>) -> tensor<2x4xf32>
  %ki = arith.negf %ks : tensor<2x4xf32>
  %yr0 = arith.mulf %xr, %kr : tensor<2x4xf32>
  %yr1 = arith.mulf %xi, %ki : tensor<2x4xf32>
  %yr = arith.subf %yr0, %yr1 : tensor<2x4xf32>
  %yi0 = arith.mulf %xr, %ki : tensor<2x4xf32>
  %yi1 = arith.mulf %xi, %kr : tensor<2x4xf32>
  %yi = arith.addf %yi0, %yi1 : tensor<2x4xf32>
  %w0 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yr, %icos : tensor<2x4xf32>, tensor<6x4xf32>) outs(%p : tensor<2x6xf32>) -> tensor<2x6xf32>
  %w1 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yi, %isin : tensor<2x4xf32>, tensor<6x4xf32>) outs(%p : tensor<2x6xf32>) -> tensor<2x6xf32>
  %w = arith.addf %w0, %w1 : tensor<2x6xf32>
  %y = tensor.extract_slice %w[0, 0] [2, 3] [1, 1] : tensor<2x6xf32> to tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}
// -----

#x = affine_map<(d, i, j) -> (d, j)>
#m = affine_map<(d, i, j) -> (i, j)>
#y = affine_map<(d, i, j) -> (d, i)>

// S4D: twice the real part of a sum of c * exp(a * t). exp(-0.5) * cos(0.75) is
// 0.443794, and 2 * c is 2 + 0.5i.
// CHECK-LABEL: func @kernel_of_powers
func.func @kernel_of_powers(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK-DAG: arith.constant dense<{{\[\[}}0.44379{{[0-9]*}}, 0.77446{{[0-9]*}}]
  // CHECK-DAG: arith.constant dense<{{\[\[}}0.41343{{[0-9]*}}, 0.42309{{[0-9]*}}]
  // CHECK-DAG: arith.constant dense<{{\[\[}}{{2.0000|1.9999}}
  // CHECK: ssm.scan init({{.*}} : tensor<1x2x2xf32>, tensor<1x2x2xf32>) sequences({{.*}} : tensor<1x2x4xf32>) length 4
  // CHECK-NOT: math.exp
  // CHECK-NOT: linalg.contract
  // CHECK: return
  %a = arith.constant dense<[[[0.0000000e+00, -5.0000000e-01, -1.0000000e+00, -1.5000000e+00], [0.0000000e+00, -1.2500000e-01, -2.5000000e-01, -3.7500000e-01]], [[0.0000000e+00, -1.0000000e+00, -2.0000000e+00, -3.0000000e+00], [0.0000000e+00, -2.5000000e-01, -5.0000000e-01, -7.5000000e-01]]]> : tensor<2x2x4xf32>
  %b = arith.constant dense<[[[0.0000000e+00, 7.5000000e-01, 1.5000000e+00, 2.2500000e+00], [0.0000000e+00, 5.0000000e-01, 1.0000000e+00, 1.5000000e+00]], [[0.0000000e+00, 2.5000000e-01, 5.0000000e-01, 7.5000000e-01], [0.0000000e+00, 1.5000000e+00, 3.0000000e+00, 4.5000000e+00]]]> : tensor<2x2x4xf32>
  %cr = arith.constant dense<[[1.0000000e+00, 5.0000000e-01], [-7.5000000e-01, 2.0000000e+00]]> : tensor<2x2xf32>
  %ci = arith.constant dense<[[2.5000000e-01, -1.0000000e+00], [5.0000000e-01, 1.2500000e-01]]> : tensor<2x2xf32>
  %none = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<2x2x4xf32>
  %c = linalg.broadcast ins(%cr : tensor<2x2xf32>) outs(%e0 : tensor<2x2x4xf32>) dimensions = [2]
  %d = linalg.broadcast ins(%ci : tensor<2x2xf32>) outs(%e0 : tensor<2x2x4xf32>) dimensions = [2]
  %e = math.exp %a : tensor<2x2x4xf32>
  %o = math.cos %b : tensor<2x2x4xf32>
  %n = math.sin %b : tensor<2x2x4xf32>
  %ce = arith.mulf %c, %e : tensor<2x2x4xf32>
  %co = arith.mulf %ce, %o : tensor<2x2x4xf32>
  %de = arith.mulf %d, %e : tensor<2x2x4xf32>
  %dn = arith.mulf %de, %n : tensor<2x2x4xf32>
  %t = arith.subf %co, %dn : tensor<2x2x4xf32>
  %e1 = tensor.empty() : tensor<2x4xf32>
  %f = linalg.fill ins(%none : f32) outs(%e1 : tensor<2x4xf32>) -> tensor<2x4xf32>
  %r = linalg.reduce ins(%t : tensor<2x2x4xf32>) outs(%f : tensor<2x4xf32>) dimensions = [1]
    (%in: f32, %acc: f32) {
      %add = arith.addf %in, %acc : f32
      linalg.yield %add : f32
    }
  %two = arith.constant dense<2.0> : tensor<2x4xf32>
  %k = arith.mulf %r, %two : tensor<2x4xf32>
  %zero = arith.constant 0.0 : f32
  %cos = arith.constant dense<[[1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00, 1.0000000e+00], [1.0000000e+00, 7.0710678e-01, 0.0000000e+00, -7.0710678e-01, -1.0000000e+00, -7.0710678e-01, 0.0000000e+00, 7.0710678e-01], [1.0000000e+00, 0.0000000e+00, -1.0000000e+00, 0.0000000e+00, 1.0000000e+00, 0.0000000e+00, -1.0000000e+00, 0.0000000e+00], [1.0000000e+00, -7.0710678e-01, 0.0000000e+00, 7.0710678e-01, -1.0000000e+00, 7.0710678e-01, 0.0000000e+00, -7.0710678e-01], [1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00, 1.0000000e+00, -1.0000000e+00]]> : tensor<5x8xf32>
  %sin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 7.0710678e-01, 1.0000000e+00, 7.0710678e-01, 0.0000000e+00, -7.0710678e-01, -1.0000000e+00, -7.0710678e-01], [0.0000000e+00, 1.0000000e+00, 0.0000000e+00, -1.0000000e+00, 0.0000000e+00, 1.0000000e+00, 0.0000000e+00, -1.0000000e+00], [0.0000000e+00, 7.0710678e-01, -1.0000000e+00, 7.0710678e-01, 0.0000000e+00, -7.0710678e-01, 1.0000000e+00, -7.0710678e-01], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00]]> : tensor<5x8xf32>
  %icos = arith.constant dense<[[1.2500000e-01, 2.5000000e-01, 2.5000000e-01, 2.5000000e-01, 1.2500000e-01], [1.2500000e-01, 1.7677670e-01, 0.0000000e+00, -1.7677670e-01, -1.2500000e-01], [1.2500000e-01, 0.0000000e+00, -2.5000000e-01, 0.0000000e+00, 1.2500000e-01], [1.2500000e-01, -1.7677670e-01, 0.0000000e+00, 1.7677670e-01, -1.2500000e-01], [1.2500000e-01, -2.5000000e-01, 2.5000000e-01, -2.5000000e-01, 1.2500000e-01], [1.2500000e-01, -1.7677670e-01, 0.0000000e+00, 1.7677670e-01, -1.2500000e-01], [1.2500000e-01, 0.0000000e+00, -2.5000000e-01, 0.0000000e+00, 1.2500000e-01], [1.2500000e-01, 1.7677670e-01, 0.0000000e+00, -1.7677670e-01, -1.2500000e-01]]> : tensor<8x5xf32>
  %isin = arith.constant dense<[[0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, -1.7677670e-01, -2.5000000e-01, -1.7677670e-01, 0.0000000e+00], [0.0000000e+00, -2.5000000e-01, 0.0000000e+00, 2.5000000e-01, 0.0000000e+00], [0.0000000e+00, -1.7677670e-01, 2.5000000e-01, -1.7677670e-01, 0.0000000e+00], [0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00, 0.0000000e+00], [0.0000000e+00, 1.7677670e-01, -2.5000000e-01, 1.7677670e-01, 0.0000000e+00], [0.0000000e+00, 2.5000000e-01, 0.0000000e+00, -2.5000000e-01, 0.0000000e+00], [0.0000000e+00, 1.7677670e-01, 2.5000000e-01, 1.7677670e-01, 0.0000000e+00]]> : tensor<8x5xf32>
  %es = tensor.empty() : tensor<2x5xf32>
  %s = linalg.fill ins(%zero : f32) outs(%es : tensor<2x5xf32>) -> tensor<2x5xf32>
  %ep = tensor.empty() : tensor<2x8xf32>
  %p = linalg.fill ins(%zero : f32) outs(%ep : tensor<2x8xf32>) -> tensor<2x8xf32>
  %xp = tensor.pad %x low[0, 0] high[0, 4] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x4xf32> to tensor<2x8xf32>
  %kp = tensor.pad %k low[0, 0] high[0, 4] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<2x4xf32> to tensor<2x8xf32>
  %xr = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %cos : tensor<2x8xf32>, tensor<5x8xf32>) outs(%s : tensor<2x5xf32>) -> tensor<2x5xf32>
  %xs = linalg.contract indexing_maps = [#x, #m, #y] ins(%xp, %sin : tensor<2x8xf32>, tensor<5x8xf32>) outs(%s : tensor<2x5xf32>) -> tensor<2x5xf32>
  %xi = arith.negf %xs : tensor<2x5xf32>
  %kr = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %cos : tensor<2x8xf32>, tensor<5x8xf32>) outs(%s : tensor<2x5xf32>) -> tensor<2x5xf32>
  %ks = linalg.contract indexing_maps = [#x, #m, #y] ins(%kp, %sin : tensor<2x8xf32>, tensor<5x8xf32>) outs(%s : tensor<2x5xf32>) -> tensor<2x5xf32>
  %ki = arith.negf %ks : tensor<2x5xf32>
  %yr0 = arith.mulf %xr, %kr : tensor<2x5xf32>
  %yr1 = arith.mulf %xi, %ki : tensor<2x5xf32>
  %yr = arith.subf %yr0, %yr1 : tensor<2x5xf32>
  %yi0 = arith.mulf %xr, %ki : tensor<2x5xf32>
  %yi1 = arith.mulf %xi, %kr : tensor<2x5xf32>
  %yi = arith.addf %yi0, %yi1 : tensor<2x5xf32>
  %w0 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yr, %icos : tensor<2x5xf32>, tensor<8x5xf32>) outs(%p : tensor<2x8xf32>) -> tensor<2x8xf32>
  %w1 = linalg.contract indexing_maps = [#x, #m, #y] ins(%yi, %isin : tensor<2x5xf32>, tensor<8x5xf32>) outs(%p : tensor<2x8xf32>) -> tensor<2x8xf32>
  %w = arith.addf %w0, %w1 : tensor<2x8xf32>
  %y = tensor.extract_slice %w[0, 0] [2, 4] [1, 1] : tensor<2x8xf32> to tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}
