func.func @forward(%x: tensor<4xf32> {ssm.name = "x"})
    -> (tensor<4xf32> {ssm.name = "y"}) {
  %y = arith.negf %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
