// A kernel that was not bufferised is an internal error with a location.
// RUN: itera-opt --ssm-call-kernels --verify-diagnostics %s

func.func @forward(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @below {{expected buffers, but got tensors}}
  %y = ssm.kernel @kernels::@twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}
module @kernels {
  func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
    return %x : tensor<2xf32>
  }
}
