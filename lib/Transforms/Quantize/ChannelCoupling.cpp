// SPDX-License-Identifier: Apache-2.0

#include "ChannelCoupling.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Location.h"

using namespace mlir;
using namespace itera;

bool itera::isCuttableConstant(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !isa<RankedTensorType>(value.getType()))
    return false;
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>() != nullptr;
  if (isa<tensor::EmptyOp>(op))
    return true;
  Attribute data;
  if (auto weight = dyn_cast<ssm::WeightOp>(op))
    data = weight.getValue();
  else if (auto constant = dyn_cast<arith::ConstantOp>(op))
    data = constant.getValue();
  if (auto resource = dyn_cast_or_null<DenseResourceElementsAttr>(data);
      resource && !resource.getRawHandle().getBlob())
    return false;
  return isa_and_nonnull<DenseElementsAttr, DenseResourceElementsAttr>(data) &&
         ssm::getElementKind(getElementTypeOrSelf(value.getType()));
}

ChannelTensor::ChannelTensor(OpOperand &use)
    : value(use.get()),
      use(isCuttableConstant(use.get()) ? &use : nullptr) {}

std::optional<unsigned> ChannelCoupling::getSlot(ChannelTensor tensor,
                                                 unsigned dim) const {
  auto it = slotOf.find({tensor.key(), dim});
  if (it == slotOf.end())
    return std::nullopt;
  return it->second;
}

unsigned ChannelCoupling::find(unsigned element) {
  while (parents[element] != element)
    element = parents[element] = parents[parents[element]];
  return element;
}

unsigned ChannelCoupling::classOf(unsigned slot, int64_t index) {
  return find(slots[slot].begin + index);
}

StringRef ChannelCoupling::getObstacle(unsigned classElement) const {
  auto it = obstacles.find(classElement);
  return it == obstacles.end() ? StringRef() : StringRef(it->second);
}

void ChannelCoupling::unite(unsigned a, unsigned b) {
  a = find(a);
  b = find(b);
  if (a == b)
    return;
  parents[b] = a;
  auto it = obstacles.find(b);
  if (it == obstacles.end())
    return;
  std::string why = std::move(it->second);
  obstacles.erase(b);
  obstacles.try_emplace(a, std::move(why));
}

/// The slot of a dimension; the first time what touches it has its say again.
unsigned ChannelCoupling::reach(ChannelTensor tensor, unsigned dim) {
  auto [it, isNew] = slotOf.try_emplace({tensor.key(), dim}, slots.size());
  unsigned slot = it->second;
  if (!isNew)
    return slot;
  slots.push_back({tensor, dim, unsigned(parents.size()), tensor.size(dim)});
  for (int64_t i = 0; i < tensor.size(dim); ++i)
    parents.push_back(parents.size());
  if (tensor.use) {
    worklist.insert(tensor.use->getOwner());
    return slot;
  }
  if (Operation *producer = tensor.value.getDefiningOp())
    worklist.insert(producer);
  else
    keep(nullptr, tensor, dim, "they are an argument of the function");
  for (Operation *user : tensor.value.getUsers())
    worklist.insert(user);
  return slot;
}

void ChannelCoupling::follow(Value seed, unsigned dim) {
  reach(seed, dim);
  while (!worklist.empty())
    applyChannelRule(worklist.pop_back_val(), *this);
}

void ChannelCoupling::link(ChannelTensor a, unsigned dimA, IndexMap mapA,
                           ChannelTensor b, unsigned dimB, IndexMap mapB,
                           int64_t count) {
  if (!getSlot(a, dimA) && !getSlot(b, dimB))
    return;
  unsigned slotA = reach(a, dimA), slotB = reach(b, dimB);
  for (int64_t i = 0; i < count; ++i)
    unite(slots[slotA].begin + mapA(i), slots[slotB].begin + mapB(i));
}

static int64_t identity(int64_t index) { return index; }

void ChannelCoupling::link(ChannelTensor a, unsigned dimA, ChannelTensor b,
                           unsigned dimB) {
  link(a, dimA, identity, b, dimB, identity, a.size(dimA));
}

/// The model's name of `op`, for a message.
static std::string describe(Operation *op) {
  std::string kind = op->getName().getStringRef().str(), node;
  op->getLoc()->walk([&](Location inner) {
    auto named = dyn_cast<NameLoc>(inner);
    if (!named)
      return WalkResult::advance();
    node = named.getName().str();
    return WalkResult::interrupt();
  });
  return node.empty() ? kind : "node '" + node + "' (" + kind + ")";
}

void ChannelCoupling::keep(Operation *op, ChannelTensor tensor, unsigned dim,
                           int64_t index, StringRef why) {
  std::optional<unsigned> slot = getSlot(tensor, dim);
  if (!slot)
    return;
  auto [it, isNew] = obstacles.try_emplace(classOf(*slot, index));
  if (isNew)
    it->second = op ? describe(op) + " " + why.str() : why.str();
}

void ChannelCoupling::keep(Operation *op, ChannelTensor tensor, unsigned dim,
                           StringRef why) {
  if (!getSlot(tensor, dim))
    return;
  for (int64_t i = 0; i < tensor.size(dim); ++i)
    keep(op, tensor, dim, i, why);
}
