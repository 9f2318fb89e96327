// SPDX-License-Identifier: Apache-2.0

#include "itera/Import/TensorBuilder.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Dialect/SSM/SliceCut.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace itera;

std::optional<int64_t> itera::countElements(Dims shape) {
  if (static_cast<int64_t>(shape.size()) > kMaxRank)
    return std::nullopt;
  // Zero sizes must not hide that the others overflow.
  int64_t count = 1, result = 1;
  for (int64_t size : shape) {
    if (size < 0 || llvm::MulOverflow(count, std::max<int64_t>(size, 1), count) ||
        count > kMaxElements)
      return std::nullopt;
    result *= size;
  }
  return result;
}

Shape itera::numbersFrom(int64_t begin, int64_t end) {
  Shape result;
  for (int64_t i = begin; i < end; ++i)
    result.push_back(i);
  return result;
}

std::optional<Shape> itera::broadcastShapes(Dims a, Dims b) {
  if (a.size() < b.size())
    std::swap(a, b);
  Shape result(a);
  size_t offset = a.size() - b.size();
  for (size_t i = 0; i < b.size(); ++i) {
    int64_t &size = result[offset + i];
    if (size == 1)
      size = b[i];
    else if (b[i] != 1 && b[i] != size)
      return std::nullopt;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

DenseElementsAttr TensorBuilder::getConstant(Value value) {
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  return constant ? dyn_cast<DenseElementsAttr>(constant.getValue())
                  : DenseElementsAttr();
}

Value TensorBuilder::constant(DenseElementsAttr value) {
  return arith::ConstantOp::create(builder, loc, value);
}

Value TensorBuilder::attributeSplat(Dims shape, TypedAttr value) {
  auto type = RankedTensorType::get(shape, value.getType());
  return constant(DenseElementsAttr::get(type, ArrayRef<Attribute>(value)));
}

static TypedAttr numberAttribute(Builder &builder, Type element, double value) {
  if (auto floats = dyn_cast<FloatType>(element))
    return builder.getFloatAttr(floats, value);
  return builder.getIntegerAttr(element, static_cast<int64_t>(value));
}

Value TensorBuilder::splat(Dims shape, Type element, double value) {
  return attributeSplat(shape, numberAttribute(builder, element, value));
}

Value TensorBuilder::intSplat(Dims shape, Type element, int64_t value) {
  if (isa<FloatType>(element))
    return splat(shape, element, static_cast<double>(value));
  unsigned width = element.getIntOrFloatBitWidth();
  return attributeSplat(
      shape, builder.getIntegerAttr(
                 element, llvm::APInt(64, value, true).sextOrTrunc(width)));
}

Value TensorBuilder::vector(ArrayRef<int64_t> values) {
  auto type = RankedTensorType::get({static_cast<int64_t>(values.size())},
                                    builder.getI64Type());
  return constant(DenseElementsAttr::get(type, values));
}

Value TensorBuilder::empty(Dims shape, Type element) {
  return tensor::EmptyOp::create(builder, loc, shape, element);
}

Value TensorBuilder::filled(Dims shape, TypedAttr value) {
  Value scalar = arith::ConstantOp::create(builder, loc, value);
  return linalg::FillOp::create(builder, loc, ValueRange(scalar),
                                ValueRange(empty(shape, value.getType())))
      .getResult(0);
}

Value TensorBuilder::zeros(Dims shape, Type element) {
  return filled(shape, numberAttribute(builder, element, 0));
}

//===----------------------------------------------------------------------===//
// Movement
//===----------------------------------------------------------------------===//

/// The operand of an op that only changes the shape, else null.
static Value lookThroughReshape(Value value) {
  if (auto expand = value.getDefiningOp<tensor::ExpandShapeOp>())
    return expand.getSrc();
  if (auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>())
    return collapse.getSrc();
  return {};
}

/// One expand or collapse of `value` to `shape`, or null.
static Value reshapeOnce(TensorBuilder &b, Value value, Dims shape) {
  RankedTensorType from = b.typeOf(value);
  auto to = RankedTensorType::get(shape, from.getElementType());
  if (from.getRank() == to.getRank())
    return {};
  std::optional<SmallVector<ReassociationIndices>> groups =
      getReassociationIndicesForReshape(from, to);
  if (!groups)
    return {};
  if (from.getRank() < to.getRank())
    return tensor::ExpandShapeOp::create(b.builder, b.loc, to, value, *groups);
  return tensor::CollapseShapeOp::create(b.builder, b.loc, to, value, *groups);
}

/// The finest shape that both shapes are products of runs of: where the
/// running products of the two meet, a dimension ends.
static Shape commonShape(Dims a, Dims b) {
  Shape common;
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    int64_t left = i < a.size() ? a[i++] : 1, right = j < b.size() ? b[j++] : 1;
    while (left != right) {
      if (left < right)
        left *= i < a.size() ? a[i++] : 1;
      else
        right *= j < b.size() ? b[j++] : 1;
    }
    common.push_back(left);
  }
  return common;
}

Value TensorBuilder::reshape(Value value, Dims shape) {
  if (shapeOf(value) == shape)
    return value;
  auto type = RankedTensorType::get(shape, elementOf(value));
  if (DenseElementsAttr dense = getConstant(value))
    return constant(dense.reshape(type));
  if (type.getNumElements() == 0)
    return splat(shape, elementOf(value), 0);
  // An earlier value of that shape; at least the earliest source.
  Value root = value;
  for (int depth = 0; depth < 8; ++depth) {
    Value source = lookThroughReshape(root);
    if (!source)
      break;
    if (shapeOf(source) == shape)
      return source;
    root = source;
  }
  if (Value result = reshapeOnce(*this, root, shape))
    return result;
  if (root != value)
    if (Value result = reshapeOnce(*this, value, shape))
      return result;
  // Collapse to the common runs, then expand. Equal ranks can hide unit
  // dimensions, so each half may itself be nothing.
  Shape common = commonShape(shapeOf(root), shape);
  llvm::erase(common, 1);
  Value collapsed = root;
  if (shapeOf(root) != Dims(common))
    collapsed = reshapeOnce(*this, root, common);
  if (collapsed && shapeOf(collapsed) == shape)
    return collapsed;
  if (collapsed)
    if (Value result = reshapeOnce(*this, collapsed, shape))
      return result;
  // The last resort is one flat dimension.
  Shape flat{type.getNumElements()};
  collapsed = rankOf(root) == 1 ? root : reshapeOnce(*this, root, flat);
  return shape.size() == 1 ? collapsed : reshapeOnce(*this, collapsed, shape);
}

Value TensorBuilder::unsqueeze(Value value, Dims dims) {
  Shape shape(shapeOf(value));
  Shape sorted(dims);
  llvm::sort(sorted);
  for (int64_t dim : sorted)
    shape.insert(shape.begin() + dim, 1);
  return reshape(value, shape);
}

Value TensorBuilder::squeeze(Value value, Dims dims) {
  Shape shape;
  for (auto [dim, size] : llvm::enumerate(shapeOf(value)))
    if (!llvm::is_contained(dims, static_cast<int64_t>(dim)))
      shape.push_back(size);
  return reshape(value, shape);
}

Value TensorBuilder::broadcastInto(Value value, Dims shape, Dims dims) {
  if (dims.empty())
    return value;
  return linalg::BroadcastOp::create(builder, loc, value,
                                     empty(shape, elementOf(value)), dims)
      ->getResult(0);
}

Value TensorBuilder::broadcast(Value value, Dims shape) {
  Dims from = shapeOf(value);
  if (from == shape)
    return value;
  auto type = RankedTensorType::get(shape, elementOf(value));
  DenseElementsAttr dense = getConstant(value);
  if (dense && dense.isSplat())
    return constant(dense.resizeSplat(type));
  if (type.getNumElements() == 0)
    return splat(shape, elementOf(value), 0);
  // Unit dimensions that stretch are dropped, then added by the broadcast.
  size_t offset = shape.size() - from.size();
  Shape kept, added;
  bool stretches = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    bool grows = shape[i] != 1 && (i < offset || from[i - offset] == 1);
    stretches |= grows;
    if (grows || i < offset)
      added.push_back(i);
    else
      kept.push_back(shape[i]);
  }
  if (!stretches)
    return reshape(value, shape);
  return broadcastInto(reshape(value, kept), shape, added);
}

Value TensorBuilder::transpose(Value value, Dims permutation) {
  bool isIdentity = true;
  Shape shape;
  for (auto [i, dim] : llvm::enumerate(permutation)) {
    isIdentity &= dim == static_cast<int64_t>(i);
    shape.push_back(shapeOf(value)[dim]);
  }
  if (isIdentity)
    return value;
  DenseElementsAttr dense = getConstant(value);
  if (dense && dense.isSplat())
    return constant(
        dense.resizeSplat(RankedTensorType::get(shape, elementOf(value))));
  return linalg::TransposeOp::create(
             builder, loc, value, empty(shape, elementOf(value)), permutation)
      ->getResult(0);
}

static SmallVector<OpFoldResult> attributes(Builder &builder, Dims values) {
  return getAsIndexOpFoldResult(builder.getContext(), values);
}

Value TensorBuilder::slice(Value value, Dims offsets, Dims sizes,
                           Dims strides) {
  if (sizes == shapeOf(value))
    return value;
  auto type = RankedTensorType::get(sizes, elementOf(value));
  DenseElementsAttr dense = getConstant(value);
  if (type.getNumElements() == 0)
    return splat(sizes, elementOf(value), 0);
  if (dense && dense.isSplat())
    return constant(dense.resizeSplat(type));
  return tensor::ExtractSliceOp::create(
      builder, loc, type, value, attributes(builder, offsets),
      attributes(builder, sizes), attributes(builder, strides));
}

void TensorBuilder::setCut(Value slice, Dims strides, Dims cut) {
  auto op = slice.getDefiningOp<tensor::ExtractSliceOp>();
  if (op && op.getStaticStrides() == strides &&
      llvm::any_of(strides, [](int64_t stride) { return stride != 1; }))
    op->setAttr(ssm::kCutAttr, builder.getDenseI64ArrayAttr(cut));
}

Value TensorBuilder::sliceDim(Value value, int64_t dim, int64_t begin,
                              int64_t size) {
  Shape offsets(rankOf(value), 0), sizes(shapeOf(value)),
      strides(rankOf(value), 1);
  offsets[dim] = begin;
  sizes[dim] = size;
  return slice(value, offsets, sizes, strides);
}

Value TensorBuilder::selectDim(Value value, int64_t dim, int64_t index) {
  Shape kept(shapeOf(value));
  kept.erase(kept.begin() + dim);
  if (shapeOf(value)[dim] == 1)
    return reshape(value, kept);
  DenseElementsAttr dense = getConstant(value);
  auto type = RankedTensorType::get(kept, elementOf(value));
  if (dense && dense.isSplat())
    return constant(dense.resizeSplat(type));
  Shape offsets(rankOf(value), 0), sizes(shapeOf(value)),
      strides(rankOf(value), 1);
  offsets[dim] = index;
  sizes[dim] = 1;
  return tensor::ExtractSliceOp::create(
      builder, loc, type, value, attributes(builder, offsets),
      attributes(builder, sizes), attributes(builder, strides));
}

Value TensorBuilder::reverse(Value value, Dims dims) {
  if (dims.empty())
    return value;
  return make<ssm::ReverseOp>(value, builder.getDenseI64ArrayAttr(dims));
}

Value TensorBuilder::concat(ArrayRef<Value> values, int64_t dim) {
  // Parts of size zero say nothing.
  SmallVector<Value> parts;
  for (Value value : values)
    if (shapeOf(value)[dim] != 0)
      parts.push_back(value);
  if (parts.empty())
    return values.front();
  if (parts.size() == 1)
    return parts.front();
  return tensor::ConcatOp::create(builder, loc, dim, parts);
}

Value TensorBuilder::pad(Value value, Dims low, Dims high, TypedAttr padding) {
  Shape shape(shapeOf(value));
  for (size_t i = 0; i < shape.size(); ++i)
    shape[i] += low[i] + high[i];
  if (Dims(shape) == shapeOf(value))
    return value;
  if (typeOf(value).getNumElements() == 0)
    return attributeSplat(shape, padding);
  Value scalar = arith::ConstantOp::create(builder, loc, padding);
  return tensor::PadOp::create(
      builder, loc, RankedTensorType::get(shape, elementOf(value)), value,
      attributes(builder, low), attributes(builder, high), scalar);
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value TensorBuilder::add(Value a, Value b) {
  return isFloat(a) ? make<arith::AddFOp>(a, b) : make<arith::AddIOp>(a, b);
}

Value TensorBuilder::sub(Value a, Value b) {
  return isFloat(a) ? make<arith::SubFOp>(a, b) : make<arith::SubIOp>(a, b);
}

Value TensorBuilder::mul(Value a, Value b) {
  return isFloat(a) ? make<arith::MulFOp>(a, b) : make<arith::MulIOp>(a, b);
}

Value TensorBuilder::div(Value a, Value b, bool isUnsigned) {
  if (isFloat(a))
    return make<arith::DivFOp>(a, b);
  return isUnsigned ? make<arith::DivUIOp>(a, b) : make<arith::DivSIOp>(a, b);
}

Value TensorBuilder::cast(Value value, Type to, bool fromUnsigned,
                          bool toUnsigned) {
  Type from = elementOf(value);
  if (from == to)
    return value;
  auto type = RankedTensorType::get(shapeOf(value), to);
  bool fromFloat = isa<FloatType>(from), toFloat = isa<FloatType>(to);
  bool fromBool = from.isInteger(1);
  unsigned fromBits = from.getIntOrFloatBitWidth(),
           toBits = to.getIntOrFloatBitWidth();
  if (to.isInteger(1)) {
    Value zero = splatLike(value, 0);
    return fromFloat
               ? make<arith::CmpFOp>(arith::CmpFPredicate::UNE, value, zero)
               : make<arith::CmpIOp>(arith::CmpIPredicate::ne, value, zero);
  }
  if (fromFloat && toFloat) {
    // f16 and bf16 convert by way of f32.
    if (fromBits == toBits)
      return cast(cast(value, builder.getF32Type()), to);
    return fromBits < toBits ? make<arith::ExtFOp>(type, value)
                             : make<arith::TruncFOp>(type, value);
  }
  if (fromFloat)
    return toUnsigned ? make<arith::FPToUIOp>(type, value)
                      : make<arith::FPToSIOp>(type, value);
  if (toFloat)
    return fromUnsigned || fromBool ? make<arith::UIToFPOp>(type, value)
                                    : make<arith::SIToFPOp>(type, value);
  if (fromBits > toBits)
    return make<arith::TruncIOp>(type, value);
  return fromUnsigned || fromBool ? make<arith::ExtUIOp>(type, value)
                                  : make<arith::ExtSIOp>(type, value);
}

//===----------------------------------------------------------------------===//
// Contraction and reduction
//===----------------------------------------------------------------------===//

Value TensorBuilder::contract(Value lhs, ArrayRef<int64_t> lhsLabels, Value rhs,
                              ArrayRef<int64_t> rhsLabels,
                              ArrayRef<int64_t> resultLabels, Type element) {
  // Loops in the order of the result, then the sums in the order of lhs.
  SmallVector<int64_t> loops(resultLabels);
  for (int64_t label : lhsLabels)
    if (!llvm::is_contained(loops, label))
      loops.push_back(label);
  auto map = [&](ArrayRef<int64_t> labels) {
    SmallVector<AffineExpr> exprs;
    for (int64_t label : labels)
      exprs.push_back(
          builder.getAffineDimExpr(llvm::find(loops, label) - loops.begin()));
    return AffineMapAttr::get(
        AffineMap::get(loops.size(), 0, exprs, builder.getContext()));
  };
  Shape shape;
  for (int64_t label : resultLabels) {
    const int64_t *inLhs = llvm::find(lhsLabels, label);
    shape.push_back(
        inLhs != lhsLabels.end()
            ? shapeOf(lhs)[inLhs - lhsLabels.begin()]
            : shapeOf(rhs)[llvm::find(rhsLabels, label) - rhsLabels.begin()]);
  }
  if (!element)
    element = elementOf(lhs);
  Value init = zeros(shape, element);
  if (typeOf(init).getNumElements() == 0 ||
      typeOf(lhs).getNumElements() == 0 || typeOf(rhs).getNumElements() == 0)
    return splat(shape, element, 0);
  return linalg::ContractOp::create(
             builder, loc, TypeRange(init.getType()), ValueRange{lhs, rhs},
             ValueRange(init),
             builder.getArrayAttr(
                 {map(lhsLabels), map(rhsLabels), map(resultLabels)}))
      ->getResult(0);
}

Value TensorBuilder::matmul(Value lhs, Value rhs, Type element) {
  // Labels: batch dimension i from the right is i, then m, n, k. A unit batch
  // dimension that the other operand stretches is dropped.
  constexpr int64_t m = 100, n = 101, k = 102;
  auto batchOf = [](Dims shape) {
    return shape.size() > 2 ? shape.drop_back(2) : Dims();
  };
  Shape batch = *broadcastShapes(batchOf(shapeOf(lhs)), batchOf(shapeOf(rhs)));
  auto prepare = [&](Value &value, ArrayRef<int64_t> inner) {
    SmallVector<int64_t> labels;
    Shape shape;
    Dims from = shapeOf(value), own = batchOf(from);
    size_t offset = batch.size() - own.size();
    for (size_t i = 0; i < own.size(); ++i)
      if (own[i] != 1 || batch[offset + i] == 1) {
        labels.push_back(offset + i);
        shape.push_back(own[i]);
      }
    llvm::append_range(labels, inner);
    llvm::append_range(shape, from.take_back(inner.size()));
    value = reshape(value, shape);
    return labels;
  };
  SmallVector<int64_t> result;
  bool isVectorL = rankOf(lhs) == 1, isVectorR = rankOf(rhs) == 1;
  SmallVector<int64_t> lhsLabels =
      isVectorL ? prepare(lhs, {k}) : prepare(lhs, {m, k});
  SmallVector<int64_t> rhsLabels =
      isVectorR ? prepare(rhs, {k}) : prepare(rhs, {k, n});
  // A batch dimension of size 1 may have been in neither after all.
  for (int64_t i = 0, e = batch.size(); i < e; ++i)
    result.push_back(i);
  if (!isVectorL)
    result.push_back(m);
  if (!isVectorR)
    result.push_back(n);
  return contract(lhs, lhsLabels, rhs, rhsLabels, result, element);
}

static TypedAttr neutral(Builder &builder, Type element, Reduction how,
                         bool isUnsigned) {
  if (auto type = dyn_cast<FloatType>(element)) {
    const llvm::fltSemantics &semantics = type.getFloatSemantics();
    switch (how) {
    case Reduction::Max:
    case Reduction::Min:
      return builder.getFloatAttr(
          type, llvm::APFloat::getInf(semantics, how == Reduction::Max));
    case Reduction::Prod:
      return builder.getFloatAttr(type, 1);
    default:
      return builder.getFloatAttr(type, 0);
    }
  }
  unsigned bits = element.getIntOrFloatBitWidth();
  llvm::APInt value(bits, 0);
  if (how == Reduction::Max && !isUnsigned)
    value = llvm::APInt::getSignedMinValue(bits);
  if (how == Reduction::Min)
    value = isUnsigned ? llvm::APInt::getMaxValue(bits)
                       : llvm::APInt::getSignedMaxValue(bits);
  if (how == Reduction::Prod)
    value = llvm::APInt(bits, 1);
  if (how == Reduction::And)
    value = llvm::APInt::getAllOnes(bits);
  return builder.getIntegerAttr(element, value);
}

static Value combine(OpBuilder &b, Location loc, Reduction how, Value x,
                     Value y, bool isUnsigned) {
  bool f = isa<FloatType>(x.getType());
  switch (how) {
  case Reduction::Sum:
    return f ? Value(arith::AddFOp::create(b, loc, x, y))
             : Value(arith::AddIOp::create(b, loc, x, y));
  case Reduction::Prod:
    return f ? Value(arith::MulFOp::create(b, loc, x, y))
             : Value(arith::MulIOp::create(b, loc, x, y));
  case Reduction::Max:
    if (f)
      return arith::MaximumFOp::create(b, loc, x, y);
    return isUnsigned ? Value(arith::MaxUIOp::create(b, loc, x, y))
                      : Value(arith::MaxSIOp::create(b, loc, x, y));
  case Reduction::Min:
    if (f)
      return arith::MinimumFOp::create(b, loc, x, y);
    return isUnsigned ? Value(arith::MinUIOp::create(b, loc, x, y))
                      : Value(arith::MinSIOp::create(b, loc, x, y));
  case Reduction::And:
    return arith::AndIOp::create(b, loc, x, y);
  case Reduction::Or:
    return arith::OrIOp::create(b, loc, x, y);
  }
  llvm_unreachable("all reductions are listed");
}

Value TensorBuilder::reduce(Value value, Dims dims, Reduction how,
                            bool keepDims, bool isUnsigned) {
  Shape shape, kept(shapeOf(value)), sorted(dims);
  llvm::sort(sorted);
  for (int64_t dim : sorted)
    kept[dim] = 1;
  for (auto [dim, size] : llvm::enumerate(shapeOf(value)))
    if (!llvm::is_contained(sorted, static_cast<int64_t>(dim)))
      shape.push_back(size);
  Dims wanted = keepDims ? Dims(kept) : Dims(shape);
  Type element = elementOf(value);
  TypedAttr start = neutral(builder, element, how, isUnsigned);
  if (typeOf(value).getNumElements() == 0)
    return attributeSplat(wanted, start);
  // Over dimensions of size 1 there is nothing to combine.
  if (llvm::all_of(sorted,
                   [&](int64_t dim) { return shapeOf(value)[dim] == 1; }))
    return reshape(value, wanted);
  Value init = filled(shape, start);
  Value reduced =
      linalg::ReduceOp::create(
          builder, loc, ValueRange(value), ValueRange(init), sorted,
          [&](OpBuilder &b, Location l, ValueRange args) {
            Value result = combine(b, l, how, args[0], args[1], isUnsigned);
            linalg::YieldOp::create(b, l, result);
          })
          ->getResult(0);
  return reshape(reduced, wanted);
}

Value TensorBuilder::mean(Value value, Dims dims, bool keepDims) {
  int64_t count = 1;
  for (int64_t dim : dims)
    count *= shapeOf(value)[dim];
  Value sum = reduce(value, dims, Reduction::Sum, keepDims);
  return div(sum, splatLike(sum, static_cast<double>(count)));
}

Value TensorBuilder::softmax(Value value, int64_t dim) {
  return linalg::SoftmaxOp::create(
             builder, loc, TypeRange(value.getType()), value,
             empty(shapeOf(value), elementOf(value)), dim)
      ->getResult(0);
}
