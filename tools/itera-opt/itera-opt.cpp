// SPDX-License-Identifier: Apache-2.0
// itera-opt: runs any pass or stage of the compiler on MLIR text.

#include "itera/Pipelines/Registration.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  itera::registerDialects(registry);
  itera::registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Itera's pass driver\n", registry));
}
