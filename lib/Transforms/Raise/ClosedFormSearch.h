// SPDX-License-Identifier: Apache-2.0
// Where in a function a recurrence may be computed by a closed form.
//
// All closed forms multiply by exponentials of sums of one sequence, the
// logarithm of the decay, or by products of exponentials that are shifted in
// time. From these exponentials everything that is computed by region ops is
// followed downward; a value through which all of that goes on its way to some
// reader below is a candidate for the recurrence's result.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_CLOSEDFORMSEARCH_H
#define ITERA_LIB_TRANSFORMS_RAISE_CLOSEDFORMSEARCH_H

#include "SmallCopy.h"

#include "llvm/ADT/MapVector.h"

namespace itera::raise {

/// Exponentials of one value or of its sums.
struct DecayGroup {
  mlir::Value decay;
  llvm::SmallVector<mlir::Operation *> exps;
  /// Values between the decay and the exponentials.
  llvm::DenseSet<mlir::Value> cone;
  /// True if one of the sums is over time.
  bool sumsTime = false;
};

class ClosedFormSearch {
public:
  explicit ClosedFormSearch(mlir::Block &block);

  /// The groups of the block that sum over time or shift, in program order.
  llvm::SmallVector<DecayGroup> findGroups();
  /// Follows the group downward. The candidates, in program order.
  llvm::SmallVector<mlir::Value> findCandidates(const DecayGroup &group);
  /// The region from the decay and the values multiplied with its exponentials
  /// to `root`, a value of the last group followed. Relates its axes, besides
  /// those that `axes` knows.
  std::optional<CutRegion> cutRegion(const DecayGroup &group, mlir::Value root,
                                     RegionAxes &axes);
  /// Pulls up slices of what follows the group.
  void pullSlicesUp(const DecayGroup &group);

  ssm::Evaluator evaluator;

private:
  bool isConstant(mlir::Value value) const { return constants.contains(value); }
  bool isMask(mlir::Value value);
  bool walkCone(mlir::Operation *exp, DecayGroup &group);
  static bool multipliesShifted(const DecayGroup &group);
  void follow(const DecayGroup &group);
  bool cutAbove(mlir::Value value, const DecayGroup &group,
                const llvm::DenseSet<mlir::Value> &inside, CutRegion &region,
                llvm::DenseSet<mlir::Value> &seen);

  mlir::Block &block;
  llvm::DenseSet<mlir::Value> constants;
  /// What depends on the exponentials of the group last followed.
  llvm::DenseSet<mlir::Value> followed;
  llvm::SmallVector<mlir::Operation *> followedOps;
};

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_CLOSEDFORMSEARCH_H
