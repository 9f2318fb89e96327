// SPDX-License-Identifier: Apache-2.0

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

namespace itera {
#define GEN_PASS_DEF_FOLDCONSTANTSPASS
#include "itera/Transforms/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

/// A result may take so many times the bytes of what it is made of.
static constexpr int64_t kMaxGrowth = 4;
/// Elements to compute at most, over the whole function.
static constexpr int64_t kMaxWork = int64_t(1) << 31;

namespace {

/// What is known of a constant value.
struct Origin {
  /// Bytes of the constants and weights that it is made of.
  int64_t bytes = 0;
  /// The weight it is made of, if it is one only.
  StringAttr weight;
  bool severalWeights = false;
  /// An init such as tensor.empty or a fill: constant, but worth no memory.
  bool isInit = false;
};

struct FoldConstants : itera::impl::FoldConstantsPassBase<FoldConstants> {
  using FoldConstantsPassBase::FoldConstantsPassBase;
  void runOnOperation() override {
    constants.clear();
    getOperation().walk<WalkOrder::PreOrder>(
        [&](Operation *op) { classify(op); });
    replaceRoots();
    eraseDead(getOperation().getBody());
  }

  void classify(Operation *op);
  void replaceRoots();
  void eraseDead(Region &region);

  /// The constant values, in program order.
  llvm::MapVector<Value, Origin> constants;
};

} // namespace

static int64_t bytesOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  std::optional<ssm::ElementKind> kind =
      ssm::getElementKind(tensor ? tensor.getElementType() : type);
  if (!kind)
    return INT64_MAX;
  return (tensor ? tensor.getNumElements() : 1) * ssm::getElementBytes(*kind);
}

static int64_t elementsOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? tensor.getNumElements() : 1;
}

void FoldConstants::classify(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Origin origin;
    origin.bytes = bytesOf(constant.getType());
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (dense && dense.isSplat())
      origin.bytes = bytesOf(dense.getElementType());
    constants.insert({constant.getResult(), origin});
    return;
  }
  if (auto weight = dyn_cast<ssm::WeightOp>(op)) {
    Origin origin;
    origin.bytes = bytesOf(weight.getType());
    origin.weight = weight.getNameAttr();
    constants.insert({weight.getResult(), origin});
    return;
  }
  if (op->getNumResults() == 0 || !isMemoryEffectFree(op) ||
      !ssm::canEvaluate(op))
    return;
  llvm::SetVector<Value> operands(op->operand_begin(), op->operand_end());
  for (Region &region : op->getRegions())
    getUsedValuesDefinedAbove(region, operands);
  Origin origin;
  for (Value operand : operands) {
    auto known = constants.find(operand);
    if (known == constants.end())
      return;
    const Origin &part = known->second;
    if (llvm::AddOverflow(origin.bytes, part.bytes, origin.bytes))
      origin.bytes = INT64_MAX / (2 * kMaxGrowth);
    origin.severalWeights |=
        part.severalWeights ||
        (origin.weight && part.weight && origin.weight != part.weight);
    if (part.weight)
      origin.weight = part.weight;
  }
  origin.bytes = std::min(origin.bytes, INT64_MAX / (2 * kMaxGrowth));
  origin.isInit = isa<tensor::EmptyOp, linalg::FillOp, tensor::SplatOp>(op);
  for (Type type : op->getResultTypes())
    if (!origin.isInit && elementsOf(type) > ssm::kMaxInlineElements &&
        bytesOf(type) >
            std::max<int64_t>(smallBytes, kMaxGrowth * origin.bytes))
      return;
  for (Value result : op->getResults())
    constants.insert({result, origin});
}

/// Along which dimensions all of the value's slices are equal.
static SmallVector<int64_t> repeatedDims(const ssm::HostTensor &data) {
  int64_t bytes = ssm::getElementBytes(data.kind);
  SmallVector<int64_t> strides = ssm::getRowMajorStrides(data.shape()), dims;
  for (auto [dim, size] : llvm::enumerate(data.shape())) {
    int64_t run = strides[dim] * bytes, slab = run * size;
    bool repeats = size > 1;
    for (int64_t at = 0, e = data.size() * bytes; repeats && at < e; at += slab)
      for (int64_t i = 1; repeats && i < size; ++i)
        repeats = data.bytes.slice(at, run) == data.bytes.slice(at + i * run, run);
    if (repeats)
      dims.push_back(dim);
  }
  return dims;
}

/// `data` as a constant; what is repeated along a dimension is stored once.
static Value buildShared(OpBuilder &builder, Location loc,
                         const ssm::HostTensor &data, StringRef name) {
  SmallVector<int64_t> dims = repeatedDims(data);
  if (dims.empty() || ssm::isSplat(data))
    return ssm::buildConstant(builder, loc, data, name);
  SmallVector<int64_t> shape, strides, all = ssm::getRowMajorStrides(data.shape());
  for (auto [dim, size] : llvm::enumerate(data.shape()))
    if (!llvm::is_contained(dims, dim)) {
      shape.push_back(size);
      strides.push_back(all[dim]);
    }
  char *bytes = nullptr;
  ssm::HostTensor once = ssm::HostTensor::allocate(
      data.type.clone(shape), data.kind, bytes);
  ssm::copyStrided(bytes, ssm::getRowMajorStrides(shape), data.bytes.data(),
                   strides, shape, ssm::getElementBytes(data.kind));
  Value constant = ssm::buildConstant(builder, loc, once, name);
  Value empty = tensor::EmptyOp::create(builder, loc, data.shape(),
                                        data.type.getElementType());
  return linalg::BroadcastOp::create(builder, loc, constant, empty, dims)
      ->getResult(0);
}

void FoldConstants::replaceRoots() {
  ssm::Evaluator::Limits limits;
  limits.work = kMaxWork;
  ssm::Evaluator evaluator(limits);
  OpBuilder builder(&getContext());
  builder.setInsertionPointToStart(&getOperation().getBody().front());
  auto isConstant = [&](Operation *user) {
    return user->getNumResults() > 0 &&
           llvm::all_of(user->getResults(), [&](Value result) {
             return constants.contains(result);
           });
  };
  for (auto &[value, origin] : constants) {
    Operation *op = value.getDefiningOp();
    if (origin.isInit || isa<arith::ConstantOp, ssm::WeightOp>(op) ||
        value.use_empty() || llvm::all_of(value.getUsers(), isConstant))
      continue;
    std::optional<ssm::HostTensor> data = evaluator.evaluate(value);
    if (!data)
      continue;
    // Scalars only feed what folds as a whole.
    if (!isa<RankedTensorType>(value.getType()))
      continue;
    std::string name = "folded";
    if (origin.weight && !origin.severalWeights)
      name = (origin.weight.getValue() + ".folded").str();
    else if (auto named = dyn_cast<NameLoc>(op->getLoc()))
      name = named.getName().str();
    bool hasGrown = bytesOf(value.getType()) > kMaxGrowth * origin.bytes &&
                    data->size() > ssm::kMaxInlineElements;
    Value replacement =
        hasGrown ? buildShared(builder, op->getLoc(), *data, name)
                 : ssm::buildConstant(builder, op->getLoc(), *data, name);
    // Constant users keep the old value, which dies with them.
    value.replaceUsesWithIf(replacement, [&](OpOperand &use) {
      return !isConstant(use.getOwner());
    });
    ++numFolded;
  }
}

void FoldConstants::eraseDead(Region &region) {
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (op.use_empty() && !op.hasTrait<OpTrait::IsTerminator>() &&
          isMemoryEffectFree(&op)) {
        op.erase();
        ++numErased;
        continue;
      }
      for (Region &inner : op.getRegions())
        eraseDead(inner);
    }
}
