// SPDX-License-Identifier: Apache-2.0

#include "Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::raise;

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static std::optional<double> splatOf(Attribute attribute) {
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return number.getValueAsDouble();
  auto elements = dyn_cast<DenseFPElementsAttr>(attribute);
  if (!elements || elements.empty())
    return std::nullopt;
  if (!elements.isSplat()) {
    APFloat first = *elements.begin();
    if (!llvm::all_of(elements, [&](const APFloat &element) {
          return element.bitwiseIsEqual(first);
        }))
      return std::nullopt;
  }
  APFloat value = *elements.begin();
  bool losesInfo = false;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                &losesInfo);
  return value.convertToDouble();
}

std::optional<double> itera::raise::matchSplat(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return splatOf(constant.getValue());
  if (auto weight = dyn_cast<ssm::WeightOp>(op))
    return splatOf(weight.getValue());
  if (auto sqrt = dyn_cast<math::SqrtOp>(op)) {
    std::optional<double> inner = matchSplat(sqrt.getOperand());
    return inner ? std::optional(std::sqrt(*inner)) : std::nullopt;
  }
  if (isa<linalg::FillOp, linalg::BroadcastOp, tensor::ExpandShapeOp,
          tensor::CollapseShapeOp>(op))
    return matchSplat(op->getOperand(0));
  return std::nullopt;
}

std::optional<int64_t> itera::raise::matchIntegerSplat(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (auto number = dyn_cast<IntegerAttr>(constant.getValue()))
      return number.getValue().getSExtValue();
    auto elements = dyn_cast<DenseIntElementsAttr>(constant.getValue());
    if (!elements || elements.empty())
      return std::nullopt;
    APInt first = *elements.begin();
    if (!elements.isSplat() &&
        !llvm::all_of(elements, [&](const APInt &e) { return e == first; }))
      return std::nullopt;
    return first.getSExtValue();
  }
  if (isa<linalg::FillOp, linalg::BroadcastOp, tensor::ExpandShapeOp,
          tensor::CollapseShapeOp>(op))
    return matchIntegerSplat(op->getOperand(0));
  return std::nullopt;
}

double itera::raise::constantTolerance(Value value) {
  auto type = dyn_cast<FloatType>(getElementTypeOrSelf(value.getType()));
  if (!type)
    return 0;
  // Half a unit for the constant, the same again for one that it was made of,
  // and never tighter than the digits that people write down.
  return std::max(std::ldexp(1.0, 1 - int(type.getFPMantissaWidth())), 1e-6);
}

bool itera::raise::isNear(double actual, double expected, double tolerance) {
  return std::abs(actual - expected) <= tolerance * std::abs(expected);
}

bool itera::raise::isZero(Value value) {
  if (isa<FloatType>(getElementTypeOrSelf(value.getType())))
    return matchSplat(value) == 0.0;
  return matchIntegerSplat(value) == int64_t(0);
}

static bool isConstantExpression(Value value, unsigned depth) {
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0)
    return false;
  if (isa<ssm::WeightOp, arith::ConstantOp, tensor::EmptyOp>(op))
    return true;
  bool known = isa<linalg::TransposeOp, linalg::BroadcastOp, linalg::FillOp,
                   tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                   tensor::ExtractSliceOp, tensor::ConcatOp>(op) ||
               (op->hasTrait<OpTrait::Elementwise>() && isPure(op));
  return known && llvm::all_of(op->getOperands(), [&](Value operand) {
           return isConstantExpression(operand, depth - 1);
         });
}

bool itera::raise::isConstant(Value value) {
  return isConstantExpression(value, 8);
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

Value itera::raise::skipReshapes(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

Value itera::raise::matchRows(Value value) {
  auto broadcast = value.getDefiningOp<linalg::BroadcastOp>();
  if (!broadcast || broadcast.getDimensions().size() != 1 ||
      broadcast.getDimensions()[0] != rankOf(value) - 1)
    return {};
  return skipReshapes(broadcast.getInput());
}

/// The dimension of the operand of an expand_shape or collapse_shape that
/// becomes dimension `dim` of its result, if only unit dimensions join it.
static std::optional<int64_t> dimBeforeReshape(Operation *op, int64_t dim) {
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(op);
  SmallVector<ReassociationIndices> groups =
      collapse ? collapse.getReassociationIndices()
               : cast<tensor::ExpandShapeOp>(op).getReassociationIndices();
  int64_t size = shapeOf(op->getResult(0))[dim];
  if (!collapse) {
    for (auto [index, group] : llvm::enumerate(groups))
      if (llvm::is_contained(group, dim))
        return shapeOf(op->getOperand(0))[index] == size
                   ? std::optional<int64_t>(index)
                   : std::nullopt;
    return std::nullopt;
  }
  if (groups.empty())
    return std::nullopt;
  for (int64_t inner : groups[dim])
    if (shapeOf(op->getOperand(0))[inner] == size)
      return inner;
  return std::nullopt;
}

Value itera::raise::matchVectorAlong(OpBuilder &builder, Value value,
                                     int64_t dim) {
  RankedTensorType type = typeOf(value);
  int64_t size = type.getDimSize(dim);
  auto vector = RankedTensorType::get({size}, type.getElementType());
  if (auto constant = value.getDefiningOp<arith::ConstantOp>())
    if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue())) {
      if (elements.isSplat())
        return arith::ConstantOp::create(builder, value.getLoc(),
                                         elements.resizeSplat(vector));
      if (elements.getNumElements() == size)
        return arith::ConstantOp::create(builder, value.getLoc(),
                                         elements.reshape(vector));
    }
  while (Operation *op = value.getDefiningOp()) {
    if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op)) {
      ArrayRef<int64_t> added = broadcast.getDimensions();
      if (llvm::is_contained(added, dim))
        return {};
      dim -= llvm::count_if(added, [&](int64_t other) { return other < dim; });
    } else if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op)) {
      std::optional<int64_t> inner = dimBeforeReshape(op, dim);
      if (!inner)
        break;
      dim = *inner;
    } else {
      break;
    }
    value = op->getOperand(0);
  }
  if (typeOf(value).getNumElements() != size)
    return {};
  return reshape(builder, value.getLoc(), value, {size});
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value itera::raise::matchSquare(Value value) {
  if (auto mul = value.getDefiningOp<arith::MulFOp>())
    return mul.getLhs() == mul.getRhs() ? mul.getLhs() : Value();
  auto power = value.getDefiningOp<math::PowFOp>();
  if (power && matchSplat(power.getRhs()) == 2.0)
    return power.getLhs();
  return {};
}

Value itera::raise::matchNegation(Value value) {
  if (auto negation = value.getDefiningOp<arith::NegFOp>())
    return negation.getOperand();
  if (auto sub = value.getDefiningOp<arith::SubFOp>())
    return matchSplat(sub.getLhs()) == 0.0 ? sub.getRhs() : Value();
  Value result;
  matchCommutative<arith::MulFOp>(value, [&](Value factor, Value other) {
    if (matchSplat(factor) != -1.0)
      return false;
    result = other;
    return true;
  });
  return result;
}

Value itera::raise::matchSum(Value value, ArrayRef<int64_t> dims) {
  auto reduce = value.getDefiningOp<linalg::ReduceOp>();
  if (!reduce || reduce.getInputs().size() != 1 ||
      reduce.getDimensions() != dims || !isZero(reduce.getInits()[0]))
    return {};
  Block &body = reduce.getCombiner().front();
  if (!llvm::hasNItems(body, 2))
    return {};
  Operation &add = body.front();
  if (!isa<arith::AddFOp, arith::AddIOp>(add) ||
      body.getTerminator()->getOperand(0) != add.getResult(0))
    return {};
  Value lhs = add.getOperand(0), rhs = add.getOperand(1);
  Value element = body.getArgument(0), sum = body.getArgument(1);
  if (!(lhs == element && rhs == sum) && !(lhs == sum && rhs == element))
    return {};
  return reduce.getInputs()[0];
}

Value itera::raise::matchRowSum(Value value) {
  return matchSum(value, {rankOf(value)});
}

Value itera::raise::matchRowMean(Value value) {
  Value x;
  auto accept = [&](Value sum, double factor, double tolerance) {
    Value input = matchRowSum(skipReshapes(sum));
    if (!input || !isNear(factor * shapeOf(input).back(), 1.0, tolerance))
      return false;
    x = input;
    return true;
  };
  if (auto div = value.getDefiningOp<arith::DivFOp>()) {
    std::optional<double> count = matchSplat(div.getRhs());
    return count && *count > 0 && accept(div.getLhs(), 1.0 / *count, 1e-12)
               ? x
               : Value();
  }
  matchCommutative<arith::MulFOp>(value, [&](Value factor, Value sum) {
    std::optional<double> splat = matchSplat(factor);
    return splat && accept(sum, *splat, constantTolerance(factor));
  });
  return x;
}

//===----------------------------------------------------------------------===//
// Driver
//===----------------------------------------------------------------------===//

void itera::raise::visitAndClean(Operation *root,
                                 llvm::function_ref<void(Operation *)> visit) {
  // The list is made first, so that `visit` can create ops. The scalar bodies
  // of linalg ops are none of its business.
  SmallVector<Operation *> ops;
  root->walk<WalkOrder::PreOrder>([&](Operation *op) {
    ops.push_back(op);
    return isa<linalg::LinalgOp, tensor::PadOp>(op) ? WalkResult::skip()
                                                    : WalkResult::advance();
  });
  for (Operation *op : ops)
    visit(op);
  for (Region &region : root->getRegions())
    for (Block &block : region)
      eraseDeadOps(block);
}
