// SPDX-License-Identifier: Apache-2.0
// itera-test-import: prints the MLIR of an ONNX file, for the importer's tests.
//
//   itera-test-import MODEL [--shape NAME=1x128]... [--quiet] [--allow-links]
//   itera-test-import --list-supported-ops

#include "itera/Import/ONNX.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

int main(int argc, char **argv) {
  cl::opt<std::string> path(cl::Positional, cl::init(""));
  cl::list<std::string> shapes("shape");
  cl::opt<bool> quiet("quiet");
  cl::opt<bool> links("allow-links");
  cl::opt<bool> locations("locations");
  cl::opt<bool> list("list-supported-ops");
  cl::ParseCommandLineOptions(argc, argv);
  if (list) {
    itera::printSupportedOps(outs());
    return 0;
  }
  itera::ONNXImportOptions options;
  options.allowLinks = links;
  for (StringRef entry : shapes) {
    auto [name, sizes] = entry.rsplit('=');
    SmallVector<StringRef> parts;
    sizes.split(parts, 'x', -1, /*KeepEmpty=*/false);
    SmallVector<int64_t> &shape = options.shapes[name];
    for (StringRef part : parts) {
      int64_t size;
      if (part.getAsInteger(10, size)) {
        errs() << "expected --shape NAME=1x2x3\n";
        return 1;
      }
      shape.push_back(size);
    }
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      itera::importONNX(path, options, &context);
  if (!module)
    return 1;
  if (quiet)
    return 0;
  mlir::OpPrintingFlags flags;
  flags.elideLargeElementsAttrs(64);
  flags.elideLargeResourceString(64);
  if (locations)
    flags.enableDebugInfo(true, false);
  module->print(outs(), flags);
  return 0;
}
