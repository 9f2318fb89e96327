// SPDX-License-Identifier: Apache-2.0
// itera-test-import: prints the MLIR of an ONNX file, for the importer's tests.
//
//   itera-test-import MODEL [--shape NAME=1x128]... [--quiet] [--allow-links]
//   itera-test-import MODEL --evaluate REF.npz [--case N]
//   itera-test-import --list-supported-ops
//
// --evaluate runs the imported function in the reference interpreter on the
// arrays named as the inputs, and prints how far each output is from the array
// of its name, relative to that array's largest magnitude.

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Import/ONNX.h"
#include "itera/Support/Npz.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

static int complain(const Twine &text) {
  errs() << "itera-test-import: " << text << "\n";
  return 1;
}

/// The array called `name`, in the given case, as the type asks for it.
static Expected<itera::ssm::HostTensor>
readArray(const itera::NpzReader &file, StringRef name, unsigned number,
          mlir::RankedTensorType type) {
  std::string key = number ? (name + "@case" + Twine(number)).str() : name.str();
  Expected<itera::NpyArray> array = file.read(key);
  if (!array)
    return array.takeError();
  auto kind = itera::ssm::getElementKind(type.getElementType());
  char *data;
  itera::ssm::HostTensor result =
      itera::ssm::HostTensor::allocate(type, *kind, data);
  if (array->data.size() != result.bytes.size())
    return createStringError("array '" + key + "' has another size or type");
  std::memcpy(data, array->data.data(), array->data.size());
  return result;
}

static int evaluate(mlir::ModuleOp module, StringRef path, unsigned number) {
  Expected<itera::NpzReader> file = itera::NpzReader::open(path);
  if (!file)
    return complain(toString(file.takeError()));
  auto function = *module.getOps<mlir::func::FuncOp>().begin();
  auto nameOf = [](mlir::Attribute attribute) {
    return cast<mlir::StringAttr>(attribute).getValue();
  };
  itera::ssm::Evaluator evaluator;
  for (mlir::BlockArgument argument : function.getArguments()) {
    Expected<itera::ssm::HostTensor> data = readArray(
        *file, nameOf(function.getArgAttr(argument.getArgNumber(), "ssm.name")),
        number, cast<mlir::RankedTensorType>(argument.getType()));
    if (!data)
      return complain(toString(data.takeError()));
    evaluator.bind(argument, *data);
  }
  mlir::Operation *ret = function.getBody().front().getTerminator();
  for (auto [i, value] : enumerate(ret->getOperands())) {
    StringRef name = nameOf(function.getResultAttr(i, "ssm.name"));
    std::optional<itera::ssm::HostTensor> result = evaluator.evaluate(value);
    if (!result)
      return complain("cannot evaluate '" + name + "': " +
                      evaluator.getReason());
    Expected<itera::ssm::HostTensor> wanted =
        readArray(*file, name, number, result->type);
    if (!wanted)
      return complain(toString(wanted.takeError()));
    double difference = 0, largest = 1;
    for (int64_t k = 0; k < result->size(); ++k) {
      double a = result->getFloat(k), b = wanted->getFloat(k);
      largest = std::max(largest, std::abs(b));
      if (!(std::abs(a - b) <= difference))
        difference = std::abs(a - b);
    }
    outs() << (difference / largest <= 1e-4 ? "close " : "FAR ") << name << ' '
           << format("%.2e", difference / largest) << '\n';
  }
  return 0;
}

int main(int argc, char **argv) {
  cl::opt<std::string> path(cl::Positional, cl::init(""));
  cl::list<std::string> shapes("shape");
  cl::opt<bool> quiet("quiet");
  cl::opt<bool> links("allow-links");
  cl::opt<bool> locations("locations");
  cl::opt<std::string> reference("evaluate");
  cl::opt<unsigned> number("case");
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
  // Every diagnostic is one line: severity and text.
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) {
    constexpr const char *kSeverities[] = {"note", "warning", "error",
                                           "remark"};
    errs() << kSeverities[static_cast<int>(diagnostic.getSeverity())] << ": "
           << diagnostic.str() << '\n';
    return mlir::success();
  });
  mlir::OwningOpRef<mlir::ModuleOp> module =
      itera::importONNX(path, options, &context);
  if (!module)
    return 1;
  if (!reference.empty())
    return evaluate(*module, reference, number);
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
