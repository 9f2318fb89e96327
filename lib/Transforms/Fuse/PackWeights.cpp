// SPDX-License-Identifier: Apache-2.0

#include "PackedLayout.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

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
    SmallVector<ssm::WeightOp> weights;
    SmallVector<Operation *> quantized;
    getOperation().walk([&](Operation *op) {
      auto linear = dyn_cast<ssm::LinearOp>(op);
      auto embedding = dyn_cast<ssm::EmbeddingOp>(op);
      if (auto weight = dyn_cast<ssm::WeightOp>(op))
        weights.push_back(weight);
      else if ((linear && linear.isQuantized() && !linear.getPacked()) ||
               (embedding && embedding.isQuantized() &&
                !embedding.getPacked()))
        quantized.push_back(op);
    });
    for (Operation *op : quantized)
      if (auto linear = dyn_cast<ssm::LinearOp>(op))
        packIntegers(linear, linear.getWeightMutable());
      else
        packIntegers(cast<ssm::EmbeddingOp>(op),
                     cast<ssm::EmbeddingOp>(op).getTableMutable());
    for (ssm::WeightOp weight : weights)
      if (weight->use_empty() && !quantized.empty())
        weight.erase();
      else if (!rows.empty())
        packFloats(weight);
  }

  int64_t chooseHeight(int64_t count) const {
    auto padded = [&](int64_t height) { return llvm::alignTo(count, height); };
    int64_t best = rows[0];
    for (int64_t height : rows)
      if (padded(height) < padded(best))
        best = height;
    return best;
  }

  void packFloats(ssm::WeightOp weight);
  template <typename Op>
  void packIntegers(Op op, OpOperand &matrix);

  using Layout = llvm::function_ref<ssm::HostTensor(const ssm::HostTensor &)>;
  /// The packed copy of `value`, which `layout` makes once per attribute and
  /// size of groups, 0 for what has none.
  Value packedCopy(Value value, int64_t group, Layout layout);

  /// Packed copies by what they were made of. A splat may be a matrix as well
  /// as the zero points of one.
  llvm::DenseMap<std::pair<Attribute, int64_t>, TypedAttr> attributes;
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

Value PackWeights::packedCopy(Value value, int64_t group, Layout layout) {
  auto weight = value.getDefiningOp<ssm::WeightOp>();
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  Attribute attribute = weight     ? Attribute(weight.getValue())
                        : constant ? Attribute(constant.getValue())
                                   : Attribute();
  if (!attribute)
    return {};
  std::string name =
      (weight ? weight.getName() : StringRef("constant")).str() + ".packed";
  TypedAttr &known = attributes[{attribute, group}];
  if (!known) {
    std::optional<ssm::HostTensor> data = ssm::readAttribute(attribute);
    if (!data)
      return {};
    known = ssm::toResourceAttribute(layout(*data), name);
    ++packed;
  }
  OpBuilder b(value.getDefiningOp());
  return ssm::WeightOp::create(b, value.getLoc(), name, known,
                               /*file=*/nullptr, /*offset=*/nullptr);
}

void PackWeights::packFloats(ssm::WeightOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  if (type.getRank() != 2 || !isa<FloatType>(type.getElementType()) ||
      type.getElementTypeBitWidth() > 32 ||
      llvm::none_of(weight->getUses(), isLinearWeight))
    return;
  int64_t count = type.getDimSize(0), height = chooseHeight(count);
  // Not where more would be padding than weights.
  if (int64_t(llvm::alignTo(count, height)) > 2 * count)
    return;
  Value packed = packedCopy(weight, 0, [&](const ssm::HostTensor &data) {
    return packRows(data, height);
  });
  if (!packed)
    return;
  for (OpOperand &use : llvm::make_early_inc_range(weight->getUses())) {
    if (isEmbeddingTable(use))
      cast<ssm::EmbeddingOp>(use.getOwner()).setRows(count);
    else if (!isLinearWeight(use))
      continue;
    use.set(packed);
  }
  if (weight->use_empty())
    weight.erase();
}

template <typename Op>
void PackWeights::packIntegers(Op op, OpOperand &matrix) {
  auto type = cast<RankedTensorType>(matrix.get().getType());
  unsigned bits = type.getElementTypeBitWidth();
  int64_t height = integerBlockRows(type.getDimSize(0));
  auto packTable = [&](const ssm::HostTensor &data) {
    return packRows(data, height);
  };
  int64_t group = op.getGroupSize();
  Value weight =
      packedCopy(matrix.get(), group, [&](const ssm::HostTensor &data) {
        return itera::packIntegers(data, bits, group, height);
      });
  Value scales = packedCopy(op.getScales(), 0, packTable);
  Value zeroPoints = op.getZeroPoints()
                         ? packedCopy(op.getZeroPoints(), 0, packTable)
                         : Value();
  if (!weight || !scales || (op.getZeroPoints() && !zeroPoints))
    return;
  matrix.set(weight);
  op.getScalesMutable().assign(scales);
  if (zeroPoints)
    op.getZeroPointsMutable().assign(zeroPoints);
  op.setPacked(type.getElementType());
  if constexpr (std::is_same_v<Op, ssm::EmbeddingOp>)
    op.setRows(type.getDimSize(0));
}
