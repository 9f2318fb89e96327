// SPDX-License-Identifier: Apache-2.0
// --report: what quantisation has done to the model.

#ifndef ITERA_LIB_PIPELINES_REPORT_H
#define ITERA_LIB_PIPELINES_REPORT_H

#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace itera {

/// What is kept of a compilation for its report.
struct ReportModules {
  /// Before stage stream: with all weights in f32, and as they are stored.
  mlir::OwningOpRef<mlir::ModuleOp> reference, quantized;
  /// Of the quantised artefact's image.
  uint64_t weightBytes = 0;
};

/// Errors that are known before anything is compiled: a file that cannot be
/// read or written.
llvm::Error checkReport(const CompileOptions &options);

/// Measures, and writes the file. The artefact of `options` exists.
llvm::Error writeReport(ReportModules &modules, const CompileOptions &options,
                        mlir::MLIRContext &context);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_REPORT_H
