// SPDX-License-Identifier: Apache-2.0
// Passes that find recurrences, take them apart and name them.

#ifndef ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD
#define ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD

include "mlir/Pass/PassBase.td"

def RerollRecurrencesPass : Pass<"ssm-reroll-recurrences", "::mlir::func::FuncOp"> {
  let summary = "Replace unrolled recurrences by ssm.scan";
  let dependentDialects = ["::itera::ssm::SSMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // ITERA_TRANSFORMS_RAISE_RECURRENCEPASSES_TD
