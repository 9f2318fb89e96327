// SPDX-License-Identifier: Apache-2.0

#include "CompileKernels.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace itera;

llvm::SmallVector<LinkedKernel> CompiledKernels::linked() const {
  llvm::SmallVector<LinkedKernel> list;
  for (const auto &[name, kernel] : byName)
    list.push_back({name, &kernel});
  return list;
}

/// The function alone in a module, as text. The text is the kernel's identity,
/// so it has no locations.
static std::string isolatedText(func::FuncOp function) {
  OpBuilder b(function.getContext());
  OwningOpRef<ModuleOp> module = ModuleOp::create(b, function.getLoc());
  module->push_back(function->clone());
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().useLocalScope());
  return text;
}

/// Replaces every call of `function` by its body.
static void inlineKernel(ModuleOp module, func::FuncOp function) {
  module.walk([&](ssm::KernelOp call) {
    if (call.getCallee().getLeafReference() != function.getName())
      return;
    OpBuilder b(call);
    IRMapping mapping;
    mapping.map(function.getArguments(), call.getArguments());
    Block &body = function.getBody().front();
    for (Operation &op : body.without_terminator())
      b.clone(op, mapping);
    for (auto [result, value] :
         llvm::zip(call.getResults(), body.getTerminator()->getOperands()))
      result.replaceAllUsesWith(mapping.lookupOrDefault(value));
    call.erase();
  });
}

CompiledKernels itera::compileModuleKernels(ModuleOp module,
                                            const CompileOptions &options) {
  CompiledKernels compiled;
  auto nested = module.lookupSymbol<ModuleOp>(ssm::kKernelModuleName);
  if (!nested)
    return compiled;
  SmallVector<func::FuncOp> functions(nested.getOps<func::FuncOp>());
  std::vector<KernelRequest> requests;
  for (func::FuncOp function : functions)
    requests.push_back({function.getName().str(), isolatedText(function)});
  std::vector<llvm::Expected<CompiledKernel>> results = compileKernels(
      requests,
      {options.target, options.jobs, options.cacheDir, options.program});
  for (auto [function, result] : llvm::zip(functions, results)) {
    if (result) {
      compiled.byName.emplace(function.getName().str(), std::move(*result));
      continue;
    }
    mlir::emitWarning(function.getLoc())
        << "kernel '" << function.getName()
        << "' has no fast code and runs by the plain lowering: "
        << llvm::toString(result.takeError());
    inlineKernel(module, function);
    function.erase();
  }
  return compiled;
}
