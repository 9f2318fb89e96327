// SPDX-License-Identifier: Apache-2.0
// Statistics of a model's activations over sample data.

#ifndef ITERA_LIB_PIPELINES_CALIBRATE_H
#define ITERA_LIB_PIPELINES_CALIBRATE_H

#include "itera/Pipelines/Compile.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace itera {

/// A file of statistics; removed with this if it is not kept in a cache.
struct StatisticsFile {
  StatisticsFile() = default;
  StatisticsFile(const StatisticsFile &) = delete;
  ~StatisticsFile();

  std::string path;
  bool isTemporary = false;
};

/// The second moments, sum of x x^T, of the input of every linear of `module`
/// whose weight was assigned four bits, by the name of the weight: [K, K]
/// float32. The model is compiled for this machine, in float32, with these
/// inputs as further outputs, and run over the sample data of `options`. Kept
/// in the cache folder, by the contents of model and data.
llvm::Error calibrate(mlir::ModuleOp module, const CompileOptions &options,
                      mlir::MLIRContext &context, StatisticsFile &statistics);

/// Names a result of running `module` over the sample data, by all that it
/// depends on; `others` are what makes it this result.
llvm::Expected<std::string> makeSampleKey(mlir::ModuleOp module,
                                          const CompileOptions &options,
                                          uint64_t frames,
                                          llvm::ArrayRef<std::string> others);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_CALIBRATE_H
