// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Quantize/WeightClassNames.h"
#include "WeightClasses.h"

using namespace mlir;
using namespace itera;

static StringRef nameOf(WeightClass kind) {
  switch (kind) {
  case WeightClass::vector:
    return "vector";
  case WeightClass::projection:
    return "projection";
  case WeightClass::selection:
    return "selection";
  case WeightClass::position:
    return "position";
  case WeightClass::head:
    return "head";
  case WeightClass::embedding:
    return "embedding";
  case WeightClass::routing:
    return "routing";
  }
  llvm_unreachable("a class without a name");
}

llvm::DenseMap<Operation *, StringRef>
itera::nameWeightClasses(func::FuncOp function) {
  llvm::DenseMap<Operation *, StringRef> names;
  for (auto &[weight, use] : WeightClasses(function).uses)
    names[weight] = nameOf(use.kind);
  return names;
}
