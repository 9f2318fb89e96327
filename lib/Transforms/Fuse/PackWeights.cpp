// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

namespace itera {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "itera/Transforms/Fuse/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct PackWeights : itera::impl::PackWeightsPassBase<PackWeights> {
  using PackWeightsPassBase::PackWeightsPassBase;

  void runOnOperation() override {
    attributes.clear();
    for (int64_t height : rows)
      if (height < 1) {
        getOperation().emitError("expected a positive block height, but got ")
            << height;
        return signalPassFailure();
      }
    if (rows.empty())
      return;
    SmallVector<ssm::WeightOp> weights;
    getOperation().walk([&](ssm::WeightOp op) { weights.push_back(op); });
    for (ssm::WeightOp weight : weights)
      pack(weight);
  }

  int64_t chooseHeight(int64_t count) const {
    auto padded = [&](int64_t height) { return llvm::alignTo(count, height); };
    int64_t best = rows[0];
    for (int64_t height : rows)
      if (padded(height) < padded(best))
        best = height;
    return best;
  }

  void pack(ssm::WeightOp weight);
  TypedAttr packedAttribute(ssm::WeightOp weight, int64_t height);

  /// Packed copies by the attribute of what they were made of.
  llvm::DenseMap<Attribute, TypedAttr> attributes;
};

} // namespace

/// Whether `use` can read the packed form.
static bool isLinearWeight(OpOperand &use) {
  auto linear = dyn_cast<ssm::LinearOp>(use.getOwner());
  return linear && use.get() == linear.getWeight() &&
         use.get() != linear.getX();
}

static bool isEmbeddingTable(OpOperand &use) {
  auto embedding = dyn_cast<ssm::EmbeddingOp>(use.getOwner());
  return embedding && use.get() == embedding.getTable();
}

TypedAttr PackWeights::packedAttribute(ssm::WeightOp weight, int64_t height) {
  TypedAttr &known = attributes[weight.getValue()];
  if (known)
    return known;
  std::optional<ssm::HostTensor> data = ssm::readAttribute(weight.getValue());
  if (!data)
    return {};
  int64_t count = data->shape()[0], depth = data->shape()[1];
  int64_t bytes = ssm::getElementBytes(data->kind);
  auto type = RankedTensorType::get(
      {int64_t(llvm::divideCeil(count, height)), depth, height},
      data->type.getElementType());
  char *packed = nullptr;
  ssm::HostTensor result = ssm::HostTensor::allocate(type, data->kind, packed);
  std::memset(packed, 0, type.getNumElements() * bytes);
  for (int64_t n = 0; n < count; ++n) {
    char *to = packed + (n / height * depth * height + n % height) * bytes;
    const char *from = data->bytes.data() + n * depth * bytes;
    for (int64_t k = 0; k < depth; ++k)
      std::memcpy(to + k * height * bytes, from + k * bytes, bytes);
  }
  known =
      ssm::toResourceAttribute(result, (weight.getName() + ".packed").str());
  ++this->packed;
  return known;
}

void PackWeights::pack(ssm::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() != 2 || !type.getElementType().isF32() ||
      llvm::none_of(weight->getUses(), isLinearWeight))
    return;
  int64_t height = chooseHeight(type.getDimSize(0));
  TypedAttr value = packedAttribute(weight, height);
  if (!value)
    return;
  OpBuilder b(weight);
  Value packed = ssm::WeightOp::create(
      b, weight.getLoc(), (weight.getName() + ".packed").str(), value,
      /*file=*/nullptr, /*offset=*/nullptr);
  for (OpOperand &use : llvm::make_early_inc_range(weight->getUses())) {
    if (isEmbeddingTable(use))
      cast<ssm::EmbeddingOp>(use.getOwner()).setRows(type.getDimSize(0));
    else if (!isLinearWeight(use))
      continue;
    use.set(packed);
  }
  if (weight->use_empty())
    weight.erase();
}
