// SPDX-License-Identifier: Apache-2.0
// Activations, on tensors or scalars alike, in forms that neither overflow nor
// lose the small results.

#include "Activations.h"
#include "Patterns.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

static Value constant(ImplicitLocOpBuilder &b, Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr = b.getFloatAttr(element, value);
  if (auto shaped = dyn_cast<RankedTensorType>(type))
    attr = DenseElementsAttr::get(shaped, attr);
  return arith::ConstantOp::create(b, attr);
}

Value itera::sigmoid(ImplicitLocOpBuilder &b, Value x) {
  Value one = constant(b, x.getType(), 1);
  Value e = math::ExpOp::create(b, arith::NegFOp::create(b, x));
  return arith::DivFOp::create(b, one, arith::AddFOp::create(b, e, one));
}

Value itera::silu(ImplicitLocOpBuilder &b, Value x) {
  Value one = constant(b, x.getType(), 1);
  Value e = math::ExpOp::create(b, arith::NegFOp::create(b, x));
  return arith::DivFOp::create(b, x, arith::AddFOp::create(b, e, one));
}

Value itera::softplus(ImplicitLocOpBuilder &b, Value x) {
  // log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))
  Value zero = constant(b, x.getType(), 0);
  Value magnitude = math::AbsFOp::create(b, x);
  Value e = math::ExpOp::create(b, arith::NegFOp::create(b, magnitude));
  return arith::AddFOp::create(b, arith::MaximumFOp::create(b, x, zero),
                               math::Log1pOp::create(b, e));
}

Value itera::gelu(ImplicitLocOpBuilder &b, Value x, bool tanh) {
  Type type = x.getType();
  Value half = arith::MulFOp::create(b, x, constant(b, type, 0.5));
  Value one = constant(b, type, 1);
  Value inner;
  if (tanh) {
    Value square = arith::MulFOp::create(b, x, x);
    Value cube = arith::MulFOp::create(b, square, x);
    Value scaled =
        arith::MulFOp::create(b, cube, constant(b, type, 0.044715));
    Value sum = arith::AddFOp::create(b, x, scaled);
    inner = math::TanhOp::create(
        b, arith::MulFOp::create(b, sum,
                                 constant(b, type, 0.7978845608028654)));
  } else {
    inner = math::ErfOp::create(
        b, arith::MulFOp::create(b, x, constant(b, type, 0.7071067811865476)));
  }
  return arith::MulFOp::create(b, half, arith::AddFOp::create(b, inner, one));
}

Value itera::activate(ImplicitLocOpBuilder &b, Activation kind, Value x) {
  switch (kind) {
  case Activation::none:
    return x;
  case Activation::silu:
    return silu(b, x);
  case Activation::gelu:
    return gelu(b, x, /*tanh=*/false);
  case Activation::gelu_tanh:
    return gelu(b, x, /*tanh=*/true);
  case Activation::relu:
    return arith::MaximumFOp::create(b, x, constant(b, x.getType(), 0));
  }
  llvm_unreachable("an activation without a case");
}

namespace {

template <typename Op, Value (*Form)(ImplicitLocOpBuilder &, Value)>
struct LowerActivation : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    rewriter.replaceOp(op, Form(w, op.getX()));
    return success();
  }
};

struct LowerGelu : OpRewritePattern<GeluOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GeluOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    rewriter.replaceOp(op, gelu(w, op.getX(), op.getTanh()));
    return success();
  }
};

} // namespace

void itera::populateActivationPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerActivation<SigmoidOp, sigmoid>,
               LowerActivation<SiluOp, silu>,
               LowerActivation<SoftplusOp, softplus>, LowerGelu>(
      patterns.getContext());
}
