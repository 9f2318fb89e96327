// SPDX-License-Identifier: Apache-2.0

#include "KernelGroups.h"

#include "KernelOps.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace itera;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

static int64_t bytesOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getNumElements() * 4;
}

/// A recurrence's results are written by its kernel as they are.
static bool takesEpilogue(Operation *anchor) {
  return !isa<ssm::SelectiveScanOp, ssm::LinearRecurrenceOp>(anchor);
}

/// Whether the kernel of `anchor` can compute what it reads by `use` itself,
/// without repeating much of it.
static bool takesPrologue(Operation *anchor, OpOperand &use) {
  // Room that a kernel has for what it computes first.
  constexpr int64_t kMostPrologue = 64 * 1024;
  Value value = use.get();
  if (auto scan = dyn_cast<ssm::SelectiveScanOp>(anchor)) // once per step
    return value == scan.getX() || value == scan.getDt() ||
           value == scan.getZ();
  if (isa<ssm::LinearRecurrenceOp>(anchor))
    return true; // reads each element once
  if (isa<ssm::HadamardOp>(anchor))
    return true; // a row at a time
  if (isa<linalg::ReduceOp>(anchor))
    return use.getOperandNumber() == 0;
  if (isa<ssm::LinearOp, ssm::NormOp, linalg::SoftmaxOp>(anchor))
    return use.getOperandNumber() == 0 && bytesOf(value) <= kMostPrologue;
  return false;
}

KernelGroups::Id KernelGroups::groupOf(Operation *op) const {
  auto it = membership.find(op);
  return it == membership.end() ? kNone : it->second;
}

KernelGroups::Id KernelGroups::producerOf(Value value) const {
  Operation *op = value.getDefiningOp();
  return op ? groupOf(op) : kNone;
}

KernelGroups::Id KernelGroups::create(Operation *op, Operation *anchor) {
  groups.push_back({anchor, {op}});
  membership[op] = groups.size() - 1;
  return groups.size() - 1;
}

void KernelGroups::join(Operation *op, Id group) {
  groups[group].ops.push_back(op);
  membership[op] = group;
}

bool KernelGroups::dependsOn(Value value, Id group) const {
  llvm::DenseSet<Operation *> seen;
  SmallVector<Operation *> stack;
  auto push = [&](Operation *op) {
    if (op && seen.insert(op).second)
      stack.push_back(op);
  };
  auto pushOperands = [&](Operation *op) {
    // Of nested ops too: a region reads what it captures.
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (Operation *def = operand.getDefiningOp())
          push(block.findAncestorOpInBlock(*def));
    });
  };
  if (Operation *def = value.getDefiningOp())
    push(block.findAncestorOpInBlock(*def));
  while (!stack.empty()) {
    Operation *op = stack.pop_back_val();
    Id id = groupOf(op);
    if (id == group)
      return true;
    if (id == kNone)
      pushOperands(op);
    else // a group is computed as a whole
      for (Operation *member : groups[id].ops) {
        seen.insert(member);
        pushOperands(member);
      }
  }
  return false;
}

bool KernelGroups::operandsAllow(Operation *op, Id group) const {
  // Halide's time grows faster than a kernel does.
  constexpr size_t kMostOps = 128;
  if (groups[group].ops.size() >= kMostOps)
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    return producerOf(operand) == group || !dependsOn(operand, group);
  });
}

/// Puts an elementwise op into the group that computes one of its operands.
bool KernelGroups::joinProducer(Operation *op, bool anchored) {
  for (Value operand : op->getOperands()) {
    Id id = producerOf(operand);
    if (id == kNone || shapeOf(operand) != shapeOf(op->getResult(0)))
      continue;
    Operation *anchor = groups[id].anchor;
    if (anchored != (anchor != nullptr) || (anchor && !takesEpilogue(anchor)))
      continue;
    if (operandsAllow(op, id)) {
      join(op, id);
      return true;
    }
  }
  return false;
}

/// Puts an elementwise op into the group that alone reads it.
bool KernelGroups::joinConsumer(Operation *op) {
  Id id = kNone;
  for (OpOperand &use : op->getResult(0).getUses()) {
    Operation *user = use.getOwner();
    Id here = groupOf(user);
    if (here == kNone || !groups[here].anchor || (id != kNone && id != here))
      return false;
    if (user == groups[here].anchor && !takesPrologue(user, use))
      return false;
    id = here;
  }
  if (id == kNone || !operandsAllow(op, id))
    return false;
  join(op, id);
  return true;
}

KernelGroups::KernelGroups(Block &block) : block(block) {
  for (Operation &op : block)
    if (isKernelAnchor(&op))
      create(&op, &op);
  auto open = [&](Operation &op) {
    // A condition for the whole tensor is not computed in a kernel.
    auto isTensor = [](Type type) { return isa<RankedTensorType>(type); };
    return groupOf(&op) == kNone && isKernelElementwise(&op) &&
           isTensor(op.getResult(0).getType()) &&
           llvm::all_of(op.getOperandTypes(), isTensor);
  };
  for (Operation &op : block)
    if (open(op))
      joinProducer(&op, /*anchored=*/true);
  for (Operation &op : llvm::reverse(block))
    if (open(op))
      joinConsumer(&op);
  // What is left, among itself.
  for (Operation &op : block)
    if (open(op) && !joinProducer(&op, /*anchored=*/false))
      create(&op, nullptr);
}

std::vector<KernelGroup> KernelGroups::take() {
  llvm::DenseMap<Operation *, unsigned> position;
  for (auto [i, op] : llvm::enumerate(block))
    position[&op] = i;
  for (KernelGroup &group : groups)
    llvm::sort(group.ops, [&](Operation *a, Operation *b) {
      return position[a] < position[b];
    });
  llvm::sort(groups, [&](const KernelGroup &a, const KernelGroup &b) {
    return position[a.ops.front()] < position[b.ops.front()];
  });
  return std::move(groups);
}
