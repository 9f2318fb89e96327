// SPDX-License-Identifier: Apache-2.0
// Finds equal and transposed weights without comparing each with each: two
// hashes per content, one of the bytes in order and, for matrices, one that is
// the same for every order of the elements. Only weights whose hashes agree are
// compared, byte by byte.

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/xxhash.h"
#include <cstring>

namespace itera {
#define GEN_PASS_DEF_DEDUPLICATEWEIGHTSPASS
#include "itera/Transforms/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

/// One content, and all ops that hold it.
struct Content {
  ssm::HostTensor data;
  SmallVector<ssm::WeightOp> ops;
  /// Read by rows, so it must stay as it is.
  bool isGathered = false;
};

struct DeduplicateWeights
    : itera::impl::DeduplicateWeightsPassBase<DeduplicateWeights> {
  void runOnOperation() override {
    contents.clear();
    collect();
    for (Content &content : contents)
      mergeEqual(content);
    mergeTransposed();
  }

  void collect();
  void mergeEqual(Content &content);
  void mergeTransposed();
  void replaceByTranspose(Content &content, const Content &kept);

  std::vector<Content> contents;
};

} // namespace

static uint64_t hashOf(const ssm::HostTensor &data) {
  return llvm::xxh3_64bits(llvm::ArrayRef<uint8_t>(
      reinterpret_cast<const uint8_t *>(data.bytes.data()),
      data.bytes.size()));
}

/// The sum of the mixed elements: the same for every order of them.
static uint64_t unorderedHash(const ssm::HostTensor &data) {
  int64_t bytes = ssm::getElementBytes(data.kind);
  uint64_t sum = 0;
  for (int64_t i = 0, e = data.bytes.size(); i < e; i += bytes) {
    uint64_t element = 0;
    std::memcpy(&element, data.bytes.data() + i, bytes);
    element = (element + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
    element ^= element >> 29;
    sum += element * 0x94d049bb133111eb;
  }
  return sum;
}

/// True if b[j][i] == a[i][j] everywhere; in tiles, which stay in cache.
static bool isTranspose(const ssm::HostTensor &a, const ssm::HostTensor &b) {
  int64_t rows = a.shape()[0], columns = a.shape()[1],
          bytes = ssm::getElementBytes(a.kind);
  constexpr int64_t kTile = 32;
  for (int64_t i0 = 0; i0 < rows; i0 += kTile)
    for (int64_t j0 = 0; j0 < columns; j0 += kTile)
      for (int64_t i = i0; i < std::min(rows, i0 + kTile); ++i)
        for (int64_t j = j0; j < std::min(columns, j0 + kTile); ++j)
          if (std::memcmp(a.bytes.data() + (i * columns + j) * bytes,
                          b.bytes.data() + (j * rows + i) * bytes, bytes))
            return false;
  return true;
}

void DeduplicateWeights::collect() {
  llvm::DenseMap<Attribute, size_t> byAttribute;
  llvm::DenseMap<std::pair<Type, uint64_t>, SmallVector<size_t, 1>> byHash;
  getOperation().walk([&](ssm::WeightOp op) {
    auto [known, isNew] = byAttribute.insert({op.getValue(), contents.size()});
    if (isNew) {
      std::optional<ssm::HostTensor> data = ssm::readAttribute(op.getValue());
      if (!data) {
        byAttribute.erase(known);
        return;
      }
      SmallVector<size_t, 1> &alike = byHash[{op.getType(), hashOf(*data)}];
      auto equal = llvm::find_if(alike, [&](size_t index) {
        return contents[index].data.bytes == data->bytes;
      });
      if (equal != alike.end()) {
        known->second = *equal;
      } else {
        alike.push_back(contents.size());
        contents.push_back({*data, {}, false});
      }
    }
    Content &content = contents[known->second];
    content.ops.push_back(op);
    for (Operation *user : op->getUsers()) {
      auto gather = dyn_cast<ssm::GatherOp>(user);
      auto embedding = dyn_cast<ssm::EmbeddingOp>(user);
      content.isGathered |=
          (gather && gather.getData() == op.getResult()) ||
          (embedding && embedding.getTable() == op.getResult());
    }
  });
}

/// One attribute for all ops of a content, and one op per function.
void DeduplicateWeights::mergeEqual(Content &content) {
  ssm::WeightOp first = content.ops.front();
  llvm::MapVector<func::FuncOp, ssm::WeightOp> kept;
  for (ssm::WeightOp op : content.ops) {
    if (op != first) {
      op.setValueAttr(first.getValue());
      op.setNameAttr(first.getNameAttr());
      if (first.getFileAttr())
        op.setFileAttr(first.getFileAttr());
      else
        op.removeFileAttr();
      if (first.getOffsetAttr())
        op.setOffsetAttr(first.getOffsetAttr());
      else
        op.removeOffsetAttr();
    }
    auto function = op->getParentOfType<func::FuncOp>();
    auto [entry, isNew] = kept.insert({function, op});
    if (isNew) {
      // At the head of the function it dominates every use.
      Block &block = function.getBody().front();
      if (content.ops.size() > 1)
        op->moveBefore(&block, block.begin());
      continue;
    }
    op.replaceAllUsesWith(entry->second.getResult());
    op.erase();
    ++numEqual;
  }
  content.ops.clear();
  for (auto &[function, op] : kept)
    content.ops.push_back(op);
}

void DeduplicateWeights::replaceByTranspose(Content &content,
                                            const Content &kept) {
  llvm::DenseMap<func::FuncOp, ssm::WeightOp> source;
  for (ssm::WeightOp op : kept.ops)
    source[op->getParentOfType<func::FuncOp>()] = op;
  for (ssm::WeightOp op : content.ops) {
    auto function = op->getParentOfType<func::FuncOp>();
    OpBuilder builder(op);
    ssm::WeightOp &from = source[function];
    Block &head = function.getBody().front();
    if (from)
      from->moveBefore(&head, head.begin());
    else
      from = cast<ssm::WeightOp>(
          OpBuilder(&head, head.begin()).clone(*kept.ops.front()));
    auto type = cast<RankedTensorType>(op.getType());
    Value empty = tensor::EmptyOp::create(builder, op.getLoc(), type.getShape(),
                                          type.getElementType());
    auto transpose = linalg::TransposeOp::create(
        builder, op.getLoc(), from.getResult(), empty, ArrayRef<int64_t>{1, 0});
    op.replaceAllUsesWith(transpose->getResult(0));
    op.erase();
    ++numTransposed;
  }
  content.ops.clear();
}

void DeduplicateWeights::mergeTransposed() {
  // Matrices by type; a hash is made only where the mirrored type occurs.
  llvm::MapVector<Type, SmallVector<size_t>> byType;
  for (auto [i, content] : llvm::enumerate(contents))
    if (content.data.type.getRank() == 2)
      byType[content.data.type].push_back(i);
  auto mirrored = [](RankedTensorType type) {
    return RankedTensorType::get({type.getShape()[1], type.getShape()[0]},
                                 type.getElementType());
  };
  llvm::DenseMap<std::pair<Type, uint64_t>, SmallVector<size_t, 1>> seen;
  for (auto &[type, indices] : byType) {
    auto tensor = cast<RankedTensorType>(type);
    if (!byType.contains(mirrored(tensor)))
      continue;
    for (size_t i : indices) {
      uint64_t hash = unorderedHash(contents[i].data);
      bool merged = false;
      for (size_t other : seen[{mirrored(tensor), hash}]) {
        if (contents[other].ops.empty() ||
            !isTranspose(contents[other].data, contents[i].data))
          continue;
        // The first stays, unless only the second is read by rows.
        bool keepSecond =
            contents[i].isGathered && !contents[other].isGathered;
        Content &kept = contents[keepSecond ? i : other];
        replaceByTranspose(contents[keepSecond ? other : i], kept);
        merged = !keepSecond;
        break;
      }
      if (!merged)
        seen[{type, hash}].push_back(i);
    }
  }
}
