// SPDX-License-Identifier: Apache-2.0
//
// Problem: a model has thousands of intermediate buffers; at run time nothing
// may be allocated. All sizes are static, so their places can be fixed here.
//
// Idea: the ops of a function's body are a time line. A buffer's lifetime is
// the interval from the first to the last of these ops that touches it, where
// an op with regions (a loop) counts as one moment, so that a buffer used in a
// loop lives for the whole loop. Buffers go in by falling size, each to the
// lowest offset at which it overlaps no placed buffer whose lifetime overlaps.
//
// Invariant: two buffers share bytes only if their intervals are disjoint.

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Plan/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace itera {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "itera/Transforms/Plan/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct Buffer {
  memref::AllocOp alloc;
  int64_t bytes;
  int64_t first, last; // lifetime, both ends included
  int64_t offset = 0;
};

struct PlanMemory : itera::impl::PlanMemoryPassBase<PlanMemory> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      SmallVector<Buffer> found = collect(function);
      if (found.empty())
        continue;
      int64_t total = place(found);
      rewrite(function, found, total);
      buffers += found.size();
      scratchBytes += total;
    }
  }

  static SmallVector<Buffer> collect(func::FuncOp function) {
    Block &body = function.getBody().front();
    DenseMap<Operation *, int64_t> time;
    for (auto [index, op] : llvm::enumerate(body))
      time[&op] = index;
    auto timeOf = [&](Operation *op) {
      return time.lookup(body.findAncestorOpInBlock(*op));
    };

    BufferViewFlowAnalysis views(function);
    SmallVector<Buffer> found;
    function.walk([&](memref::AllocOp alloc) {
      MemRefType type = alloc.getType();
      int64_t width = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      Buffer buffer{alloc, type.getNumElements() * width, timeOf(alloc),
                    timeOf(alloc)};
      for (Value alias : views.resolve(alloc))
        for (Operation *user : alias.getUsers()) {
          buffer.first = std::min(buffer.first, timeOf(user));
          buffer.last = std::max(buffer.last, timeOf(user));
        }
      found.push_back(buffer);
    });
    return found;
  }

  /// Assigns the offsets; returns the size of the whole area.
  static int64_t place(SmallVector<Buffer> &found) {
    SmallVector<Buffer *> order;
    for (Buffer &buffer : found)
      order.push_back(&buffer);
    llvm::stable_sort(order, [](const Buffer *a, const Buffer *b) {
      return a->bytes > b->bytes;
    });
    // Placed buffers, by offset.
    std::vector<Buffer *> placed;
    int64_t total = 0;
    for (Buffer *buffer : order) {
      int64_t offset = 0;
      for (Buffer *other : placed) {
        if (other->last < buffer->first || buffer->last < other->first)
          continue;
        if (offset + buffer->bytes <= other->offset)
          break;
        offset = std::max<int64_t>(offset, llvm::alignTo(other->offset + other->bytes,
                                                         kPlacementAlignment));
      }
      buffer->offset = offset;
      total = std::max(total, offset + buffer->bytes);
      auto after = std::upper_bound(placed.begin(), placed.end(), buffer,
                                    [](const Buffer *a, const Buffer *b) {
                                      return a->offset < b->offset;
                                    });
      placed.insert(after, buffer);
    }
    return llvm::alignTo(total, kPlacementAlignment);
  }

  static void rewrite(func::FuncOp function, ArrayRef<Buffer> found,
                      int64_t total) {
    OpBuilder b(function.getContext());
    unsigned last = function.getNumArguments();
    (void)function.insertArgument(
        last, MemRefType::get({total}, b.getI8Type()),
        b.getDictionaryAttr(b.getNamedAttr(ssm::kScratchAttr, b.getUnitAttr())),
        function.getLoc());
    Value scratch = function.getArgument(last);
    for (const Buffer &buffer : found) {
      memref::AllocOp alloc = buffer.alloc;
      b.setInsertionPoint(alloc);
      Value offset =
          arith::ConstantIndexOp::create(b, alloc.getLoc(), buffer.offset);
      Value view = memref::ViewOp::create(b, alloc.getLoc(), alloc.getType(),
                                          scratch, offset, ValueRange{});
      alloc.replaceAllUsesWith(view);
      alloc.erase();
    }
  }
};

} // namespace
