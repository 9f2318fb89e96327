// SPDX-License-Identifier: Apache-2.0
// Machine code of a kernel. Where Halide cannot make it, it leaves LLVM IR, and
// this project's LLVM goes on:
//
//   - smmla: products of matrices are dot products in that IR (see
//     MatrixProducts.cpp); here they become what they stand for.
//   - vpdpbusd: Halide uses it from its level zen4 on, which has bf16 and more.
//     For other CPUs that have it, Halide writes IR for zen4, and here the code
//     is made of just the instructions that the CPU has: Cascade Lake, Ice
//     Lake; with vectors of half the width, Alder Lake.

#include "Builder.h"

#include "llvm/Analysis/VectorUtils.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsAArch64.h"
#include "llvm/IR/IntrinsicsX86.h"
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

/// Dot products become products of matrices.
static void replaceDotProducts(llvm::Module &module) {
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
  if (found.empty())
    fail("no products of matrices in the code");
  for (llvm::CallInst *call : found)
    call->setCalledFunction(llvm::Intrinsic::getOrInsertDeclaration(
        &module, llvm::Intrinsic::aarch64_neon_smmla,
        {call->getType(), call->getArgOperand(1)->getType()}));
}

/// The intrinsic on vectors of half the width.
static llvm::Intrinsic::ID halfOf(llvm::Intrinsic::ID id) {
  switch (id) {
  case llvm::Intrinsic::x86_avx512_vpdpbusd_512:
    return llvm::Intrinsic::x86_avx512_vpdpbusd_256;
  case llvm::Intrinsic::x86_avx512_pmaddw_d_512:
    return llvm::Intrinsic::x86_avx2_pmadd_wd;
  default:
    return llvm::Intrinsic::not_intrinsic;
  }
}

/// Vectors of 512 bits become two of 256. What is not one of the target's
/// intrinsics LLVM splits itself.
static void halveVectors(llvm::Module &module) {
  llvm::SmallVector<llvm::CallInst *> found;
  for (llvm::Function &function : module) {
    if (!function.getName().starts_with("llvm.x86.avx512") ||
        function.use_empty())
      continue;
    if (function.getName().ends_with(".256") ||
        function.getName().ends_with(".128"))
      continue;
    if (halfOf(function.getIntrinsicID()) == llvm::Intrinsic::not_intrinsic)
      fail("the code needs " + function.getName());
    for (llvm::User *user : function.users())
      found.push_back(llvm::cast<llvm::CallInst>(user));
  }
  for (llvm::CallInst *call : found) {
    llvm::IRBuilder<> b(call);
    auto half = [&](llvm::Value *whole, int which) {
      unsigned count = llvm::cast<llvm::FixedVectorType>(whole->getType())
                           ->getNumElements() /
                       2;
      return b.CreateShuffleVector(
          whole, llvm::createSequentialMask(which * count, count, 0));
    };
    llvm::Value *halves[2];
    for (int which : {0, 1}) {
      llvm::SmallVector<llvm::Value *> operands;
      for (llvm::Value *operand : call->args())
        operands.push_back(half(operand, which));
      halves[which] = b.CreateIntrinsic(
          halfOf(call->getCalledFunction()->getIntrinsicID()), operands);
    }
    unsigned count =
        llvm::cast<llvm::FixedVectorType>(call->getType())->getNumElements();
    call->replaceAllUsesWith(b.CreateShuffleVector(
        halves[0], halves[1], llvm::createSequentialMask(0, count, 0)));
    call->eraseFromParent();
  }
}

/// On AArch64 what products of matrices need; other features could give other
/// code than that of the kernels that Halide makes.
static std::string featuresOf(const TargetSpec &spec) {
  if (spec.arch == "aarch64")
    return "+neon,+dotprod,+i8mm";
  // Kernels ask for vectors of the width that they are to have.
  return spec.featureString() + ",-prefer-256-bit";
}

/// The object of a module, of the target's instructions alone.
static std::vector<char> compile(llvm::Module &module, const TargetSpec &spec) {
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
  constexpr const char *kCpu = "generic";
  std::string features = featuresOf(spec);
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, kCpu, features, options, llvm::Reloc::PIC_, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
  module.setTargetTriple(triple);
  for (llvm::Function &function : module) {
    function.addFnAttr("target-cpu", kCpu);
    function.addFnAttr("target-features", features);
    function.removeFnAttr("tune-cpu");
  }
  module.setDataLayout(machine->createDataLayout());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr,
                                   llvm::CodeGenFileType::ObjectFile))
    fail("no code generator");
  passes.run(module);
  return {bytes.begin(), bytes.end()};
}

std::vector<char> halide::machineCode(const KernelBuilder &kernel,
                                      const std::string &symbol,
                                      const Machine &machine,
                                      const TargetSpec &spec) {
  Halide::Target target = machine.target;
  bool isMatrices = kernel.byteProducts == Products::matrices;
  bool isBelowZen4 = kernel.byteProducts == Products::dotUnsigned &&
                     !target.has_feature(Halide::Target::AVX512_Zen4);
  if (isBelowZen4)
    target.set_features({Halide::Target::AVX512, Halide::Target::AVX512_Skylake,
                         Halide::Target::AVX512_Cannonlake,
                         Halide::Target::AVX512_Zen4});
  Halide::Module module =
      Halide::Pipeline(kernel.outputs)
          .compile_to_module(kernel.arguments, symbol, target,
                             Halide::LinkageType::External);
  if (!isMatrices && !isBelowZen4) {
    Halide::Buffer<uint8_t> bytes = module.compile_to_buffer();
    return {bytes.begin(), bytes.end()};
  }
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = throughBitcode(module, context);
  if (isMatrices)
    replaceDotProducts(*code);
  else if (machine.lanes < 16)
    halveVectors(*code);
  if (llvm::verifyModule(*code))
    fail("malformed code");
  return compile(*code, spec);
}
