// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/SSM.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera::ssm;

#include "itera/Dialect/SSM/SSMDialect.cpp.inc"
#include "itera/Dialect/SSM/SSMEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "itera/Dialect/SSM/SSMAttributes.cpp.inc"

void SSMDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "itera/Dialect/SSM/SSMAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "itera/Dialect/SSM/SSMOps.cpp.inc"
      >();
}
