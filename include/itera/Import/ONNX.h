// SPDX-License-Identifier: Apache-2.0
// Reads an ONNX file into upstream tensor ops and ssm ops.

#ifndef ITERA_IMPORT_ONNX_H
#define ITERA_IMPORT_ONNX_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"

namespace llvm {
class raw_ostream;
}

namespace itera {

struct ONNXImportOptions {
  /// Shapes of inputs by name. They fix dimensions that the file leaves open;
  /// where the file fixes one they must agree with it.
  llvm::StringMap<llvm::SmallVector<int64_t>> shapes;
  /// Follow symbolic links and hard links to external data. The file must be
  /// trusted: it may then name any file below its folder.
  bool allowLinks = false;
};

/// The model as `func.func @forward` in a module, or null after a diagnostic
/// of one line that names the file, the node and what was expected. The module
/// refers to the file's bytes: it keeps them alive by itself.
mlir::OwningOpRef<mlir::ModuleOp> importONNX(llvm::StringRef path,
                                             const ONNXImportOptions &options,
                                             mlir::MLIRContext *context);

/// Prints the operators that `importONNX` accepts as a Markdown table.
void printSupportedOps(llvm::raw_ostream &os);

} // namespace itera

#endif // ITERA_IMPORT_ONNX_H
