// SPDX-License-Identifier: Apache-2.0
// itera-lsp-server: editor support for MLIR files that hold ssm ops.

#include "itera/Pipelines/Registration.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  itera::registerDialects(registry);
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
