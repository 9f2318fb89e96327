// SPDX-License-Identifier: Apache-2.0
// What a weight is for.

#ifndef ITERA_LIB_TRANSFORMS_QUANTIZE_WEIGHTCLASSES_H
#define ITERA_LIB_TRANSFORMS_QUANTIZE_WEIGHTCLASSES_H

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

namespace itera {

/// See the table of ssm-assign-precision. Of a weight with several uses the
/// largest counts.
enum class WeightClass {
  vector,
  projection,
  selection,
  position,
  head,
  embedding,
  routing
};

struct WeightUse {
  WeightClass kind = WeightClass::projection;
  /// A linear reads the output of a recurrence with it, with no product with
  /// another weight between.
  bool readsRecurrence = false;
};

/// The weights of a function that precision is a question for, in order.
class WeightClasses {
public:
  explicit WeightClasses(mlir::func::FuncOp function);

  llvm::MapVector<ssm::WeightOp, WeightUse> uses;

private:
  WeightClass classOfLinear(ssm::LinearOp linear) const;
  void add(mlir::Value weight, WeightUse use);
  void addVectors(mlir::func::FuncOp function);

  llvm::DenseMap<mlir::Operation *, WeightClass> linears;
};

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_QUANTIZE_WEIGHTCLASSES_H
