// SPDX-License-Identifier: Apache-2.0
// The states of a model that takes them as inputs and returns them as outputs.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_STATEPAIRS_H
#define ITERA_LIB_TRANSFORMS_STREAM_STATEPAIRS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <optional>
#include <string>

namespace itera {

/// Which output is the next value of which input.
class StatePairs {
public:
  void add(unsigned input, unsigned output) { pairs.push_back({input, output}); }
  bool empty() const { return pairs.empty(); }
  std::optional<unsigned> outputOf(unsigned input) const {
    for (auto [in, out] : pairs)
      if (in == input)
        return out;
    return std::nullopt;
  }
  bool isState(unsigned output) const {
    return llvm::any_of(pairs, [&](auto &p) { return p.second == output; });
  }

private:
  llvm::SmallVector<std::pair<unsigned, unsigned>> pairs;
};

/// Pairs inputs and outputs of one type whose names differ in words such as
/// past and present only, and where the output depends on an input. `given`,
/// as IN=OUT, come first; a wrong one is a diagnostic and failure.
mlir::FailureOr<StatePairs> findStatePairs(mlir::func::FuncOp function,
                                           llvm::ArrayRef<std::string> given);

/// Whether a function with states is over a sequence already, and not a step.
bool isSequence(mlir::func::FuncOp function, const StatePairs &pairs);

/// The dimension of a step's input or output that becomes time: one of size 1,
/// after a batch, at the end, or in front.
std::optional<int64_t> findUnitDim(mlir::RankedTensorType type);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_STATEPAIRS_H
