// SPDX-License-Identifier: Apache-2.0
// The weights of a model in pairs, as they were and as they are stored.

#ifndef ITERA_LIB_PIPELINES_REPORTWEIGHTS_H
#define ITERA_LIB_PIPELINES_REPORTWEIGHTS_H

#include "itera/Report/Comparison.h"
#include "itera/Report/Report.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace itera {

/// One weight that linears or embeddings read.
struct WeightPair {
  WeightReport report; // all but the ratios of linears
  InputRounding rounding = InputRounding::none;
  mlir::Attribute original; // f32 [N, K]
  mlir::Attribute matrix, scales, zeroPoints;
  /// The names of its linears' results and inputs, see ssm-tap-linears, without
  /// "x:" and "y:".
  std::vector<std::string> taps;
};

/// Turns linears and embeddings of integers, which come from the model's file,
/// into ones of f32. False if there are none.
bool dequantizeWeights(mlir::ModuleOp module);
/// Whether stage quantize will change a weight.
bool hasPrecisions(mlir::ModuleOp module);

/// The weights of @forward of both modules, which have the same linears and
/// embeddings in the same order.
llvm::Expected<std::vector<WeightPair>> pairWeights(mlir::ModuleOp reference,
                                                    mlir::ModuleOp quantized);

std::vector<float> readOriginal(const WeightPair &pair);
StoredMatrix readStored(const WeightPair &pair);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_REPORTWEIGHTS_H
