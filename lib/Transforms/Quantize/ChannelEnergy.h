// SPDX-License-Identifier: Apache-2.0
// How large the values of a channel are, estimated from the weights alone.
//
// The mean and the variance of each feature go forward through the ops. What is
// known of nothing has mean 0 and variance 1, and features are taken as
// independent: linear layers behind a norm are near enough to it that channels
// are put in an order, which is all that is asked. A unary function is
// integrated over a normal distribution at five points.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELENERGY_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELENERGY_H

#include "ChannelCoupling.h"
#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"

namespace itera {

struct Moments {
  double mean = 0, variance = 1;
  double energy() const { return mean * mean + variance; }
};

class ChannelEnergy {
public:
  /// Of index `index` of dimension `dim`, over all other indices.
  Moments at(mlir::Value value, unsigned dim, int64_t index);
  /// sum_n W[n, k]^2 of every input feature k of a linear layer; empty if its
  /// weight is not constant.
  llvm::ArrayRef<double> columnEnergies(ssm::LinearOp linear);

private:
  Moments compute(mlir::Value value, unsigned dim, int64_t index);
  Moments visit(ssm::LinearOp linear, unsigned dim, int64_t index);
  Moments visit(ssm::CausalConv1dOp conv, unsigned dim, int64_t index);
  Moments visit(ssm::SelectiveScanOp scan, unsigned dim, int64_t index);
  Moments visitNorm(ssm::NormOp norm, unsigned dim, int64_t index);
  Moments elementwise(mlir::Operation *op, unsigned dim, int64_t index);

  /// The moments of all indices of a constant's dimension; empty if it is none.
  llvm::ArrayRef<Moments> constantAt(mlir::Value value, unsigned dim);
  llvm::ArrayRef<double> linearEnergies(ssm::LinearOp linear, unsigned dim);

  using Key = std::pair<void *, unsigned>;
  ssm::Evaluator evaluator;
  unsigned depth = 0;
  llvm::DenseMap<Key, std::vector<std::optional<Moments>>> known;
  llvm::DenseMap<Key, std::vector<Moments>> constants;
  llvm::DenseMap<Key, std::vector<double>> energies;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_CHANNELENERGY_H
