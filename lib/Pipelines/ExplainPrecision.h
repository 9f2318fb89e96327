// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_EXPLAINPRECISION_H
#define ITERA_LIB_PIPELINES_EXPLAINPRECISION_H

#include "FitBudget.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

namespace itera {

/// A weight that precision is a question for.
struct WeightPrecision {
  std::string name;
  llvm::StringRef weightClass;
  /// f32, f16, i8 or i4, as ssm-assign-precision decided.
  llvm::StringRef storage;
  /// Matrices [n, k]; of others k is 0.
  int64_t n = 0, k = 0, elements = 0;

  /// Of its elements and scales, if it is stored so.
  int64_t getBytes(llvm::StringRef storage, int64_t group) const;
};

/// The weights of all functions, in order, those of one name once.
std::vector<WeightPrecision> listPrecisions(mlir::ModuleOp module);

/// Prints a line per weight: name, class, storage, bytes and, where `choice` was
/// made by it, how much the outputs change if this weight alone is rounded.
void explainPrecision(mlir::ModuleOp module, int64_t group,
                      const PrecisionChoice &choice, llvm::raw_ostream &os);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_EXPLAINPRECISION_H
