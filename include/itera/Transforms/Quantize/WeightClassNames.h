// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TRANSFORMS_QUANTIZE_WEIGHTCLASSNAMES_H
#define ITERA_TRANSFORMS_QUANTIZE_WEIGHTCLASSNAMES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

namespace itera {

/// The class of every weight of floats that ssm-assign-precision looks at, as
/// in its table, by its ssm.weight.
llvm::DenseMap<mlir::Operation *, llvm::StringRef>
nameWeightClasses(mlir::func::FuncOp function);

} // namespace itera

#endif // ITERA_TRANSFORMS_QUANTIZE_WEIGHTCLASSNAMES_H
