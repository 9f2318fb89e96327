// SPDX-License-Identifier: Apache-2.0

#include "Patterns.h"

using namespace mlir;
using namespace itera;

Value TensorWriter::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value TensorWriter::scalar(Type type, double value) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(*this, getFloatAttr(type, value));
  return arith::ConstantOp::create(
      *this, getIntegerAttr(type, static_cast<int64_t>(value)));
}

Value TensorWriter::empty(ArrayRef<int64_t> shape, Type element) {
  return tensor::EmptyOp::create(*this, shape, element);
}

Value TensorWriter::filled(ArrayRef<int64_t> shape, Value scalar) {
  Value init = empty(shape, scalar.getType());
  return linalg::FillOp::create(*this, scalar, init).getResult(0);
}

Value TensorWriter::zeros(ArrayRef<int64_t> shape, Type element) {
  return filled(shape, scalar(element, 0));
}

Value TensorWriter::generic(ValueRange inputs, ArrayRef<AffineMap> maps,
                            Value init, unsigned reductions, Body body) {
  unsigned rank = shape(init).size();
  SmallVector<AffineMap> allMaps(maps);
  SmallVector<AffineExpr> dims;
  for (unsigned dim = 0; dim < rank; ++dim)
    dims.push_back(getAffineDimExpr(dim));
  allMaps.push_back(
      AffineMap::get(rank + reductions, 0, dims, getContext()));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.append(reductions, utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             *this, init.getType(), inputs, init, allMaps, iterators,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               TensorWriter b(loc, nested);
               linalg::YieldOp::create(b, body(b, args));
             })
      .getResult(0);
}

Value TensorWriter::zip(ValueRange inputs,
                        ArrayRef<SmallVector<int64_t>> dims, Value init,
                        Body body) {
  unsigned rank = shape(init).size();
  SmallVector<AffineMap> maps;
  for (ArrayRef<int64_t> list : dims) {
    SmallVector<AffineExpr> exprs;
    for (int64_t dim : list)
      exprs.push_back(getAffineDimExpr(dim));
    maps.push_back(AffineMap::get(rank, 0, exprs, getContext()));
  }
  return generic(inputs, maps, init, 0, body);
}

Value TensorWriter::generate(ArrayRef<int64_t> shape, Type element, Body body) {
  return generic({}, {}, empty(shape, element), 0,
                 [&](TensorWriter &b, ValueRange) {
                   SmallVector<Value> indices;
                   for (unsigned i = 0; i < shape.size(); ++i)
                     indices.push_back(linalg::IndexOp::create(b, i));
                   return body(b, indices);
                 });
}

/// Offsets, sizes and strides of the slice of `shape` at `position` of `dim`.
static void sliceParameters(OpBuilder &b, ArrayRef<int64_t> shape, int64_t dim,
                            Value position, SmallVector<OpFoldResult> &offsets,
                            SmallVector<OpFoldResult> &sizes,
                            SmallVector<OpFoldResult> &strides) {
  offsets.assign(shape.size(), b.getIndexAttr(0));
  strides.assign(shape.size(), b.getIndexAttr(1));
  for (int64_t size : shape)
    sizes.push_back(b.getIndexAttr(size));
  // Only one place in a dimension of size 1; upstream's canonicaliser makes
  // invalid slices of such ones with an offset that it finds out later.
  if (shape[dim] != 1)
    offsets[dim] = position;
  sizes[dim] = b.getIndexAttr(1);
}

Value TensorWriter::slice(Value source, int64_t dim, Value position) {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  sliceParameters(*this, shape(source), dim, position, offsets, sizes, strides);
  SmallVector<int64_t> result(shape(source));
  result.erase(result.begin() + dim);
  return tensor::ExtractSliceOp::create(
      *this, RankedTensorType::get(result, element(source)), source, offsets,
      sizes, strides);
}

Value TensorWriter::insert(Value source, Value target, int64_t dim,
                           Value position) {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  sliceParameters(*this, shape(target), dim, position, offsets, sizes, strides);
  return tensor::InsertSliceOp::create(*this, source, target, offsets, sizes,
                                       strides);
}

SmallVector<Value> TensorWriter::loop(
    int64_t count, ValueRange carried,
    function_ref<SmallVector<Value>(TensorWriter &, Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, index(0), index(count), index(1),
                                 carried);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  // A loop that carries nothing comes with its terminator.
  SmallVector<Value> next =
      body(*this, loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(*this, next);
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value>
TensorWriter::loops(ArrayRef<int64_t> shape, ValueRange carried,
                    function_ref<SmallVector<Value>(TensorWriter &, ValueRange,
                                                    ValueRange)>
                        body) {
  SmallVector<Value> position;
  std::function<SmallVector<Value>(TensorWriter &, ValueRange)> nest =
      [&](TensorWriter &w, ValueRange values) -> SmallVector<Value> {
    if (position.size() == shape.size())
      return body(w, position, values);
    return w.loop(shape[position.size()], values,
                  [&](TensorWriter &inner, Value i, ValueRange v) {
                    position.push_back(i);
                    SmallVector<Value> next = nest(inner, v);
                    position.pop_back();
                    return next;
                  });
  };
  return nest(*this, carried);
}

Value TensorWriter::wrapIndex(Value integer, int64_t size, bool clamped) {
  Value i = isa<IndexType>(integer.getType())
                ? integer
                : arith::IndexCastOp::create(*this, getIndexType(), integer)
                      .getResult();
  Value zero = index(0);
  Value negative =
      arith::CmpIOp::create(*this, arith::CmpIPredicate::slt, i, zero);
  Value wrapped = arith::AddIOp::create(*this, i, index(size));
  i = arith::SelectOp::create(*this, negative, wrapped, i);
  if (clamped) {
    i = arith::MaxSIOp::create(*this, i, zero);
    i = arith::MinSIOp::create(*this, i, index(size - 1));
  }
  return i;
}
