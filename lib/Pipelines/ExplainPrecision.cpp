// SPDX-License-Identifier: Apache-2.0

#include "ExplainPrecision.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Quantize/WeightClassNames.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace itera;

int64_t WeightPrecision::getBytes(StringRef storage, int64_t group) const {
  if (storage == "f16")
    return elements * 2;
  if (storage == "f32" || k == 0)
    return elements * 4;
  // A scale of two bytes.
  if (storage == "i8")
    return elements + 2 * n;
  return llvm::divideCeil(elements, 2) +
         2 * n * int64_t(llvm::divideCeil(k, group));
}

static StringRef storageOf(ssm::WeightOp weight) {
  auto precision =
      weight->getAttrOfType<ssm::PrecisionAttr>(ssm::kPrecisionAttr);
  if (!precision)
    return "f32";
  return precision.getStorage().isInteger(4)   ? "i4"
         : precision.getStorage().isInteger(8) ? "i8"
                                               : "f16";
}

std::vector<WeightPrecision> itera::listPrecisions(ModuleOp module) {
  std::vector<WeightPrecision> list;
  llvm::StringSet<> seen;
  for (auto function : module.getOps<func::FuncOp>()) {
    llvm::DenseMap<Operation *, StringRef> classes =
        nameWeightClasses(function);
    function.walk([&](ssm::WeightOp weight) {
      auto found = classes.find(weight);
      if (found == classes.end() || !seen.insert(weight.getName()).second)
        return;
      auto type = cast<RankedTensorType>(weight.getType());
      bool isMatrix = type.getRank() == 2;
      list.push_back({weight.getName().str(), found->second, storageOf(weight),
                      isMatrix ? type.getDimSize(0) : 0,
                      isMatrix ? type.getDimSize(1) : 0,
                      type.getNumElements()});
    });
  }
  return list;
}

/// One line, as a file's author wrote it or not.
static std::string printable(StringRef name) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::printEscapedString(name, stream);
  return text;
}

void itera::explainPrecision(ModuleOp module, int64_t group,
                             const PrecisionChoice &choice, raw_ostream &os) {
  std::vector<WeightPrecision> weights = listPrecisions(module);
  size_t width = 6;
  for (WeightPrecision &weight : weights)
    width = std::max(width, printable(weight.name).size());
  auto cell = [&](StringRef text, unsigned size) {
    os << text << std::string(size > text.size() ? size - text.size() : 0, ' ')
       << "  ";
  };
  cell("weight", width);
  os << "class       storage       bytes";
  if (!choice.losses.empty())
    os << "    " << choice.measure << " at i4    " << choice.measure << " at i8";
  os << "\n";
  int64_t bytes = 0, full = 0;
  for (WeightPrecision &weight : weights) {
    cell(printable(weight.name), width);
    cell(weight.weightClass, 10);
    cell(weight.storage, 7);
    os << llvm::format("%10lld", (long long)weight.getBytes(weight.storage, group));
    bytes += weight.getBytes(weight.storage, group);
    full += weight.getBytes("f32", group);
    if (!choice.losses.empty()) {
      auto found = choice.losses.find(weight.name);
      std::optional<double> i4, i8;
      if (found != choice.losses.end())
        std::tie(i4, i8) = std::pair(found->second.i4, found->second.i8);
      for (std::optional<double> loss : {i4, i8}) {
        unsigned size = choice.measure.size() + 9;
        if (loss)
          os << llvm::format("%*.3g", size, *loss);
        else
          os << std::string(size - 1, ' ') << "-";
      }
    }
    os << "\n";
  }
  os << "these weights: " << bytes << " bytes, in f32 " << full << "\n";
  if (choice.bytes > 0)
    os << "all weights, as they are placed: " << choice.bytes
       << " bytes, at most " << choice.budget << "\n";
}
