// SPDX-License-Identifier: Apache-2.0
// Stores weights in fewer bytes where this loses nothing. See the pass's
// description.

#include "KernelOps.h"
#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace itera {
#define GEN_PASS_DEF_NARROWWEIGHTSPASS
#include "itera/Transforms/Fuse/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

/// A parameter of a kernel.
using Parameter = std::pair<func::FuncOp, unsigned>;

struct NarrowWeights : itera::impl::NarrowWeightsPassBase<NarrowWeights> {
  void runOnOperation() override {
    weights.clear();
    parameters.clear();
    getOperation().walk([&](ssm::WeightOp weight) {
      weights[weight.getValue()].push_back(weight);
    });
    narrowFloats();
    for (auto &[value, readers] : weights)
      narrowIndices(value, readers);
  }

  void narrowFloats();
  void narrowIndices(Attribute value, ArrayRef<ssm::WeightOp> readers);
  void replace(ArrayRef<ssm::WeightOp> readers, const ssm::HostTensor &data,
               StringRef suffix);

  /// What reads a value, in all functions.
  llvm::MapVector<Attribute, SmallVector<ssm::WeightOp>> weights;
  /// What is passed as a parameter: the values, or null for any that is no
  /// weight.
  llvm::MapVector<Parameter, llvm::SetVector<Attribute>> parameters;
};

} // namespace

static func::FuncOp kernelOf(ssm::KernelOp call) {
  return dyn_cast_or_null<func::FuncOp>(
      SymbolTable::lookupNearestSymbolFrom(call, call.getCallee()));
}

void NarrowWeights::replace(ArrayRef<ssm::WeightOp> readers,
                            const ssm::HostTensor &data, StringRef suffix) {
  ssm::WeightOp first = readers.front();
  TypedAttr stored =
      ssm::toResourceAttribute(data, (first.getName() + "." + suffix).str());
  for (ssm::WeightOp weight : readers) {
    weight.setValueAttr(stored);
    weight.getResult().setType(data.type);
    // It is no part of the model's file any more.
    weight.removeFileAttr();
    weight.removeOffsetAttr();
    ++numNarrowed;
  }
}

/// All elements as f16, if that changes none.
static std::optional<ssm::HostTensor> toHalf(const ssm::HostTensor &data) {
  char *bytes = nullptr;
  Type half = Float16Type::get(data.type.getContext());
  ssm::HostTensor result = ssm::HostTensor::allocate(
      RankedTensorType::get(data.shape(), half), ssm::ElementKind::F16, bytes);
  std::vector<double> from(data.size()), to(data.size());
  ssm::loadFloats(data, 0, from.size(), from.data());
  ssm::storeFloats(ssm::ElementKind::F16, bytes, 0, from.size(), from.data());
  ssm::loadFloats(result, 0, to.size(), to.data());
  if (from != to) // NaN is no number to be kept
    return std::nullopt;
  return result;
}

/// Whether a kernel reads the value where a conversion costs nothing to speak
/// of: not in the products of matrices, which have forms of their own, nor at
/// every step of a recurrence.
static bool isCheaplyWidened(Value value) {
  return llvm::all_of(value.getUses(), [](OpOperand &use) {
    Operation *op = use.getOwner();
    if (auto linear = dyn_cast<ssm::LinearOp>(op))
      return use.get() == linear.getBias();
    if (auto scan = dyn_cast<ssm::SelectiveScanOp>(op))
      return use.get() == scan.getD();
    if (isa<ssm::CausalConv1dOp, ssm::NormOp>(op))
      return true;
    if (isKernelMovement(op))
      return isCheaplyWidened(op->getResult(0));
    return isKernelElementwise(op);
  });
}

void NarrowWeights::narrowFloats() {
  getOperation().walk([&](ssm::KernelOp call) {
    func::FuncOp kernel = kernelOf(call);
    if (!kernel)
      return;
    for (auto [number, operand] : llvm::enumerate(call.getArguments())) {
      auto weight = operand.getDefiningOp<ssm::WeightOp>();
      parameters[{kernel, number}].insert(weight ? Attribute(weight.getValue())
                                                 : Attribute());
    }
  });
  parameters.remove_if([](auto &entry) {
    auto [kernel, number] = entry.first;
    return !isCheaplyWidened(kernel.getArgument(number));
  });
  auto isRead = [&](Attribute value) {
    return llvm::all_of(weights[value], [&](ssm::WeightOp weight) {
      return llvm::all_of(weight->getUses(), [&](OpOperand &use) {
        auto call = dyn_cast<ssm::KernelOp>(use.getOwner());
        return call &&
               parameters.contains({kernelOf(call), use.getOperandNumber()});
      });
    });
  };
  llvm::MapVector<Attribute, ssm::HostTensor> halves;
  for (auto &[value, readers] : weights) {
    std::optional<ssm::HostTensor> data;
    if (isRead(value) &&
        isa<RankedTensorType>(cast<TypedAttr>(value).getType()))
      data = ssm::readAttribute(value);
    if (!data || data->kind != ssm::ElementKind::F32)
      continue;
    if (std::optional<ssm::HostTensor> half = toHalf(*data))
      halves.insert({value, std::move(*half)});
  }
  // Less and less: a parameter only if all that is passed is narrow, a weight
  // only if all that read it take it so.
  bool changed = true;
  while (changed) {
    size_t before = halves.size() + parameters.size();
    parameters.remove_if([&](auto &entry) {
      return llvm::any_of(entry.second, [&](Attribute value) {
        return !halves.contains(value);
      });
    });
    halves.remove_if([&](auto &entry) { return !isRead(entry.first); });
    changed = halves.size() + parameters.size() != before;
  }
  for (auto &[value, half] : halves)
    replace(weights[value], half, "f16");
  for (auto &[parameter, values] : parameters) {
    auto [kernel, number] = parameter;
    BlockArgument argument = kernel.getArgument(number);
    auto wide = cast<RankedTensorType>(argument.getType());
    OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
    argument.setType(wide.clone(b.getF16Type()));
    auto widened = arith::ExtFOp::create(b, b.getUnknownLoc(), wide, argument);
    argument.replaceAllUsesExcept(widened, widened);
    kernel.setType(b.getFunctionType(
        kernel.getBody().front().getArgumentTypes(), kernel.getResultTypes()));
  }
}

/// The least type of integers that holds all values.
static Type leastType(ArrayRef<int64_t> values, MLIRContext *context) {
  auto [least, most] = std::minmax_element(values.begin(), values.end());
  for (unsigned bits : {8u, 16u, 32u})
    if (llvm::isIntN(bits, *least) && llvm::isIntN(bits, *most))
      return IntegerType::get(context, bits);
  return IntegerType::get(context, 64);
}

/// Rows of a table, as they are or a part of them.
static bool isIndices(Value value) {
  return llvm::all_of(value.getUses(), [](OpOperand &use) {
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(use.getOwner()))
      return isIndices(slice.getResult());
    auto embedding = dyn_cast<ssm::EmbeddingOp>(use.getOwner());
    return embedding && use.get() == embedding.getIndices();
  });
}

static void setElementTypeOfParts(Value value, Type element) {
  for (Operation *user : value.getUsers())
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user)) {
      slice.getResult().setType(slice.getType().clone(element));
      setElementTypeOfParts(slice.getResult(), element);
    }
}

void NarrowWeights::narrowIndices(Attribute value,
                                  ArrayRef<ssm::WeightOp> readers) {
  auto type = dyn_cast<RankedTensorType>(cast<TypedAttr>(value).getType());
  if (!type || !type.getElementType().isSignlessInteger() ||
      !llvm::all_of(readers, [](ssm::WeightOp reader) {
        return isIndices(reader.getResult());
      }))
    return;
  std::optional<ssm::HostTensor> data = ssm::readAttribute(value);
  if (!data || data->size() == 0)
    return;
  std::vector<int64_t> values(data->size());
  ssm::loadInts(*data, 0, values.size(), values.data());
  Type least = leastType(values, &getContext());
  if (least.getIntOrFloatBitWidth() >= type.getElementTypeBitWidth())
    return;
  std::optional<ssm::ElementKind> kind = ssm::getElementKind(least);
  char *bytes = nullptr;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(type.clone(least), *kind, bytes);
  ssm::storeInts(*kind, bytes, 0, values.size(), values.data());
  replace(readers, result, "narrow");
  for (ssm::WeightOp weight : readers)
    setElementTypeOfParts(weight.getResult(), least);
}
