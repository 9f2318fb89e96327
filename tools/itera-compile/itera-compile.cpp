// SPDX-License-Identifier: Apache-2.0
// itera-compile: a model file in, a shared object out.

#include "Options.h"
#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/Pipelines/Registration.h"
#include "llvm/Support/InitLLVM.h"

int main(int argc, char **argv) {
  if (argc > 1 && llvm::StringRef(argv[1]) == itera::kHalideWorkerFlag)
    return itera::halideWorkerMain();

  llvm::InitLLVM init(argc, argv);
  llvm::Expected<itera::CompileOptions> options =
      itera::parseCommandLine(argc, argv);
  if (!options) {
    llvm::errs() << "itera-compile: " << llvm::toString(options.takeError())
                 << "\n";
    return static_cast<int>(itera::CompileStatus::badInput);
  }
  mlir::DialectRegistry registry;
  itera::registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false);
  return static_cast<int>(itera::compile(*options, context));
}
