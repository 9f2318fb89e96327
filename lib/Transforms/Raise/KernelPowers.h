// SPDX-License-Identifier: Apache-2.0
// Kernels that are sums of powers.
//
// The kernel of a diagonal state space model, S4D, is
//   kernel[d, t] = Re(sum_n c[d, n] * p[d, n]^t).
// A convolution with it is a recurrence: h_t = p * h_(t-1) + x_t in N complex
// numbers per channel, of which y_t = Re(sum_n c * h_t) is read. It has no end,
// and its state is as small as the model's own.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_KERNELPOWERS_H
#define ITERA_LIB_TRANSFORMS_RAISE_KERNELPOWERS_H

#include "itera/Dialect/SSM/Evaluate.h"
#include "mlir/IR/Builders.h"
#include <complex>
#include <vector>

namespace itera::raise {

struct KernelPowers {
  int64_t channels = 0, terms = 0;
  /// [channels, terms], row-major.
  std::vector<std::complex<double>> powers, coefficients;
  /// All numbers are real.
  bool isReal = false;
};

/// Finds the powers of a constant kernel, row-major [channels, frames], that a
/// sum over terms makes. What the powers are is told by the exponentials,
/// cosines and sines in it, whose arguments grow linearly; that the kernel is
/// their sum is checked on all of its numbers.
std::optional<KernelPowers> findPowers(mlir::Value kernel, int64_t channels,
                                       int64_t frames,
                                       ssm::Evaluator &evaluator);

/// The recurrence over x [B, channels, T], as an ssm.scan; its y.
mlir::Value buildPowers(mlir::OpBuilder &builder, mlir::Location loc,
                        mlir::Value x, const KernelPowers &powers);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_KERNELPOWERS_H
