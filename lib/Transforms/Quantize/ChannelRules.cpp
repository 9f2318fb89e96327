// SPDX-License-Identifier: Apache-2.0
// What each op couples. A rule must be complete: a dimension that it leaves out
// would shrink on one side alone.

#include "ChannelCoupling.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;

namespace {

/// The rules of one op.
class Rules {
public:
  Rules(Operation *op, ChannelCoupling &coupling)
      : op(op), coupling(coupling) {}

  void apply();

private:
  bool visit(ssm::LinearOp linear);
  bool visit(ssm::NormOp norm);
  bool visit(ssm::CausalConv1dOp conv);
  bool visit(ssm::ConvOp conv);
  bool visit(ssm::LongConvOp conv);
  bool visit(ssm::SelectiveScanOp scan);
  bool visit(ssm::LinearRecurrenceOp recurrence);
  bool visit(ssm::ReverseOp reverse);
  bool visit(tensor::ExtractSliceOp slice);
  bool visit(tensor::ConcatOp concat);
  bool visit(tensor::PadOp pad);
  bool visit(tensor::CollapseShapeOp reshape);
  bool visit(tensor::ExpandShapeOp reshape);
  bool visit(linalg::FillOp fill);
  bool visit(linalg::BroadcastOp broadcast);
  bool visit(linalg::TransposeOp transpose);
  bool visit(linalg::ReduceOp reduce);
  bool visit(linalg::ContractOp contract);
  bool visit(linalg::SoftmaxOp softmax);

  bool elementwise();
  void keepAll(StringRef why);
  void reshape(ChannelTensor expanded, ChannelTensor collapsed,
               ArrayRef<ReassociationIndices> groups);

  ChannelTensor in(OpOperand &use) const { return ChannelTensor(use); }
  ChannelTensor in(unsigned operand) const {
    return ChannelTensor(op->getOpOperand(operand));
  }
  ChannelTensor out(unsigned result = 0) const { return op->getResult(result); }
  /// All dimensions but the last `but`.
  void linkLeading(ChannelTensor a, ChannelTensor b, unsigned but) {
    for (unsigned dim = 0; dim + but < a.rank(); ++dim)
      coupling.link(a, dim, b, dim);
  }
  void linkAll(ChannelTensor a, ChannelTensor b) { linkLeading(a, b, 0); }
  void keep(ChannelTensor tensor, unsigned dim, StringRef why) {
    coupling.keep(op, tensor, dim, why);
  }

  Operation *op;
  ChannelCoupling &coupling;
};

} // namespace

constexpr StringRef kTime = "goes along them step by step";

void Rules::keepAll(StringRef why) {
  auto keepTensor = [&](ChannelTensor tensor) {
    for (unsigned dim = 0; dim < tensor.rank(); ++dim)
      keep(tensor, dim, why);
  };
  for (OpOperand &use : op->getOpOperands())
    if (isa<RankedTensorType>(use.get().getType()))
      keepTensor(in(use));
  for (Value result : op->getResults())
    if (isa<RankedTensorType>(result.getType()))
      keepTensor(result);
}

bool Rules::elementwise() {
  if (!op->hasTrait<OpTrait::Elementwise>() || op->getNumResults() != 1)
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type)
    return false;
  for (OpOperand &use : op->getOpOperands()) {
    auto operand = dyn_cast<RankedTensorType>(use.get().getType());
    if (!operand)
      continue;
    if (operand.getShape() != type.getShape())
      return false;
    linkAll(in(use), out());
  }
  return true;
}

bool Rules::visit(ssm::LinearOp linear) {
  if (linear.getPacked())
    return false;
  ChannelTensor x = in(linear.getXMutable()), y = out();
  ChannelTensor weight = in(linear.getWeightMutable());
  unsigned last = x.rank() - 1;
  linkLeading(x, y, 1);
  coupling.link(x, last, weight, 1);
  coupling.link(weight, 0, y, last);
  for (OpOperand &bias : linear.getBiasMutable())
    coupling.link(in(bias), 0, y, last);
  if (!linear.isQuantized())
    return true;
  SmallVector<OpOperand *> perGroup;
  for (OpOperand &scales : linear.getScalesMutable())
    perGroup.push_back(&scales);
  for (OpOperand &zeros : linear.getZeroPointsMutable())
    perGroup.push_back(&zeros);
  int64_t group = linear.getGroupSize(), depth = linear.getK();
  for (OpOperand *use : perGroup) {
    coupling.link(in(*use), 0, y, last);
    // What shares a scale goes together: groups must begin where they did. One
    // group for all is as good for fewer.
    if (group < depth)
      coupling.link(
          in(*use), 1, [group](int64_t k) { return k / group; }, weight, 1,
          [](int64_t k) { return k; }, depth);
  }
  return true;
}

bool Rules::visit(ssm::NormOp norm) {
  ChannelTensor x = in(norm.getXMutable()), y = out();
  unsigned last = x.rank() - 1;
  linkAll(x, y);
  for (OpOperand &scale : norm.getScaleMutable())
    coupling.link(in(scale), 0, y, last);
  for (OpOperand &bias : norm.getBiasMutable())
    coupling.link(in(bias), 0, y, last);
  // That of an RMS norm is corrected by its scale.
  if (norm.getKind() == ssm::NormKind::layer)
    keep(x, last, "takes the mean over them");
  return true;
}

bool Rules::visit(ssm::CausalConv1dOp conv) {
  ChannelTensor x = in(conv.getXMutable()), y = out();
  ChannelTensor weight = in(conv.getWeightMutable());
  linkAll(x, y);
  coupling.link(weight, 0, y, 2);
  for (OpOperand &bias : conv.getBiasMutable())
    coupling.link(in(bias), 0, y, 2);
  for (OpOperand &past : conv.getPastMutable()) {
    coupling.link(in(past), 0, y, 0);
    coupling.link(in(past), 2, y, 2);
    keep(in(past), 1, kTime);
  }
  keep(x, 1, kTime);
  keep(weight, 1, kTime);
  return true;
}

bool Rules::visit(ssm::ConvOp conv) {
  ChannelTensor x = in(conv.getXMutable()), y = out();
  ChannelTensor weight = in(conv.getWeightMutable());
  int64_t groups = conv.getGroups();
  bool isDepthwise = groups == x.size(1) && groups == y.size(1);
  if (!isDepthwise && groups != 1)
    return false;
  coupling.link(x, 0, y, 0);
  coupling.link(weight, 0, y, 1);
  for (OpOperand &bias : conv.getBiasMutable())
    coupling.link(in(bias), 0, y, 1);
  if (isDepthwise)
    coupling.link(x, 1, y, 1);
  else
    coupling.link(x, 1, weight, 1);
  for (unsigned dim = 2; dim < x.rank(); ++dim)
    for (ChannelTensor tensor : {x, y, weight})
      keep(tensor, dim, kTime);
  return true;
}

bool Rules::visit(ssm::LongConvOp conv) {
  ChannelTensor x = in(conv.getXMutable()), y = out();
  ChannelTensor kernel = in(conv.getKernelMutable());
  linkAll(x, y);
  coupling.link(kernel, 0, y, 1);
  keep(x, 2, kTime);
  keep(kernel, 1, kTime);
  return true;
}

bool Rules::visit(ssm::SelectiveScanOp scan) {
  ChannelTensor x = in(scan.getXMutable()), y = out(0);
  ChannelTensor a = in(scan.getAMutable()), init = in(scan.getInitMutable());
  linkAll(x, y);
  linkAll(in(scan.getDtMutable()), y);
  for (OpOperand &z : scan.getZMutable())
    linkAll(in(z), y);
  keep(x, 1, kTime);
  coupling.link(a, 0, y, 2);
  for (OpOperand &d : scan.getDMutable())
    coupling.link(in(d), 0, y, 2);
  linkAll(init, out(1));
  coupling.link(init, 0, y, 0);
  coupling.link(init, 1, y, 2);
  if (scan.hasDecayPerState())
    coupling.link(a, 1, init, 2);

  int64_t perGroup = y.size(2) / scan.getNumGroups();
  for (OpOperand *use : {&scan.getBMutable(), &scan.getCMutable()}) {
    ChannelTensor matrix = in(*use);
    coupling.link(matrix, 0, y, 0);
    coupling.link(matrix, 1, y, 1);
    coupling.link(matrix, matrix.rank() - 1, init, 2);
    // All groups have as many channels, so a group goes as a whole.
    if (scan.getNumGroups() > 1)
      coupling.link(
          matrix, 2, [&](int64_t i) { return i / perGroup; }, y, 2,
          [](int64_t i) { return i; }, y.size(2));
    else if (matrix.rank() == 4)
      keep(matrix, 2, "reads one group");
  }
  return true;
}

bool Rules::visit(ssm::LinearRecurrenceOp recurrence) {
  ChannelTensor states = out(0);
  unsigned time = recurrence.getDim();
  linkAll(in(recurrence.getAMutable()), states);
  linkAll(in(recurrence.getUMutable()), states);
  for (ChannelTensor frame : {in(recurrence.getInitMutable()), out(1)})
    for (unsigned dim = 0; dim < frame.rank(); ++dim)
      coupling.link(frame, dim, states, dim < time ? dim : dim + 1);
  keep(states, time, kTime);
  return true;
}

bool Rules::visit(ssm::ReverseOp reverse) {
  ChannelTensor x = in(reverse.getXMutable()), y = out();
  for (unsigned dim = 0; dim < x.rank(); ++dim) {
    int64_t size = x.size(dim);
    if (llvm::is_contained(reverse.getDims(), int64_t(dim)))
      coupling.link(
          x, dim, [](int64_t i) { return i; }, y, dim,
          [size](int64_t i) { return size - 1 - i; }, size);
    else
      coupling.link(x, dim, y, dim);
  }
  return true;
}

bool Rules::visit(tensor::ExtractSliceOp slice) {
  if (!slice.hasUnitStride() || !slice.getOffsets().empty() ||
      !slice.getSizes().empty())
    return false;
  ChannelTensor from = in(slice.getSourceMutable()), to = out();
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  unsigned result = 0;
  for (unsigned dim = 0; dim < from.rank(); ++dim) {
    int64_t offset = slice.getStaticOffset(dim);
    if (dropped.test(dim)) {
      coupling.keep(op, from, dim, offset, "reads one of them by its number");
      continue;
    }
    coupling.link(
        from, dim, [offset](int64_t i) { return offset + i; }, to, result,
        [](int64_t i) { return i; }, to.size(result));
    ++result;
  }
  return true;
}

bool Rules::visit(tensor::ConcatOp concat) {
  ChannelTensor to = out();
  unsigned along = concat.getDim();
  int64_t offset = 0;
  for (OpOperand &use : op->getOpOperands()) {
    ChannelTensor part = in(use);
    for (unsigned dim = 0; dim < part.rank(); ++dim) {
      int64_t shift = dim == along ? offset : 0;
      coupling.link(
          part, dim, [](int64_t i) { return i; }, to, dim,
          [shift](int64_t i) { return shift + i; }, part.size(dim));
    }
    offset += part.size(along);
  }
  return true;
}

bool Rules::visit(tensor::PadOp pad) {
  if (!pad.getLow().empty() || !pad.getHigh().empty())
    return false;
  ChannelTensor from = in(pad.getSourceMutable()), to = out();
  for (unsigned dim = 0; dim < from.rank(); ++dim) {
    int64_t low = pad.getStaticLow()[dim];
    if (low < 0 || pad.getStaticHigh()[dim] < 0) {
      keep(from, dim, "crops them");
      keep(to, dim, "crops them");
      continue;
    }
    coupling.link(
        from, dim, [](int64_t i) { return i; }, to, dim,
        [low](int64_t i) { return low + i; }, from.size(dim));
    // The padding is not made of them.
    for (int64_t i = 0; i < to.size(dim); ++i)
      if (i < low || i >= low + from.size(dim))
        coupling.keep(op, to, dim, i, "pads them");
  }
  return true;
}

/// Row-major: an index of the outermost dimension is a block of the collapsed
/// one. The dimensions inside of a block keep their size.
void Rules::reshape(ChannelTensor expanded, ChannelTensor collapsed,
                    ArrayRef<ReassociationIndices> groups) {
  constexpr StringRef kWhy = "splits or joins them otherwise than in blocks";
  for (auto [dim, group] : llvm::enumerate(groups)) {
    const int64_t *outer = llvm::find_if(
        group, [&](int64_t inner) { return expanded.size(inner) != 1; });
    for (int64_t inner : group)
      if (outer == group.end() || inner != *outer)
        keep(expanded, inner, kWhy);
    if (outer == group.end()) {
      keep(collapsed, dim, kWhy);
      continue;
    }
    int64_t block = collapsed.size(dim) / expanded.size(*outer);
    coupling.link(
        expanded, *outer, [block](int64_t i) { return i / block; }, collapsed,
        dim, [](int64_t i) { return i; }, collapsed.size(dim));
  }
  if (groups.empty())
    keepAll(kWhy);
}

bool Rules::visit(tensor::CollapseShapeOp collapse) {
  reshape(in(collapse.getSrcMutable()), out(),
          collapse.getReassociationIndices());
  return true;
}

bool Rules::visit(tensor::ExpandShapeOp expand) {
  reshape(out(), in(expand.getSrcMutable()), expand.getReassociationIndices());
  return true;
}

bool Rules::visit(linalg::FillOp fill) {
  linkAll(in(*fill.getOutputsMutable().begin()), out());
  return true;
}

bool Rules::visit(linalg::BroadcastOp broadcast) {
  ChannelTensor from = in(broadcast.getInputMutable()), to = out();
  linkAll(in(broadcast.getInitMutable()), to);
  unsigned source = 0;
  for (unsigned dim = 0; dim < to.rank(); ++dim)
    if (!llvm::is_contained(broadcast.getDimensions(), int64_t(dim)))
      coupling.link(from, source++, to, dim);
  return true;
}

bool Rules::visit(linalg::TransposeOp transpose) {
  ChannelTensor from = in(transpose.getInputMutable()), to = out();
  linkAll(in(transpose.getInitMutable()), to);
  for (auto [dim, source] : llvm::enumerate(transpose.getPermutation()))
    coupling.link(from, source, to, dim);
  return true;
}

bool Rules::visit(linalg::ReduceOp reduce) {
  for (auto [input, init, result] :
       llvm::zip_equal(reduce.getInputsMutable(), reduce.getInitsMutable(),
                       reduce->getResults())) {
    ChannelTensor from = in(input), to = result;
    linkAll(in(init), to);
    // Inputs of one op have one shape.
    linkAll(from, in(0));
    unsigned target = 0;
    for (unsigned dim = 0; dim < from.rank(); ++dim) {
      if (llvm::is_contained(reduce.getDimensions(), int64_t(dim)))
        keep(from, dim, "reduces over them");
      else
        coupling.link(from, dim, to, target++);
    }
  }
  return true;
}

bool Rules::visit(linalg::ContractOp contract) {
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  if (!llvm::all_of(maps, [](AffineMap map) {
        return map.isProjectedPermutation();
      }))
    return false;
  linkAll(in(2), out());
  // The dimensions that one loop goes along.
  for (unsigned a = 0; a < 3; ++a)
    for (unsigned b = a + 1; b < 3; ++b)
      for (auto [dimA, loopA] : llvm::enumerate(maps[a].getResults()))
        for (auto [dimB, loopB] : llvm::enumerate(maps[b].getResults()))
          if (loopA == loopB)
            coupling.link(in(a), dimA, in(b), dimB);
  return true;
}

bool Rules::visit(linalg::SoftmaxOp softmax) {
  ChannelTensor from = in(0), to = out();
  linkAll(from, to);
  linkAll(in(1), to);
  keep(from, softmax.getDimension(), "normalises over them");
  return true;
}

void Rules::apply() {
  if (isa<func::ReturnOp>(op))
    return keepAll("gives them to the caller");
  constexpr StringRef kUnknown = "is not understood";
  // What an op's region captures is unknown to its rule.
  if (!isa<func::FuncOp>(op->getParentOp()))
    return keepAll(kUnknown);
  bool known =
      TypeSwitch<Operation *, bool>(op)
          .Case<ssm::LinearOp, ssm::NormOp, ssm::CausalConv1dOp, ssm::ConvOp,
                ssm::LongConvOp, ssm::SelectiveScanOp, ssm::LinearRecurrenceOp,
                ssm::ReverseOp, tensor::ExtractSliceOp, tensor::ConcatOp,
                tensor::PadOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
                linalg::FillOp, linalg::BroadcastOp, linalg::TransposeOp,
                linalg::ReduceOp, linalg::ContractOp, linalg::SoftmaxOp>(
              [&](auto known) { return visit(known); })
          .Default([&](Operation *) { return elementwise(); });
  if (!known)
    keepAll(kUnknown);
}

void itera::applyChannelRule(Operation *op, ChannelCoupling &coupling) {
  Rules(op, coupling).apply();
}
