// SPDX-License-Identifier: Apache-2.0
// A contraction of an activation x with a constant weight w is linear when
// every dimension of the loop nest is one of
//
//   row      in x and the result        M
//   output   in w and the result        N
//   reduced  in x and w                 K
//
// and nothing is left over (a dimension of all three would be a batch of
// matrices; of size one, it is a row). It becomes, with transposes and reshapes
// that are left out when they do nothing,
//
//   result = T(expand(linear(collapse(T(x)), collapse(T(w)))))
//
// where x is brought to [M..., K], w to [N, K]. Those of w are constants, and
// are shared between the uses of one weight; those of x meet their inverses
// in the layers around. A convolution with a kernel of one point is the same.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/AffineMap.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZELINEARPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

using Dims = SmallVector<int64_t, 4>;

namespace {
/// Where each class of loop dimensions lies in the operands and the result.
struct LinearForm {
  Value x, weight;
  Dims xRows, xReduced;          // dimensions of x, in the result's order of M
  Dims weightOut, weightReduced; // dimensions of w, in the result's order of N
  Dims weightUnits;              // dimensions of w of size one to forget
  Dims resultRows, resultOut;    // dimensions of the result
};

/// Weights that were brought to [N, K], by the weight and its permutation.
class WeightCache {
public:
  Value get(Value weight, ArrayRef<int64_t> permutation, int64_t n, int64_t k) {
    for (auto &[known, result] : cache[weight])
      if (known == permutation && shapeOf(result)[0] == n)
        return result;
    OpBuilder builder(weight.getContext());
    builder.setInsertionPointAfterValue(weight);
    Location loc = weight.getLoc();
    Value result = reshape(builder, loc,
                           permute(builder, loc, weight, permutation), {n, k});
    cache[weight].emplace_back(Dims(permutation), result);
    return result;
  }

private:
  DenseMap<Value, SmallVector<std::pair<Dims, Value>, 1>> cache;
};
} // namespace

/// The position of each loop dimension in a projected permutation, or -1.
static std::optional<Dims> positionsIn(AffineMap map) {
  if (!map.isProjectedPermutation())
    return std::nullopt;
  Dims positions(map.getNumDims(), -1);
  for (auto [index, result] : llvm::enumerate(map.getResults()))
    positions[cast<AffineDimExpr>(result).getPosition()] = index;
  return positions;
}

static std::optional<LinearForm> classify(linalg::ContractOp contract,
                                          unsigned weightIndex) {
  LinearForm form;
  form.x = contract.getInputs()[1 - weightIndex];
  form.weight = contract.getInputs()[weightIndex];
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  std::optional<Dims> x = positionsIn(maps[1 - weightIndex]);
  std::optional<Dims> w = positionsIn(maps[weightIndex]);
  std::optional<Dims> out = positionsIn(maps[2]);
  if (!x || !w || !out)
    return std::nullopt;
  // Rows and outputs in the result's order, reduced ones in the weight's.
  for (AffineExpr expr : maps[2].getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    bool inX = (*x)[dim] >= 0, inW = (*w)[dim] >= 0;
    if (inX && inW && shapeOf(form.weight)[(*w)[dim]] == 1)
      form.weightUnits.push_back((*w)[dim]);
    else if (inX == inW)
      return std::nullopt;
    (inX ? form.xRows : form.weightOut).push_back(inX ? (*x)[dim] : (*w)[dim]);
    (inX ? form.resultRows : form.resultOut).push_back((*out)[dim]);
  }
  for (AffineExpr expr : maps[weightIndex].getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if ((*out)[dim] >= 0)
      continue;
    if ((*x)[dim] < 0)
      return std::nullopt;
    form.xReduced.push_back((*x)[dim]);
    form.weightReduced.push_back((*w)[dim]);
  }
  if (form.xRows.size() + form.xReduced.size() != size_t(rankOf(form.x)) ||
      form.xReduced.empty())
    return std::nullopt;
  return form;
}

static int64_t sizeOf(Value value, ArrayRef<int64_t> dims) {
  int64_t size = 1;
  for (int64_t dim : dims)
    size *= shapeOf(value)[dim];
  return size;
}

static Dims joined(ArrayRef<int64_t> first, ArrayRef<int64_t> second) {
  Dims result(first);
  llvm::append_range(result, second);
  return result;
}

/// Moves what makes up a constant before `op`, in op's block.
static void hoistConstant(Value value, Operation *op) {
  Operation *constant = value.getDefiningOp();
  if (!constant || constant->getBlock() != op->getBlock() ||
      constant->isBeforeInBlock(op))
    return;
  constant->moveBefore(op);
  for (Value operand : constant->getOperands())
    hoistConstant(operand, constant);
}

/// The dimension of the user's result that is dimension `dim` of its operand,
/// for ops that only move elements and keep that dimension whole.
static std::optional<int64_t> dimAfter(Operation *user, int64_t dim) {
  if (auto transpose = dyn_cast<linalg::TransposeOp>(user))
    return llvm::find(transpose.getPermutation(), dim) -
           transpose.getPermutation().begin();
  if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(user))
    return std::nullopt;
  // Row-major: the dimension is whole if it has the same size and stride.
  auto strideOf = [](ArrayRef<int64_t> shape, int64_t dim) {
    return computeProduct(shape.drop_front(dim + 1));
  };
  ArrayRef<int64_t> from = shapeOf(user->getOperand(0));
  ArrayRef<int64_t> to = shapeOf(user->getResult(0));
  for (int64_t other = 0, e = to.size(); other < e; ++other)
    if (to[other] == from[dim] && strideOf(to, other) == strideOf(from, dim))
      return other;
  return std::nullopt;
}

/// Takes in the constant [N] that is added to all that the linear is used for,
/// also through transposes and reshapes.
static bool takeBias(ssm::LinearOp linear) {
  if (linear.getBias())
    return false;
  Value value = linear.getY();
  int64_t dim = rankOf(value) - 1;
  while (value.hasOneUse()) {
    Operation *user = *value.user_begin();
    if (auto add = dyn_cast<arith::AddFOp>(user)) {
      Value other = add.getLhs() == value ? add.getRhs() : add.getLhs();
      if (add->getBlock() != linear->getBlock() || !isConstant(other))
        return false;
      hoistConstant(other, linear);
      OpBuilder builder(linear);
      Value bias = matchVectorAlong(builder, other, dim);
      if (!bias)
        return false;
      linear.getBiasMutable().assign(bias);
      add.getResult().replaceAllUsesWith(value);
      return true;
    }
    std::optional<int64_t> next = dimAfter(user, dim);
    if (!next)
      return false;
    dim = *next;
    value = user->getResult(0);
  }
  return false;
}

static bool raiseLinear(linalg::ContractOp contract, WeightCache &weights) {
  if (contract.getNumResults() != 1 || contract.getInputs().size() != 2 ||
      !isZero(contract.getOutputs()[0]))
    return false;
  Type element = getElementTypeOrSelf(contract->getResult(0).getType());
  if (!isa<FloatType>(element) ||
      llvm::any_of(contract.getInputs(), [&](Value input) {
        return getElementTypeOrSelf(input.getType()) != element;
      }))
    return false;
  bool leftIsConstant = isConstant(contract.getInputs()[0]);
  if (leftIsConstant == isConstant(contract.getInputs()[1]))
    return false;
  std::optional<LinearForm> form = classify(contract, leftIsConstant ? 0 : 1);
  if (!form)
    return false;

  int64_t n = sizeOf(form->weight, form->weightOut);
  int64_t k = sizeOf(form->weight, form->weightReduced);
  Value weight = weights.get(
      form->weight,
      joined(joined(form->weightUnits, form->weightOut), form->weightReduced),
      n, k);

  OpBuilder builder(contract);
  Location loc = contract.getLoc();
  Dims rows;
  for (int64_t dim : form->xRows)
    rows.push_back(shapeOf(form->x)[dim]);
  Value x = permute(builder, loc, form->x, joined(form->xRows, form->xReduced));
  x = reshape(builder, loc, x, joined(rows, {k}));
  auto linear = ssm::LinearOp::create(
      builder, loc, RankedTensorType::get(joined(rows, {n}), element), x,
      weight, /*bias=*/Value());
  Dims outs;
  for (int64_t dim : form->weightOut)
    outs.push_back(shapeOf(form->weight)[dim]);
  Value y = reshape(builder, loc, linear.getY(), joined(rows, outs));
  // y has the result's dimensions in the order `order`.
  Dims order = joined(form->resultRows, form->resultOut);
  Dims inverse(order.size());
  for (auto [index, dim] : llvm::enumerate(order))
    inverse[dim] = index;
  contract->getResult(0).replaceAllUsesWith(permute(builder, loc, y, inverse));
  takeBias(linear);
  return true;
}

/// A convolution whose kernel is one point is linear over the channels.
static bool raisePointwise(ssm::ConvOp conv, WeightCache &weights) {
  auto all = [](ArrayRef<int64_t> list, int64_t value) {
    return llvm::all_of(list, [&](int64_t entry) { return entry == value; });
  };
  ArrayRef<int64_t> kernel = shapeOf(conv.getWeight());
  if (!all(kernel.drop_front(2), 1) || conv.getGroups() != 1 ||
      !all(conv.getStrides(), 1) || !all(conv.getPadsLow(), 0) ||
      !all(conv.getPadsHigh(), 0) || !isConstant(conv.getWeight()) ||
      (conv.getBias() && !isConstant(conv.getBias())))
    return false;
  int64_t rank = kernel.size();
  Value weight = weights.get(conv.getWeight(),
                             llvm::to_vector(llvm::seq<int64_t>(0, rank)),
                             kernel[0], kernel[1]);
  // [B, C, S...] to [B, S..., C], and back.
  Dims last{0}, second{0, rank - 1};
  for (int64_t dim = 2; dim < rank; ++dim) {
    last.push_back(dim);
    second.push_back(dim - 1);
  }
  last.push_back(1);
  OpBuilder builder(conv);
  Location loc = conv.getLoc();
  Value x = permute(builder, loc, conv.getX(), last);
  Dims shape(shapeOf(x));
  shape.back() = kernel[0];
  Value y = ssm::LinearOp::create(builder, loc, conv.getType().clone(shape), x,
                                  weight, conv.getBias());
  conv.getY().replaceAllUsesWith(permute(builder, loc, y, second));
  return true;
}

namespace {
struct RecognizeLinearPass
    : itera::impl::RecognizeLinearPassBase<RecognizeLinearPass> {
  void runOnOperation() override {
    WeightCache weights;
    visitAndClean(getOperation(), [&](Operation *op) {
      if (op->use_empty())
        return;
      if (auto contract = dyn_cast<linalg::ContractOp>(op))
        numRaised += raiseLinear(contract, weights);
      else if (auto conv = dyn_cast<ssm::ConvOp>(op))
        numRaised += raisePointwise(conv, weights);
      else if (auto linear = dyn_cast<ssm::LinearOp>(op))
        takeBias(linear);
    });
  }
};
} // namespace
