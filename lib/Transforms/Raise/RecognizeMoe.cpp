// SPDX-License-Identifier: Apache-2.0
// An exported mixture of experts visits the experts one by one:
//
//   mask    = any(selected == e)            over the slots of a token
//   rows    = nonzero(mask)                 the tokens that chose e
//   gate    = sum(gates[rows] * (selected[rows] == e))
//   out[rows] = out[rows] + gate * down(act(up(x[rows])))
//
// with out = 0 before the first one. The chain of scatters into `out` becomes
// one ssm.moe. Values are compared as lists of rows: reshapes are skipped, and
// a gather at `rows` may come at any point before the row is used up, since
// everything between works row by row.
//
// Invariant of a match: every expert that the router can select appears once,
// and all experts read the same tokens, selections and gates.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace itera {
#define GEN_PASS_DEF_RECOGNIZEMOEPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

namespace {
/// What one scatter of the chain does.
struct Expert {
  int64_t id = -1;
  Value x, selected, gates; // bases, without reshapes
  ssm::LinearOp up, down;
  ssm::Activation activation = ssm::Activation::none;
};

/// Matches values that are computed for the rows of one nonzero op.
class RowMatcher {
public:
  explicit RowMatcher(ssm::NonzeroOp nonzero)
      : mask(nonzero.getX()), indices(nonzero.getIndices()),
        maskShape(shapeOf(mask)), tokens(typeOf(mask).getNumElements()) {}

  /// Whether the tuples [n, r] point to the nonzero elements' rows in data.
  bool isRowTuple(Value tuples, Value data) const;

  /// The data of a gather at the rows; otherwise the value. Skips reshapes.
  Value peel(Value value, bool &gathered) const;

  /// Whether the value, of i1 or converted from it, is `selected == expert`.
  /// Fills in both, or compares them if they are known.
  bool isSelection(Value value, bool gathered, Expert &expert) const;

  /// The nonzero op's mask: any slot of the token selects the expert.
  bool matchMask(Expert &expert) const;

  /// sum over slots of gates * (selected == e)
  bool matchGate(Value rows, Expert &expert) const;

  /// down(act(up(x)))
  bool matchExpert(Value value, Expert &expert) const;

private:
  using Coefficients = SmallVector<int64_t, 4>;
  std::optional<int64_t> matchColumn(Value value) const;
  std::optional<Coefficients> matchIndex(Value value) const;
  bool isRow(const Coefficients &coefficients) const;

  Value mask, indices;
  ArrayRef<int64_t> maskShape;
  int64_t tokens;
};
} // namespace

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

/// The dimension of the mask whose index the value lists.
std::optional<int64_t> RowMatcher::matchColumn(Value value) const {
  value = skipReshapes(value);
  auto slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  if (slice)
    value = slice.getSource();
  // Indices come as [rank, n], or transposed.
  int64_t dim = 0;
  if (auto transpose = value.getDefiningOp<linalg::TransposeOp>()) {
    dim = 1;
    value = transpose.getInput();
  }
  // Of one token all indices are zero, and a transpose is a reshape.
  if (tokens == 1 && skipReshapes(value) == indices)
    return 0;
  if (value != indices)
    return std::nullopt;
  if (!slice)
    return maskShape.size() == 1 ? std::optional<int64_t>(0) : std::nullopt;
  if (!slice.getOffsets().empty() || slice.getStaticSizes()[dim] != 1 ||
      slice.getStaticSizes()[1 - dim] != tokens ||
      slice.getStaticOffsets()[1 - dim] != 0)
    return std::nullopt;
  return slice.getStaticOffsets()[dim];
}

/// The value as a sum of columns times constants.
std::optional<RowMatcher::Coefficients>
RowMatcher::matchIndex(Value value) const {
  value = skipReshapes(value);
  Coefficients result(maskShape.size(), 0);
  if (std::optional<int64_t> column = matchColumn(value)) {
    result[*column] = 1;
    return result;
  }
  if (matchIntegerSplat(value) == int64_t(0))
    return result;
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (isa<arith::ExtSIOp, arith::TruncIOp, arith::IndexCastOp>(op))
    return matchIndex(op->getOperand(0));
  if (isa<arith::AddIOp>(op)) {
    std::optional<Coefficients> lhs = matchIndex(op->getOperand(0));
    std::optional<Coefficients> rhs =
        lhs ? matchIndex(op->getOperand(1)) : std::nullopt;
    if (!rhs)
      return std::nullopt;
    for (auto [sum, term] : llvm::zip(*lhs, *rhs))
      sum += term;
    return lhs;
  }
  std::optional<Coefficients> product;
  matchCommutative<arith::MulIOp>(value, [&](Value factor, Value other) {
    std::optional<int64_t> splat = matchIntegerSplat(factor);
    product = splat ? matchIndex(other) : std::nullopt;
    if (product)
      for (int64_t &coefficient : *product)
        coefficient *= *splat;
    return product.has_value();
  });
  return product;
}

/// Whether the sum is the row-major number of the mask's element.
bool RowMatcher::isRow(const Coefficients &coefficients) const {
  int64_t stride = 1;
  for (int64_t dim = maskShape.size() - 1; dim >= 0; --dim) {
    // Along a dimension of size one the index is zero.
    if (maskShape[dim] != 1 && coefficients[dim] != stride)
      return false;
    stride *= maskShape[dim];
  }
  return true;
}

bool RowMatcher::isRowTuple(Value tuples, Value data) const {
  if (rankOf(tuples) != 2)
    return false;
  ArrayRef<int64_t> shape = shapeOf(data);
  int64_t length = shapeOf(tuples)[1];
  SmallVector<Value> parts{tuples};
  if (auto concat = tuples.getDefiningOp<tensor::ConcatOp>();
      concat && concat.getDim() == 1)
    parts = llvm::to_vector(concat.getInputs());
  auto transpose = skipReshapes(tuples).getDefiningOp<linalg::TransposeOp>();
  if (transpose && transpose.getInput() == indices &&
      shapeOf(transpose->getResult(0)) == shapeOf(tuples)) {
    Coefficients row(length, 1);
    for (int64_t dim = length - 2; dim >= 0; --dim)
      row[dim] = row[dim + 1] * shape[dim + 1];
    return shape.take_front(length) == maskShape && isRow(row);
  }
  if (tokens == 1 && skipReshapes(tuples) == indices)
    return shapeOf(tuples)[0] == 1 && shape.take_front(length) == maskShape;
  if (int64_t(parts.size()) != length)
    return false;
  Coefficients row(maskShape.size(), 0);
  int64_t stride = 1;
  for (int64_t dim = length - 1; dim >= 0; --dim) {
    std::optional<Coefficients> index = matchIndex(parts[dim]);
    if (!index)
      return false;
    for (auto [sum, term] : llvm::zip(row, *index))
      sum += term * stride;
    stride *= shape[dim];
  }
  return stride == tokens && isRow(row);
}

Value RowMatcher::peel(Value value, bool &gathered) const {
  value = skipReshapes(value);
  if (gathered)
    return value;
  if (auto gather = value.getDefiningOp<ssm::GatherOp>()) {
    if (gather.getDim() != 0 || shapeOf(gather.getData())[0] != tokens)
      return value;
    std::optional<Coefficients> index = matchIndex(gather.getIndices());
    if (!index || !isRow(*index))
      return value;
    value = gather.getData();
  } else if (auto gatherNd = value.getDefiningOp<ssm::GatherNdOp>()) {
    if (gatherNd.getBatchDims() != 0 ||
        !isRowTuple(gatherNd.getIndices(), gatherNd.getData()))
      return value;
    value = gatherNd.getData();
  } else {
    return value;
  }
  gathered = true;
  return skipReshapes(value);
}

//===----------------------------------------------------------------------===//
// One expert
//===----------------------------------------------------------------------===//

/// Sets `slot` to `value`, or compares them.
static bool unify(Value &slot, Value value) {
  if (!slot)
    slot = value;
  return slot == value;
}

bool RowMatcher::isSelection(Value value, bool gathered, Expert &expert) const {
  value = peel(value, gathered);
  // i1 is unsigned when it is widened; after that the sign is clear.
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtUIOp, arith::UIToFPOp, arith::SIToFPOp, arith::ExtFOp>(
            op))
      break;
    if (isa<arith::SIToFPOp>(op) &&
        getElementTypeOrSelf(op->getOperand(0).getType()).isInteger(1))
      return false;
    value = peel(op->getOperand(0), gathered);
  }
  auto compare = value.getDefiningOp<arith::CmpIOp>();
  if (!compare || compare.getPredicate() != arith::CmpIPredicate::eq)
    return false;
  Value selected = compare.getLhs();
  std::optional<int64_t> id = matchIntegerSplat(compare.getRhs());
  if (!id) {
    selected = compare.getRhs();
    id = matchIntegerSplat(compare.getLhs());
  }
  if (!id || (expert.id >= 0 && expert.id != *id))
    return false;
  expert.id = *id;
  selected = peel(selected, gathered);
  return gathered && unify(expert.selected, selected);
}

/// x if the value, of type i1, is whether any element of a row of x, which
/// holds zeros and ones, is set. A row may have been of one element.
static Value matchAnyInRow(Value any) {
  any = skipReshapes(any);
  if (auto compare = any.getDefiningOp<arith::CmpIOp>()) {
    auto predicate = compare.getPredicate();
    if (matchIntegerSplat(compare.getRhs()) == int64_t(0) &&
        (predicate == arith::CmpIPredicate::sgt ||
         predicate == arith::CmpIPredicate::ugt ||
         predicate == arith::CmpIPredicate::ne))
      any = skipReshapes(compare.getLhs());
  }
  if (Value summed = matchRowSum(any))
    // A count in i1 would wrap around.
    return getElementTypeOrSelf(summed.getType()).isInteger(1) ? Value()
                                                               : summed;
  auto reduce = any.getDefiningOp<linalg::ReduceOp>();
  if (!reduce)
    return any;
  if (reduce.getInputs().size() != 1 ||
      reduce.getDimensions() != ArrayRef<int64_t>{rankOf(any)})
    return {};
  std::optional<int64_t> init = matchIntegerSplat(reduce.getInits()[0]);
  Block &body = reduce.getCombiner().front();
  Operation &combine = body.front();
  bool isOr = isa<arith::OrIOp>(combine) && init == int64_t(0);
  bool isMax = isa<arith::MaxSIOp>(combine) && init && *init <= 0 &&
               !getElementTypeOrSelf(any.getType()).isInteger(1);
  if (!(isOr || isMax) || !llvm::hasNItems(body, 2) ||
      body.getTerminator()->getOperand(0) != combine.getResult(0) ||
      combine.getOperand(0) == combine.getOperand(1) ||
      !llvm::all_of(combine.getOperands(), llvm::IsaPred<BlockArgument>))
    return {};
  return reduce.getInputs()[0];
}

bool RowMatcher::matchMask(Expert &expert) const {
  Value slots = matchAnyInRow(mask);
  // The mask is about all tokens: as if all rows had been gathered.
  return slots && isSelection(slots, /*gathered=*/true, expert);
}

bool RowMatcher::matchGate(Value rows, Expert &expert) const {
  bool gathered = false;
  Value slots = peel(rows, gathered);
  // Over one slot there is nothing to sum.
  if (Value summed = matchRowSum(slots))
    slots = peel(summed, gathered);
  auto accept = [&](Value selection, Value gates) {
    Expert trial = expert;
    bool gatesGathered = gathered;
    gates = peel(gates, gatesGathered);
    if (!isSelection(selection, gathered, trial) || !gatesGathered ||
        !unify(trial.gates, gates))
      return false;
    expert = trial;
    return true;
  };
  if (auto select = slots.getDefiningOp<arith::SelectOp>())
    return isZero(select.getFalseValue()) &&
           accept(select.getCondition(), select.getTrueValue());
  return matchCommutative<arith::MulFOp>(slots, accept);
}

bool RowMatcher::matchExpert(Value value, Expert &expert) const {
  bool gathered = false;
  auto down = peel(value, gathered).getDefiningOp<ssm::LinearOp>();
  if (!down)
    return false;
  Value hidden = peel(down.getX(), gathered);
  Operation *act = hidden.getDefiningOp();
  if (auto gelu = dyn_cast_or_null<ssm::GeluOp>(act)) {
    expert.activation =
        gelu.getTanh() ? ssm::Activation::gelu_tanh : ssm::Activation::gelu;
    hidden = gelu.getX();
  } else if (auto silu = dyn_cast_or_null<ssm::SiluOp>(act)) {
    expert.activation = ssm::Activation::silu;
    hidden = silu.getX();
  } else if (isa_and_nonnull<arith::MaximumFOp, arith::MaxNumFOp>(act) &&
             isZero(act->getOperand(1))) {
    expert.activation = ssm::Activation::relu;
    hidden = act->getOperand(0);
  }
  auto up = peel(hidden, gathered).getDefiningOp<ssm::LinearOp>();
  if (!up || rankOf(up.getWeight()) != 2 || rankOf(down.getWeight()) != 2 ||
      up.isQuantized() || down.isQuantized())
    return false;
  expert.up = up;
  expert.down = down;
  Value x = peel(up.getX(), gathered);
  return gathered && unify(expert.x, x);
}

//===----------------------------------------------------------------------===//
// The chain
//===----------------------------------------------------------------------===//

/// The nonzero op that says how many updates are valid.
static ssm::NonzeroOp rowsOf(ssm::ScatterNdOp scatter) {
  return scatter.getValid() ? scatter.getValid().getDefiningOp<ssm::NonzeroOp>()
                            : nullptr;
}

static bool matchScatter(ssm::ScatterNdOp scatter, Expert &expert) {
  ssm::NonzeroOp nonzero = rowsOf(scatter);
  if (!nonzero || scatter.getValid() != nonzero.getCount())
    return false;
  RowMatcher rows(nonzero);
  if (!rows.isRowTuple(scatter.getIndices(), scatter.getData()) ||
      !rows.matchMask(expert))
    return false;

  Value data = skipReshapes(scatter.getData());
  Value update = skipReshapes(scatter.getUpdates());
  if (scatter.getKind() == ssm::ScatterKind::replace) {
    Value sum = update;
    bool accumulates = matchCommutative<arith::AddFOp>(
        sum, [&](Value before, Value contribution) {
          bool gathered = false;
          Value base = rows.peel(before, gathered);
          if (!(gathered && base == data) && !(isZero(base) && isZero(data)))
            return false;
          update = skipReshapes(contribution);
          return true;
        });
    if (!accumulates && !isZero(data))
      return false;
  } else if (scatter.getKind() != ssm::ScatterKind::add) {
    return false;
  }
  return matchCommutative<arith::MulFOp>(update, [&](Value value, Value gate) {
    Expert trial = expert;
    Value gateRows = matchRows(gate);
    if (!gateRows || !rows.matchExpert(value, trial) ||
        !rows.matchGate(gateRows, trial))
      return false;
    expert = trial;
    return true;
  });
}

/// The experts of the chain that ends in `scatter`, sorted; empty if it is no
/// mixture of experts.
static SmallVector<Expert>
matchChain(ssm::ScatterNdOp scatter,
           llvm::SmallPtrSetImpl<Operation *> &members) {
  SmallVector<Expert> experts;
  Value data;
  for (ssm::ScatterNdOp next = scatter; next;
       next = data.getDefiningOp<ssm::ScatterNdOp>()) {
    Expert expert;
    if (!experts.empty()) {
      expert.x = experts[0].x;
      expert.selected = experts[0].selected;
      expert.gates = experts[0].gates;
    }
    if (!matchScatter(next, expert))
      return {};
    experts.push_back(expert);
    members.insert(next);
    data = skipReshapes(next.getData());
  }
  if (!isZero(data))
    return {};

  Expert first = experts[0];
  auto router = first.selected.getDefiningOp<ssm::TopKOp>();
  if (!router || first.selected != router.getIndices() ||
      int64_t(router.getDim()) != rankOf(router.getX()) - 1 ||
      shapeOf(router.getX()).back() != int64_t(experts.size()))
    return {};
  llvm::sort(experts,
             [](const Expert &a, const Expert &b) { return a.id < b.id; });
  for (auto [id, expert] : llvm::enumerate(MutableArrayRef(experts)))
    if (expert.id != int64_t(id) || expert.activation != first.activation ||
        expert.up.getWeight().getType() != first.up.getWeight().getType() ||
        expert.down.getWeight().getType() != first.down.getWeight().getType() ||
        bool(expert.up.getBias()) != bool(first.up.getBias()) ||
        bool(expert.down.getBias()) != bool(first.down.getBias()))
      return {};
  return experts;
}

/// One tensor with the values of the experts along a new first dimension.
static Value stack(OpBuilder &builder, Location loc, ArrayRef<Expert> experts,
                   function_ref<Value(const Expert &)> get) {
  SmallVector<Value> parts;
  for (const Expert &expert : experts) {
    Value value = get(expert);
    if (!value)
      return {};
    SmallVector<int64_t> shape(shapeOf(value));
    shape.insert(shape.begin(), 1);
    parts.push_back(reshape(builder, loc, value, shape));
  }
  return parts.size() == 1
             ? parts[0]
             : tensor::ConcatOp::create(builder, loc, 0, parts).getResult();
}

static bool raiseMoe(ssm::ScatterNdOp scatter,
                     llvm::SmallPtrSetImpl<Operation *> &members) {
  SmallVector<Expert> experts = matchChain(scatter, members);
  if (experts.empty())
    return false;
  Expert first = experts[0];
  int64_t tokens = typeOf(rowsOf(scatter).getX()).getNumElements();
  int64_t slots = shapeOf(first.selected).back();
  int64_t width = shapeOf(first.up.getWeight())[1];
  RankedTensorType type = scatter.getType();
  if (typeOf(first.x).getNumElements() != tokens * width ||
      typeOf(first.gates).getNumElements() != tokens * slots ||
      typeOf(first.selected).getNumElements() != tokens * slots ||
      type.getNumElements() != tokens * width ||
      shapeOf(first.down.getWeight())[0] != width)
    return false;

  OpBuilder builder(scatter);
  Location loc = scatter.getLoc();
  Value x = reshape(builder, loc, first.x, {tokens, width});
  Value selected = reshape(builder, loc, first.selected, {tokens, slots});
  Value gates = reshape(builder, loc, first.gates, {tokens, slots});
  auto stacked = [&](auto get) { return stack(builder, loc, experts, get); };
  Value up = stacked([](Expert e) { return e.up.getWeight(); });
  Value down = stacked([](Expert e) { return e.down.getWeight(); });
  Value upBias = stacked([](Expert e) { return e.up.getBias(); });
  Value downBias = stacked([](Expert e) { return e.down.getBias(); });
  Value y = ssm::MoeOp::create(builder, loc, x.getType(), x, selected, gates,
                               up, down, upBias, downBias, first.activation);
  scatter.getY().replaceAllUsesWith(reshape(builder, loc, y, type.getShape()));
  return true;
}

namespace {
struct RecognizeMoePass : itera::impl::RecognizeMoePassBase<RecognizeMoePass> {
  void runOnOperation() override {
    SmallVector<ssm::ScatterNdOp> scatters;
    getOperation()->walk(
        [&](ssm::ScatterNdOp scatter) { scatters.push_back(scatter); });
    // The last scatter of a chain comes first when going backward.
    llvm::SmallPtrSet<Operation *, 16> members;
    for (ssm::ScatterNdOp scatter : llvm::reverse(scatters))
      if (!members.contains(scatter))
        numRaised += raiseMoe(scatter, members);
    eraseDeadOps(getOperation().getBody().front());
  }
};
} // namespace
