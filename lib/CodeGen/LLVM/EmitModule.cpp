// SPDX-License-Identifier: Apache-2.0

#include "ProgramTable.h"
#include "itera/CodeGen/LLVM/Emit.h"
#include "itera/CodeGen/LLVM/Passes.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

using namespace itera;
using namespace llvm;

static std::unique_ptr<TargetMachine> createMachine(const EmitOptions &options,
                                                    std::string &error) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
  Triple triple(options.target.triple);
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  TargetOptions machine;
  machine.FunctionSections = true;
  machine.DataSections = true;
  // What is to be fused says so: see FuseMultiplyAdd.
  machine.AllowFPOpFusion = FPOpFusion::Strict;
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(
      triple, options.target.cpu, options.target.featureString(), machine,
      Reloc::PIC_, std::nullopt,
      options.optLevel > 0 ? CodeGenOptLevel::Default : CodeGenOptLevel::None));
}

static void optimize(Module &module, TargetMachine &machine) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O2)
      .run(module, modules);
}

/// The code must run without libm, libc and unwinder; see the link step.
static void setFunctionAttributes(Module &module, const TargetSpec &target) {
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr(Attribute::NoUnwind);
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.featureString());
  }
}

Expected<SmallVector<char, 0>>
itera::emitModule(mlir::ModuleOp planned, const ProgramInfo &info,
                  ArrayRef<LinkedKernel> kernels, OutputKind kind,
                  const EmitOptions &options) {
  mlir::PassManager manager(planned.getContext());
  populateLowerToLLVMPipeline(manager);
  if (mlir::failed(manager.run(planned)))
    return createStringError("the module could not be lowered to LLVM");

  // What the compiler noted on arguments means nothing to LLVM.
  for (auto function : planned.getOps<mlir::LLVM::LLVMFuncOp>())
    function.removeArgAttrsAttr();
  mlir::registerBuiltinDialectTranslation(*planned.getContext());
  mlir::registerLLVMDialectTranslation(*planned.getContext());
  LLVMContext context;
  std::unique_ptr<Module> module = mlir::translateModuleToLLVMIR(
      planned, context, info.name.empty() ? "model" : info.name);
  if (!module)
    return createStringError("the module could not be translated to LLVM IR");

  std::string error;
  std::unique_ptr<TargetMachine> machine = createMachine(options, error);
  if (!machine)
    return createStringError("%s", error.c_str());
  module->setTargetTriple(Triple(options.target.triple));
  module->setDataLayout(machine->createDataLayout());
  module->setPICLevel(PICLevel::BigPIC);
  addProgramTable(*module, info, options.target);
  for (const LinkedKernel &kernel : kernels)
    addKernelEntry(*module, kernel);
  setFunctionAttributes(*module, options.target);
  if (options.optLevel > 0)
    optimize(*module, *machine);

  SmallVector<char, 0> bytes;
  raw_svector_ostream stream(bytes);
  if (kind == OutputKind::llvm) {
    module->print(stream, nullptr);
    return bytes;
  }
  legacy::PassManager codegen;
  if (machine->addPassesToEmitFile(codegen, stream, nullptr,
                                   kind == OutputKind::object
                                       ? CodeGenFileType::ObjectFile
                                       : CodeGenFileType::AssemblyFile))
    return createStringError("target %s has no code generator",
                             options.target.triple.c_str());
  codegen.run(*module);
  return bytes;
}
