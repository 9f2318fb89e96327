// SPDX-License-Identifier: Apache-2.0
// How much each weight's precision matters for the outputs.

#ifndef ITERA_LIB_PIPELINES_RANKSENSITIVITY_H
#define ITERA_LIB_PIPELINES_RANKSENSITIVITY_H

#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace itera {

/// One weight stored as i8 or i4, and everything else in f32.
struct SensitivityTrial {
  std::string weight;
  /// What names it for ssm-assign-precision.
  std::string pattern;
  llvm::StringRef storage;
};

struct Sensitivity {
  /// Whether losses are the mean Kullback-Leibler divergence of the next token,
  /// in nats, and not the mean of |y - r|^2 / |r|^2 over the outputs.
  bool isKL = false;
  /// Of each trial; finite.
  std::vector<double> losses;
};

/// Runs the model of each trial over the sample data, or random inputs if there
/// is none, and compares its outputs with those of `module`, whose weights have
/// no precisions yet. `statistics` is what ssm-quantize-weights makes use of.
/// Results are kept in the cache folder.
llvm::Expected<Sensitivity>
rankSensitivity(mlir::ModuleOp module, llvm::ArrayRef<SensitivityTrial> trials,
                llvm::StringRef statistics, const CompileOptions &options,
                mlir::MLIRContext &context);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_RANKSENSITIVITY_H
