// SPDX-License-Identifier: Apache-2.0
// ssm.causal_conv1d: a sum over the taps, oldest first, in one chain of fused
// multiply-adds that starts at the bias, every second of them rounded twice,
// because LLVM may regroup two linked fused sums. Which frames lie before the
// first one is known piece by piece (see KernelBuilder::buildPieces), so that
// no piece but a very short one compares anything.

#include "Builder.h"

using namespace itera;
using namespace itera::halide;

Expr KernelBuilder::convAt(ssm::CausalConv1dOp op, const Index &index) {
  Shape x = shapeOf(op.getX());
  int taps = shapeOf(op.getWeight())[1], past = taps - 1;
  std::pair<int, int> frames{0, x[1]};
  if (auto it = convFrames.find(op); it != convFrames.end())
    frames = it->second;
  Expr batch = index[0], t = index[1], channel = index[2];
  auto earlier = [&](Expr s) { // s frames before the first: -past .. -1
    if (!op.getPast())
      return Expr(0.0f);
    return at(op.getPast(), {batch, s + past, channel});
  };
  Expr sum = op.getBias() ? at(op.getBias(), {channel}) : Expr(0.0f);
  for (int k = 0; k < taps; ++k) {
    int shift = k - past;
    Expr s = shift ? t + shift : t, value;
    if (frames.second - 1 + shift < 0) {
      if (!op.getPast())
        continue;
      value = earlier(s);
    } else if (frames.first + shift >= 0) {
      value = at(op.getX(), {batch, s, channel});
    } else {
      Expr now = at(op.getX(), {batch, Halide::max(s, 0), channel});
      value = select(s >= 0, now, earlier(Halide::min(s, -1)));
    }
    Expr tap = at(op.getWeight(), {channel, k});
    sum = k % 2 == 0 ? add(sum, mul(tap, value)) : fma(tap, value, sum);
  }
  return op.getActivation() == ssm::Activation::silu ? fp::silu(sum) : sum;
}
