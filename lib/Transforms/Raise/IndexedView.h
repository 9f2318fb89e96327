// SPDX-License-Identifier: Apache-2.0
// A tensor as a function of named axes.
//
// Recognition must not depend on the order of dimensions or on where an
// exporter broadcasts, transposes or squeezes. So it looks at a value as
// base[i, j, ...] with each dimension of `base` indexed by an axis (batch,
// time, channel, ...), and looks through every op that only rearranges.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_INDEXEDVIEW_H
#define ITERA_LIB_TRANSFORMS_RAISE_INDEXEDVIEW_H

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/IR/Builders.h"

namespace itera::raise {

/// base indexed by axes; kNoAxis for a dimension of size one.
struct IndexedView {
  static constexpr int kNoAxis = -1;

  mlir::Value base;
  llvm::SmallVector<int> axes;

  bool operator==(const IndexedView &other) const {
    return base == other.base && axes == other.axes;
  }
  bool has(int axis) const { return llvm::is_contained(axes, axis); }
  /// True if no axis but those of `allowed` occurs.
  bool onlyHas(llvm::ArrayRef<int> allowed) const {
    return llvm::all_of(axes, [&](int axis) {
      return axis == kNoAxis || llvm::is_contained(allowed, axis);
    });
  }
};

/// Looks through ops that only rearrange, and from the slices of `scan` (if
/// given) to its sequences, whose time dimension gets the axis `timeAxis`.
IndexedView lookThrough(IndexedView view, ssm::ScanOp scan = {},
                        int timeAxis = IndexedView::kNoAxis);

/// The factors of `view`, taking a product apart only as far as needed: until
/// `isFinal` accepts a factor or it is no product. `negative` is flipped for
/// each negation on the way.
llvm::SmallVector<IndexedView>
getFactors(const IndexedView &view,
           llvm::function_ref<bool(const IndexedView &)> isFinal, bool &negative,
           ssm::ScanOp scan = {}, int timeAxis = IndexedView::kNoAxis);

/// A tensor with one dimension per entry of `axes`, of the sizes given, that
/// holds the view's values; missing axes are broadcast, kNoAxis entries are
/// dimensions of size one.
mlir::Value materialize(mlir::OpBuilder &builder, mlir::Location loc,
                        const IndexedView &view, llvm::ArrayRef<int> axes,
                        llvm::ArrayRef<int64_t> sizes);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_INDEXEDVIEW_H
