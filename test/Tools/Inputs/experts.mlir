// A mixture of 20 experts of which each token takes one: followed token by token.
func.func @forward(%x: tensor<4x32xf32> {ssm.name = "x"}) -> (tensor<4x32xf32> {ssm.name = "y"}) {
  %router = ssm.weight "router" dense<0.5> : tensor<20x32xf32>
  %up = ssm.weight "up" dense<0.25> : tensor<20x64x32xf32>
  %down = ssm.weight "down" dense<0.125> : tensor<20x32x64xf32>
  %logits = ssm.linear %x, %router : tensor<4x32xf32>, tensor<20x32xf32> -> tensor<4x20xf32>
  %gates, %chosen = ssm.top_k %logits dim 1 : tensor<4x20xf32> -> tensor<4x1xf32>, tensor<4x1xi64>
  %y = ssm.moe %x, %chosen, %gates, %up, %down gelu
    : tensor<4x32xf32>, tensor<4x1xi64>, tensor<4x1xf32>, tensor<20x64x32xf32>, tensor<20x32x64xf32>
  return %y : tensor<4x32xf32>
}
