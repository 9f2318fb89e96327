// SPDX-License-Identifier: Apache-2.0
// The last steps of the code of products of matrices: Halide leaves LLVM IR, in
// which they are dot products (see MatrixProducts.cpp); here they become what
// they stand for, and this project's LLVM makes the object.

#include "Builder.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsAArch64.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace itera;
using namespace itera::halide;

static constexpr const char *kFeatures = "+neon,+dotprod,+i8mm";

/// The module as Halide has optimised it.
static std::unique_ptr<llvm::Module>
throughBitcode(Halide::Module module, llvm::LLVMContext &context) {
  llvm::SmallString<128> path;
  if (llvm::sys::fs::createTemporaryFile("kernel", "bc", path))
    fail("no temporary file");
  module.compile({{Halide::OutputFileType::bitcode, path.str().str()}});
  auto file = llvm::MemoryBuffer::getFile(path);
  llvm::sys::fs::remove(path);
  if (!file)
    fail("no code from Halide");
  auto parsed = llvm::parseBitcodeFile(**file, context);
  if (!parsed)
    fail("unreadable code: " + llvm::toString(parsed.takeError()));
  return std::move(*parsed);
}

/// How many there were.
static int replaceDotProducts(llvm::Module &module) {
  llvm::SmallVector<llvm::CallInst *> found;
  for (llvm::Function &function : module) {
    if (function.getIntrinsicID() != llvm::Intrinsic::aarch64_neon_sdot)
      continue;
    for (llvm::User *user : function.users()) {
      auto *call = llvm::cast<llvm::CallInst>(user);
      // The sum of bytes is their product with ones.
      bool isSum = llvm::isa<llvm::Constant>(call->getArgOperand(1)) ||
                   llvm::isa<llvm::Constant>(call->getArgOperand(2));
      if (!isSum)
        found.push_back(call);
    }
  }
  for (llvm::CallInst *call : found)
    call->setCalledFunction(llvm::Intrinsic::getOrInsertDeclaration(
        &module, llvm::Intrinsic::aarch64_neon_smmla,
        {call->getType(), call->getArgOperand(1)->getType()}));
  return found.size();
}

std::vector<char> halide::matrixCode(Halide::Module halideModule,
                                     const TargetSpec &spec) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = throughBitcode(halideModule, context);
  if (!replaceDotProducts(*module))
    fail("no products of matrices in the code");
  if (llvm::verifyModule(*module))
    fail("malformed products of matrices");

  llvm::InitializeAllTargetInfos();
  llvm::InitializeAllTargets();
  llvm::InitializeAllTargetMCs();
  llvm::InitializeAllAsmPrinters();
  std::string error;
  llvm::Triple triple(spec.triple);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    fail(error);
  // Each operation says whether it may be fused.
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  options.FunctionSections = true;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, "generic", kFeatures, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
  module->setTargetTriple(triple);
  for (llvm::Function &function : *module)
    function.addFnAttr("target-features", kFeatures);
  module->setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   llvm::CodeGenFileType::ObjectFile))
    fail("no code generator");
  passes.run(*module);
  return {bytes.begin(), bytes.end()};
}
