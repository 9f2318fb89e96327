// SPDX-License-Identifier: Apache-2.0
// Turns a finished lockstep walk into an ssm.scan.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_ROLLSCAN_H
#define ITERA_LIB_TRANSFORMS_RAISE_ROLLSCAN_H

#include "LockstepWalk.h"

#include "itera/Dialect/SSM/SSM.h"
#include "llvm/ADT/DenseSet.h"

namespace itera::raise {

/// What to roll, and where.
struct RollRequest {
  /// The vector whose lanes are wanted, stacked along `stackDim`; none if only
  /// the uses of single lanes count.
  std::optional<Ref> output;
  int64_t stackDim = 0;
  /// The scan is built before this op, which all lanes precede.
  mlir::Operation *anchor = nullptr;
  /// What reads the lanes now and will be removed by the caller.
  llvm::SmallPtrSet<mlir::Operation *, 16> anchorOps;
};

struct Rolled {
  ssm::ScanOp scan;
  /// The stacked output, in the order of the lanes.
  mlir::Value output;
  /// The lanes' ops. Only the anchor and its ops still use their results; the
  /// caller erases them.
  llvm::SmallVector<mlir::Operation *, 0> replaced;
};

/// Builds the scan and redirects every other use of a lane's values to its
/// results. Changes nothing on failure, which says why in `reason`.
mlir::FailureOr<Rolled> rollScan(LockstepWalk &walk, const RollRequest &request,
                                 std::string &reason);

/// The tensor whose entry t along the returned dimension is lane t.
std::pair<mlir::Value, int64_t> materializeSlices(mlir::OpBuilder &builder,
                                                  mlir::Location loc,
                                                  const SliceSequence &slices,
                                                  unsigned numLanes);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_ROLLSCAN_H
