// SPDX-License-Identifier: Apache-2.0
// Partition of a block into groups, each of which one kernel computes.

#ifndef ITERA_LIB_TRANSFORMS_FUSE_KERNELGROUPS_H
#define ITERA_LIB_TRANSFORMS_FUSE_KERNELGROUPS_H

#include "mlir/IR/Block.h"
#include "llvm/ADT/DenseMap.h"
#include <vector>

namespace itera {

struct KernelGroup {
  mlir::Operation *anchor = nullptr;
  /// In the order of the block.
  std::vector<mlir::Operation *> ops;
};

/// Invariant throughout: with every group taken for one node, the block's
/// data flow has no cycle. An op joins a group only if no operand from
/// elsewhere depends on that group.
class KernelGroups {
public:
  explicit KernelGroups(mlir::Block &block);

  /// The groups with ops, in the order of their first op.
  std::vector<KernelGroup> take();

private:
  using Id = int;
  static constexpr Id kNone = -1;

  Id groupOf(mlir::Operation *op) const;
  /// The group whose op computes `value` directly.
  Id producerOf(mlir::Value value) const;
  Id create(mlir::Operation *op, mlir::Operation *anchor);
  void join(mlir::Operation *op, Id group);
  bool dependsOn(mlir::Value value, Id group) const;
  bool operandsAllow(mlir::Operation *op, Id group) const;
  bool joinProducer(mlir::Operation *op, bool anchored);
  bool joinConsumer(mlir::Operation *op);

  mlir::Block &block;
  std::vector<KernelGroup> groups;
  llvm::DenseMap<mlir::Operation *, Id> membership;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_FUSE_KERNELGROUPS_H
