// SPDX-License-Identifier: Apache-2.0
// Ops as text, evaluated. The operands are constants of raw bytes, so that the
// tests' own loops read the same numbers.

#ifndef ITERA_UNITTESTS_DIALECT_SSM_EVALUATED_H
#define ITERA_UNITTESTS_DIALECT_SSM_EVALUATED_H

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace itera::ssm {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

/// Quarters between -1.25 and 1.25: their sums and products are exact.
inline Floats someFloats(int64_t count, int64_t seed = 0) {
  Floats result(count);
  for (int64_t i = 0; i < count; ++i)
    result[i] = ((i + seed) * 7 % 11 - 5) / 4.0f;
  return result;
}

/// The text `%name = arith.constant ... : tensor<shape x T>`.
template <typename T>
std::string constant(llvm::StringRef name, llvm::StringRef shape,
                     const std::vector<T> &values) {
  std::string element =
      (std::is_floating_point_v<T> ? "f" : "i") + std::to_string(8 * sizeof(T));
  llvm::StringRef bytes(reinterpret_cast<const char *>(values.data()),
                        values.size() * sizeof(T));
  return ("%" + name + " = arith.constant dense<\"0x" + llvm::toHex(bytes) +
          "\"> : tensor<" + shape + "x" + element + ">\n")
      .str();
}

/// A function of the given body; its last op is what the tests ask for.
class Evaluated {
public:
  explicit Evaluated(const std::string &body, Evaluator::Limits limits = {},
                     const std::string &arguments = "")
      : evaluator(limits) {
    mlir::DialectRegistry registry;
    registry.insert<SSMDialect, mlir::arith::ArithDialect,
                    mlir::func::FuncDialect, mlir::linalg::LinalgDialect,
                    mlir::math::MathDialect, mlir::tensor::TensorDialect>();
    context.appendDialectRegistry(registry);
    context.allowUnregisteredDialects();
    module = mlir::parseSourceString<mlir::ModuleOp>(
        "func.func @f(" + arguments + ") {\n" + body + "\nreturn\n}", &context);
    if (!module)
      ADD_FAILURE() << "does not parse:\n" << body;
  }

  mlir::Block &block() {
    auto function = *module->getOps<mlir::func::FuncOp>().begin();
    return function.getBody().front();
  }
  mlir::Value value(unsigned result = 0) {
    return block().getTerminator()->getPrevNode()->getResult(result);
  }

  /// The elements of a result of the last op; none after a failure.
  template <typename T>
  std::vector<T> get(unsigned result = 0) {
    std::vector<T> elements;
    if (!module)
      return elements;
    std::optional<HostTensor> data = evaluator.evaluate(value(result));
    if (!data) {
      ADD_FAILURE() << "cannot evaluate " << evaluator.getReason().str();
      return elements;
    }
    for (int64_t i = 0; i < data->size(); ++i)
      elements.push_back(isFloat(data->kind) ? static_cast<T>(data->getFloat(i))
                                             : static_cast<T>(data->getInt(i)));
    return elements;
  }
  Floats floats(unsigned result = 0) { return get<float>(result); }
  Ints ints(unsigned result = 0) { return get<int64_t>(result); }

  /// Why the last op cannot be evaluated; empty if it can.
  std::string refusal() {
    if (!module || evaluator.evaluate(value()))
      return {};
    return evaluator.getReason().str();
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Evaluator evaluator;
};

} // namespace itera::ssm

#endif // ITERA_UNITTESTS_DIALECT_SSM_EVALUATED_H
