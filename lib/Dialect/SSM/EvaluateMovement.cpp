// SPDX-License-Identifier: Apache-2.0
// Ops that only move elements: nearly all are one strided copy.

#include "EvaluateImpl.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cstring>

using namespace mlir;
using namespace itera;
using namespace itera::ssm;
using namespace ssm::detail;

using Dims = ArrayRef<int64_t>;

static void fill(char *data, int64_t count, const char *element,
                 int64_t bytes) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(data + i * bytes, element, bytes);
}

static int64_t dot(Dims a, Dims b) {
  int64_t sum = 0;
  for (auto [x, y] : llvm::zip(a, b))
    sum += x * y;
  return sum;
}

static bool isStatic(Dims list) {
  return !llvm::is_contained(list, ShapedType::kDynamic);
}

static bool evaluateExtract(Evaluation &e, tensor::ExtractSliceOp op) {
  Dims offsets = op.getStaticOffsets(), sizes = op.getStaticSizes(),
       steps = op.getStaticStrides();
  if (!isStatic(offsets) || !isStatic(sizes) || !isStatic(steps))
    return false;
  const HostTensor &from = e.operands[0];
  int64_t bytes = getElementBytes(from.kind);
  SmallVector<int64_t> strides = getRowMajorStrides(from.shape());
  const char *begin = from.bytes.data() + dot(offsets, strides) * bytes;
  for (auto [stride, step] : llvm::zip(strides, steps))
    stride *= step;
  copyStrided(e.addResult(), getRowMajorStrides(sizes), begin, strides, sizes,
              bytes);
  return true;
}

static bool evaluateInsert(Evaluation &e, tensor::InsertSliceOp op) {
  Dims offsets = op.getStaticOffsets(), sizes = op.getStaticSizes(),
       steps = op.getStaticStrides();
  if (!isStatic(offsets) || !isStatic(sizes) || !isStatic(steps))
    return false;
  const HostTensor &source = e.operands[0], &dest = e.operands[1];
  int64_t bytes = getElementBytes(source.kind);
  char *data = e.addResult();
  std::memcpy(data, dest.bytes.data(), dest.bytes.size());
  SmallVector<int64_t> strides = getRowMajorStrides(dest.shape());
  char *begin = data + dot(offsets, strides) * bytes;
  for (auto [stride, step] : llvm::zip(strides, steps))
    stride *= step;
  copyStrided(begin, strides, source.bytes.data(), getRowMajorStrides(sizes),
              sizes, bytes);
  return true;
}

static bool evaluateConcat(Evaluation &e, tensor::ConcatOp op) {
  char *data = e.addResult();
  if (e.results[0].size() == 0)
    return true;
  SmallVector<int64_t> strides = getRowMajorStrides(e.results[0].shape());
  int64_t bytes = getElementBytes(e.results[0].kind), dim = op.getDim();
  for (const HostTensor &part : e.operands) {
    copyStrided(data, strides, part.bytes.data(),
                getRowMajorStrides(part.shape()), part.shape(), bytes);
    data += part.shape()[dim] * strides[dim] * bytes;
  }
  return true;
}

static bool evaluatePad(Evaluation &e, tensor::PadOp op) {
  Dims low = op.getStaticLow(), high = op.getStaticHigh();
  Value yielded = op.getConstantPaddingValue();
  Attribute constant;
  if (!yielded || !matchPattern(yielded, m_Constant(&constant)) ||
      !isStatic(low) || !isStatic(high) ||
      llvm::any_of(low, [](int64_t x) { return x < 0; }) ||
      llvm::any_of(high, [](int64_t x) { return x < 0; }))
    return false;
  std::optional<HostTensor> value = readAttribute(constant);
  if (!value)
    return false;
  const HostTensor &from = e.operands[0];
  int64_t bytes = getElementBytes(from.kind);
  char *data = e.addResult();
  fill(data, e.results[0].size(), value->bytes.data(), bytes);
  SmallVector<int64_t> strides = getRowMajorStrides(e.results[0].shape());
  copyStrided(data + dot(low, strides) * bytes, strides, from.bytes.data(),
              getRowMajorStrides(from.shape()), from.shape(), bytes);
  return true;
}

/// A copy whose source strides are given per result dimension.
static bool copyTo(Evaluation &e, const char *begin, Dims strides) {
  char *data = e.addResult();
  const HostTensor &to = e.results[0];
  copyStrided(data, getRowMajorStrides(to.shape()), begin, strides, to.shape(),
              getElementBytes(to.kind));
  return true;
}

static bool evaluateBroadcast(Evaluation &e, linalg::BroadcastOp op) {
  SmallVector<int64_t> from = getRowMajorStrides(e.operands[0].shape());
  SmallVector<int64_t> strides;
  int64_t rank = e.operands[1].type.getRank(), next = 0;
  for (int64_t dim = 0; dim < rank; ++dim)
    strides.push_back(
        llvm::is_contained(op.getDimensions(), dim) ? 0 : from[next++]);
  return copyTo(e, e.operands[0].bytes.data(), strides);
}

static bool evaluateTranspose(Evaluation &e, linalg::TransposeOp op) {
  SmallVector<int64_t> from = getRowMajorStrides(e.operands[0].shape());
  SmallVector<int64_t> strides;
  for (int64_t dim : op.getPermutation())
    strides.push_back(from[dim]);
  return copyTo(e, e.operands[0].bytes.data(), strides);
}

static bool evaluateReverse(Evaluation &e, ReverseOp op) {
  const HostTensor &from = e.operands[0];
  SmallVector<int64_t> strides = getRowMajorStrides(from.shape());
  int64_t offset = 0;
  if (from.size() > 0)
    for (int64_t dim : op.getDims()) {
      offset += (from.shape()[dim] - 1) * strides[dim];
      strides[dim] = -strides[dim];
    }
  return copyTo(e, from.bytes.data() + offset * getElementBytes(from.kind),
                strides);
}

/// An index that counts from the end when negative, moved into [0, size).
static int64_t nearest(int64_t index, int64_t size) {
  if (index < 0)
    index += size;
  return std::max<int64_t>(0, std::min(index, size - 1));
}

/// The product of the sizes of dimensions [begin, end).
static int64_t product(Dims shape, size_t begin, size_t end) {
  int64_t result = 1;
  for (size_t i = begin; i < end; ++i)
    result *= shape[i];
  return result;
}

static bool evaluateGather(Evaluation &e, GatherOp op) {
  const HostTensor &data = e.operands[0];
  SmallVector<int64_t> indices = e.operands[1].getInts();
  size_t dim = op.getDim();
  int64_t size = data.shape()[dim];
  int64_t outer = product(data.shape(), 0, dim);
  int64_t row = product(data.shape(), dim + 1, data.shape().size()) *
                getElementBytes(data.kind);
  char *to = e.addResult();
  if (size == 0)
    return true;
  for (int64_t i = 0; i < outer; ++i)
    for (int64_t index : indices) {
      std::memcpy(to, data.bytes.data() + (i * size + nearest(index, size)) * row,
                  row);
      to += row;
    }
  return true;
}

/// Walks index tuples: calls `visit(position, offset)` with the flat offset of
/// the row each tuple points to, or -1 if it is outside and not `clamp`ed.
template <typename Visit>
static void forEachTuple(Dims shape, const HostTensor &indices, size_t batch,
                         bool clamp, Visit visit) {
  int64_t depth = indices.shape().back();
  int64_t rows = depth == 0 ? product(indices.shape(), 0,
                                      indices.shape().size() - 1)
                            : indices.size() / depth;
  SmallVector<int64_t> flat = indices.getInts();
  int64_t batches = product(shape, 0, batch);
  int64_t perBatch = batches == 0 ? 0 : rows / batches;
  for (int64_t i = 0; i < rows; ++i) {
    int64_t offset = perBatch == 0 ? 0 : i / perBatch;
    bool inside = true;
    for (int64_t j = 0; j < depth; ++j) {
      int64_t size = shape[batch + j], index = flat[i * depth + j];
      inside &= index >= -size && index < size;
      offset = offset * size + nearest(index, size);
    }
    visit(i, inside || clamp ? offset : -1);
  }
}

static bool evaluateGatherNd(Evaluation &e, GatherNdOp op) {
  const HostTensor &data = e.operands[0], &indices = e.operands[1];
  size_t batch = op.getBatchDims();
  int64_t row = product(data.shape(), batch + indices.shape().back(),
                        data.shape().size()) *
                getElementBytes(data.kind);
  char *to = e.addResult();
  if (data.size() == 0)
    return true;
  forEachTuple(data.shape(), indices, batch, /*clamp=*/true,
               [&](int64_t i, int64_t offset) {
                 std::memcpy(to + i * row, data.bytes.data() + offset * row,
                             row);
               });
  return true;
}

/// Combines element `from` into element `to` of a scatter.
static void scatterElement(ElementKind kind, ScatterKind how, char *to,
                           const char *from) {
  int64_t bytes = getElementBytes(kind);
  if (how == ScatterKind::replace) {
    std::memcpy(to, from, bytes);
    return;
  }
  HostTensor a, b;
  a.kind = b.kind = kind;
  a.bytes = ArrayRef<char>(to, bytes);
  b.bytes = ArrayRef<char>(from, bytes);
  auto apply = [how](auto x, auto y) {
    switch (how) {
    case ScatterKind::add:
      return x + y;
    case ScatterKind::mul:
      return x * y;
    case ScatterKind::max:
      return std::max(x, y);
    case ScatterKind::min:
      return std::min(x, y);
    case ScatterKind::replace:
      break;
    }
    return y;
  };
  if (isFloat(kind)) {
    double value = apply(a.getFloat(0), b.getFloat(0));
    storeFloats(kind, to, 0, 1, &value);
  } else {
    int64_t value = apply(static_cast<uint64_t>(a.getInt(0)),
                          static_cast<uint64_t>(b.getInt(0)));
    if (how == ScatterKind::max || how == ScatterKind::min)
      value = apply(a.getInt(0), b.getInt(0));
    storeInts(kind, to, 0, 1, &value);
  }
}

static bool evaluateScatterNd(Evaluation &e, ScatterNdOp op) {
  const HostTensor &data = e.operands[0], &indices = e.operands[1],
                   &updates = e.operands[2];
  int64_t bytes = getElementBytes(data.kind);
  int64_t row =
      product(data.shape(), indices.shape().back(), data.shape().size());
  char *to = e.addResult();
  std::memcpy(to, data.bytes.data(), data.bytes.size());
  // `valid` counts entries along the first dimension of the indices.
  int64_t perEntry =
      product(indices.shape(), 1, std::max<size_t>(indices.shape().size(), 2) - 1);
  int64_t valid = op.getValid() ? e.operands[3].getInt(0) : INT64_MAX / 2;
  int64_t rows = indices.shape().size() == 1 || perEntry == 0
                     ? INT64_MAX
                     : std::min(valid, INT64_MAX / perEntry) * perEntry;
  forEachTuple(data.shape(), indices, 0, /*clamp=*/false,
               [&](int64_t i, int64_t offset) {
                 if (offset < 0 || i >= rows)
                   return;
                 for (int64_t j = 0; j < row; ++j)
                   scatterElement(
                       data.kind, op.getKind(), to + (offset * row + j) * bytes,
                       updates.bytes.data() + (i * row + j) * bytes);
               });
  return true;
}

/// Walks all positions of `indices`: calls `visit(position, offset)` with the
/// flat offset in `data` of the element its index along `dim` points to, or -1.
template <typename Visit>
static void forEachElement(Dims data, const HostTensor &indices, int64_t dim,
                           bool clamp, Visit visit) {
  SmallVector<int64_t> strides = getRowMajorStrides(data);
  SmallVector<int64_t> flat = indices.getInts();
  SmallVector<int64_t> position(data.size(), 0);
  for (int64_t i = 0, n = indices.size(); i < n; ++i) {
    int64_t size = data[dim], index = flat[i];
    bool inside = index >= -size && index < size;
    int64_t offset = nearest(index, size) * strides[dim];
    for (int64_t d = 0; d < static_cast<int64_t>(data.size()); ++d)
      if (d != dim)
        offset += position[d] * strides[d];
    visit(i, inside || clamp ? offset : -1);
    for (int64_t d = data.size() - 1; d >= 0; --d) {
      if (++position[d] < indices.shape()[d])
        break;
      position[d] = 0;
    }
  }
}

static bool fitsElements(Dims data, Dims indices, int64_t dim) {
  for (size_t d = 0; d < data.size(); ++d)
    if (static_cast<int64_t>(d) != dim && indices[d] > data[d])
      return false;
  return true;
}

static bool evaluateGatherElements(Evaluation &e, GatherElementsOp op) {
  const HostTensor &data = e.operands[0], &indices = e.operands[1];
  int64_t dim = op.getDim(), bytes = getElementBytes(data.kind);
  if (!fitsElements(data.shape(), indices.shape(), dim))
    return false;
  char *to = e.addResult();
  if (data.size() == 0)
    return true;
  forEachElement(data.shape(), indices, dim, /*clamp=*/true,
                 [&](int64_t i, int64_t offset) {
                   std::memcpy(to + i * bytes,
                               data.bytes.data() + offset * bytes, bytes);
                 });
  return true;
}

static bool evaluateScatterElements(Evaluation &e, ScatterElementsOp op) {
  const HostTensor &data = e.operands[0], &indices = e.operands[1],
                   &updates = e.operands[2];
  int64_t dim = op.getDim(), bytes = getElementBytes(data.kind);
  if (!fitsElements(data.shape(), indices.shape(), dim))
    return false;
  char *to = e.addResult();
  std::memcpy(to, data.bytes.data(), data.bytes.size());
  if (data.size() == 0)
    return true;
  forEachElement(data.shape(), indices, dim, /*clamp=*/false,
                 [&](int64_t i, int64_t offset) {
                   if (offset >= 0)
                     scatterElement(data.kind, op.getKind(), to + offset * bytes,
                                    updates.bytes.data() + i * bytes);
                 });
  return true;
}

static bool evaluateNonzero(Evaluation &e) {
  const HostTensor &x = e.operands[0];
  int64_t rank = x.type.getRank(), size = x.size(), count = 0;
  auto *indices = reinterpret_cast<char *>(e.addResult());
  SmallVector<int64_t> strides = getRowMajorStrides(x.shape());
  for (int64_t i = 0; i < size; ++i) {
    if (isFloat(x.kind) ? x.getFloat(i) == 0 : x.getInt(i) == 0)
      continue;
    for (int64_t d = 0; d < rank; ++d) {
      int64_t index = i / strides[d] % x.shape()[d];
      storeInts(e.results[0].kind, indices, d * size + count, 1, &index);
    }
    ++count;
  }
  char *total = e.addResult();
  storeInts(e.results[1].kind, total, 0, 1, &count);
  return true;
}

bool ssm::detail::isMovement(Operation *op) {
  return isa<tensor::ExtractSliceOp, tensor::InsertSliceOp, tensor::ConcatOp,
             tensor::PadOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::EmptyOp, tensor::SplatOp, linalg::FillOp,
             linalg::BroadcastOp, linalg::TransposeOp, ReverseOp, GatherOp,
             GatherNdOp, GatherElementsOp, ScatterNdOp, ScatterElementsOp,
             NonzeroOp>(op);
}

bool ssm::detail::evaluateMovement(Evaluation &e) {
  return llvm::TypeSwitch<Operation *, bool>(e.op)
      .Case([&](tensor::ExtractSliceOp op) { return evaluateExtract(e, op); })
      .Case([&](tensor::InsertSliceOp op) { return evaluateInsert(e, op); })
      .Case([&](tensor::ConcatOp op) { return evaluateConcat(e, op); })
      .Case([&](tensor::PadOp op) { return evaluatePad(e, op); })
      .Case<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
          [&](auto) { return e.addView(e.operands[0]), true; })
      .Case([&](tensor::EmptyOp op) {
        return op.getDynamicSizes().empty() && e.addResult();
      })
      .Case<tensor::SplatOp, linalg::FillOp>([&](Operation *) {
        char *data = e.addResult();
        fill(data, e.results[0].size(), e.operands[0].bytes.data(),
             getElementBytes(e.operands[0].kind));
        return true;
      })
      .Case([&](linalg::BroadcastOp op) { return evaluateBroadcast(e, op); })
      .Case([&](linalg::TransposeOp op) { return evaluateTranspose(e, op); })
      .Case([&](ReverseOp op) { return evaluateReverse(e, op); })
      .Case([&](GatherOp op) { return evaluateGather(e, op); })
      .Case([&](GatherNdOp op) { return evaluateGatherNd(e, op); })
      .Case([&](GatherElementsOp op) { return evaluateGatherElements(e, op); })
      .Case([&](ScatterNdOp op) { return evaluateScatterNd(e, op); })
      .Case([&](ScatterElementsOp op) { return evaluateScatterElements(e, op); })
      .Case([&](NonzeroOp) { return evaluateNonzero(e); })
      .Default([](Operation *) { return false; });
}
