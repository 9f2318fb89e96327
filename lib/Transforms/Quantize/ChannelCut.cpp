// SPDX-License-Identifier: Apache-2.0
// Types of values are changed in place; until all are, the function does not
// verify.

#include "ChannelCut.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <cstring>
#include <map>

using namespace mlir;
using namespace itera;

using Indices = std::vector<int64_t>;
/// What stays of some dimensions; the others are whole.
using KeptDims = std::map<unsigned, Indices>;

void itera::splitConstantChains(func::FuncOp function) {
  SmallVector<Operation *> chain;
  llvm::DenseSet<Operation *> members;
  for (Operation &op : function.getOps()) {
    if (!isa<linalg::BroadcastOp, linalg::TransposeOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::ExtractSliceOp>(op))
      continue;
    if (llvm::all_of(op.getOperands(), [&](Value operand) {
          return isCuttableConstant(operand) ||
                 members.contains(operand.getDefiningOp());
        })) {
      chain.push_back(&op);
      members.insert(&op);
    }
  }
  // Copies give what they are made of more uses, so that comes later.
  for (Operation *op : llvm::reverse(chain)) {
    OpBuilder builder(op->getContext());
    builder.setInsertionPointAfter(op);
    bool isFirst = true;
    for (OpOperand &use : llvm::make_early_inc_range(op->getUses())) {
      if (!isFirst)
        use.set(builder.clone(*op)->getResult(0));
      isFirst = false;
    }
  }
}

namespace {

class Cutter {
public:
  Cutter(ChannelCoupling &coupling, const llvm::BitVector &removed);
  void run();

private:
  /// What stays of a dimension, if it loses anything.
  const Indices *keptOf(ChannelTensor tensor, unsigned dim) const;
  void cutConstant(OpOperand &use, const KeptDims &dims);
  Value buildCut(Value constant, const KeptDims &dims);
  void adapt(Operation *op);
  void adapt(tensor::ExtractSliceOp slice);
  void adapt(ssm::NormOp norm);

  ChannelCoupling &coupling;
  /// By slot; empty if it keeps all.
  std::vector<Indices> kept;
  /// Constants cut before: uses that need the same share one.
  std::map<std::pair<void *, KeptDims>, Value> cuts;
};

} // namespace

Cutter::Cutter(ChannelCoupling &coupling, const llvm::BitVector &removed)
    : coupling(coupling), kept(coupling.getSlots().size()) {
  for (auto [number, slot] : llvm::enumerate(coupling.getSlots())) {
    for (int64_t i = 0; i < slot.size; ++i)
      if (!removed.test(coupling.classOf(number, i)))
        kept[number].push_back(i);
    if (int64_t(kept[number].size()) == slot.size)
      kept[number].clear();
  }
}

const Indices *Cutter::keptOf(ChannelTensor tensor, unsigned dim) const {
  std::optional<unsigned> slot = coupling.getSlot(tensor, dim);
  return slot && !kept[*slot].empty() ? &kept[*slot] : nullptr;
}

/// `data` with only some indices of dimension `dim`.
static ssm::HostTensor select(const ssm::HostTensor &data, unsigned dim,
                              const Indices &indices) {
  SmallVector<int64_t> shape(data.shape());
  int64_t outer = 1, inner = ssm::getElementBytes(data.kind);
  for (unsigned i = 0; i < shape.size(); ++i)
    (i < dim ? outer : inner) *= i == dim ? 1 : shape[i];
  int64_t size = shape[dim];
  shape[dim] = indices.size();
  char *to = nullptr;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(data.type.clone(shape), data.kind, to);
  for (int64_t row = 0; row < outer; ++row)
    for (int64_t index : indices) {
      std::memcpy(to, data.bytes.data() + (row * size + index) * inner, inner);
      to += inner;
    }
  return result;
}

Value Cutter::buildCut(Value constant, const KeptDims &dims) {
  auto type = cast<RankedTensorType>(constant.getType());
  SmallVector<int64_t> shape(type.getShape());
  for (const auto &[dim, indices] : dims)
    shape[dim] = indices.size();
  type = type.clone(shape);

  Operation *op = constant.getDefiningOp();
  OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  if (isa<tensor::EmptyOp>(op))
    return tensor::EmptyOp::create(b, op->getLoc(), shape,
                                   type.getElementType());
  if (auto fill = dyn_cast<linalg::FillOp>(op)) {
    Value empty = tensor::EmptyOp::create(b, op->getLoc(), shape,
                                          type.getElementType());
    return linalg::FillOp::create(b, op->getLoc(), fill.getInputs(), empty)
        ->getResult(0);
  }
  TypedAttr value;
  std::string name = "constant";
  if (auto weight = dyn_cast<ssm::WeightOp>(op)) {
    value = weight.getValue();
    name = weight.getName().str();
  } else {
    value = cast<arith::ConstantOp>(op).getValue();
  }
  if (auto splat = dyn_cast<SplatElementsAttr>(value))
    return arith::ConstantOp::create(b, op->getLoc(),
                                     splat.resizeSplat(type));
  std::optional<ssm::HostTensor> data = ssm::readAttribute(value);
  assert(data && "what cannot be read has no cut classes");
  for (const auto &[dim, indices] : dims)
    data = select(*data, dim, indices);
  return ssm::buildConstant(b, op->getLoc(), *data, name + ".pruned");
}

void Cutter::cutConstant(OpOperand &use, const KeptDims &dims) {
  Value constant = use.get();
  auto [it, isNew] =
      cuts.try_emplace({constant.getAsOpaquePointer(), dims}, Value());
  if (isNew)
    it->second = buildCut(constant, dims);
  use.set(it->second);
}

/// What is kept of a window is still a window.
void Cutter::adapt(tensor::ExtractSliceOp slice) {
  SmallVector<int64_t> offsets(slice.getStaticOffsets()),
      sizes(slice.getStaticSizes());
  for (unsigned dim = 0; dim < offsets.size(); ++dim) {
    const Indices *indices =
        keptOf(ChannelTensor(slice.getSourceMutable()), dim);
    if (!indices)
      continue;
    int64_t begin = offsets[dim], end = begin + sizes[dim];
    offsets[dim] = llvm::count_if(*indices, [&](int64_t i) { return i < begin; });
    sizes[dim] = llvm::count_if(
        *indices, [&](int64_t i) { return i >= begin && i < end; });
  }
  slice.setStaticOffsets(offsets);
  slice.setStaticSizes(sizes);
}

/// With n channels of which m are left: the mean over n as a mean over m,
///     x / sqrt(sum(x^2) / n + e) = x sqrt(n/m) / sqrt(sum(x^2) / m + e n/m)
void Cutter::adapt(ssm::NormOp norm) {
  ChannelTensor x(norm.getXMutable());
  unsigned last = x.rank() - 1;
  const Indices *indices = keptOf(x, last);
  if (!indices)
    return;
  double ratio =
      double(coupling.getSlots()[*coupling.getSlot(x, last)].size) /
      indices->size();
  norm.setEpsilon(APFloat(float(norm.getEpsilon().convertToDouble() * ratio)));
  OpBuilder b(norm);
  Type element = x.type().getElementType();
  auto type = RankedTensorType::get({int64_t(indices->size())}, element);
  FloatAttr factor = b.getFloatAttr(element, std::sqrt(ratio));
  Value scale = arith::ConstantOp::create(
      b, norm.getLoc(), DenseElementsAttr::get(type, Attribute(factor)));
  if (norm.getScale())
    scale = arith::MulFOp::create(b, norm.getLoc(), norm.getScale(), scale);
  norm.getScaleMutable().assign(scale);
}

void Cutter::adapt(Operation *op) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](tensor::ExtractSliceOp slice) { adapt(slice); })
      .Case([&](ssm::NormOp norm) { adapt(norm); })
      .Case([&](tensor::ExpandShapeOp expand) {
        expand.setStaticOutputShape(expand.getResultType().getShape());
      })
      .Case([&](ssm::ConvOp conv) {
        if (conv.getGroups() != 1)
          conv.setGroups(cast<ShapedType>(conv.getY().getType()).getDimSize(1));
      });
}

void Cutter::run() {
  llvm::MapVector<OpOperand *, KeptDims> constants;
  llvm::SetVector<Operation *> touched;
  for (auto [number, slot] : llvm::enumerate(coupling.getSlots())) {
    if (kept[number].empty())
      continue;
    if (slot.tensor.use) {
      constants[slot.tensor.use][slot.dim] = kept[number];
      touched.insert(slot.tensor.use->getOwner());
      continue;
    }
    Value value = slot.tensor.value;
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[slot.dim] = kept[number].size();
    value.setType(type.clone(shape));
    touched.insert(value.getDefiningOp());
    touched.insert(value.user_begin(), value.user_end());
  }
  // Before operands change: a constant's use is known by its operand.
  SmallVector<Operation *> norms;
  for (Operation *op : touched)
    if (!isa<ssm::NormOp>(op))
      adapt(op);
    else
      norms.push_back(op);
  llvm::SetVector<Operation *> sources;
  for (auto &[use, dims] : constants) {
    sources.insert(use->get().getDefiningOp());
    cutConstant(*use, dims);
  }
  // After: they multiply scales that must have been cut.
  for (Operation *op : norms)
    adapt(cast<ssm::NormOp>(op));
  for (Operation *op : sources)
    if (op->use_empty())
      op->erase();
}

void itera::cutChannels(ChannelCoupling &coupling,
                        const llvm::BitVector &removed) {
  Cutter(coupling, removed).run();
}
