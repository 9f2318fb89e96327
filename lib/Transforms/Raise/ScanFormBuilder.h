// SPDX-License-Identifier: Apache-2.0
// From a form to ops: what the builders of all ops share.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_SCANFORMBUILDER_H
#define ITERA_LIB_TRANSFORMS_RAISE_SCANFORMBUILDER_H

#include "ScanForm.h"

#include "mlir/IR/Builders.h"

namespace itera::raise {

class ScanFormBuilder {
public:
  /// `lasts` are roots of the form's last state.
  ScanFormBuilder(const ScanForm &form, llvm::ArrayRef<mlir::Value> lasts,
                  RegionAxes &axes)
      : form(form), lasts(lasts), axes(axes), root(form.root.value),
        loc(root.getLoc()), builder(root.getContext()) {}

protected:
  using Value = mlir::Value;

  /// What a value's axes are by now: ops that are related later may split
  /// them, or make two of them one if the value is used in two ways.
  FormValue look(Value value);
  /// Looks at all values of the form again.
  void refresh();
  bool varies(Value value);
  /// The value below views, which are related.
  Value strip(Value value);
  /// Moves the root below the views that alone read it.
  void slideDown();
  /// `value` with dimensions of the axes `to`.
  Value arrange(Value value, llvm::ArrayRef<AxisList> to);
  /// Puts new ops behind the last of what they read.
  void moveAfter(llvm::ArrayRef<Value> values);
  /// Replaces the root, which may leave out frames at the end, and the last
  /// states that are read below.
  void replace(Value y, llvm::ArrayRef<AxisList> yAxes, Value last,
               llvm::ArrayRef<AxisList> lastAxes);

  ScanForm form;
  llvm::ArrayRef<Value> lasts;
  RegionAxes &axes;
  bool isConsistent = true;
  Value root;
  mlir::Location loc;
  mlir::OpBuilder builder;
};

/// Replaces the root of `form`, and `lasts`, by an ssm.selective_scan, with the
/// skip and the gate that follow, if the decay is exp(dt * A) and dt is a
/// factor of what is added.
bool buildSelectiveScan(const ScanForm &form, llvm::ArrayRef<mlir::Value> lasts,
                        RegionAxes &axes);

/// Replaces the root of `form`, and `lasts`, by an ssm.scan.
void buildScan(const ScanForm &form, llvm::ArrayRef<mlir::Value> lasts,
               RegionAxes &axes);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_SCANFORMBUILDER_H
