// SPDX-License-Identifier: Apache-2.0
// A linear recurrence over time that a region computes in another way.
//
// The form: with the state's axes S and time t,
//     h_t[S] = exp(decay_t) * h_(t-1)[S] + the product of all injections at t
//     y_t    = the sum, over the axes of S that y lacks, of h_t times the
//              product of all readouts at t
// where each factor varies along some of the axes. Mamba-1's and Mamba-2's
// scans and gated linear attention are of it.
//
// Which leaf of the region is which factor is found by trying: the root's
// values for random leaves are compared with those of the recurrence. Both are
// analytic functions of the leaves (see isRegionOp), so if they agree at
// points in general position they are equal; random points are in general
// position with probability one. What remains is rounding: they are compared
// in double precision to one part in 10^7, all entries of all frames, where
// the decays are such that the oldest input still counts in the last frame.
// Free axes have two entries in one comparison and one in another; whatever a
// region of such ops does with an axis shows with two, and one tells a sum
// from a product with a constant.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_SCANFORM_H
#define ITERA_LIB_TRANSFORMS_RAISE_SCANFORM_H

#include "SmallCopy.h"

#include "llvm/ADT/StringMap.h"

namespace itera::raise {

/// A value of the form and its axes: those of time in their order, and free
/// ones.
struct FormValue {
  mlir::Value value;
  AxisList time, free;
};

struct ScanForm {
  FormValue root;
  FormValue decay;
  llvm::SmallVector<FormValue> injections, readouts;
  /// The state before the first step; no value if it is zero.
  std::optional<FormValue> init;
  /// True if the root is the state after the last step.
  bool isLast = false;

  /// The state's axes.
  AxisList stateAxes() const;
  /// Axes of the state or of a readout that the root lacks.
  AxisList summedAxes() const;
};

/// The axes of `value` as a form sees them; nothing if an axis occurs twice.
std::optional<FormValue> makeFormValue(mlir::Value value, RegionAxes &axes);

/// Finds forms; equal regions are computed once.
class ScanFormFinder {
public:
  /// The form of `region`, one of whose leaves is `decay`, if it has one.
  std::optional<ScanForm> find(const CutRegion &region, mlir::Value decay,
                               RegionAxes &axes, ssm::Evaluator &evaluator);
  llvm::StringRef getReason() const { return reason; }

private:
  /// What a leaf other than the decay is, as found for equal regions.
  using Roles = llvm::SmallVector<char>;

  llvm::StringMap<std::optional<Roles>> known;
  llvm::StringRef reason;
};

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_SCANFORM_H
