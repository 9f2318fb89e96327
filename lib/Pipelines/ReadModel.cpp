// SPDX-License-Identifier: Apache-2.0

#include "ReadModel.h"

#include "itera/Import/ONNX.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace itera;

static OwningOpRef<ModuleOp> parseOrImport(const CompileOptions &options,
                                           MLIRContext &context) {
  StringRef path(options.input);
  if (path.ends_with(".mlir"))
    return parseSourceFile<ModuleOp>(path, &context);
  ONNXImportOptions import;
  for (const auto &[name, dims] : options.shapes)
    import.shapes[name].assign(dims.begin(), dims.end());
  OwningOpRef<ModuleOp> module = importONNX(path, import, &context);
  // Exporters call every graph the same; the file's name is the user's own.
  if (module)
    (*module)->setAttr(ssm::kModelNameAttr,
                       StringAttr::get(&context, llvm::sys::path::stem(path)));
  return module;
}

OwningOpRef<ModuleOp> itera::readModel(const CompileOptions &options,
                                       MLIRContext &context) {
  OwningOpRef<ModuleOp> module = parseOrImport(options, context);
  if (module && !options.name.empty())
    (*module)->setAttr(ssm::kModelNameAttr,
                       StringAttr::get(&context, options.name));
  return module;
}
