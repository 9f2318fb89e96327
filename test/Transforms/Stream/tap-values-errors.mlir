// A node that is not there is named.
// RUN: itera-opt --ssm-tap-values=nodes=a,nowhere --verify-diagnostics --split-input-file %s

// expected-error @below {{--taps: there is no node 'nowhere' with a result that could be an output}}
func.func @forward(%x: tensor<4xf32> {ssm.name = "x"}) -> (tensor<4xf32> {ssm.name = "y"}) {
  %y = math.exp %x : tensor<4xf32> loc("a")
  return %y : tensor<4xf32>
}
