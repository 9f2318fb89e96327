// SPDX-License-Identifier: Apache-2.0
// Gathers, scatters, and what finds indices.
//
// NonZero is the one op whose result has a length that depends on the data. It
// is imported padded to the worst case with a count, and every value computed
// from it carries the count along (see `Counted`). The padding rows hold index
// zero, so gathers stay inside of their data, and ScatterND skips them.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;
using ssm::ScatterKind;

static constexpr int64_t kMaxChecked = 4096;

static void markLike(Node &n, Value result, Value like) {
  if (n.isUnsigned(like))
    n.setUnsigned(result);
}

/// Checks constant indices against the dimension they index.
static LogicalResult checkIndices(Node &n, size_t input, int64_t size) {
  Value indices = n.in(input);
  if (n.b.typeOf(indices).getNumElements() > kMaxChecked ||
      !n.importer.isFoldable(indices))
    return success();
  std::optional<ssm::HostTensor> data = n.constant(indices);
  if (!data)
    return success();
  // The largest one tells how long the dimension should be.
  int64_t largest = -1, smallest = 0;
  for (int64_t index : data->getInts()) {
    largest = std::max(largest, index);
    smallest = std::min(smallest, index);
  }
  if (smallest < -size)
    return n.error() << "expected indices from " << -size << " on, but got "
                     << smallest;
  if (largest >= size)
    return n.mismatch(size, std::min(largest, INT64_MAX - 1) + 1)
           << "expected indices below " << size << ", but got " << largest;
  return success();
}

/// A gather with constant indices that take a run: one slice.
static Value gatherRun(Node &n, Value data, const ssm::HostTensor &indices,
                       int64_t dim) {
  int64_t size = n.b.shapeOf(data)[dim];
  Shape values = indices.getInts();
  for (int64_t &value : values)
    value = value < 0 ? value + size : value;
  if (indices.type.getRank() == 0) {
    n.importer.takenIndices[size].insert(values[0]);
    return n.b.selectDim(data, dim, values[0]);
  }
  if (indices.type.getRank() != 1 || values.empty())
    return {};
  for (size_t i = 1; i < values.size(); ++i)
    if (values[i] != values[0] + static_cast<int64_t>(i))
      return {};
  if (values.size() == 1)
    n.importer.takenIndices[size].insert(values[0]);
  return n.b.sliceDim(data, dim, values[0], values.size());
}

static LogicalResult gather(Node &n) {
  Value data = n.in(0), indices = n.in(1);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), n.b.rankOf(data));
  if (failed(axis) || failed(n.expectInteger(1)))
    return failure();
  Dims from = n.b.shapeOf(data);
  if (failed(checkIndices(n, 1, from[*axis])))
    return failure();
  Shape shape(from.take_front(*axis));
  llvm::append_range(shape, n.b.shapeOf(indices));
  llvm::append_range(shape, from.drop_front(*axis + 1));
  if (failed(n.checkShape(shape)))
    return failure();
  std::optional<Counted> counted = n.counted(data),
                         index = n.counted(indices);
  if ((counted && index) || (counted && counted->dim == *axis))
    return n.refuseCounted();
  Value result;
  if (n.importer.isFoldable(indices) &&
      n.b.typeOf(indices).getNumElements() <= kMaxChecked)
    if (std::optional<ssm::HostTensor> values = n.constant(indices))
      result = gatherRun(n, data, *values, *axis);
  if (!result && *countElements(shape) == 0)
    result = n.b.splat(shape, n.b.elementOf(data), 0);
  if (!result)
    result = ssm::GatherOp::create(
        n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(data)),
        data, indices, *axis);
  markLike(n, result, data);
  if (index)
    n.setCounted(result, {*axis + index->dim, index->count});
  if (counted) {
    int64_t moved = n.b.rankOf(indices) - 1;
    n.setCounted(result, {counted->dim > *axis ? counted->dim + moved
                                               : counted->dim,
                          counted->count});
  }
  n.out(result);
  return success();
}

static LogicalResult gatherElements(Node &n) {
  Value data = n.in(0), indices = n.in(1);
  int64_t rank = n.b.rankOf(data);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), rank);
  if (failed(axis) || failed(n.expectInteger(1)))
    return failure();
  Dims from = n.b.shapeOf(data), shape = n.b.shapeOf(indices);
  if (static_cast<int64_t>(shape.size()) != rank)
    return n.error() << "expected indices of rank " << rank << ", but got "
                     << indices.getType();
  for (int64_t i = 0; i < rank; ++i)
    if (i != *axis && shape[i] > from[i])
      return n.mismatch(shape[i], from[i])
             << "expected indices within the data's shape, but got "
             << indices.getType() << " for " << data.getType();
  if (failed(checkIndices(n, 1, from[*axis])))
    return failure();
  Value result = ssm::GatherElementsOp::create(
      n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(data)),
      data, indices, *axis);
  markLike(n, result, data);
  n.out(result);
  return success();
}

static LogicalResult gatherNd(Node &n) {
  Value data = n.in(0), indices = n.in(1);
  int64_t batch = n.intAttr("batch_dims", 0);
  Dims from = n.b.shapeOf(data), tuple = n.b.shapeOf(indices);
  if (failed(n.expectInteger(1)))
    return failure();
  if (tuple.empty() || batch < 0 ||
      batch >= static_cast<int64_t>(tuple.size()) ||
      batch > static_cast<int64_t>(from.size()) ||
      batch + tuple.back() > static_cast<int64_t>(from.size()) ||
      from.take_front(batch) != tuple.take_front(batch))
    return n.error() << "expected index tuples that fit " << data.getType()
                     << ", but got " << indices.getType();
  Shape shape(tuple.drop_back());
  llvm::append_range(shape, from.drop_front(batch + tuple.back()));
  if (failed(n.checkShape(shape)))
    return failure();
  std::optional<Counted> counted = n.counted(indices);
  if (n.counted(data) ||
      (counted && counted->dim == static_cast<int64_t>(tuple.size()) - 1))
    return n.refuseCounted();
  Value result = ssm::GatherNdOp::create(
      n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(data)),
      data, indices, batch);
  markLike(n, result, data);
  if (counted)
    n.setCounted(result, *counted);
  n.out(result);
  return success();
}

static FailureOr<ScatterKind> scatterKind(Node &n) {
  std::string how = n.stringAttr("reduction", "none");
  if (how == "none")
    return ScatterKind::replace;
  if (std::optional<ScatterKind> kind = ssm::symbolizeScatterKind(how))
    return *kind;
  return n.error() << "expected reduction none, add, mul, max or min, but got '"
                   << how << "'";
}

static LogicalResult scatterNd(Node &n) {
  Value data = n.in(0), indices = n.in(1), updates = n.in(2);
  FailureOr<ScatterKind> kind = scatterKind(n);
  if (failed(kind) || failed(n.expectInteger(1)) ||
      failed(n.expectSameElement(0, 2)))
    return failure();
  Dims from = n.b.shapeOf(data), tuple = n.b.shapeOf(indices);
  if (tuple.empty() || tuple.back() > static_cast<int64_t>(from.size()))
    return n.error() << "expected index tuples that fit " << data.getType()
                     << ", but got " << indices.getType();
  Shape shape(tuple.drop_back());
  llvm::append_range(shape, from.drop_front(tuple.back()));
  if (n.b.shapeOf(updates) != Dims(shape))
    return n.shapeMismatch(shape, n.b.shapeOf(updates))
           << "expected updates of the shape that " << indices.getType()
           << " takes from " << data.getType() << ", but got "
           << updates.getType();
  // Padding of the indices must be padding of the updates.
  Value valid;
  std::optional<Counted> ofIndices = n.counted(indices),
                         ofUpdates = n.counted(updates);
  if (n.counted(data) || ofIndices.has_value() != ofUpdates.has_value())
    return n.refuseCounted();
  if (ofIndices) {
    if (ofIndices->dim != 0 || ofUpdates->dim != 0 || tuple.size() < 2 ||
        ofIndices->count != ofUpdates->count)
      return n.refuseCounted();
    valid = ofIndices->count;
  }
  if (n.b.typeOf(updates).getNumElements() == 0)
    return n.out(data), success();
  Value result = ssm::ScatterNdOp::create(n.b.builder, n.loc, data.getType(),
                                          data, indices, updates, valid, *kind);
  markLike(n, result, data);
  n.out(result);
  return success();
}

static LogicalResult scatterElements(Node &n) {
  Value data = n.in(0), indices = n.in(1), updates = n.in(2);
  int64_t rank = n.b.rankOf(data);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), rank);
  FailureOr<ScatterKind> kind = scatterKind(n);
  if (failed(axis) || failed(kind) || failed(n.expectInteger(1)) ||
      failed(n.expectSameElement(0, 2)))
    return failure();
  Dims from = n.b.shapeOf(data), shape = n.b.shapeOf(indices);
  if (static_cast<int64_t>(shape.size()) != rank ||
      shape != n.b.shapeOf(updates))
    return n.shapeMismatch(shape, n.b.shapeOf(updates))
           << "expected indices and updates of one shape and rank " << rank
           << ", but got " << indices.getType() << " and " << updates.getType();
  for (int64_t i = 0; i < rank; ++i)
    if (i != *axis && shape[i] > from[i])
      return n.mismatch(shape[i], from[i])
             << "expected indices within the data's shape, but got "
             << indices.getType() << " for " << data.getType();
  if (n.b.typeOf(updates).getNumElements() == 0)
    return n.out(data), success();
  Value result = ssm::ScatterElementsOp::create(
      n.b.builder, n.loc, data.getType(), data, indices, updates, *axis, *kind);
  markLike(n, result, data);
  n.out(result);
  return success();
}

static LogicalResult topK(Node &n) {
  Value x = n.in(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), n.b.rankOf(x));
  if (failed(axis))
    return failure();
  int64_t k = n.intAttr("k", -1);
  if (n.has(1)) {
    FailureOr<Shape> given = n.ints(1, "k");
    if (failed(given))
      return failure();
    k = given->size() == 1 ? given->front() : -1;
  }
  Shape shape(n.b.shapeOf(x));
  if (k < 0 || k > shape[*axis])
    return n.error() << "expected k in [0, " << shape[*axis] << "], but got "
                     << k;
  shape[*axis] = k;
  if (k == 0) {
    n.out(n.b.splat(shape, n.b.elementOf(x), 0));
    n.out(n.b.intSplat(shape, n.b.builder.getI64Type(), 0));
    return success();
  }
  auto op = ssm::TopKOp::create(
      n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(x)),
      RankedTensorType::get(shape, n.b.builder.getI64Type()), x, *axis,
      n.intAttr("largest", 1) == 0);
  markLike(n, op.getValues(), x);
  n.out(op.getValues());
  n.out(op.getIndices());
  return success();
}

template <bool isMin>
static LogicalResult argExtreme(Node &n) {
  Value x = n.in(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), n.b.rankOf(x));
  if (failed(axis))
    return failure();
  Shape shape(n.b.shapeOf(x));
  int64_t size = shape[*axis];
  if (size == 0)
    return n.error() << "expected a dimension that is not empty, but got "
                     << x.getType();
  shape[*axis] = 1;
  // Equal values: the lower index first; the other way in reversed order.
  bool last = n.intAttr("select_last_index", 0);
  if (last)
    x = n.b.reverse(x, {*axis});
  auto op = ssm::TopKOp::create(
      n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(x)),
      RankedTensorType::get(shape, n.b.builder.getI64Type()), x, *axis, isMin);
  Value index = op.getIndices();
  if (last)
    index = n.b.sub(n.b.splatLike(index, size - 1), index);
  if (!n.intAttr("keepdims", 1))
    index = n.b.squeeze(index, {*axis});
  n.out(index);
  return success();
}

static LogicalResult nonZero(Node &n) {
  Value x = n.in(0);
  RankedTensorType type = n.b.typeOf(x);
  if (type.getRank() == 0)
    return n.error() << "expected a tensor of rank 1 or more";
  int64_t size = type.getNumElements();
  Type index = n.b.builder.getI64Type();
  auto op = ssm::NonzeroOp::create(
      n.b.builder, n.loc, RankedTensorType::get({type.getRank(), size}, index),
      RankedTensorType::get({}, index), x);
  // Of a constant the exact result is known.
  if (n.importer.isFoldable(x) && size <= kMaxChecked) {
    ssm::Evaluator evaluator;
    std::optional<ssm::HostTensor> all = evaluator.evaluate(op.getIndices());
    std::optional<ssm::HostTensor> count = evaluator.evaluate(op.getCount());
    if (all && count) {
      Value padded = n.importer.buildConstant(*all, n.loc);
      Value exact = n.b.sliceDim(padded, 1, 0, count->getInt(0));
      if (std::optional<ssm::HostTensor> data = n.constant(exact))
        exact = n.importer.buildConstant(*data, n.loc);
      n.out(exact);
      return success();
    }
  }
  n.setCounted(op.getIndices(), {1, op.getCount()});
  n.out(op.getIndices());
  return success();
}

static LogicalResult oneHot(Node &n) {
  Value indices = n.in(0);
  FailureOr<Shape> depthGiven = n.ints(1, "the depth");
  if (failed(depthGiven))
    return failure();
  if (depthGiven->size() != 1 || depthGiven->front() < 1 ||
      depthGiven->front() > 1 << 20 ||
      n.b.shapeOf(n.in(2)) != Dims({2}))
    return n.error() << "expected one depth and two values";
  int64_t depth = depthGiven->front(), rank = n.b.rankOf(indices);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), rank + 1);
  if (failed(axis))
    return failure();
  indices = n.b.cast(indices, n.b.builder.getI64Type(), n.isUnsigned(indices));
  Shape shape(n.b.shapeOf(indices));
  shape.insert(shape.begin() + *axis, depth);
  if (failed(n.checkShape(shape)))
    return failure();
  // A negative index counts from the end.
  Value negative = n.b.make<arith::CmpIOp>(
      arith::CmpIPredicate::slt, indices, n.b.splatLike(indices, 0));
  Value wrapped = n.b.make<arith::SelectOp>(
      negative, n.b.add(indices, n.b.splatLike(indices, depth)), indices);
  Value wide = n.b.broadcastInto(wrapped, shape, {*axis});
  Shape others;
  for (int64_t i = 0; i <= rank; ++i)
    if (i != *axis)
      others.push_back(i);
  Value iota = n.b.broadcastInto(n.indexVector(numbersFrom(0, depth)), shape, others);
  Value hit = n.b.make<arith::CmpIOp>(arith::CmpIPredicate::eq, wide, iota);
  Value off = n.b.broadcast(n.b.selectDim(n.in(2), 0, 0), shape);
  Value on = n.b.broadcast(n.b.selectDim(n.in(2), 0, 1), shape);
  Value result = n.b.make<arith::SelectOp>(hit, on, off);
  markLike(n, result, n.in(2));
  n.out(result);
  return success();
}

ArrayRef<OpEntry> onnx_import::indexOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "ArgMax", kOld, kNew, 1, 1, argExtreme<false>},
      {"", "ArgMin", kOld, kNew, 1, 1, argExtreme<true>},
      {"", "Gather", kOld, kNew, 2, 2, gather, true},
      {"", "GatherElements", 11, kNew, 2, 2, gatherElements},
      {"", "GatherND", 11, kNew, 2, 2, gatherNd, true},
      {"", "NonZero", 9, kNew, 1, 1, nonZero, false,
       "the result may feed elementwise ops, gathers, matrix products, ScatterND"},
      {"", "OneHot", 9, kNew, 3, 3, oneHot, false, "constant depth"},
      {"", "Scatter", 9, 10, 3, 3, scatterElements},
      {"", "ScatterElements", 11, kNew, 3, 3, scatterElements},
      {"", "ScatterND", 11, kNew, 3, 3, scatterNd, true},
      {"", "TopK", kOld, kNew, 1, 2, topK, false, "constant k"},
  };
  return kOps;
}
