// SPDX-License-Identifier: Apache-2.0

#include "ReadModel.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Import/ONNX.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace itera;

/// Whether abi.h has a number for the type.
static bool hasDtype(Type type) {
  return type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
         type.isInteger(1) || type.isInteger(8) || type.isInteger(16) ||
         type.isInteger(32) || type.isInteger(64);
}

static LogicalResult checkElement(func::FuncOp forward, Type type,
                                  const Twine &what) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || hasDtype(tensor.getElementType()))
    return success();
  return forward.emitError("expected ")
         << what << " to have elements of i1, i8, i16, i32, i64, f16, bf16, "
         << "f32 or f64, but got " << type;
}

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
    if (failed(checkElement(forward, type, "argument " + Twine(i))))
      return failure();
  }
  for (auto [i, type] : llvm::enumerate(forward.getResultTypes()))
    if (failed(checkElement(forward, type, "result " + Twine(i))))
      return failure();
  return success();
}

/// Puts the bodies of called functions in the place of their calls: stages see
/// whole functions. `open` are the functions around this one.
static LogicalResult inlineCalls(func::FuncOp function,
                                 SmallVectorImpl<func::FuncOp> &open) {
  open.push_back(function);
  SmallVector<func::CallOp> calls;
  function.walk([&](func::CallOp call) { calls.push_back(call); });
  for (func::CallOp call : calls) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        call, call.getCalleeAttr());
    if (llvm::is_contained(open, callee))
      return call.emitError("expected no recursion, but @")
             << callee.getName() << " calls itself";
    if (!callee.getBody().hasOneBlock())
      return call.emitError("expected a function of one block, but @")
             << callee.getName() << " has several";
    if (failed(inlineCalls(callee, open)))
      return failure();
    OpBuilder b(call);
    IRMapping mapping;
    mapping.map(callee.getArguments(), call.getOperands());
    Block &body = callee.getBody().front();
    for (Operation &op : body.without_terminator())
      b.clone(op, mapping);
    for (auto [result, value] :
         llvm::zip(call.getResults(), body.getTerminator()->getOperands()))
      result.replaceAllUsesWith(mapping.lookupOrDefault(value));
    call.erase();
  }
  open.pop_back();
  return success();
}

static LogicalResult inlineCalls(ModuleOp module) {
  SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>()), open;
  for (func::FuncOp function : functions)
    if (failed(inlineCalls(function, open)))
      return failure();
  for (func::FuncOp function : functions)
    if (function.isPrivate() && SymbolTable::symbolKnownUseEmpty(function, module))
      function.erase();
  return success();
}

static OwningOpRef<ModuleOp> parseText(const CompileOptions &options,
                                       MLIRContext &context) {
  OwningOpRef<ModuleOp> module =
      parseSourceFile<ModuleOp>(options.input, &context);
  if (module && (failed(checkText(*module)) || failed(inlineCalls(*module))))
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
