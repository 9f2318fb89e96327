// SPDX-License-Identifier: Apache-2.0
// Which dimensions of the values of a region are the same axis.
//
// Every dimension is a list of axes, outermost first; dimensions of size one
// have none. Elementwise ops, contractions and broadcasts make axes equal;
// reshapes that split or merge dimensions split axes where they must, so that
// [B, T, H*P] and [B, C, L, H, P] end up with T = (C, L) and two axes for the
// channels. An op that treats the entries of a dimension differently (a slice,
// a pad, a running sum, a mask) pins its axes. All other axes are free: the
// region does the same for every index along them, so what it computes can be
// told from a copy in which they are small.
//
// Values share an axis when the region says so, not when the sizes agree. Two
// dimensions of one value can be the same axis (a matrix over time and time).

#ifndef ITERA_LIB_TRANSFORMS_RAISE_REGIONAXES_H
#define ITERA_LIB_TRANSFORMS_RAISE_REGIONAXES_H

#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace itera::raise {

using AxisList = llvm::SmallVector<int, 4>;

/// Axes that can be merged and split.
class AxisTable {
public:
  /// A new axis; none for size one.
  AxisList create(int64_t size);
  /// The axes that `list` is made of by now.
  AxisList resolve(llvm::ArrayRef<int> list) const;
  /// Makes both lists the same axes, splitting where needed. Fails if sizes do
  /// not divide each other.
  bool unify(llvm::ArrayRef<int> a, llvm::ArrayRef<int> b);
  void pin(llvm::ArrayRef<int> list);
  bool isPinned(int axis) const { return axes[axis].pinned; }
  int64_t sizeOf(int axis) const { return axes[axis].size; }
  int64_t sizeOf(llvm::ArrayRef<int> list) const;

private:
  struct Axis {
    int64_t size;
    bool pinned = false;
    /// What this axis has become: another one, or several; itself if empty.
    AxisList parts;
  };
  void resolveInto(int axis, AxisList &out) const;

  llvm::SmallVector<Axis> axes;
};

/// The axes of values, as far as the ops that `relate` was told of say.
class RegionAxes {
public:
  /// A value, or one use of a constant. Exporters write a constant once and
  /// use it for what has nothing in common but the shape.
  struct Place {
    Place(mlir::Value value) : value(value) {}
    Place(mlir::OpOperand &use, bool isConstant)
        : value(use.get()), use(isConstant ? &use : nullptr) {}
    mlir::Value value;
    mlir::OpOperand *use = nullptr;
  };

  /// The axes of each dimension.
  llvm::SmallVector<AxisList> of(Place place);
  /// All axes, in the order of the dimensions.
  AxisList flat(Place place);
  void pin(Place place, int64_t dim);
  /// Says that `use` is one of a constant; before its op is related.
  void addConstant(mlir::OpOperand &use) { constants.insert(&use); }
  Place placeOf(mlir::OpOperand &use) const {
    return {use, constants.contains(&use)};
  }
  /// Takes in what `op` says about its operands and results. False if it is no
  /// op that a region can hold (see `isRegionOp`) or sizes do not agree.
  bool relate(mlir::Operation *op);

  AxisTable table;

private:
  llvm::ArrayRef<AxisList> raw(Place place);
  bool unify(Place a, int64_t dimA, Place b, int64_t dimB);
  bool unifyAll(Place a, Place b);
  bool relatePart(Place part, Place whole, llvm::ArrayRef<int64_t> dims);
  bool relateGroups(Place small, Place large,
                    llvm::ArrayRef<mlir::ReassociationIndices> groups);

  llvm::DenseMap<const void *, llvm::SmallVector<AxisList, 2>> dims;
  llvm::DenseSet<mlir::OpOperand *> constants;
};

/// True for ops of which a region can consist: sums, products, quotients,
/// exponentials, contractions, running sums and movements of tensors of static
/// shape, selections by a value. What such a region computes is an analytic
/// function of its inputs as long as no input decides a selection.
bool isRegionOp(mlir::Operation *op);

/// The operands of a region op that it computes from; not the `outs` operands
/// that only say where or from what zero a linalg op starts.
llvm::SmallVector<mlir::OpOperand *> getRegionOperands(mlir::Operation *op);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_REGIONAXES_H
