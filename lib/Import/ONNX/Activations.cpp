// SPDX-License-Identifier: Apache-2.0
// Activation functions: ssm ops where there is one, otherwise their formula.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

/// A formula of the one float input.
using Formula = Value (*)(Node &, TensorBuilder &, Value);

template <Formula formula>
static LogicalResult activation(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  return finishElementwise(n, formula(n, n.b, n.in(0)));
}

static Value number(TensorBuilder &b, Value like, double value) {
  return b.splatLike(like, value);
}

static Value isPositive(TensorBuilder &b, Value x) {
  return b.make<arith::CmpFOp>(arith::CmpFPredicate::OGT, x, number(b, x, 0));
}

static Value max0(TensorBuilder &b, Value x) {
  return b.make<arith::MaximumFOp>(x, number(b, x, 0));
}

static Value clamp(TensorBuilder &b, Value x, double low, double high) {
  x = b.make<arith::MaximumFOp>(x, number(b, x, low));
  return b.make<arith::MinimumFOp>(x, number(b, x, high));
}

static Value scale(TensorBuilder &b, Value x, double by) {
  return by == 1 ? x : b.mul(x, number(b, x, by));
}

static Value relu(Node &, TensorBuilder &b, Value x) { return max0(b, x); }

static Value sigmoid(Node &, TensorBuilder &b, Value x) {
  return b.make<ssm::SigmoidOp>(x.getType(), x);
}

static Value softplus(Node &, TensorBuilder &b, Value x) {
  return b.make<ssm::SoftplusOp>(x.getType(), x);
}

static Value leakyRelu(Node &n, TensorBuilder &b, Value x) {
  Value scaled = scale(b, x, n.floatAttr("alpha", 0.01));
  return b.make<arith::SelectOp>(isPositive(b, x), x, scaled);
}

static Value thresholdedRelu(Node &n, TensorBuilder &b, Value x) {
  Value above = b.make<arith::CmpFOp>(arith::CmpFPredicate::OGT, x,
                                      number(b, x, n.floatAttr("alpha", 1)));
  return b.make<arith::SelectOp>(above, x, number(b, x, 0));
}

/// x for positive x, otherwise alpha * (exp(x / by) - 1).
static Value exponential(TensorBuilder &b, Value x, double alpha, double by) {
  Value argument = by == 1 ? x : b.div(x, number(b, x, by));
  Value e = b.make<math::ExpM1Op>(argument);
  return b.make<arith::SelectOp>(isPositive(b, x), x, scale(b, e, alpha));
}

static Value elu(Node &n, TensorBuilder &b, Value x) {
  return exponential(b, x, n.floatAttr("alpha", 1), 1);
}

static Value selu(Node &n, TensorBuilder &b, Value x) {
  double alpha = n.floatAttr("alpha", 1.67326319217681884765625);
  double gamma = n.floatAttr("gamma", 1.05070102214813232421875);
  return scale(b, exponential(b, x, alpha, 1), gamma);
}

static Value celu(Node &n, TensorBuilder &b, Value x) {
  double alpha = n.floatAttr("alpha", 1);
  return exponential(b, x, alpha, alpha);
}

static Value hardSigmoid(Node &n, TensorBuilder &b, Value x) {
  Value line = b.add(scale(b, x, n.floatAttr("alpha", 0.2)),
                     number(b, x, n.floatAttr("beta", 0.5)));
  return clamp(b, line, 0, 1);
}

static Value hardSwish(Node &, TensorBuilder &b, Value x) {
  Value line = b.add(scale(b, x, 1.0 / 6), number(b, x, 0.5));
  return b.mul(x, clamp(b, line, 0, 1));
}

static Value mish(Node &n, TensorBuilder &b, Value x) {
  return b.mul(x, b.make<math::TanhOp>(softplus(n, b, x)));
}

static Value softsign(Node &, TensorBuilder &b, Value x) {
  return b.div(x, b.add(number(b, x, 1), b.make<math::AbsFOp>(x)));
}

static Value shrink(Node &n, TensorBuilder &b, Value x) {
  double lambd = n.floatAttr("lambd", 0.5), bias = n.floatAttr("bias", 0);
  Value zero = number(b, x, 0);
  Value below = b.make<arith::CmpFOp>(arith::CmpFPredicate::OLT, x,
                                      number(b, x, -lambd));
  Value above = b.make<arith::CmpFOp>(arith::CmpFPredicate::OGT, x,
                                      number(b, x, lambd));
  Value high = b.make<arith::SelectOp>(above, b.sub(x, number(b, x, bias)), zero);
  return b.make<arith::SelectOp>(below, b.add(x, number(b, x, bias)), high);
}

static Value gelu(Node &n, TensorBuilder &b, Value x) {
  bool tanh = n.stringAttr("approximate", "none") == "tanh";
  return b.make<ssm::GeluOp>(x.getType(), x, tanh);
}


static Value swish(Node &n, TensorBuilder &b, Value x) {
  double alpha = n.floatAttr("alpha", 1);
  if (alpha == 1)
    return b.make<ssm::SiluOp>(x.getType(), x);
  return b.mul(x, sigmoid(n, b, scale(b, x, alpha)));
}

static Value quickGelu(Node &n, TensorBuilder &b, Value x) {
  return b.mul(x, sigmoid(n, b, scale(b, x, n.floatAttr("alpha", 1.702))));
}

/// x + bias, then GELU.
template <bool tanh>
static LogicalResult biasGelu(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  Value x = n.in(0);
  if (n.has(1)) {
    if (failed(n.expectSameElement(0, 1)))
      return failure();
    FailureOr<SmallVector<Value>> v = broadcastInputs(n, {0, 1});
    if (failed(v))
      return failure();
    x = n.b.add((*v)[0], (*v)[1]);
  }
  return finishElementwise(n, n.b.make<ssm::GeluOp>(x.getType(), x, tanh));
}

static LogicalResult prelu(Node &n) {
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)))
    return failure();
  std::optional<Shape> both =
      broadcastShapes(n.b.shapeOf(n.in(0)), n.b.shapeOf(n.in(1)));
  if (!both || Dims(*both) != n.b.shapeOf(n.in(0)))
    return n.error() << "expected a slope that broadcasts to "
                     << n.in(0).getType() << ", but got " << n.in(1).getType();
  Value x = n.in(0), slope = n.b.broadcast(n.in(1), *both);
  return finishElementwise(n, n.b.make<arith::SelectOp>(
                                  isPositive(n.b, x), x, n.b.mul(x, slope)));
}

ArrayRef<OpEntry> onnx_import::activationOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  constexpr const char *kMs = "com.microsoft";
  static const OpEntry kOps[] = {
      {"", "Celu", 12, kNew, 1, 1, activation<celu>, true},
      {"", "Elu", kOld, kNew, 1, 1, activation<elu>, true},
      {"", "Gelu", 20, kNew, 1, 1, activation<gelu>, true},
      {"", "HardSigmoid", kOld, kNew, 1, 1, activation<hardSigmoid>, true},
      {"", "HardSwish", 14, kNew, 1, 1, activation<hardSwish>, true},
      {"", "LeakyRelu", kOld, kNew, 1, 1, activation<leakyRelu>, true},
      {"", "Mish", 18, kNew, 1, 1, activation<mish>, true},
      {"", "PRelu", kOld, kNew, 2, 2, prelu, true},
      {"", "Relu", kOld, kNew, 1, 1, activation<relu>, true},
      {"", "Selu", kOld, kNew, 1, 1, activation<selu>, true},
      {"", "Shrink", 9, kNew, 1, 1, activation<shrink>, true},
      {"", "Sigmoid", kOld, kNew, 1, 1, activation<sigmoid>, true},
      {"", "Softplus", kOld, kNew, 1, 1, activation<softplus>, true},
      {"", "Softsign", kOld, kNew, 1, 1, activation<softsign>, true},
      {"", "Swish", 24, kNew, 1, 1, activation<swish>, true},
      {"", "ThresholdedRelu", 10, kNew, 1, 1, activation<thresholdedRelu>, true},
      {kMs, "BiasGelu", 1, 1, 1, 2, biasGelu<false>, true},
      {kMs, "FastGelu", 1, 1, 1, 2, biasGelu<true>, true},
      {kMs, "Gelu", 1, 1, 1, 1, activation<gelu>, true},
      {kMs, "QuickGelu", 1, 1, 1, 1, activation<quickGelu>, true},
      {kMs, "Silu", 1, 1, 1, 1, activation<swish>, true},
  };
  return kOps;
}
