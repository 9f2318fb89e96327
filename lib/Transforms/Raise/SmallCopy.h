// SPDX-License-Identifier: Apache-2.0
// Evaluates a region of a function on numbers.
//
// What a region computes is known when it is known for small free axes (see
// RegionAxes.h). The copy has few entries along each of those, computes in
// double precision, and runs in the reference interpreter.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_SMALLCOPY_H
#define ITERA_LIB_TRANSFORMS_RAISE_SMALLCOPY_H

#include "RegionAxes.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <vector>

namespace itera::raise {

/// The ops from some leaves to a root.
struct CutRegion {
  mlir::Value root;
  llvm::SmallVector<mlir::Value> leaves;
  /// In program order once `sort` was called.
  llvm::SmallVector<mlir::Operation *> ops;
  /// Uses of constants by `ops`.
  llvm::SmallVector<mlir::OpOperand *> constants;

  void sort();
};

/// Relates the axes of all values of `region`, and pins those along which a
/// constant varies. `evaluator` computes the constants.
bool relateRegion(const CutRegion &region, RegionAxes &axes,
                  ssm::Evaluator &evaluator);

/// How many entries a copy has along an axis: all along a pinned one, at most
/// `most` along a free one.
struct SmallSizes {
  const AxisTable &table;
  int64_t most;
  int64_t of(int axis) const {
    int64_t size = table.sizeOf(axis);
    return table.isPinned(axis) ? size : std::min(size, most);
  }
};

class SmallCopy {
public:
  /// A copy with at most `most` entries along free axes.
  SmallCopy(const CutRegion &region, RegionAxes &axes, int64_t most,
            ssm::Evaluator &evaluator);

  /// Elements of the largest value, which says what a run costs.
  int64_t getLargest() const { return largest; }
  /// Text that is the same for copies that compute the same.
  std::string describe();
  /// The root for these values of the leaves, both row-major; nothing if the
  /// interpreter cannot say.
  std::optional<std::vector<double>>
  run(llvm::ArrayRef<std::vector<double>> leaves);

private:
  mlir::RankedTensorType typeFor(RegionAxes::Place place);
  mlir::Value get(mlir::OpOperand &use) const;
  mlir::Value build(mlir::OpBuilder &builder, mlir::Operation *op);
  void copyConstant(mlir::OpOperand &use, mlir::Value argument,
                    ssm::Evaluator &evaluator);

  const CutRegion &region;
  RegionAxes &axes;
  SmallSizes sizes;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::DenseMap<mlir::Value, mlir::Value> copies;
  llvm::DenseMap<mlir::OpOperand *, mlir::Value> constantCopies;
  llvm::SmallVector<std::pair<mlir::Value, ssm::HostTensor>> constants;
  int64_t largest = 0;
};

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_SMALLCOPY_H
