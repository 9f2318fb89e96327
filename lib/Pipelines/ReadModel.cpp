// SPDX-License-Identifier: Apache-2.0

#include "ReadModel.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Import/ONNX.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace itera;

/// What every stage relies on: the importer guarantees it, a text may lack it.
static LogicalResult checkText(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward)
    return module.emitError("expected a function @") << ssm::kForwardName;
  WalkResult bodies = module.walk([](func::FuncOp function) {
    if (!function.isExternal())
      return WalkResult::advance();
    function.emitError("expected function @")
        << function.getName() << " to have a body";
    return WalkResult::interrupt();
  });
  if (bodies.wasInterrupted())
    return failure();
  for (auto [i, type] : llvm::enumerate(forward.getArgumentTypes())) {
    auto shaped = dyn_cast<ShapedType>(type);
    if (!shaped || !shaped.hasStaticShape())
      return forward.emitError("expected argument ")
             << i << " to have a static shape, but got " << type;
    // A buffer without a name is an output of a planned function.
    if (isa<TensorType>(type) &&
        !forward.getArgAttrOfType<StringAttr>(i, ssm::kNameAttr))
      return forward.emitError("expected argument ")
             << i << " to have a name, '" << ssm::kNameAttr << "'";
  }
  return success();
}

static OwningOpRef<ModuleOp> parseText(const CompileOptions &options,
                                       MLIRContext &context) {
  OwningOpRef<ModuleOp> module =
      parseSourceFile<ModuleOp>(options.input, &context);
  if (module && failed(checkText(*module)))
    return nullptr;
  return module;
}

static OwningOpRef<ModuleOp> importModel(const CompileOptions &options,
                                         MLIRContext &context) {
  ONNXImportOptions import;
  for (const auto &[name, dims] : options.shapes)
    import.shapes[name].assign(dims.begin(), dims.end());
  OwningOpRef<ModuleOp> module = importONNX(options.input, import, &context);
  // Exporters call every graph the same; the file's name is the user's own.
  if (module)
    (*module)->removeAttr(ssm::kModelNameAttr);
  return module;
}

OwningOpRef<ModuleOp> itera::readModel(const CompileOptions &options,
                                       MLIRContext &context) {
  StringRef path(options.input);
  OwningOpRef<ModuleOp> module = path.ends_with(".mlir")
                                     ? parseText(options, context)
                                     : importModel(options, context);
  if (!module)
    return nullptr;
  StringRef name = options.name;
  if (name.empty() &&
      !(*module)->getAttrOfType<StringAttr>(ssm::kModelNameAttr))
    name = llvm::sys::path::stem(path);
  if (!name.empty())
    (*module)->setAttr(ssm::kModelNameAttr, StringAttr::get(&context, name));
  return module;
}
