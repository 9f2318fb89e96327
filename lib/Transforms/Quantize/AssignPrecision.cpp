// SPDX-License-Identifier: Apache-2.0

#include "WeightClasses.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/GlobPattern.h"

namespace itera {
#define GEN_PASS_DEF_ASSIGNPRECISIONPASS
#include "itera/Transforms/Quantize/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

enum class Storage { f32, f16, i8, i4 };

/// The policy: a row per class, a column per number of bits.
struct PolicyRow {
  WeightClass kind;
  Storage bits4, bits8, bits16;
};
constexpr PolicyRow kPolicy[] = {
    {WeightClass::vector, Storage::f16, Storage::f16, Storage::f16},
    {WeightClass::projection, Storage::i4, Storage::i8, Storage::f16},
    {WeightClass::selection, Storage::i8, Storage::i8, Storage::f16},
    {WeightClass::position, Storage::i4, Storage::i8, Storage::f16},
    {WeightClass::head, Storage::i8, Storage::i8, Storage::f16},
    {WeightClass::embedding, Storage::i8, Storage::i8, Storage::f16},
    {WeightClass::routing, Storage::f32, Storage::f32, Storage::f32},
};

/// An entry of `only`.
struct Override {
  llvm::GlobPattern name;
  Storage storage;
};

struct AssignPrecision
    : itera::impl::AssignPrecisionPassBase<AssignPrecision> {
  using AssignPrecisionPassBase::AssignPrecisionPassBase;

  void runOnOperation() override {
    if (failed(readOptions()))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      for (auto &[weight, use] : WeightClasses(function).uses)
        assign(weight, use);
  }

  LogicalResult readOptions();
  void assign(ssm::WeightOp weight, const WeightUse &use);
  Storage storageOf(ssm::WeightOp weight, const WeightUse &use) const;

  std::vector<Override> overrides;
};

} // namespace

static std::optional<Storage> storageFromName(StringRef name) {
  return llvm::StringSwitch<std::optional<Storage>>(name)
      .Case("f32", Storage::f32)
      .Case("f16", Storage::f16)
      .Case("i8", Storage::i8)
      .Case("i4", Storage::i4)
      .Default(std::nullopt);
}

LogicalResult AssignPrecision::readOptions() {
  overrides.clear();
  if (bits != 4 && bits != 8 && bits != 16 && bits != 32)
    return getOperation().emitError("expected 4, 8, 16 or 32 bits, but got ")
           << unsigned(bits);
  if (group != 16 && group != 32 && group != 64 && group != 128)
    return getOperation().emitError(
               "expected groups of 16, 32, 64 or 128 elements, but got ")
           << int64_t(group);
  for (const std::string &entry : only) {
    auto [name, type] = StringRef(entry).rsplit('=');
    std::optional<Storage> storage = storageFromName(type);
    llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(name);
    if (!pattern)
      llvm::consumeError(pattern.takeError());
    if (!pattern || !storage || name.empty())
      return getOperation().emitError(
                 "expected NAME=f32, f16, i8 or i4, but got '")
             << entry << "'";
    overrides.push_back({std::move(*pattern), *storage});
  }
  return success();
}

Storage AssignPrecision::storageOf(ssm::WeightOp weight,
                                   const WeightUse &use) const {
  bool isVector = use.kind == WeightClass::vector;
  for (const Override &entry : llvm::reverse(overrides))
    if (entry.name.match(weight.getName()))
      return isVector && entry.storage != Storage::f32 ? Storage::f16
                                                       : entry.storage;
  const PolicyRow &row = *llvm::find_if(
      kPolicy, [&](const PolicyRow &row) { return row.kind == use.kind; });
  Storage storage = bits == 4    ? row.bits4
                    : bits == 8  ? row.bits8
                    : bits == 16 ? row.bits16
                                 : Storage::f32;
  if (storage != Storage::i4)
    return storage;
  auto type = cast<RankedTensorType>(weight.getType());
  bool isNarrow = type.getDimSize(1) < group || type.getDimSize(0) < 16;
  return isNarrow ? Storage::i8 : Storage::i4;
}

void AssignPrecision::assign(ssm::WeightOp weight, const WeightUse &use) {
  auto type = cast<RankedTensorType>(weight.getType());
  bool isMatrix = use.kind != WeightClass::vector;
  if ((isMatrix && type.getRank() != 2) || !type.getElementType().isF32())
    return;
  // A sum of 32 bits holds so many products.
  constexpr int64_t kMostExact = 65536;
  OpBuilder b(weight);
  Type storage;
  int64_t size = 0;
  ssm::InputScalesAttr input;
  auto inputScales = [&](bool perGroup) {
    return ssm::InputScalesAttr::get(b.getContext(),
                                     perGroup ? ssm::InputScales::group
                                              : ssm::InputScales::token);
  };
  switch (storageOf(weight, use)) {
  case Storage::f32:
    return;
  case Storage::f16:
    storage = b.getF16Type();
    break;
  case Storage::i8:
    storage = b.getI8Type();
    size = type.getDimSize(1) > kMostExact ? int64_t(group) : 0;
    input = inputScales(false);
    break;
  case Storage::i4:
    storage = b.getIntegerType(4);
    size = group;
    input = inputScales(use.readsRecurrence);
    break;
  }
  weight->setAttr(ssm::kPrecisionAttr,
                  ssm::PrecisionAttr::get(b.getContext(), storage, size,
                                          /*asymmetric=*/false, input));
}
