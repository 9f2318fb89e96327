// SPDX-License-Identifier: Apache-2.0

#include "TimeBatching.h"

#include "TensorUtils.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static int64_t rankOf(Value value) { return typeOf(value).getRank(); }

static Value makeEmpty(OpBuilder &builder, Location loc, RankedTensorType type) {
  return tensor::EmptyOp::create(builder, loc, type.getShape(),
                                 type.getElementType());
}

Value itera::raise::withTimeAt(OpBuilder &builder, Location loc, TimeValue value,
                               int64_t dim, int64_t length) {
  if (!value.isInvariant())
    return moveDimension(builder, loc, value.value, value.dim, dim);
  RankedTensorType type = withDim(typeOf(value.value), dim, length);
  DenseElementsAttr splat;
  if (matchPattern(value.value, m_Constant(&splat)) && splat.isSplat())
    return arith::ConstantOp::create(builder, loc, splat.resizeSplat(type));
  Value empty = makeEmpty(builder, loc, type);
  if (auto fill = value.value.getDefiningOp<linalg::FillOp>())
    return linalg::FillOp::create(builder, loc, fill.getInputs(), empty)
        ->getResult(0);
  if (value.value.getDefiningOp<tensor::EmptyOp>())
    return empty;
  return linalg::BroadcastOp::create(builder, loc, value.value, empty,
                                     ArrayRef<int64_t>{dim})
      ->getResult(0);
}

static bool isElementwise(Operation *op) {
  if (!op->hasTrait<OpTrait::Elementwise>() || op->getNumRegions() > 0)
    return false;
  auto shape = [](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor ? std::optional(tensor.getShape()) : std::nullopt;
  };
  std::optional<ArrayRef<int64_t>> common = shape(op->getResult(0).getType());
  return common && llvm::all_of(op->getOperandTypes(), [&](Type type) {
    return shape(type) == common;
  });
}

bool itera::raise::canBatch(Operation *op,
                            llvm::function_ref<bool(unsigned)> varies) {
  if (isElementwise(op))
    return true;
  auto onlyFirst = [&] {
    for (unsigned k = 1; k < op->getNumOperands(); ++k)
      if (varies(k))
        return false;
    return true;
  };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](linalg::ContractOp contract) {
        return contract.getInputs().size() == 2 && !varies(2);
      })
      .Case([&](linalg::ReduceOp reduce) {
        return reduce.getInputs().size() == 1 && !varies(1);
      })
      .Case<linalg::BroadcastOp, linalg::TransposeOp, linalg::SoftmaxOp>(
          [&](auto) { return !varies(1); })
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ConcatOp,
            ssm::CumsumOp, ssm::ReverseOp>([](auto) { return true; })
      .Case([&](tensor::ExtractSliceOp slice) {
        return slice->getNumOperands() == 1;
      })
      .Case([&](tensor::InsertSliceOp slice) {
        return slice->getNumOperands() == 2;
      })
      .Case([&](tensor::PadOp pad) {
        return pad->getNumOperands() == 1 && pad.getConstantPaddingValue();
      })
      .Case<ssm::LinearOp, ssm::HadamardOp, ssm::NormOp, ssm::EmbeddingOp>(
          [&](auto) { return onlyFirst(); })
      .Case([&](ssm::GatherOp) { return !varies(0) || !varies(1); })
      .Default([](Operation *) { return false; });
}

namespace {

/// One op's rule at work.
class Batcher {
public:
  Batcher(OpBuilder &builder, Operation *op, ArrayRef<TimeValue> operands,
          int64_t length)
      : builder(builder), op(op), loc(op->getLoc()), operands(operands),
        length(length) {}

  SmallVector<TimeValue> run();

private:
  /// A copy of op with other operands; every result gets time at `dim`.
  Operation *copy(ValueRange newOperands, int64_t dim) {
    Operation *result = builder.clone(*op);
    result->setOperands(newOperands);
    for (OpResult r : result->getResults())
      r.setType(withDim(typeOf(r), dim, length));
    return result;
  }
  Value at(unsigned k, int64_t dim) {
    return withTimeAt(builder, loc, operands[k], dim, length);
  }
  TimeValue emptyInit(int64_t dim) {
    return {makeEmpty(builder, loc, withDim(typeOf(op->getResult(0)), dim, length)),
            dim};
  }
  /// The place of time that needs the fewest transposes.
  int64_t commonDim() {
    llvm::SmallDenseMap<int64_t, unsigned> votes;
    int64_t best = -1;
    for (TimeValue operand : operands)
      if (!operand.isInvariant() &&
          (++votes[operand.dim] > votes.lookup(best) || best < 0))
        best = operand.dim;
    return best;
  }

  TimeValue elementwise();
  TimeValue broadcast(linalg::BroadcastOp broadcast);
  TimeValue transpose(linalg::TransposeOp transpose);
  TimeValue contract(linalg::ContractOp contract);
  TimeValue reduce(linalg::ReduceOp reduce);
  TimeValue expand(tensor::ExpandShapeOp expand);
  TimeValue collapse(tensor::CollapseShapeOp collapse);
  TimeValue concat(tensor::ConcatOp concat);
  TimeValue extract(tensor::ExtractSliceOp slice);
  TimeValue insert(tensor::InsertSliceOp slice);
  TimeValue pad(tensor::PadOp pad);
  TimeValue gather(ssm::GatherOp gather);
  TimeValue rows();

  OpBuilder &builder;
  Operation *op;
  Location loc;
  ArrayRef<TimeValue> operands;
  int64_t length;
};

} // namespace

TimeValue Batcher::elementwise() {
  int64_t dim = commonDim();
  SmallVector<Value> values;
  for (unsigned k = 0; k < operands.size(); ++k)
    values.push_back(at(k, dim));
  return {copy(values, dim)->getResult(0), dim};
}

TimeValue Batcher::broadcast(linalg::BroadcastOp broadcast) {
  // Time stays behind the dimension that it was behind.
  int64_t rank = rankOf(op->getResult(0)), out = 0;
  for (int64_t d = 0, seen = 0; d < rank && seen < operands[0].dim; ++d)
    if (!llvm::is_contained(broadcast.getDimensions(), d)) {
      ++seen;
      out = d + 1;
    }
  SmallVector<int64_t> dims;
  for (int64_t d : broadcast.getDimensions())
    dims.push_back(d + (d >= out));
  return {linalg::BroadcastOp::create(builder, loc, operands[0].value,
                                      emptyInit(out).value, dims)
              ->getResult(0),
          out};
}

TimeValue Batcher::transpose(linalg::TransposeOp transpose) {
  int64_t dim = operands[0].dim;
  SmallVector<int64_t> perm;
  for (int64_t d : transpose.getPermutation())
    perm.push_back(d + (d >= dim));
  perm.insert(perm.begin() + dim, dim);
  return {linalg::TransposeOp::create(builder, loc, operands[0].value,
                                      emptyInit(dim).value, perm)
              ->getResult(0),
          dim};
}

TimeValue Batcher::contract(linalg::ContractOp contract) {
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  unsigned loops = maps[0].getNumDims();
  AffineExpr time = builder.getAffineDimExpr(loops);
  // In the result, time follows the loop that it follows in an operand.
  int64_t out = -1;
  for (unsigned k : {0u, 1u}) {
    if (operands[k].isInvariant() || out >= 0)
      continue;
    int64_t dim = operands[k].dim;
    out = 0;
    for (int64_t d = dim - 1; d >= 0; --d)
      if (std::optional<unsigned> place =
              maps[2].getResultPosition(maps[k].getResult(d))) {
        out = *place + 1;
        break;
      }
  }
  TimeValue init{at(2, out), out};
  SmallVector<Attribute> attrs;
  for (unsigned k = 0; k < 3; ++k) {
    SmallVector<AffineExpr> exprs(maps[k].getResults());
    int64_t dim = k == 2 ? out : operands[k].dim;
    if (dim >= 0)
      exprs.insert(exprs.begin() + dim, time);
    attrs.push_back(AffineMapAttr::get(
        AffineMap::get(loops + 1, 0, exprs, builder.getContext())));
  }
  auto result = cast<linalg::ContractOp>(
      copy({operands[0].value, operands[1].value, init.value}, out));
  result.setIndexingMapsAttr(builder.getArrayAttr(attrs));
  return {result->getResult(0), out};
}

TimeValue Batcher::reduce(linalg::ReduceOp reduce) {
  int64_t dim = operands[0].dim, out = dim;
  SmallVector<int64_t> dims;
  for (int64_t d : reduce.getDimensions()) {
    out -= d < dim;
    dims.push_back(d + (d >= dim));
  }
  auto result =
      cast<linalg::ReduceOp>(copy({operands[0].value, at(1, out)}, out));
  result.setDimensions(dims);
  return {result->getResult(0), out};
}

TimeValue Batcher::expand(tensor::ExpandShapeOp expand) {
  SmallVector<ReassociationIndices> groups;
  int64_t dim = operands[0].dim, rank = rankOf(op->getResult(0)), out = rank;
  for (auto [g, group] : llvm::enumerate(expand.getReassociationIndices())) {
    if (static_cast<int64_t>(g) == dim)
      groups.push_back({out = group.front()});
    ReassociationIndices shifted(group);
    for (int64_t &d : shifted)
      d += d >= out;
    groups.push_back(shifted);
  }
  if (out == rank)
    groups.push_back({out});
  // Of a scalar: time is all there is to expand.
  if (expand.getSrcType().getRank() == 0)
    groups.front() = llvm::to_vector<2>(llvm::seq<int64_t>(rank + 1));
  return {tensor::ExpandShapeOp::create(
              builder, loc, withDim(typeOf(op->getResult(0)), out, length),
              operands[0].value, groups),
          out};
}

TimeValue Batcher::collapse(tensor::CollapseShapeOp collapse) {
  SmallVector<ReassociationIndices> old = collapse.getReassociationIndices();
  // Time must not be inside of a group: it moves to the group's front, or to
  // its end if that moves nothing but dimensions of size one.
  int64_t dim = operands[0].dim, out = old.size();
  ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
  for (auto [g, group] : llvm::enumerate(old)) {
    if (dim > group.back())
      continue;
    bool end = dim > group.front() &&
               llvm::all_of(shape.slice(dim, group.back() + 1 - dim),
                            [](int64_t size) { return size == 1; });
    out = end ? g + 1 : g;
    dim = end ? group.back() + 1 : group.front();
    break;
  }
  Value source = at(0, dim);
  SmallVector<ReassociationIndices> groups;
  for (auto [g, group] : llvm::enumerate(old)) {
    if (static_cast<int64_t>(g) == out)
      groups.push_back({dim});
    ReassociationIndices shifted(group);
    for (int64_t &d : shifted)
      d += static_cast<int64_t>(g) >= out;
    groups.push_back(shifted);
  }
  if (out == static_cast<int64_t>(old.size()))
    groups.push_back({dim});
  // To a scalar: all but time are of size one.
  if (old.empty())
    groups.front() =
        llvm::to_vector<2>(llvm::seq<int64_t>(shape.size() + 1));
  return {tensor::CollapseShapeOp::create(builder, loc, source, groups), out};
}

TimeValue Batcher::concat(tensor::ConcatOp concat) {
  int64_t dim = commonDim(), along = concat.getDim();
  SmallVector<Value> values;
  for (unsigned k = 0; k < operands.size(); ++k)
    values.push_back(at(k, dim));
  return {tensor::ConcatOp::create(builder, loc, along + (along >= dim), values),
          dim};
}

static SmallVector<OpFoldResult> withEntry(ArrayRef<OpFoldResult> list,
                                           int64_t place, Attribute entry) {
  SmallVector<OpFoldResult> result(list);
  result.insert(result.begin() + place, entry);
  return result;
}

TimeValue Batcher::extract(tensor::ExtractSliceOp slice) {
  int64_t dim = operands[0].dim, out = 0;
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  for (int64_t d = 0; d < dim; ++d)
    out += !dropped.test(d);
  return {tensor::ExtractSliceOp::create(
              builder, loc, withDim(slice.getType(), out, length),
              operands[0].value,
              withEntry(slice.getMixedOffsets(), dim, builder.getIndexAttr(0)),
              withEntry(slice.getMixedSizes(), dim, builder.getIndexAttr(length)),
              withEntry(slice.getMixedStrides(), dim, builder.getIndexAttr(1))),
          out};
}

TimeValue Batcher::insert(tensor::InsertSliceOp slice) {
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  int64_t dim = operands[1].isInvariant() ? 0 : operands[1].dim, in = 0;
  for (int64_t d = 0; d < dim; ++d)
    in += !dropped.test(d);
  return {tensor::InsertSliceOp::create(
              builder, loc, at(0, in), at(1, dim),
              withEntry(slice.getMixedOffsets(), dim, builder.getIndexAttr(0)),
              withEntry(slice.getMixedSizes(), dim, builder.getIndexAttr(length)),
              withEntry(slice.getMixedStrides(), dim, builder.getIndexAttr(1))),
          dim};
}

TimeValue Batcher::pad(tensor::PadOp pad) {
  int64_t dim = operands[0].dim;
  Value padding = pad.getConstantPaddingValue();
  if (pad.getRegion().isAncestor(padding.getParentRegion()))
    padding = builder.clone(*padding.getDefiningOp())->getResult(0);
  Attribute zero = builder.getIndexAttr(0);
  return {tensor::PadOp::create(
              builder, loc, withDim(pad.getResultType(), dim, length),
              operands[0].value, withEntry(pad.getMixedLowPad(), dim, zero),
              withEntry(pad.getMixedHighPad(), dim, zero), padding),
          dim};
}

TimeValue Batcher::gather(ssm::GatherOp gather) {
  int64_t along = gather.getDim();
  int64_t out, newDim = along;
  if (operands[0].isInvariant()) {
    out = along + operands[1].dim;
  } else if (operands[0].dim <= along) {
    out = operands[0].dim;
    ++newDim;
  } else {
    out = operands[0].dim - 1 + rankOf(gather.getIndices());
  }
  auto result = cast<ssm::GatherOp>(
      copy({operands[0].value, operands[1].value}, out));
  result.setDim(newDim);
  return {result.getY(), out};
}

/// Ops that work on the rows of their first operand, [..., K]: time may be any
/// dimension but the last.
TimeValue Batcher::rows() {
  int64_t dim = operands[0].dim;
  if (!isa<ssm::EmbeddingOp>(op) && dim == rankOf(op->getOperand(0)))
    --dim;
  SmallVector<Value> values{at(0, dim)};
  for (TimeValue operand : operands.drop_front())
    values.push_back(operand.value);
  return {copy(values, dim)->getResult(0), dim};
}

SmallVector<TimeValue> Batcher::run() {
  if (isElementwise(op))
    return {elementwise()};
  TimeValue result =
      llvm::TypeSwitch<Operation *, TimeValue>(op)
          .Case([&](linalg::BroadcastOp op) { return broadcast(op); })
          .Case([&](linalg::TransposeOp op) { return transpose(op); })
          .Case([&](linalg::ContractOp op) { return contract(op); })
          .Case([&](linalg::ReduceOp op) { return reduce(op); })
          .Case([&](linalg::SoftmaxOp softmax) {
            int64_t dim = operands[0].dim, along = softmax.getDimension();
            auto result = cast<linalg::SoftmaxOp>(
                copy({operands[0].value, emptyInit(dim).value}, dim));
            result.setDimension(along + (along >= dim));
            return TimeValue{result->getResult(0), dim};
          })
          .Case([&](tensor::ExpandShapeOp op) { return expand(op); })
          .Case([&](tensor::CollapseShapeOp op) { return collapse(op); })
          .Case([&](tensor::ConcatOp op) { return concat(op); })
          .Case([&](tensor::ExtractSliceOp op) { return extract(op); })
          .Case([&](tensor::InsertSliceOp op) { return insert(op); })
          .Case([&](tensor::PadOp op) { return pad(op); })
          .Case([&](ssm::CumsumOp cumsum) {
            int64_t dim = operands[0].dim, along = cumsum.getDim();
            auto result = cast<ssm::CumsumOp>(copy(operands[0].value, dim));
            result.setDim(along + (along >= dim));
            return TimeValue{result.getY(), dim};
          })
          .Case([&](ssm::ReverseOp reverse) {
            int64_t dim = operands[0].dim;
            SmallVector<int64_t> dims;
            for (int64_t d : reverse.getDims())
              dims.push_back(d + (d >= dim));
            auto result = cast<ssm::ReverseOp>(copy(operands[0].value, dim));
            result.setDims(dims);
            return TimeValue{result.getY(), dim};
          })
          .Case([&](ssm::GatherOp op) { return gather(op); })
          .Default([&](Operation *) { return rows(); });
  return {result};
}

SmallVector<TimeValue> itera::raise::batchOverTime(OpBuilder &builder,
                                                   Operation *op,
                                                   ArrayRef<TimeValue> operands,
                                                   int64_t length) {
  return Batcher(builder, op, operands, length).run();
}
