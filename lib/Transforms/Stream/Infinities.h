// SPDX-License-Identifier: Apache-2.0
// Where infinities come from constants: the padding of a maximum, or the
// beginning of a running one. There they are no sign that something went wrong.

#ifndef ITERA_LIB_TRANSFORMS_STREAM_INFINITIES_H
#define ITERA_LIB_TRANSFORMS_STREAM_INFINITIES_H

#include "StreamPlan.h"

namespace itera {

class Infinities {
public:
  explicit Infinities(const StreamPlan &plan);
  /// Whether the state may be infinite in a stream of finite numbers.
  bool isLegitimateIn(const StateSpec &state);

private:
  /// Bits: which infinity a value may hold.
  enum Signs : unsigned { none = 0, positive = 1, negative = 2 };
  unsigned signsOf(mlir::Value value);
  unsigned signsOf(mlir::Operation *op);

  const StreamPlan &plan;
  llvm::DenseMap<mlir::Value, unsigned> known;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_STREAM_INFINITIES_H
