// SPDX-License-Identifier: Apache-2.0
//
// Problem: ssm.moe routes every token to a few of E experts. Followed token by
// token, each expert is two matrix-vector products, which run at a fraction of
// the speed of a matrix product over all tokens.
//
// Idea: with few experts it is faster to compute all of them for all tokens and
// to mask: one product for the first layer of all experts side by side, a mask
// of gates, one product for the second layer, which sums over the experts.
//
// Invariant: what an expert that was not chosen computes is selected away, not
// multiplied by zero, so that its infinities do no harm.

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace itera {
#define GEN_PASS_DEF_EXPANDMOEPASS
#include "itera/Transforms/Fuse/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

using Shape = ArrayRef<int64_t>;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

namespace {

/// Writes the masked form of one ssm.moe.
class MaskedExperts {
public:
  explicit MaskedExperts(ssm::MoeOp op)
      : op(op), b(op.getLoc(), op), element(typeOf(op.getX()).getElementType()),
        tokens(typeOf(op.getX()).getDimSize(0)),
        width(typeOf(op.getX()).getDimSize(1)),
        experts(typeOf(op.getUp()).getDimSize(0)),
        hidden(typeOf(op.getUp()).getDimSize(1)) {}

  Value write() {
    Value gates = gatePerExpert();
    Value up = collapse(op.getUp(), {{0, 1}, {2}});
    Value bias = op.getUpBias() ? collapse(op.getUpBias(), {{0, 1}}) : Value();
    Value inner = linear(op.getX(), up, bias, experts * hidden);
    inner = mask(activate(inner), spread(gates));
    Value down = collapse(transpose(op.getDown(), {1, 0, 2}), {{0}, {1, 2}});
    Value y = linear(inner, down, {}, width);
    if (!op.getDownBias())
      return y;
    Value biases =
        linear(gates, transpose(op.getDownBias(), {1, 0}), {}, width);
    return arith::AddFOp::create(b, y, biases);
  }

private:
  Value empty(Shape shape) {
    return tensor::EmptyOp::create(b, shape, element);
  }
  Value zeros(Shape shape) {
    Value zero = arith::ConstantOp::create(b, b.getFloatAttr(element, 0));
    return linalg::FillOp::create(b, zero, empty(shape)).getResult(0);
  }
  Value collapse(Value value, ArrayRef<ReassociationIndices> groups) {
    return tensor::CollapseShapeOp::create(b, value, groups);
  }
  Value transpose(Value value, Shape order) {
    SmallVector<int64_t> shape;
    for (int64_t dim : order)
      shape.push_back(typeOf(value).getDimSize(dim));
    return linalg::TransposeOp::create(b, value, empty(shape), order)
        ->getResult(0);
  }
  Value linear(Value x, Value weight, Value bias, int64_t features) {
    return ssm::LinearOp::create(
        b, RankedTensorType::get({tokens, features}, element), x, weight, bias);
  }

  /// [T, E]: the sum of the gates of the slots that chose the expert.
  Value gatePerExpert() {
    AffineExpr t = b.getAffineDimExpr(0), e = b.getAffineDimExpr(1),
               slot = b.getAffineDimExpr(2);
    AffineMap slots = AffineMap::get(3, 0, {t, slot}, b.getContext());
    AffineMap table = AffineMap::get(3, 0, {t, e}, b.getContext());
    Value init = zeros({tokens, experts});
    return linalg::GenericOp::create(
               b, init.getType(), ValueRange{op.getSelected(), op.getGates()},
               init, ArrayRef<AffineMap>{slots, slots, table},
               ArrayRef<utils::IteratorType>{utils::IteratorType::parallel,
                                             utils::IteratorType::parallel,
                                             utils::IteratorType::reduction},
               [&](OpBuilder &nested, Location loc, ValueRange v) {
                 ImplicitLocOpBuilder in(loc, nested);
                 Value expert = arith::IndexCastOp::create(
                     in, v[0].getType(), linalg::IndexOp::create(in, 1));
                 Value chosen = arith::CmpIOp::create(
                     in, arith::CmpIPredicate::eq, v[0], expert);
                 Value sum = arith::AddFOp::create(in, v[2], v[1]);
                 linalg::YieldOp::create(
                     in, arith::SelectOp::create(in, chosen, sum, v[2])
                             .getResult());
               })
        .getResult(0);
  }

  /// [T, E] -> [T, E * H].
  Value spread(Value gates) {
    Value init = empty({tokens, experts, hidden});
    Value wide = linalg::BroadcastOp::create(b, gates, init, Shape{2})
                     ->getResult(0);
    return collapse(wide, {{0}, {1, 2}});
  }

  Value activate(Value x) {
    switch (op.getActivation()) {
    case ssm::Activation::none:
      return x;
    case ssm::Activation::silu:
      return ssm::SiluOp::create(b, x);
    case ssm::Activation::gelu:
      return ssm::GeluOp::create(b, x.getType(), x);
    case ssm::Activation::gelu_tanh:
      return ssm::GeluOp::create(b, x.getType(), x, /*tanh=*/true);
    case ssm::Activation::relu:
      return arith::MaximumFOp::create(b, x, splatZero(x));
    }
    llvm_unreachable("an activation without a case");
  }

  Value splatZero(Value like) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(typeOf(like), b.getFloatAttr(element, 0)));
  }

  Value mask(Value x, Value gates) {
    Value zero = splatZero(x);
    Value chosen = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, gates,
                                         zero);
    Value gated = arith::MulFOp::create(b, x, gates);
    return arith::SelectOp::create(b, chosen, gated, zero);
  }

  ssm::MoeOp op;
  ImplicitLocOpBuilder b;
  Type element;
  int64_t tokens, width, experts, hidden;
};

struct ExpandMoe : itera::impl::ExpandMoePassBase<ExpandMoe> {
  using Base::Base;
  void runOnOperation() override {
    SmallVector<ssm::MoeOp> ops;
    getOperation().walk([&](ssm::MoeOp op) { ops.push_back(op); });
    for (ssm::MoeOp op : ops) {
      int64_t experts = typeOf(op.getUp()).getDimSize(0);
      int64_t slots = typeOf(op.getSelected()).getDimSize(1);
      bool constant = op.getUp().getDefiningOp<ssm::WeightOp>() &&
                      op.getDown().getDefiningOp<ssm::WeightOp>();
      if (!constant || experts > slots * maxExpertsPerSlot)
        continue;
      op.replaceAllUsesWith(MaskedExperts(op).write());
      op.erase();
    }
  }
};

} // namespace
