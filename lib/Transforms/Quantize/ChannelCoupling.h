// SPDX-License-Identifier: Apache-2.0
// Which indices of which dimensions can only be removed together.
//
// Every index of a dimension that was reached is an element of a union-find.
// An op's rule unites the elements that stand for the same thing: index i of an
// elementwise op's operand and of its result, row i of a weight and feature i of
// what it computes, head h of one tensor and its P channels in another. A class
// of elements is what must go together. If anything in it must stay, it carries
// an obstacle, and all of it stays.
//
// Only dimensions that are coupled with the seeds are looked at, so the cost is
// that of the layers around the scans, not that of the model.
//
// A constant couples nothing: each of its uses can get a copy of its own that is
// cut as that use needs. So a constant is a tensor per use, any other value one
// tensor.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCOUPLING_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCOUPLING_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include <optional>
#include <string>

namespace itera {

/// A tensor whose dimensions can shrink: a value, or one use of a constant.
struct ChannelTensor {
  mlir::Value value;
  mlir::OpOperand *use = nullptr;

  ChannelTensor(mlir::Value value) : value(value) {}
  /// Operand `use` of an op.
  explicit ChannelTensor(mlir::OpOperand &use);

  void *key() const { return use ? use : value.getAsOpaquePointer(); }
  int64_t rank() const { return type().getRank(); }
  int64_t size(unsigned dim) const { return type().getDimSize(dim); }
  mlir::RankedTensorType type() const {
    return mlir::cast<mlir::RankedTensorType>(value.getType());
  }
};

/// Whether `value` is made anew for each use at no cost: constants, weights,
/// `tensor.empty`, and what fills one.
bool isCuttableConstant(mlir::Value value);

class ChannelCoupling {
public:
  /// One dimension that was reached; `begin` is the element of its index 0.
  struct Slot {
    ChannelTensor tensor;
    unsigned dim;
    unsigned begin;
    int64_t size;
  };
  using IndexMap = llvm::function_ref<int64_t(int64_t)>;

  /// Follows dimension `dim` of `seed` wherever it leads.
  void follow(mlir::Value seed, unsigned dim);

  llvm::ArrayRef<Slot> getSlots() const { return slots; }
  /// The slot of a dimension, if it was reached.
  std::optional<unsigned> getSlot(ChannelTensor tensor, unsigned dim) const;
  /// The class of an index, named by one of its elements.
  unsigned classOf(unsigned slot, int64_t index);
  /// Why the class must stay; empty if it may go.
  llvm::StringRef getObstacle(unsigned classElement) const;
  unsigned getNumElements() const { return parents.size(); }

  // For the rules: these do nothing where the op's dimension was not reached.

  /// Index mapA(i) of the one is index mapB(i) of the other, i < count.
  void link(ChannelTensor a, unsigned dimA, IndexMap mapA, ChannelTensor b,
            unsigned dimB, IndexMap mapB, int64_t count);
  /// All indices, in order.
  void link(ChannelTensor a, unsigned dimA, ChannelTensor b, unsigned dimB);
  /// Every index of a dimension must stay, or one. `why` goes on after the
  /// node's name.
  void keep(mlir::Operation *op, ChannelTensor tensor, unsigned dim,
            llvm::StringRef why);
  void keep(mlir::Operation *op, ChannelTensor tensor, unsigned dim,
            int64_t index, llvm::StringRef why);

private:
  unsigned reach(ChannelTensor tensor, unsigned dim);
  unsigned find(unsigned element);
  void unite(unsigned a, unsigned b);

  llvm::SmallVector<Slot> slots;
  llvm::DenseMap<std::pair<void *, unsigned>, unsigned> slotOf;
  std::vector<unsigned> parents;
  /// Obstacles of classes, by the element that `find` gives.
  llvm::DenseMap<unsigned, std::string> obstacles;
  llvm::SetVector<mlir::Operation *> worklist;
};

/// Tells `coupling` what `op` couples; an op without a rule keeps everything.
void applyChannelRule(mlir::Operation *op, ChannelCoupling &coupling);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELCOUPLING_H
