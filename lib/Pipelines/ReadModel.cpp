// SPDX-License-Identifier: Apache-2.0

#include "ReadModel.h"

#include "itera/Import/ONNX.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace itera;

OwningOpRef<ModuleOp> itera::readModel(const CompileOptions &options,
                                       MLIRContext &context) {
  StringRef path(options.input);
  if (path.ends_with(".mlir"))
    return parseSourceFile<ModuleOp>(path, &context);
  ONNXImportOptions import;
  for (const auto &[name, dims] : options.shapes)
    import.shapes[name].assign(dims.begin(), dims.end());
  return importONNX(path, import, &context);
}
