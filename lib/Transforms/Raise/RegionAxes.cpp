// SPDX-License-Identifier: Apache-2.0

#include "RegionAxes.h"

#include "Match.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

//===----------------------------------------------------------------------===//
// Axes
//===----------------------------------------------------------------------===//

AxisList AxisTable::create(int64_t size) {
  if (size == 1)
    return {};
  axes.push_back({size, false, {}});
  return {static_cast<int>(axes.size()) - 1};
}

void AxisTable::resolveInto(int axis, AxisList &out) const {
  if (axes[axis].parts.empty())
    out.push_back(axis);
  for (int part : axes[axis].parts)
    resolveInto(part, out);
}

AxisList AxisTable::resolve(ArrayRef<int> list) const {
  AxisList result;
  for (int axis : list)
    resolveInto(axis, result);
  return result;
}

int64_t AxisTable::sizeOf(ArrayRef<int> list) const {
  int64_t size = 1;
  for (int axis : list)
    size *= axes[axis].size;
  return size;
}

bool AxisTable::unify(ArrayRef<int> listA, ArrayRef<int> listB) {
  // Both as stacks with the outermost axis on top; equal axes go away until
  // one is left that has to be merged or split.
  auto stackOf = [&](ArrayRef<int> list) {
    AxisList axes = resolve(list);
    return AxisList(llvm::reverse(axes));
  };
  AxisList a = stackOf(listA), b = stackOf(listB);
  while (!a.empty() && !b.empty()) {
    int x = a.pop_back_val(), y = b.pop_back_val();
    if (x == y)
      continue;
    if (axes[x].size > axes[y].size)
      std::swap(x, y), std::swap(a, b);
    bool pinned = axes[x].pinned || axes[y].pinned;
    if (axes[x].size == axes[y].size) {
      axes[x].pinned = pinned;
      axes[y].parts = {x};
    } else {
      if (axes[x].size == 0 || axes[y].size % axes[x].size != 0)
        return false;
      int rest = create(axes[y].size / axes[x].size).front();
      axes[x].pinned = axes[rest].pinned = pinned;
      axes[y].parts = {x, rest};
      b.push_back(rest);
    }
    // Both lists may hold what has just been replaced.
    for (AxisList *stack : {&a, &b})
      *stack = stackOf(AxisList(llvm::reverse(*stack)));
  }
  return a.empty() && b.empty();
}

void AxisTable::pin(ArrayRef<int> list) {
  for (int axis : resolve(list))
    axes[axis].pinned = true;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

ArrayRef<AxisList> RegionAxes::raw(Place place) {
  const void *key = place.use ? static_cast<const void *>(place.use)
                              : place.value.getAsOpaquePointer();
  auto [it, isNew] = dims.try_emplace(key);
  if (isNew)
    for (int64_t size : shapeOf(place.value))
      it->second.push_back(table.create(size));
  return it->second;
}

SmallVector<AxisList> RegionAxes::of(Place place) {
  SmallVector<AxisList> result;
  for (const AxisList &list : raw(place))
    result.push_back(table.resolve(list));
  return result;
}

AxisList RegionAxes::flat(Place place) {
  AxisList result;
  for (const AxisList &list : of(place))
    result.append(list);
  return result;
}

void RegionAxes::pin(Place place, int64_t dim) { table.pin(raw(place)[dim]); }

bool RegionAxes::unify(Place a, int64_t dimA, Place b, int64_t dimB) {
  AxisList first = raw(a)[dimA];
  return table.unify(first, raw(b)[dimB]);
}

bool RegionAxes::unifyAll(Place a, Place b) {
  if (rankOf(a.value) != rankOf(b.value))
    return false;
  for (int64_t d = 0; d < rankOf(a.value); ++d)
    if (!unify(a, d, b, d))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

static bool isElementwise(Operation *op) {
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
             arith::NegFOp, arith::SelectOp, math::ExpOp>(op);
}

static bool isStaticSlice(OffsetSizeAndStrideOpInterface slice) {
  return llvm::all_of(slice.getStaticOffsets(), ShapedType::isStatic) &&
         llvm::all_of(slice.getStaticStrides(), ShapedType::isStatic);
}

bool itera::raise::isRegionOp(Operation *op) {
  auto isStatic = [](Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.hasStaticShape();
  };
  if (op->getNumResults() != 1 || !isStatic(op->getResult(0)))
    return false;
  if (auto pad = dyn_cast<tensor::PadOp>(op))
    return llvm::all_of(pad.getStaticLow(), ShapedType::isStatic) &&
           llvm::all_of(pad.getStaticHigh(), ShapedType::isStatic) &&
           pad.getConstantPaddingValue() &&
           matchSplat(pad.getConstantPaddingValue());
  if (!llvm::all_of(op->getOperands(), isStatic))
    return false;
  if (auto contract = dyn_cast<linalg::ContractOp>(op))
    return isZero(contract.getDpsInits()[0]) &&
           llvm::all_of(contract.getIndexingMapsArray(), [](AffineMap map) {
             return map.isProjectedPermutation();
           });
  if (auto reduce = dyn_cast<linalg::ReduceOp>(op))
    return bool(matchSum(op->getResult(0), reduce.getDimensions()));
  if (isa<tensor::ExtractSliceOp, tensor::InsertSliceOp>(op))
    return isStaticSlice(cast<OffsetSizeAndStrideOpInterface>(op));
  return isElementwise(op) ||
         isa<linalg::BroadcastOp, linalg::TransposeOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::ConcatOp, ssm::CumsumOp,
             ssm::ReverseOp>(op);
}

SmallVector<OpOperand *> itera::raise::getRegionOperands(Operation *op) {
  SmallVector<OpOperand *> result;
  unsigned count = op->getNumOperands();
  if (auto linalg = dyn_cast<linalg::LinalgOp>(op))
    count = linalg.getNumDpsInputs();
  else if (isa<tensor::PadOp>(op))
    count = 1;
  for (unsigned i = 0; i < count; ++i)
    result.push_back(&op->getOpOperand(i));
  return result;
}

/// A value and one that has its dimensions, `dims`, maybe with more entries;
/// the part has one entry of those dimensions of the whole that it lacks.
bool RegionAxes::relatePart(Place part, Place whole, ArrayRef<int64_t> dims) {
  for (auto [d, w] : llvm::enumerate(dims)) {
    if (shapeOf(part.value)[d] == shapeOf(whole.value)[w]) {
      if (!unify(part, d, whole, w))
        return false;
    } else {
      pin(part, d);
      pin(whole, w);
    }
  }
  for (int64_t w = 0; w < rankOf(whole.value); ++w)
    if (!llvm::is_contained(dims, w))
      pin(whole, w);
  return true;
}

bool RegionAxes::relateGroups(Place small, Place large,
                              ArrayRef<ReassociationIndices> groups) {
  for (auto [s, group] : llvm::enumerate(groups)) {
    AxisList parts;
    for (int64_t d : group)
      parts.append(raw(large)[d]);
    AxisList whole = raw(small)[s];
    if (!table.unify(whole, parts))
      return false;
  }
  return true;
}

static SmallVector<int64_t> keptDims(const llvm::SmallBitVector &dropped) {
  SmallVector<int64_t> kept;
  for (unsigned d = 0; d < dropped.size(); ++d)
    if (!dropped.test(d))
      kept.push_back(d);
  return kept;
}

bool RegionAxes::relate(Operation *op) {
  if (!isRegionOp(op))
    return false;
  Place result = op->getResult(0);
  Place first = placeOf(op->getOpOperand(0));
  int64_t rank = rankOf(result.value);
  auto all = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](linalg::BroadcastOp broadcast) {
        int64_t from = 0;
        for (int64_t d = 0; d < rank; ++d)
          if (!llvm::is_contained(broadcast.getDimensions(), d) &&
              !unify(first, from++, result, d))
            return false;
        return true;
      })
      .Case([&](linalg::TransposeOp transpose) {
        for (auto [d, from] : llvm::enumerate(transpose.getPermutation()))
          if (!unify(first, from, result, d))
            return false;
        return true;
      })
      .Case([&](linalg::ContractOp contract) {
        SmallVector<AxisList> loops;
        for (int64_t size : contract.getStaticLoopRanges())
          loops.push_back(table.create(size));
        SmallVector<Place> places;
        for (OpOperand *input : getRegionOperands(op))
          places.push_back(placeOf(*input));
        places.push_back(result);
        for (auto [place, map] :
             llvm::zip(places, contract.getIndexingMapsArray()))
          for (auto [d, expr] : llvm::enumerate(map.getResults())) {
            AxisList loop = loops[cast<AffineDimExpr>(expr).getPosition()];
            if (!table.unify(raw(place)[d], loop))
              return false;
          }
        return true;
      })
      .Case([&](linalg::ReduceOp reduce) {
        int64_t out = 0;
        for (int64_t d = 0; d < rankOf(first.value); ++d)
          if (!llvm::is_contained(reduce.getDimensions(), d) &&
              !unify(first, d, result, out++))
            return false;
        return true;
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        return relateGroups(first, result, expand.getReassociationIndices());
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        return relateGroups(result, first, collapse.getReassociationIndices());
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        return relatePart(result, first, keptDims(slice.getDroppedDims()));
      })
      .Case([&](tensor::InsertSliceOp insert) {
        return unifyAll(placeOf(op->getOpOperand(1)), result) &&
               relatePart(first, result, keptDims(insert.getDroppedDims()));
      })
      .Case([&](tensor::ConcatOp concat) {
        for (OpOperand &part : op->getOpOperands()) {
          if (!relatePart(placeOf(part), result, all))
            return false;
          pin(placeOf(part), concat.getDim());
        }
        return true;
      })
      .Case([&](tensor::PadOp) { return relatePart(first, result, all); })
      .Case([&](ssm::CumsumOp cumsum) {
        pin(result, cumsum.getDim());
        return unifyAll(first, result);
      })
      .Case([&](ssm::ReverseOp reverse) {
        for (int64_t dim : reverse.getDims())
          pin(result, dim);
        return unifyAll(first, result);
      })
      .Default([&](Operation *) {
        return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
          return unifyAll(placeOf(operand), result);
        });
      });
}
