// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_DIAGNOSTICS_H
#define ITERA_LIB_PIPELINES_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"

namespace itera {

/// Prints MLIR's diagnostics the way a user of a model file reads them: one
/// line each, `FILE: error: node 'NAME' (OP): TEXT`. After the first error
/// further errors are consequences and are not printed.
class DiagnosticPrinter {
public:
  /// With `onlyErrors` notes and warnings are not printed.
  DiagnosticPrinter(mlir::MLIRContext &context, llvm::StringRef file,
                    bool onlyErrors = false);
  bool hadError() const { return errors > 0; }
  /// Prints an error that has no location.
  void error(const llvm::Twine &text);

private:
  void print(mlir::Diagnostic &diagnostic);

  std::string file;
  bool onlyErrors;
  unsigned errors = 0;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace itera

#endif // ITERA_LIB_PIPELINES_DIAGNOSTICS_H
