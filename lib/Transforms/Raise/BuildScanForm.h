// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_TRANSFORMS_RAISE_BUILDSCANFORM_H
#define ITERA_LIB_TRANSFORMS_RAISE_BUILDSCANFORM_H

#include "ScanForm.h"

#include "itera/Dialect/SSM/SSM.h"

namespace itera::raise {

/// Replaces the root of `form` by a recurrence: an ssm.selective_scan if the
/// decay is exp(dt * A) and dt is a factor of what is added, with the skip and
/// the gate that follow; otherwise an ssm.scan. `lasts` are roots of the same
/// recurrence's last state.
void buildScanForm(const ScanForm &form, llvm::ArrayRef<mlir::Value> lasts,
                   RegionAxes &axes);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_BUILDSCANFORM_H
