// SPDX-License-Identifier: Apache-2.0
// One kernel: MLIR text to object bytes.

#include "Builder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstdlib>

using namespace itera;
using namespace itera::halide;

/// Fails on a symbol that the artefact could not resolve.
static void checkSymbols(const std::vector<char> &object) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(
      llvm::StringRef(object.data(), object.size()), "kernel"));
  if (!file)
    fail("unreadable object: " + llvm::toString(file.takeError()));
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags || !name)
      fail("unreadable symbol table");
    if (!(*flags & llvm::object::SymbolRef::SF_Undefined) || name->empty())
      continue;
    if (*name != "memset" && *name != "memcpy" && *name != "memmove")
      fail("the kernel needs the function '" + *name + "'");
  }
}

namespace {
/// Halide's warnings are about schedules, which are ours: nobody can act on
/// them.
struct Reporter : Halide::CompileTimeErrorReporter {
  void warning(const char *) override {}
  void error(const char *message) override { throw KernelError(message); }
};
} // namespace

/// Settings of this process that Halide reads once.
static void prepareHalide() {
  static Reporter reporter;
  Halide::set_custom_compile_time_error_reporter(&reporter);
  // LLVM's own vectorisation of scalar code packs a product that may be fused
  // with one that may not, and then fuses neither: a scalar remainder would
  // give other bits in other surroundings.
  setenv("HL_LLVM_ARGS", "-vectorize-slp=false", /*overwrite=*/1);
}

static CompiledKernel compile(mlir::func::FuncOp function,
                              const std::string &symbol,
                              const TargetSpec &target) {
  Machine machine(target);
  KernelBuilder builder(function, machine);
  builder.build();
  CompiledKernel kernel;
  kernel.object = machineCode(builder, symbol, machine, target);
  kernel.buffers = std::move(builder.buffers);
  checkSymbols(kernel.object);
  return kernel;
}

llvm::Expected<CompiledKernel>
itera::compileKernelInProcess(const KernelRequest &request,
                              const TargetSpec &target) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<mlir::arith::ArithDialect, mlir::func::FuncDialect,
                      mlir::linalg::LinalgDialect, mlir::math::MathDialect,
                      mlir::tensor::TensorDialect, ssm::SSMDialect>();
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    diagnostics += (diagnostics.empty() ? "" : "; ") + d.str();
    return mlir::success();
  });
  auto error = [&](const llvm::Twine &message) {
    return llvm::createStringError("kernel '" + request.symbol +
                                   "': " + message);
  };
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceString<mlir::ModuleOp>(request.text, &context);
  if (!module)
    return error(diagnostics);
  auto functions = module->getOps<mlir::func::FuncOp>();
  if (!llvm::hasSingleElement(functions) || (*functions.begin()).isExternal())
    return error("expected a module of one function");
  mlir::func::FuncOp function = *functions.begin();
  prepareHalide();
  try {
    return compile(function, request.symbol, target);
  } catch (const KernelError &e) {
    return error(e.what());
  } catch (const Halide::Error &e) {
    // Not a std::exception.
    return error(e.what());
  } catch (const std::exception &e) {
    return error(e.what());
  }
}
