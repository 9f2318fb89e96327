// SPDX-License-Identifier: Apache-2.0
// The lockstep walk over the lanes of an unrolled loop.
//
// Problem: an exporter writes T time steps as T copies of the loop body.
// Idea: take T alike values, one per step, as *lanes*, and walk all lanes
// backward at once. A vector of T values is then one of
//   - the same value in every lane: an invariant;
//   - slices of one tensor at evenly spaced offsets, or constants: a sequence;
//   - another vector of the walk, shifted by one lane: a carried state;
//   - results of the same operation with the same attributes: walk on.
// Anything else ends the walk. Every op is looked at once, so the cost is
// linear in the size of the unrolled loop.
//
// Two things blur the picture at the ends. A step may be *missing* in the
// graph (a last update that nothing reads): its lane is "any". And the first
// step may be folded (a zero state times a decay is gone): its lane is "zero",
// which must then be proved down to a state that starts from zero.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_LOCKSTEPWALK_H
#define ITERA_LIB_TRANSFORMS_RAISE_LOCKSTEPWALK_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallBitVector.h"

namespace itera::raise {

/// The entry of a vector in one lane: a value, or zero, or anything at all.
struct Lane {
  mlir::Value value;
  bool zero = false;

  static Lane any() { return {}; }
  static Lane zeroed() { return {mlir::Value(), true}; }
  bool isAny() const { return !value && !zero; }
  bool operator==(const Lane &other) const {
    return value == other.value && zero == other.zero;
  }
  bool operator!=(const Lane &other) const { return !(*this == other); }
};

using Lanes = llvm::SmallVector<Lane, 0>;

/// A vector of the walk: one result of one node.
struct Ref {
  int node = -1;
  unsigned result = 0;
  bool operator==(Ref other) const {
    return node == other.node && result == other.result;
  }
};

/// Slices of `source`: lane t is at `offsets`, plus t * step along `dim`.
struct SliceSequence {
  mlir::Value source;
  llvm::SmallVector<int64_t> offsets, sizes;
  llvm::SmallBitVector dropped;
  int64_t dim = 0, step = 0;
  mlir::RankedTensorType sliceType;
};

struct Node {
  enum Kind { Invariant, Slices, Constants, State, Step };
  explicit Node(Kind kind, mlir::Value value = {}) : kind(kind), value(value) {}

  Kind kind;
  mlir::Value value;                          // Invariant
  SliceSequence slices;                       // Slices
  llvm::SmallVector<mlir::Attribute, 0> constants; // Constants
  Ref producer;                               // State: the vector it delays
  Lane init;                                  // State: its entry in the first step
  mlir::Operation *op = nullptr;              // Step: the representative
  llvm::SmallVector<mlir::Operation *, 0> ops; // Step: per lane, null if missing
  llvm::SmallVector<Ref> operands; // Step: op's operands, then its captures
  Lanes lanes; // the entries; of Step nodes only those that no op stands for
};

/// Why a walk ended.
struct WalkFailure {
  mlir::Operation *op = nullptr;
  std::string reason;
  /// The one lane that was unlike the others, if it was one at an end.
  int oddLane = -1;
};

class LockstepWalk {
public:
  LockstepWalk(mlir::Block *block, unsigned numLanes)
      : block(block), numLanes(numLanes) {}

  /// Walks backward from `lanes`, which has one entry per lane.
  mlir::FailureOr<Ref> visit(llvm::ArrayRef<Lane> lanes);

  const Node &operator[](Ref ref) const { return nodes[ref.node]; }
  llvm::ArrayRef<Node> getNodes() const { return nodes; }
  unsigned getNumLanes() const { return numLanes; }
  /// +1: a state flows from lane t to lane t+1; -1: the other way; 0: no state.
  int getDirection() const { return direction; }
  const WalkFailure &getFailure() const { return why; }

  /// The entry of a vector in one lane.
  Lane getLane(Ref ref, unsigned lane) const;

private:
  struct Checkpoint {
    size_t nodes, journal;
    int direction;
  };
  struct JournalEntry {
    mlir::Value key;     // of memo, or
    mlir::Operation *op; // of opLanes
  };

  mlir::FailureOr<Ref> visitSlices(llvm::ArrayRef<Lane> lanes);
  mlir::FailureOr<Ref> visitConstants(llvm::ArrayRef<Lane> lanes);
  mlir::FailureOr<Ref> visitSteps(llvm::ArrayRef<Lane> lanes);
  mlir::FailureOr<Ref> visitZero(llvm::ArrayRef<Lane> lanes, mlir::Operation *rep);
  mlir::FailureOr<Ref> visitFoldedFirst(llvm::ArrayRef<Lane> lanes,
                                        mlir::Operation *rep);
  mlir::FailureOr<Ref> visitDelayed(llvm::ArrayRef<Lane> lanes, int shift);
  std::optional<Ref> findState(llvm::ArrayRef<Lane> lanes);
  bool isShift(llvm::ArrayRef<Lane> lanes, Ref producer, int shift) const;

  /// Adds a Step node for `ops` (null: missing in that lane), registers its
  /// results, and walks its operands. `first[k]` is lane 0 of operand k where
  /// ops[0] is null. Operands of commutative ops change places if `maySwap`.
  mlir::FailureOr<Ref> addSteps(llvm::ArrayRef<Lane> lanes,
                                llvm::ArrayRef<mlir::Operation *> ops,
                                mlir::Operation *rep, unsigned result,
                                llvm::ArrayRef<Lane> first,
                                bool maySwap = true);
  /// Looks for ops that exist in lanes where nodes from `begin` on miss one.
  void complete(size_t begin);

  std::optional<Ref> lookup(llvm::ArrayRef<Lane> lanes) const;
  void remember(mlir::Value key, Ref ref);
  void setOp(int node, unsigned lane, mlir::Operation *op);
  Ref addNode(Node node, llvm::ArrayRef<Lane> lanes);
  Checkpoint mark() const { return {nodes.size(), journal.size(), direction}; }
  void rollback(const Checkpoint &checkpoint);
  mlir::FailureOr<Ref> fail(mlir::Operation *op, const llvm::Twine &reason);
  mlir::FailureOr<Ref> failUnlike(mlir::Operation *rep, mlir::Operation *op,
                                  unsigned lane);

  mlir::Block *block;
  unsigned numLanes;
  int direction = 0;
  size_t visited = 0;
  unsigned depth = 0;
  std::vector<Node> nodes;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Ref, 1>> memo;
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<std::pair<int, unsigned>, 1>>
      opLanes;
  std::vector<JournalEntry> journal;
  WalkFailure why;
};

/// True if the two ops differ in nothing but the values of their operands and
/// of what their regions capture.
bool areAlike(mlir::Operation *a, mlir::Operation *b);

/// The values from outside that op's regions use, in the order of first use.
llvm::SmallVector<mlir::Value> getCaptures(mlir::Operation *op);

/// True if the two operands of a commutative `op` should change places to
/// stand where those of `rep` do.
bool shouldSwapOperands(mlir::Operation *op, mlir::Operation *rep);

/// The slices that `lanes` are of one tensor, if they are evenly spaced and
/// in bounds; a missing lane counts as in its place.
mlir::FailureOr<SliceSequence> matchSlices(llvm::ArrayRef<Lane> lanes);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_LOCKSTEPWALK_H
