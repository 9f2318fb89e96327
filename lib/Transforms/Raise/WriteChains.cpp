// SPDX-License-Identifier: Apache-2.0
// Problem: `buffer[:, t] = y` in a loop is exported as T scatters, each a copy
// of the whole buffer. Idea: a scatter whose constant indices are a box is an
// insert_slice; inserts of equal boxes that step along one dimension are a
// concat. A map from position to the value last written there, kept while
// going down the chain, answers reads between the writes in constant time.

#include "WriteChains.h"

#include "TensorUtils.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Reads a constant of 64-bit integers, wherever its bytes are.
static std::optional<SmallVector<int64_t>> getIntegers(Value value) {
  Attribute attr;
  if (auto constant = value.getDefiningOp<arith::ConstantOp>())
    attr = constant.getValue();
  if (auto weight = value.getDefiningOp<ssm::WeightOp>())
    attr = weight.getValue();
  if (!attr || !cast<RankedTensorType>(value.getType()).getElementType().isInteger(64))
    return std::nullopt;
  if (auto dense = dyn_cast<DenseIntElementsAttr>(attr))
    return llvm::to_vector(dense.getValues<int64_t>());
  if (auto resource = dyn_cast<DenseI64ResourceElementsAttr>(attr))
    if (std::optional<ArrayRef<int64_t>> data = resource.tryGetAsArrayRef())
      return llvm::to_vector(*data);
  return std::nullopt;
}

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

static tensor::InsertSliceOp insert(OpBuilder &builder, Location loc, Value source,
                                    Value dest, ArrayRef<int64_t> offsets,
                                    ArrayRef<int64_t> sizes) {
  SmallVector<OpFoldResult> o, s, ones;
  for (auto [offset, size] : llvm::zip(offsets, sizes)) {
    o.push_back(builder.getIndexAttr(offset));
    s.push_back(builder.getIndexAttr(size));
    ones.push_back(builder.getIndexAttr(1));
  }
  return tensor::InsertSliceOp::create(builder, loc, source, dest, o, s, ones);
}

/// scatter_nd whose tuples count through a box in row-major order.
static void simplifyScatterNd(ssm::ScatterNdOp op) {
  if (op.getValid() || op.getKind() != ssm::ScatterKind::replace)
    return;
  std::optional<SmallVector<int64_t>> values = getIntegers(op.getIndices());
  auto indices = cast<RankedTensorType>(op.getIndices().getType());
  auto data = cast<RankedTensorType>(op.getData().getType());
  int64_t depth = indices.getShape().back();
  if (!values || values->empty() || depth == 0)
    return;
  ArrayRef<int64_t> all = *values;
  SmallVector<int64_t> offsets(all.take_front(depth)), sizes;
  int64_t count = all.size() / depth;
  for (int64_t k = 0; k < depth; ++k) {
    int64_t last = all[(count - 1) * depth + k];
    if (offsets[k] < 0 || last < offsets[k] || last >= data.getDimSize(k))
      return;
    sizes.push_back(last - offsets[k] + 1);
  }
  if (product(sizes) != count)
    return;
  for (int64_t j = 0; j < count; ++j)
    for (int64_t k = depth - 1, rest = j; k >= 0; rest /= sizes[k], --k)
      if (all[j * depth + k] != offsets[k] + rest % sizes[k])
        return;
  llvm::append_range(sizes, data.getShape().drop_front(depth));
  offsets.resize(data.getRank(), 0);
  OpBuilder builder(op);
  Value source = reshape(builder, op.getLoc(), op.getUpdates(), sizes);
  op.replaceAllUsesWith(
      insert(builder, op.getLoc(), source, op.getData(), offsets, sizes)
          .getResult());
  op.erase();
}

/// scatter_elements whose indices count up along the dimension.
static void simplifyScatterElements(ssm::ScatterElementsOp op) {
  if (op.getKind() != ssm::ScatterKind::replace)
    return;
  std::optional<SmallVector<int64_t>> values = getIntegers(op.getIndices());
  if (!values || values->empty())
    return;
  ArrayRef<int64_t> sizes =
      cast<RankedTensorType>(op.getIndices().getType()).getShape();
  auto data = cast<RankedTensorType>(op.getData().getType());
  int64_t dim = op.getDim(), inner = product(sizes.drop_front(dim + 1));
  int64_t first = values->front();
  if (first < 0 || first > data.getDimSize(dim) - sizes[dim])
    return;
  for (auto [j, index] : llvm::enumerate(*values))
    if (index != first + static_cast<int64_t>(j) / inner % sizes[dim])
      return;
  SmallVector<int64_t> offsets(sizes.size(), 0);
  offsets[dim] = first;
  OpBuilder builder(op);
  op.replaceAllUsesWith(insert(builder, op.getLoc(), op.getUpdates(),
                               op.getData(), offsets, sizes)
                            .getResult());
  op.erase();
}

namespace {
/// Inserts of equal boxes, from the first to the last, and where they differ.
struct Chain {
  SmallVector<tensor::InsertSliceOp, 0> inserts;
  int64_t dim = -1;
};
} // namespace

static bool isStatic(tensor::InsertSliceOp op) {
  return op.hasUnitStride() &&
         llvm::none_of(op.getStaticOffsets(), ShapedType::isDynamic);
}

/// The dimension along which alone the boxes of a and b differ; -1 for equal
/// boxes, none if they differ otherwise.
static std::optional<int64_t> differAlong(tensor::InsertSliceOp a,
                                          tensor::InsertSliceOp b) {
  if (a.getStaticSizes() != b.getStaticSizes() ||
      a.getSourceType() != b.getSourceType())
    return std::nullopt;
  int64_t dim = -1;
  for (auto [d, x, y] : llvm::enumerate(a.getStaticOffsets(), b.getStaticOffsets()))
    if (x != y) {
      if (dim >= 0)
        return std::nullopt;
      dim = d;
    }
  return dim;
}

/// The chain that ends in `last`, from its first insert on.
static Chain collectChain(tensor::InsertSliceOp last) {
  Chain chain;
  chain.inserts.push_back(last);
  while (true) {
    tensor::InsertSliceOp head = chain.inserts.back();
    auto previous = head.getDest().getDefiningOp<tensor::InsertSliceOp>();
    if (!previous || !isStatic(previous) || previous->getBlock() != head->getBlock())
      break;
    std::optional<int64_t> dim = differAlong(previous, head);
    if (!dim || (*dim >= 0 && chain.dim >= 0 && *dim != chain.dim))
      break;
    if (*dim >= 0)
      chain.dim = *dim;
    chain.inserts.push_back(previous);
  }
  std::reverse(chain.inserts.begin(), chain.inserts.end());
  return chain;
}

/// Gives reads between the writes the value they see. True if nothing else
/// looks at the unfinished tensor.
static bool forwardReads(Chain &chain) {
  DenseMap<int64_t, Value> written;
  Value base = chain.inserts.front().getDest();
  bool clean = true;
  for (size_t i = 0; i + 1 < chain.inserts.size(); ++i) {
    tensor::InsertSliceOp op = chain.inserts[i];
    written[op.getStaticOffsets()[chain.dim]] = op.getSource();
    for (Operation *user : llvm::make_early_inc_range(op.getResult().getUsers())) {
      if (user == chain.inserts[i + 1] &&
          chain.inserts[i + 1].getSource() != op.getResult())
        continue;
      auto read = dyn_cast<tensor::ExtractSliceOp>(user);
      bool slot = read && read.hasUnitStride() &&
                  read.getStaticSizes() == op.getStaticSizes();
      for (auto [d, x, y] : llvm::enumerate(
               slot ? read.getStaticOffsets() : ArrayRef<int64_t>(),
               op.getStaticOffsets()))
        slot &= static_cast<int64_t>(d) == chain.dim || x == y;
      if (!slot) {
        clean = false;
        continue;
      }
      int64_t at = read.getStaticOffsets()[chain.dim];
      if (Value value = written.lookup(at)) {
        OpBuilder builder(read);
        read.replaceAllUsesWith(
            reshape(builder, read.getLoc(), value, read.getType().getShape()));
        read.erase();
        continue;
      }
      int64_t width = op.getStaticSizes()[chain.dim];
      bool overlaps = false;
      for (int64_t near = at - width + 1; near < at + width; ++near)
        overlaps |= written.contains(near);
      if (overlaps)
        clean = false;
      else
        read.getSourceMutable().assign(base);
    }
  }
  return clean;
}

static void simplifyChain(tensor::InsertSliceOp last) {
  Chain chain = collectChain(last);
  if (chain.inserts.size() < 2 || chain.dim < 0 || !forwardReads(chain))
    return;
  std::map<int64_t, Value> slots;
  for (tensor::InsertSliceOp op : chain.inserts)
    slots[op.getStaticOffsets()[chain.dim]] = op.getSource();
  ArrayRef<int64_t> sizes = last.getStaticSizes();
  int64_t width = sizes[chain.dim], first = slots.begin()->first;
  int64_t next = first;
  OpBuilder builder(last);
  SmallVector<Value> parts;
  for (auto [offset, value] : slots) {
    if (offset != next)
      return;
    next += width;
    parts.push_back(value);
  }
  for (Value &part : parts)
    part = reshape(builder, last.getLoc(), part, sizes);
  Value whole = tensor::ConcatOp::create(builder, last.getLoc(), chain.dim, parts);
  auto type = cast<RankedTensorType>(whole.getType());
  if (type != last.getType()) {
    SmallVector<int64_t> offsets(last.getStaticOffsets());
    offsets[chain.dim] = first;
    whole = insert(builder, last.getLoc(), whole, chain.inserts.front().getDest(),
                   offsets, type.getShape());
  }
  last.getResult().replaceAllUsesWith(whole);
  for (tensor::InsertSliceOp op : llvm::reverse(chain.inserts))
    op.erase();
}

void itera::raise::simplifyWriteChains(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (auto scatter = dyn_cast<ssm::ScatterNdOp>(op))
      simplifyScatterNd(scatter);
    else if (auto elements = dyn_cast<ssm::ScatterElementsOp>(op))
      simplifyScatterElements(elements);
  }
  // The ends of chains, before any is rewritten.
  SmallVector<tensor::InsertSliceOp> ends;
  for (auto op : block.getOps<tensor::InsertSliceOp>()) {
    bool isEnd = isStatic(op) && llvm::none_of(op->getUsers(), [&](Operation *u) {
      auto next = dyn_cast<tensor::InsertSliceOp>(u);
      return next && next.getDest() == op.getResult() && isStatic(next) &&
             differAlong(op, next);
    });
    if (isEnd)
      ends.push_back(op);
  }
  for (tensor::InsertSliceOp end : ends)
    simplifyChain(end);
}
