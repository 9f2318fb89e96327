// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_READMODEL_H
#define ITERA_LIB_PIPELINES_READMODEL_H

#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace itera {

/// Stage `import`: an ONNX file, or MLIR text that a stage printed. Null after
/// a diagnostic.
mlir::OwningOpRef<mlir::ModuleOp> readModel(const CompileOptions &options,
                                            mlir::MLIRContext &context);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_READMODEL_H
