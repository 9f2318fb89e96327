// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_CONVERSION_SSMTOLINALG_ACTIVATIONS_H
#define ITERA_LIB_CONVERSION_SSMTOLINALG_ACTIVATIONS_H

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace itera {

// Each takes a float scalar or a tensor of floats and returns the same type.
mlir::Value sigmoid(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
mlir::Value silu(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
mlir::Value softplus(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
mlir::Value gelu(mlir::ImplicitLocOpBuilder &b, mlir::Value x, bool tanh);
mlir::Value activate(mlir::ImplicitLocOpBuilder &b, ssm::Activation kind,
                     mlir::Value x);

} // namespace itera

#endif // ITERA_LIB_CONVERSION_SSMTOLINALG_ACTIVATIONS_H
