// SPDX-License-Identifier: Apache-2.0
// Precisions for a number of bytes.

#ifndef ITERA_LIB_PIPELINES_FITBUDGET_H
#define ITERA_LIB_PIPELINES_FITBUDGET_H

#include "Calibrate.h"
#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <map>

namespace itera {

/// How much the outputs change if one weight alone is rounded.
struct WeightLoss {
  std::optional<double> i4, i8;
};

struct PrecisionChoice {
  /// For ssm-assign-precision of 4 bits; the user's own come last.
  std::vector<std::string> precisions;
  std::map<std::string, WeightLoss> losses;
  /// What losses are: KL or error.
  llvm::StringRef measure;
  /// Of all weights as stage plan places them, and the most that they may be.
  int64_t bytes = 0, budget = 0;
};

/// Decides which weights of `module`, as stage raise has left it, get more than
/// four bits, by options.budget. If sample data is given, `statistics` gets those
/// of all weights that four bits were a question for.
llvm::Error fitBudget(mlir::ModuleOp module, const CompileOptions &options,
                      mlir::MLIRContext &context, PrecisionChoice &choice,
                      StatisticsFile &statistics);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_FITBUDGET_H
