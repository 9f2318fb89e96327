// SPDX-License-Identifier: Apache-2.0
// Names the recurrences inside of scans: selective scans and elementwise linear
// ones. Each state is looked at by itself; one that is recognised leaves its
// scan, and what the body read of it becomes a sequence.
//
// A selective scan is recognised by three products, whatever the order of ops
// and dimensions and however much is computed outside of the loop:
//   decay      exp(dt[b,t,d] * A[d,n])           one factor of the old state
//   injection  dt[b,t,d] * B[b,t,n] * x[b,t,d]   added to it
//   readout    sum over n of C[b,t,n] * h[b,d,n] of the new state
// The readout says which axis is n; the rest follows from which axes a factor
// has. dt must be the same value in decay and injection. d may be several axes
// (heads and what is in a head), of which B and C may have the first (groups);
// A may lack n.

#include "itera/Transforms/Raise/Passes.h"

#include "FuseSelectiveScan.h"
#include "IndexedView.h"
#include "TensorUtils.h"
#include "TimeBatching.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZERECURRENCESPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static constexpr int kNoAxis = IndexedView::kNoAxis;

namespace {

/// One state of a scan: h' = yielded(h).
struct StateUpdate {
  ssm::ScanOp scan;
  unsigned index;
  BlockArgument old;
  Value next;

  StateUpdate(ssm::ScanOp scan, unsigned index)
      : scan(scan), index(index), old(scan.getStateArguments()[index]),
        next(scan.getBody().front().getTerminator()->getOperand(index)) {}
};

/// What replaces a recognised state.
struct Replacement {
  Value last;
  /// Values of the body that are now sequences.
  SmallVector<std::pair<Value, TimeValue>, 1> sequences;
};

/// The readout of a state: sum over the axis n of C times the new state.
struct Readout {
  Value result;
  SmallVector<int> resultAxes; // state axes
  IndexedView c;
  int n = kNoAxis;
};

class SelectiveScanMatcher {
public:
  explicit SelectiveScanMatcher(StateUpdate update)
      : update(update), scan(update.scan), type(typeOf(update.old)),
        time(type.getRank()) {}

  FailureOr<Replacement> run(OpBuilder &builder);
  StringRef getReason() const { return reason; }

private:
  LogicalResult fail(StringRef why) {
    reason = why;
    return failure();
  }
  IndexedView look(IndexedView view) { return lookThrough(view, scan, time); }
  SmallVector<IndexedView>
  factorsOf(IndexedView view,
            llvm::function_ref<bool(const IndexedView &)> isFinal) {
    return getFactors(view, isFinal, negative, scan, time);
  }
  SmallVector<int> stateAxes() {
    return llvm::to_vector(
        llvm::map_range(llvm::seq<int>(0, type.getRank()), [&](int d) {
          return type.getDimSize(d) == 1 ? kNoAxis : d;
        }));
  }
  /// True if the view's values are there before the loop. One that the body
  /// computes varies with time although it has no time axis.
  bool isOutside(const IndexedView &view) {
    Value base = view.base;
    return base.getParentBlock() != &scan.getBody().front();
  }
  /// Of batch, time and channels, and not of the state dimension.
  bool isOfChannels(const IndexedView &view) {
    return isOutside(view) && !view.has(readout.n);
  }
  /// Of batch, time, groups of channels and the state dimension.
  bool isOfStates(const IndexedView &view) {
    return isOutside(view) && llvm::all_of(view.axes, [&](int axis) {
             return axis == kNoAxis || axis == time || axis == readout.n ||
                    llvm::is_contained(batch, axis) ||
                    llvm::is_contained(group, axis);
           });
  }
  LogicalResult matchReadout();
  LogicalResult matchContract(linalg::ContractOp op, Value state);
  LogicalResult matchReduce(linalg::ReduceOp op, Value product);
  LogicalResult nameAxes();
  LogicalResult matchDecay(Value term);
  LogicalResult matchInjection(Value term);
  std::optional<SmallVector<IndexedView>> divide(const IndexedView &product,
                                                 const IndexedView &factor);
  int64_t sizeOf(ArrayRef<int> axes);
  Value arrange(OpBuilder &builder, const IndexedView &view,
                ArrayRef<SmallVector<int>> to);
  IndexedView spread(OpBuilder &builder, Value value,
                     ArrayRef<SmallVector<int>> from);
  Value multiply(OpBuilder &builder, ArrayRef<IndexedView> factors,
                 ArrayRef<SmallVector<int>> to);

  StateUpdate update;
  ssm::ScanOp scan;
  RankedTensorType type;
  int time;
  bool negative = false;
  StringRef reason;

  Readout readout;
  /// The state's axes but n. The first channels are the groups, if B or C
  /// depend on channels.
  SmallVector<int> batch, group, channel;
  SmallVector<IndexedView> dt, a, b, x;
  bool negateA = false;
};

struct RecognizeRecurrencesPass
    : itera::impl::RecognizeRecurrencesPassBase<RecognizeRecurrencesPass> {
  void runOnOperation() override;
  bool recognizeIn(ssm::ScanOp scan);
};

} // namespace

//===----------------------------------------------------------------------===//
// Selective scan: readout
//===----------------------------------------------------------------------===//

/// C * h summed over n by a contraction. `state` is the operand that is h.
LogicalResult SelectiveScanMatcher::matchContract(linalg::ContractOp op,
                                                  Value state) {
  if (!isKnownZero(op.getDpsInits()[0]) || op.getInputs().size() != 2 ||
      op.getInputs()[0] == op.getInputs()[1])
    return fail("the readout is no plain contraction");
  unsigned k = op.getInputs()[0] == state ? 0 : 1;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  // Number the dimensions of `state`, and see which dimensions of h they are.
  auto numbers = llvm::to_vector(llvm::seq<int>(0, typeOf(state).getRank()));
  IndexedView h = lookThrough({state, numbers});
  if (h.base != update.next)
    return fail("the readout is not of the new state");
  SmallVector<int> loopAxes(maps[0].getNumDims(), kNoAxis);
  SmallVector<bool> known(loopAxes.size(), false);
  for (auto [d, number] : llvm::enumerate(h.axes))
    if (number != kNoAxis) {
      unsigned loop =
          cast<AffineDimExpr>(maps[k].getResult(number)).getPosition();
      loopAxes[loop] = d;
      known[loop] = true;
    }
  SmallVector<int64_t> loopSizes = op.getStaticLoopRanges();
  for (unsigned loop = 0; loop < loopAxes.size(); ++loop) {
    if (!known[loop] && loopSizes[loop] != 1)
      return fail("the readout has a dimension that the state lacks");
    bool reduced =
        !maps[2].getResultPosition(getAffineDimExpr(loop, op.getContext()));
    if (!reduced || loopSizes[loop] == 1)
      continue;
    if (readout.n != kNoAxis)
      return fail("the readout sums over two dimensions of the state");
    readout.n = loopAxes[loop];
  }
  auto axesOf = [&](AffineMap map) {
    SmallVector<int> axes;
    for (AffineExpr expr : map.getResults())
      axes.push_back(loopAxes[cast<AffineDimExpr>(expr).getPosition()]);
    return axes;
  };
  readout.c = look({op.getInputs()[1 - k], axesOf(maps[1 - k])});
  readout.result = op->getResult(0);
  readout.resultAxes = axesOf(maps[2]);
  return success();
}

/// C * h summed over n by a multiplication and a reduction.
LogicalResult SelectiveScanMatcher::matchReduce(linalg::ReduceOp op,
                                                Value product) {
  Block &combiner = op.getRegion().front();
  auto add = dyn_cast<arith::AddFOp>(&combiner.front());
  if (!add || combiner.getOperations().size() != 2 ||
      op.getInputs().size() != 1 || op.getDimensions().size() != 1 ||
      !isKnownZero(op.getInits()[0]))
    return fail("the readout is no plain sum");
  SmallVector<int> axes = stateAxes();
  readout.n = axes[op.getDimensions()[0]];
  bool found = false;
  for (Value factor : product.getDefiningOp()->getOperands()) {
    if (!found && factor == update.next)
      found = true;
    else
      readout.c = look({factor, axes});
  }
  readout.result = op->getResult(0);
  readout.resultAxes = axes;
  readout.resultAxes.erase(readout.resultAxes.begin() + op.getDimensions()[0]);
  return success();
}

LogicalResult SelectiveScanMatcher::matchReadout() {
  Operation *yield = scan.getBody().front().getTerminator();
  Value value = update.next;
  while (true) {
    Operation *reader = nullptr;
    for (OpOperand &use : value.getUses()) {
      if (use.getOwner() == yield) {
        unsigned index = use.getOperandNumber();
        if (value == update.next &&
            (index == update.index || (index >= scan.getInits().size() &&
                                       scan.getResult(index).use_empty())))
          continue;
        return fail("all states are used, not only their readout");
      }
      if (reader)
        return fail("the state has several readers");
      reader = use.getOwner();
    }
    if (!reader)
      return fail("the state has no readout");
    if (auto contract = dyn_cast<linalg::ContractOp>(reader))
      return matchContract(contract, value);
    if (isa<arith::MulFOp>(reader) && value == update.next &&
        reader->hasOneUse())
      if (auto reduce = dyn_cast<linalg::ReduceOp>(*reader->user_begin()))
        return matchReduce(reduce, reader->getResult(0));
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             linalg::TransposeOp>(reader))
      return fail("the readout is no contraction");
    value = reader->getResult(0);
  }
}

/// The state's axes but n: of the batch are those that A lacks and C has.
LogicalResult SelectiveScanMatcher::nameAxes() {
  SmallVector<int> single;
  for (int axis : stateAxes()) {
    if (axis == kNoAxis || axis == readout.n)
      continue;
    bool inA = llvm::any_of(
        a, [&](const IndexedView &factor) { return factor.has(axis); });
    (!readout.c.has(axis) ? single : inA ? group : batch).push_back(axis);
  }
  channel = group;
  channel.append(single);
  if (channel.empty())
    std::swap(channel, batch);
  if (channel.empty())
    return fail("the state has no channels");
  if (!isOfStates(readout.c) || !readout.c.has(readout.n))
    return fail("the readout's weights depend on the channel or on the loop");
  return success();
}

//===----------------------------------------------------------------------===//
// Selective scan: decay and injection
//===----------------------------------------------------------------------===//

LogicalResult SelectiveScanMatcher::matchDecay(Value term) {
  IndexedView h{update.old, stateAxes()};
  negative = false;
  SmallVector<IndexedView> factors = factorsOf(
      {term, stateAxes()}, [&](const IndexedView &view) { return view == h; });
  if (factors.size() != 2 || negative || !llvm::is_contained(factors, h))
    return fail("the old state is not multiplied by one decay");
  IndexedView decay = factors[0] == h ? factors[1] : factors[0];
  auto exp = decay.base.getDefiningOp<math::ExpOp>();
  if (!exp)
    return fail("the decay is no exponential");
  negative = false;
  // What does not vary with time is A, however it is computed. It may lack n
  // as dt does: then it is a factor of a product without n.
  auto isFinal = [&](const IndexedView &view) {
    if (!isOutside(view) || (view.has(time) && view.has(readout.n)))
      return false;
    Operation *op = view.base.getDefiningOp();
    return !view.has(time) ||
           !isa_and_present<arith::MulFOp, arith::NegFOp>(op) ||
           llvm::all_of(op->getOperands(), [&](Value operand) {
             return look({operand, view.axes}).has(time);
           });
  };
  for (const IndexedView &factor :
       factorsOf({exp.getOperand(), decay.axes}, isFinal)) {
    if (isOutside(factor) && !factor.has(time))
      a.push_back(factor);
    else if (isOfChannels(factor))
      dt.push_back(factor);
    else
      return fail("the exponent is not dt times A");
  }
  negateA = negative;
  if (dt.empty() || a.empty())
    return fail("the exponent is not dt times A");
  return success();
}

/// What is left of a product without one factor; none if it has it not. Takes
/// apart no more than it must, so that the rest are values that exist.
std::optional<SmallVector<IndexedView>>
SelectiveScanMatcher::divide(const IndexedView &product,
                             const IndexedView &factor) {
  if (product == factor)
    return SmallVector<IndexedView>();
  auto mul = product.base.getDefiningOp<arith::MulFOp>();
  if (!mul)
    return std::nullopt;
  for (unsigned k : {0u, 1u})
    if (std::optional<SmallVector<IndexedView>> rest =
            divide(look({mul->getOperand(k), product.axes}), factor)) {
      rest->push_back(look({mul->getOperand(1 - k), product.axes}));
      return rest;
    }
  return std::nullopt;
}

LogicalResult SelectiveScanMatcher::matchInjection(Value term) {
  negative = false;
  auto isOneSided = [&](const IndexedView &view) {
    return isOfChannels(view) || isOfStates(view);
  };
  SmallVector<IndexedView> factors = factorsOf({term, stateAxes()}, isOneSided);
  for (const IndexedView &wanted : dt) {
    bool found = false;
    for (unsigned k = 0; k < factors.size() && !found; ++k)
      if (std::optional<SmallVector<IndexedView>> rest =
              divide(factors[k], wanted)) {
        factors.erase(factors.begin() + k);
        factors.append(*rest);
        found = true;
      }
    if (!found)
      return fail("the injection has not the decay's dt");
  }
  for (const IndexedView &factor : factors) {
    if (isOfChannels(factor))
      x.push_back(factor);
    else if (isOfStates(factor))
      b.push_back(factor);
    else
      return fail("the injection is no outer product");
  }
  if (negative || x.empty() || b.empty())
    return fail("the injection is no outer product");
  return success();
}

int64_t SelectiveScanMatcher::sizeOf(ArrayRef<int> axes) {
  int64_t size = 1;
  for (int axis : axes)
    size *= axis == time ? scan.getLength() : type.getDimSize(axis);
  return size;
}

/// The axes of several lists one after the other, and which dimensions of them
/// a list is; an empty list is one dimension of size 1.
static std::pair<SmallVector<int>, SmallVector<ReassociationIndices>>
concatLists(ArrayRef<SmallVector<int>> lists) {
  SmallVector<int> flat;
  SmallVector<ReassociationIndices> dims;
  for (const SmallVector<int> &list : lists) {
    dims.emplace_back();
    for (int axis : list.empty() ? SmallVector<int>{kNoAxis} : list) {
      dims.back().push_back(flat.size());
      flat.push_back(axis);
    }
  }
  return {flat, dims};
}

/// The view's values with one dimension for each list of axes.
Value SelectiveScanMatcher::arrange(OpBuilder &builder, const IndexedView &view,
                                    ArrayRef<SmallVector<int>> to) {
  auto [axes, dims] = concatLists(to);
  SmallVector<int64_t> sizes = llvm::map_to_vector(
      axes, [&](int axis) { return axis == kNoAxis ? 1 : sizeOf(axis); });
  Value value = materialize(builder, scan.getLoc(), view, axes, sizes);
  if (axes.size() == to.size())
    return value;
  return tensor::CollapseShapeOp::create(builder, scan.getLoc(), value, dims);
}

/// The reverse of `arrange`.
IndexedView SelectiveScanMatcher::spread(OpBuilder &builder, Value value,
                                         ArrayRef<SmallVector<int>> from) {
  auto [axes, dims] = concatLists(from);
  if (axes.size() == from.size())
    return {value, axes};
  SmallVector<int64_t> sizes = llvm::map_to_vector(
      axes, [&](int axis) { return axis == kNoAxis ? 1 : sizeOf(axis); });
  return {tensor::ExpandShapeOp::create(
              builder, scan.getLoc(), typeOf(value).clone(sizes), value, dims),
          axes};
}

Value SelectiveScanMatcher::multiply(OpBuilder &builder,
                                     ArrayRef<IndexedView> factors,
                                     ArrayRef<SmallVector<int>> to) {
  Value product;
  for (const IndexedView &factor : factors) {
    Value value = arrange(builder, factor, to);
    product =
        product ? arith::MulFOp::create(builder, scan.getLoc(), product, value)
                      .getResult()
                : value;
  }
  return product;
}

FailureOr<Replacement> SelectiveScanMatcher::run(OpBuilder &builder) {
  auto sum = update.next.getDefiningOp<arith::AddFOp>();
  if (!sum || !update.old.hasOneUse())
    return fail("the state is not multiplied and added to");
  if (failed(matchReadout()))
    return failure();
  if (readout.n == kNoAxis)
    return fail("the readout sums over nothing");
  // The old state's term is the one through which the old state goes.
  Value decayed = sum.getLhs(), added = sum.getRhs();
  if (*update.old.user_begin() == added.getDefiningOp())
    std::swap(decayed, added);
  if (failed(matchDecay(decayed)) || failed(nameAxes()) ||
      failed(matchInjection(added)))
    return failure();

  Location loc = scan.getLoc();
  SmallVector<int> times{time}, n{readout.n};
  SmallVector<SmallVector<int>> btd{batch, times, channel}, btn{batch, times},
      bdn{batch, channel, n}, aAxes{channel};
  if (!group.empty())
    btn.push_back(group);
  btn.push_back(n);
  // The decay of a channel may be the same for all its states.
  if (llvm::any_of(
          a, [&](const IndexedView &factor) { return factor.has(readout.n); }))
    aAxes.push_back(n);
  Value av = multiply(builder, a, aAxes);
  if (negateA)
    av = arith::NegFOp::create(builder, loc, av);
  Value init =
      arrange(builder, {scan.getInits()[update.index], stateAxes()}, bdn);
  auto op = ssm::SelectiveScanOp::create(
      builder, loc, multiply(builder, x, btd), multiply(builder, dt, btd), av,
      multiply(builder, b, btn), multiply(builder, {readout.c}, btn), init,
      Value(), Value(), scan.getReverse());

  Replacement replacement;
  replacement.last =
      materialize(builder, loc, spread(builder, op.getLast(), bdn), stateAxes(),
                  type.getShape());
  // The readout's value per step, with time where the loop stacks.
  RankedTensorType resultType = typeOf(readout.result);
  int64_t dim =
      scan.getStackDims().empty()
          ? 0
          : std::min<int64_t>(scan.getStackDims()[0], resultType.getRank());
  SmallVector<int> axes(readout.resultAxes);
  for (auto [axis, size] : llvm::zip(axes, resultType.getShape()))
    if (size == 1)
      axis = kNoAxis;
  axes.insert(axes.begin() + dim, time);
  Value y = materialize(builder, loc, spread(builder, op.getY(), btd), axes,
                        withDim(resultType, dim, scan.getLength()).getShape());
  replacement.sequences.push_back({readout.result, {y, dim}});
  return replacement;
}

//===----------------------------------------------------------------------===//
// Elementwise linear recurrence
//===----------------------------------------------------------------------===//

/// h' = a * h + u with a and u from outside of the loop.
static FailureOr<Replacement> matchLinear(OpBuilder &builder,
                                          StateUpdate update) {
  ssm::ScanOp scan = update.scan;
  Block *body = &scan.getBody().front();
  auto sum = update.next.getDefiningOp<arith::AddFOp>();
  if (!sum || !update.old.hasOneUse())
    return failure();
  auto outside = [&](Value value) -> std::optional<TimeValue> {
    if (auto arg = dyn_cast<BlockArgument>(value);
        arg && arg.getOwner() == body) {
      if (arg.getArgNumber() < scan.getInits().size())
        return std::nullopt;
      unsigned index = arg.getArgNumber() - scan.getInits().size();
      return TimeValue{scan.getSequences()[index],
                       scan.getSequenceDims()[index]};
    }
    if (value.getParentBlock() == body)
      return std::nullopt;
    return TimeValue{value, -1};
  };
  for (auto [product, added] : {std::pair(sum.getLhs(), sum.getRhs()),
                                std::pair(sum.getRhs(), sum.getLhs())}) {
    auto mul = product.getDefiningOp<arith::MulFOp>();
    std::optional<TimeValue> u = outside(added);
    if (!mul || !u || !mul->hasOneUse())
      continue;
    if (mul.getLhs() != update.old && mul.getRhs() != update.old)
      continue;
    std::optional<TimeValue> a =
        outside(mul.getLhs() == update.old ? mul.getRhs() : mul.getLhs());
    if (!a || (a->isInvariant() && u->isInvariant()))
      continue;
    Location loc = scan.getLoc();
    int64_t dim = u->isInvariant() ? a->dim : u->dim, length = scan.getLength();
    auto op = ssm::LinearRecurrenceOp::create(
        builder, loc, withTimeAt(builder, loc, *a, dim, length),
        withTimeAt(builder, loc, *u, dim, length),
        scan.getInits()[update.index], dim, scan.getReverse());
    Replacement replacement;
    replacement.last = op.getLast();
    replacement.sequences.push_back({update.next, {op.getStates(), dim}});
    return replacement;
  }
  return failure();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// Builds the scan anew without one state; the values in `replacement` become
/// sequences. The ops that led to them die.
static void dropState(OpBuilder &builder, StateUpdate update,
                      const Replacement &replacement) {
  ssm::ScanOp scan = update.scan;
  unsigned numStates = scan.getInits().size();
  SmallVector<Value> inits(scan.getInits()), sequences(scan.getSequences());
  SmallVector<int64_t> dims(scan.getSequenceDims());
  inits.erase(inits.begin() + update.index);
  SmallVector<Type> types(scan.getResultTypes());
  types.erase(types.begin() + update.index);
  for (auto &[value, time] : replacement.sequences) {
    sequences.push_back(time.value);
    dims.push_back(time.dim);
  }
  auto rest = ssm::ScanOp::create(builder, scan.getLoc(), types, inits,
                                  sequences, scan.getLength(), dims,
                                  scan.getStackDims(), scan.getReverse());
  Block *old = &scan.getBody().front();
  Block *block = &rest.getBody().emplaceBlock();
  IRMapping mapping;
  for (BlockArgument arg : old->getArguments())
    if (arg != update.old)
      mapping.map(arg, block->addArgument(arg.getType(), arg.getLoc()));
  for (auto [value, time] : replacement.sequences) {
    Value slice = block->addArgument(value.getType(), value.getLoc());
    value.replaceUsesWithIf(slice, [&](OpOperand &use) {
      return use.getOwner() != old->getTerminator() ||
             use.getOperandNumber() >= numStates;
    });
    mapping.map(slice, slice);
  }
  old->getTerminator()->eraseOperand(update.index);
  eraseDeadOps(*old);
  OpBuilder inner = OpBuilder::atBlockBegin(block);
  for (Operation &op : *old)
    inner.clone(op, mapping);
  // What only passes a sequence on is that sequence.
  SmallVector<Value> results(rest.getResults());
  for (auto [k, dim] : llvm::enumerate(scan.getStackDims())) {
    unsigned index = inits.size() + k;
    auto arg =
        dyn_cast<BlockArgument>(block->getTerminator()->getOperand(index));
    if (!arg || arg.getOwner() != block || arg.getArgNumber() < inits.size())
      continue;
    unsigned from = arg.getArgNumber() - inits.size();
    results[index] =
        moveDimension(builder, scan.getLoc(), sequences[from], dims[from], dim);
  }
  results.insert(results.begin() + update.index, replacement.last);
  scan.replaceAllUsesWith(results);
  scan.erase();
}

bool RecognizeRecurrencesPass::recognizeIn(ssm::ScanOp scan) {
  for (unsigned s = 0; s < scan.getInits().size(); ++s) {
    StateUpdate update(scan, s);
    OpBuilder builder(scan);
    SelectiveScanMatcher matcher(update);
    FailureOr<Replacement> replacement = matcher.run(builder);
    if (succeeded(replacement)) {
      ++numSelective;
    } else {
      replacement = matchLinear(builder, update);
      if (succeeded(replacement))
        ++numLinear;
    }
    if (succeeded(replacement)) {
      dropState(builder, update, *replacement);
      return true;
    }
    remark::missed(
        scan.getLoc(),
        remark::RemarkOpts::name("RecognizeRecurrences").category("raise"))
        << "state " + std::to_string(s) +
               " stays in a scan: " + matcher.getReason().str();
  }
  return false;
}

void RecognizeRecurrencesPass::runOnOperation() {
  bool changed = true;
  while (changed) {
    changed = false;
    SmallVector<ssm::ScanOp> scans;
    getOperation().walk([&](ssm::ScanOp scan) { scans.push_back(scan); });
    for (ssm::ScanOp scan : scans)
      changed |= recognizeIn(scan);
  }
  SmallVector<ssm::SelectiveScanOp> selective;
  getOperation().walk(
      [&](ssm::SelectiveScanOp op) { selective.push_back(op); });
  for (ssm::SelectiveScanOp op : selective)
    fuseSkipAndGate(op);
  for (Block &block : getOperation().getBody())
    eraseDeadOps(block);
}
