// SPDX-License-Identifier: Apache-2.0
// Outlines groups of ops into kernel functions. See the pass's description.

#include "KernelGroups.h"
#include "KernelOps.h"
#include "itera/Dialect/SSM/InOrder.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Fuse/Passes.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace itera {
#define GEN_PASS_DEF_FORMKERNELSPASS
#include "itera/Transforms/Fuse/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

static Value transpose(OpBuilder &b, Location loc, Value value,
                       ArrayRef<int64_t> permutation) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape;
  for (int64_t dim : permutation)
    shape.push_back(type.getDimSize(dim));
  Value empty = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
  return linalg::TransposeOp::create(b, loc, value, empty, permutation)
      ->getResult(0);
}

/// How an operand or a result of an anchor is stored at the kernel's boundary:
/// the permutation from there to the op's own order of dimensions, which is
/// its own inverse; empty if they are the same.
static ArrayRef<int64_t> boundaryOrder(Operation *anchor, Value value) {
  static constexpr int64_t swap2[] = {1, 0}, swap3[] = {0, 2, 1};
  auto type = cast<RankedTensorType>(value.getType());
  // Nothing to gain where one of the two dimensions is 1.
  ArrayRef<int64_t> shape = type.getShape();
  if (shape.size() < 2 || shape.back() == 1 || shape[shape.size() - 2] == 1)
    return {};
  if (auto scan = dyn_cast_or_null<ssm::SelectiveScanOp>(anchor)) {
    if (value == scan.getA() && scan.hasDecayPerState())
      return swap2;
    if (value == scan.getInit() || value == scan.getLast())
      return swap3;
  }
  if (auto conv = dyn_cast_or_null<ssm::CausalConv1dOp>(anchor))
    if (value == conv.getWeight())
      return swap2;
  return {};
}

namespace {

/// Builds one kernel's function and call.
class Outliner {
public:
  Outliner(const KernelGroup &group, ModuleOp kernels)
      : group(group), kernels(kernels),
        members(group.ops.begin(), group.ops.end()) {}

  /// Finds what goes in and out, and writes the function.
  func::FuncOp writeFunction();
  /// Replaces the group's ops by a call.
  void replaceBy(func::FuncOp function);

private:
  void copy(Operation *op, OpBuilder &b);
  Value inside(Value value, OpBuilder &b);
  bool escapes(Value value) const;

  const KernelGroup &group;
  ModuleOp kernels;
  llvm::DenseSet<Operation *> members;
  IRMapping mapping;
  func::FuncOp function;
  /// What the call passes, and in which order of dimensions.
  struct Port {
    Value value;
    ArrayRef<int64_t> order;
  };
  SmallVector<Port> inputs, outputs;
};

} // namespace

bool Outliner::escapes(Value value) const {
  return llvm::any_of(value.getUsers(),
                      [&](Operation *user) { return !members.contains(user); });
}

/// The value in the function: of a member, of a copied movement, or of a new
/// argument.
Value Outliner::inside(Value value, OpBuilder &b) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (op && !members.contains(op) &&
      (isKernelSource(op) || isKernelMovement(op))) {
    copy(op, b);
    return mapping.lookup(value);
  }
  ArrayRef<int64_t> order = boundaryOrder(group.anchor, value);
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  if (!order.empty())
    shape = applyPermutation(type.getShape(), order);
  Block &body = function.getBody().front();
  Value argument = body.addArgument(type.clone(shape), b.getUnknownLoc());
  inputs.push_back({value, order});
  Value result = argument;
  if (!order.empty())
    result = transpose(b, b.getUnknownLoc(), argument, order);
  mapping.map(value, result);
  return result;
}

void Outliner::copy(Operation *op, OpBuilder &b) {
  // A destination's contents are not read: any empty tensor will do.
  for (Value operand : op->getOperands())
    inside(operand, b);
  Operation *clone = b.clone(*op, mapping);
  clone->setLoc(b.getUnknownLoc());
  clone->setDiscardableAttrs(DictionaryAttr::get(op->getContext()));
  if (ssm::isInOrder(op))
    ssm::setInOrder(clone);
}

func::FuncOp Outliner::writeFunction() {
  OpBuilder b(kernels.getContext());
  b.setInsertionPointToEnd(kernels.getBody());
  function = func::FuncOp::create(b, group.ops.front()->getLoc(), "kernel",
                                  b.getFunctionType({}, {}));
  Block *body = function.addEntryBlock();
  b.setInsertionPointToEnd(body);
  for (Operation *op : group.ops)
    copy(op, b);

  SmallVector<Value> results;
  auto addResult = [&](Value value) {
    ArrayRef<int64_t> order = boundaryOrder(group.anchor, value);
    Value result = mapping.lookup(value);
    if (!order.empty())
      result = transpose(b, b.getUnknownLoc(), result, order);
    outputs.push_back({value, order});
    results.push_back(result);
  };
  bool recurrence =
      isa_and_nonnull<ssm::SelectiveScanOp, ssm::LinearRecurrenceOp>(
          group.anchor);
  for (Operation *op : group.ops)
    for (Value value : op->getResults())
      // A recurrence's kernel writes all it has: its state lives in a result.
      if (escapes(value) || (recurrence && op == group.anchor))
        addResult(value);
  func::ReturnOp::create(b, b.getUnknownLoc(), results);
  function.setType(b.getFunctionType(body->getArgumentTypes(),
                                     ValueRange(results).getTypes()));
  return function;
}

void Outliner::replaceBy(func::FuncOp callee) {
  Operation *last = group.ops.back();
  OpBuilder b(last);
  Location loc = (group.anchor ? group.anchor : last)->getLoc();
  SmallVector<Value> arguments;
  for (const Port &port : inputs)
    arguments.push_back(port.order.empty()
                            ? port.value
                            : transpose(b, loc, port.value, port.order));
  auto name = SymbolRefAttr::get(b.getContext(), ssm::kKernelModuleName,
                                 {FlatSymbolRefAttr::get(callee)});
  auto call = ssm::KernelOp::create(
      b, loc, callee.getFunctionType().getResults(), name, arguments);
  for (auto [port, result] : llvm::zip(outputs, call.getResults())) {
    Value value = result;
    if (port.value.use_empty())
      continue;
    if (!port.order.empty())
      value = transpose(b, loc, value, port.order);
    Value old = port.value;
    old.replaceUsesWithIf(value, [&](OpOperand &use) {
      return !members.contains(use.getOwner());
    });
  }
  for (Operation *op : llvm::reverse(group.ops))
    op->erase();
}

namespace {

struct FormKernels : itera::impl::FormKernelsPassBase<FormKernels> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (!function.isExternal() && llvm::hasSingleElement(function.getBody())) {
        formKernels(module, function.getBody().front());
        // What a stream does at some positions only, or does again. It must
        // become kernels as it does in a chunk, so that its rounding is the
        // same.
        SmallVector<Operation *> choices;
        function.walk([&](Operation *op) {
          if (isa<scf::IfOp, scf::ForOp>(op))
            choices.push_back(op);
        });
        for (Operation *choice : choices)
          for (Region &region : choice->getRegions())
            if (!region.empty())
              formKernels(module, region.front());
      }
  }

  void formKernels(ModuleOp module, Block &block) {
    std::vector<KernelGroup> groups = KernelGroups(block).take();
    if (groups.empty())
      return;
    auto kernels = module.lookupSymbol<ModuleOp>(ssm::kKernelModuleName);
    if (!kernels) {
      OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
      kernels = ModuleOp::create(b, module.getLoc(), ssm::kKernelModuleName);
    }
    for (const KernelGroup &group : groups) {
      Outliner outliner(group, kernels);
      func::FuncOp function = outliner.writeFunction();
      std::string text;
      llvm::raw_string_ostream(text) << function;
      auto [entry, isNew] = known.try_emplace(text, function);
      if (isNew) {
        std::string kind = kernelKind(group.anchor).str();
        function.setName(kind + "_" + std::to_string(counts[kind]++));
        ++functions;
      } else {
        function.erase();
      }
      outliner.replaceBy(entry->second);
      ++calls;
    }
    // A call stands where the last op of its group stood: before some users.
    sortTopologically(&block);
  }

  /// Functions by their text under a common name.
  llvm::StringMap<func::FuncOp> known;
  llvm::StringMap<unsigned> counts;
};

} // namespace
