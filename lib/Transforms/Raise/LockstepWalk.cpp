// SPDX-License-Identifier: Apache-2.0

#include "LockstepWalk.h"

#include "TensorUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera::raise;

/// A body of more vectors than this, or deeper, is not taken for a loop's.
static constexpr size_t kMaxVectors = 4096;
static constexpr unsigned kMaxDepth = 1000;

static Value lastValue(ArrayRef<Lane> lanes) {
  for (const Lane &lane : llvm::reverse(lanes))
    if (lane.value)
      return lane.value;
  return {};
}

static std::string describe(Operation *op) {
  return op ? op->getName().getStringRef().str() : std::string("an argument");
}

FailureOr<Ref> LockstepWalk::fail(Operation *op, const Twine &reason) {
  // The first failure is the innermost.
  if (why.reason.empty()) {
    why.op = op;
    why.reason = reason.str();
  }
  return failure();
}

FailureOr<Ref> LockstepWalk::failUnlike(Operation *rep, Operation *op,
                                        unsigned lane) {
  std::string step = "step " + std::to_string(lane);
  if (op && op->getName() == rep->getName())
    return fail(rep, step + " has another " + describe(op) + " than the others");
  return fail(rep, step + " has " + describe(op) + " where others have " +
                       describe(rep));
}

//===----------------------------------------------------------------------===//
// Bookkeeping
//===----------------------------------------------------------------------===//

Lane LockstepWalk::getLane(Ref ref, unsigned lane) const {
  const Node &node = nodes[ref.node];
  if (node.kind == Node::Step) {
    if (Operation *op = node.ops[lane])
      return {op->getResult(ref.result)};
    return node.lanes.empty() ? Lane::any() : node.lanes[lane];
  }
  return node.lanes[lane];
}

std::optional<Ref> LockstepWalk::lookup(ArrayRef<Lane> lanes) const {
  auto it = memo.find(lastValue(lanes));
  if (it == memo.end())
    return std::nullopt;
  for (Ref ref : it->second) {
    bool equal = true;
    for (unsigned t = 0; equal && t < numLanes; ++t)
      equal = lanes[t] == getLane(ref, t) || lanes[t].isAny();
    if (equal)
      return ref;
  }
  return std::nullopt;
}

void LockstepWalk::remember(Value key, Ref ref) {
  memo[key].push_back(ref);
  journal.push_back({key, nullptr});
}

void LockstepWalk::setOp(int node, unsigned lane, Operation *op) {
  nodes[node].ops[lane] = op;
  opLanes[op].push_back({node, lane});
  journal.push_back({Value(), op});
}

Ref LockstepWalk::addNode(Node node, ArrayRef<Lane> lanes) {
  Ref ref{static_cast<int>(nodes.size()), 0};
  node.lanes.assign(lanes.begin(), lanes.end());
  nodes.push_back(std::move(node));
  remember(lastValue(lanes), ref);
  return ref;
}

void LockstepWalk::rollback(const Checkpoint &checkpoint) {
  while (journal.size() > checkpoint.journal) {
    JournalEntry entry = journal.back();
    journal.pop_back();
    if (entry.op)
      opLanes[entry.op].pop_back();
    else
      memo[entry.key].pop_back();
  }
  nodes.erase(nodes.begin() + checkpoint.nodes, nodes.end());
  direction = checkpoint.direction;
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

FailureOr<Ref> LockstepWalk::visit(ArrayRef<Lane> lanes) {
  Value last = lastValue(lanes);
  if (!last)
    return fail(nullptr, "no lane has a value");
  if (std::optional<Ref> known = lookup(lanes))
    return *known;
  if (++visited > kMaxVectors || depth >= kMaxDepth)
    return fail(last.getDefiningOp(), "the body is too large");
  ++depth;
  llvm::scope_exit leave([&] { --depth; });

  if (llvm::all_of(lanes, [&](const Lane &lane) {
        return lane.isAny() || lane.value == last;
      }))
    return addNode(Node(Node::Invariant, last), lanes);

  // A zero is no demand where all the others are zero as well.
  if (lanes.front().zero && llvm::all_of(lanes.drop_front(), [](const Lane &l) {
        return l.value && isKnownZero(l.value);
      })) {
    Lanes relaxed(lanes);
    relaxed[0] = Lane::any();
    return visit(relaxed);
  }
  if (std::optional<Ref> state = findState(lanes))
    return *state;
  if (succeeded(matchSlices(lanes)))
    return visitSlices(lanes);
  if (last.getDefiningOp<arith::ConstantOp>()) {
    FailureOr<Ref> constants = visitConstants(lanes);
    if (succeeded(constants))
      return constants;
  }
  return visitSteps(lanes);
}

FailureOr<Ref> LockstepWalk::visitSlices(ArrayRef<Lane> lanes) {
  Node node(Node::Slices);
  node.slices = *matchSlices(lanes);
  return addNode(std::move(node), lanes);
}

FailureOr<Ref> LockstepWalk::visitConstants(ArrayRef<Lane> lanes) {
  Value last = lastValue(lanes);
  Attribute any = last.getDefiningOp<arith::ConstantOp>().getValue();
  Node node(Node::Constants);
  bool differ = false, splat = true;
  for (const Lane &lane : lanes) {
    if (lane.isAny()) {
      node.constants.push_back(any);
      continue;
    }
    auto constant = lane.value ? lane.value.getDefiningOp<arith::ConstantOp>()
                               : arith::ConstantOp();
    auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue())
                          : DenseElementsAttr();
    if (!dense || constant.getType() != last.getType())
      return failure();
    differ |= dense != any;
    splat &= dense.isSplat();
    node.constants.push_back(dense);
  }
  if (!differ)
    return addNode(Node(Node::Invariant, last), lanes);
  // Weights differ from copy to copy of a layer; only scalars, however far
  // they are spread, count as a function of the step.
  if (!splat)
    return failure();
  return addNode(std::move(node), lanes);
}

bool LockstepWalk::isShift(ArrayRef<Lane> lanes, Ref producer, int shift) const {
  for (int t = 0, e = numLanes; t < e; ++t) {
    int from = t - shift;
    if (from < 0 || from >= e || lanes[t].isAny())
      continue;
    if (lanes[t] != getLane(producer, from))
      return false;
  }
  return true;
}

std::optional<Ref> LockstepWalk::findState(ArrayRef<Lane> lanes) {
  for (int shift : {1, -1}) {
    if (direction != 0 && shift != direction)
      continue;
    // The lane that names the producer; the state's first step is no witness.
    int witness = shift > 0 ? numLanes - 1 : 0;
    int end = shift > 0 ? 0 : numLanes - 1;
    while (witness != end && !lanes[witness].value)
      witness -= shift;
    if (witness == end)
      continue;
    auto result = dyn_cast<OpResult>(lanes[witness].value);
    if (!result)
      continue;
    auto it = opLanes.find(result.getOwner());
    if (it == opLanes.end())
      continue;
    for (auto [node, lane] : it->second) {
      Ref producer{node, result.getResultNumber()};
      if (static_cast<int>(lane) != witness - shift ||
          !isShift(lanes, producer, shift))
        continue;
      direction = shift;
      Node state(Node::State);
      state.producer = producer;
      state.init = lanes[end];
      return addNode(std::move(state), lanes);
    }
  }
  return std::nullopt;
}

FailureOr<Ref> LockstepWalk::visitSteps(ArrayRef<Lane> lanes) {
  SmallVector<Operation *, 0> ops;
  for (const Lane &lane : lanes)
    ops.push_back(lane.value ? lane.value.getDefiningOp() : nullptr);
  auto unlike = [&](Operation *rep) {
    unsigned result = 0;
    SmallVector<unsigned> lanesUnlike;
    for (unsigned t = 0; t < numLanes; ++t) {
      if (ops[t] == rep)
        result = cast<OpResult>(lanes[t].value).getResultNumber();
    }
    for (unsigned t = 0; t < numLanes; ++t) {
      if (lanes[t].isAny())
        continue;
      if (!ops[t] || !areAlike(ops[t], rep) ||
          cast<OpResult>(lanes[t].value).getResultNumber() != result)
        lanesUnlike.push_back(t);
      if (lanesUnlike.size() > 1)
        break;
    }
    return lanesUnlike;
  };
  Operation *rep = lastValue(lanes).getDefiningOp();
  if (!rep)
    return fail(nullptr, "an argument stands where other steps have an op");
  SmallVector<unsigned> odd = unlike(rep);
  if (odd.size() > 1 && numLanes > 2) {
    // Perhaps it is the last lane that is odd.
    for (unsigned t = 0; t + 1 < numLanes; ++t)
      if (ops[t] && lanes[numLanes - 1].value) {
        SmallVector<unsigned> others = unlike(ops[t]);
        if (others.size() == 1 && others[0] == numLanes - 1) {
          odd = others;
          rep = ops[t];
        }
        break;
      }
  }
  if (!isMemoryEffectFree(rep) || rep->getBlock() != block)
    return fail(rep, "it cannot be moved into a loop");
  unsigned result = 0;
  for (unsigned t = 0; t < numLanes; ++t)
    if (ops[t] == rep)
      result = cast<OpResult>(lanes[t].value).getResultNumber();
  if (odd.empty())
    return addSteps(lanes, ops, rep, result, {});
  if (odd.size() > 1)
    return failUnlike(rep, ops[odd[1]], odd[1]);
  if (odd[0] == 0 && lanes[0].zero)
    return visitZero(lanes, rep);
  bool atEnd = odd[0] == 0 || odd[0] + 1 == numLanes;
  if (numLanes > 2 && atEnd) {
    Checkpoint start = mark();
    int shift = odd[0] == 0 ? 1 : -1;
    if (direction == 0 || direction == shift) {
      FailureOr<Ref> delayed = visitDelayed(lanes, shift);
      if (succeeded(delayed))
        return delayed;
      rollback(start);
    }
  }
  if (odd[0] == 0) {
    FailureOr<Ref> folded = visitFoldedFirst(lanes, rep);
    if (succeeded(folded))
      return folded;
  }
  if (atEnd)
    why.oddLane = odd[0];
  return failUnlike(rep, ops[odd[0]], odd[0]);
}

/// True if all values come from ops of one name, or from none.
static bool haveSameKind(ArrayRef<Lane> lanes) {
  auto kindOf = [](Value value) {
    Operation *op = value.getDefiningOp();
    return op ? op->getName().getAsOpaquePointer() : nullptr;
  };
  const void *kind = kindOf(lastValue(lanes));
  return llvm::all_of(lanes, [&](const Lane &lane) {
    return lane.isAny() || (lane.value && kindOf(lane.value) == kind);
  });
}

FailureOr<Ref> LockstepWalk::addSteps(ArrayRef<Lane> lanes,
                                      ArrayRef<Operation *> ops, Operation *rep,
                                      unsigned result, ArrayRef<Lane> first,
                                      bool maySwap) {
  for (Operation *op : ops)
    if (op && op->getBlock() != block)
      return fail(op, "it cannot be moved into a loop");
  Checkpoint start = mark();
  int index = nodes.size();
  Node node(Node::Step);
  node.op = rep;
  node.ops.assign(numLanes, nullptr);
  if (llvm::is_contained(ops, nullptr)) {
    node.lanes.assign(numLanes, Lane::any());
    for (unsigned t = 0; t < numLanes; ++t)
      if (!ops[t])
        node.lanes[t] = lanes[t];
  }
  nodes.push_back(std::move(node));
  for (unsigned t = 0; t < numLanes; ++t)
    if (ops[t])
      setOp(index, t, ops[t]);
  for (unsigned r = 0; r < rep->getNumResults(); ++r) {
    unsigned t = numLanes - 1;
    while (!ops[t])
      --t;
    remember(ops[t]->getResult(r), {index, r});
  }

  llvm::SmallBitVector swapped(numLanes);
  if (rep->hasTrait<OpTrait::IsCommutative>() && rep->getNumOperands() == 2)
    for (unsigned t = 0; t < numLanes; ++t)
      if (ops[t] && ops[t] != rep && maySwap)
        swapped[t] = shouldSwapOperands(ops[t], rep);
  SmallVector<SmallVector<Value>, 0> captures(numLanes);
  if (rep->getNumRegions() > 0)
    for (unsigned t = 0; t < numLanes; ++t)
      if (ops[t])
        captures[t] = getCaptures(ops[t]);
  unsigned numOperands = rep->getNumOperands();
  unsigned numRefs = numOperands + getCaptures(rep).size();
  // Vectors that are alike in every lane come first: among them may be the
  // one whose delay another operand is.
  SmallVector<Lanes, 4> operandLanes(numRefs, Lanes(numLanes));
  SmallVector<unsigned> order, odd;
  for (unsigned k = 0; k < numRefs; ++k) {
    Lanes &operand = operandLanes[k];
    for (unsigned t = 0; t < numLanes; ++t) {
      if (!ops[t])
        operand[t] = t == 0 && k < first.size() ? first[k] : Lane::any();
      else if (k >= numOperands)
        operand[t].value = captures[t][k - numOperands];
      else
        operand[t].value = ops[t]->getOperand(swapped[t] ? 1 - k : k);
    }
    (haveSameKind(operand) ? order : odd).push_back(k);
  }
  order.append(odd);
  SmallVector<Ref> refs(numRefs);
  bool invariant = true;
  for (unsigned k : order) {
    FailureOr<Ref> ref = visit(operandLanes[k]);
    if (failed(ref)) {
      rollback(start);
      // Which operand is which was a guess.
      if (swapped.any())
        return addSteps(lanes, ops, rep, result, first, /*maySwap=*/false);
      return failure();
    }
    refs[k] = *ref;
    invariant &= nodes[ref->node].kind == Node::Invariant;
  }
  nodes[index].operands = refs;
  // The same computation in every step: any lane's result will do.
  if (invariant && first.empty()) {
    rollback(start);
    return addNode(Node(Node::Invariant, rep->getResult(result)), lanes);
  }
  return Ref{index, result};
}

//===----------------------------------------------------------------------===//
// Odd first steps
//===----------------------------------------------------------------------===//

/// `lanes` is the state before each step, and nothing yet met produces it:
/// the steps read the old state, and the last update may be missing.
FailureOr<Ref> LockstepWalk::visitDelayed(ArrayRef<Lane> lanes, int shift) {
  Lanes next(numLanes);
  for (int t = 0, e = numLanes; t < e; ++t)
    if (t + shift >= 0 && t + shift < e)
      next[t] = lanes[t + shift];
  size_t begin = nodes.size();
  FailureOr<Ref> producer = visit(next);
  if (failed(producer) || nodes[producer->node].kind != Node::Step ||
      (direction != 0 && direction != shift))
    return failure();
  direction = shift;
  complete(begin);
  if (std::optional<Ref> state = lookup(lanes))
    return *state;
  Node state(Node::State);
  state.producer = *producer;
  state.init = lanes[shift > 0 ? 0 : numLanes - 1];
  return addNode(std::move(state), lanes);
}

void LockstepWalk::complete(size_t begin) {
  for (size_t n = nodes.size(); n-- > begin;) {
    if (nodes[n].kind != Node::Step || !nodes[n].lanes.size())
      continue;
    unsigned t = direction > 0 ? numLanes - 1 : 0;
    if (nodes[n].ops[t])
      continue;
    SmallVector<Value> expected;
    Value witness;
    for (Ref ref : nodes[n].operands) {
      Lane lane = getLane(ref, t);
      const Node &operand = nodes[ref.node];
      if (operand.kind == Node::Invariant)
        lane.value = operand.value;
      if (operand.kind == Node::State)
        lane = getLane(operand.producer, t - direction);
      if (operand.kind == Node::Slices && !lane.value)
        for (Operation *user : operand.slices.source.getUsers()) {
          Lanes tried = operand.lanes;
          if (user->getNumResults() != 1)
            continue;
          tried[t].value = user->getResult(0);
          if (succeeded(matchSlices(tried)))
            lane = tried[t];
        }
      expected.push_back(lane.value);
      if (operand.kind != Node::Invariant && lane.value)
        witness = lane.value;
    }
    if (!witness || llvm::is_contained(expected, Value()))
      continue;
    for (Operation *user : witness.getUsers())
      if (user->getBlock() == block && areAlike(user, nodes[n].op) &&
          ValueRange(user->getOperands()) ==
              ValueRange(expected).take_front(user->getNumOperands()) &&
          ValueRange(getCaptures(user)) ==
              ValueRange(expected).drop_front(user->getNumOperands())) {
        setOp(n, t, user);
        remember(user->getResult(0), {static_cast<int>(n), 0});
        break;
      }
  }
}

/// Lane 0 must be zero; the others are alike ops. Hands the demand on.
FailureOr<Ref> LockstepWalk::visitZero(ArrayRef<Lane> lanes, Operation *rep) {
  unsigned count = rep->getNumOperands();
  SmallVector<Operation *, 0> ops{nullptr};
  for (const Lane &lane : lanes.drop_front())
    ops.push_back(lane.value ? lane.value.getDefiningOp() : nullptr);
  auto attempt = [&](ArrayRef<unsigned> zeros) -> FailureOr<Ref> {
    SmallVector<Lane> first(count, Lane::any());
    for (unsigned k : zeros)
      first[k] = Lane::zeroed();
    return addSteps(lanes, ops, rep, 0, first);
  };
  return llvm::TypeSwitch<Operation *, FailureOr<Ref>>(rep)
      .Case<arith::MulFOp>([&](auto) {
        FailureOr<Ref> left = attempt({0});
        return succeeded(left) ? left : attempt({1});
      })
      .Case<linalg::ContractOp>([&](auto) {
        FailureOr<Ref> left = attempt({0, 2});
        return succeeded(left) ? left : attempt({1, 2});
      })
      .Case<arith::AddFOp, arith::SubFOp>([&](auto) { return attempt({0, 1}); })
      .Case<arith::NegFOp, arith::DivFOp, arith::ExtFOp, arith::TruncFOp,
            linalg::BroadcastOp, linalg::TransposeOp, tensor::ExpandShapeOp,
            tensor::CollapseShapeOp, tensor::ExtractSliceOp>(
          [&](auto) { return attempt({0}); })
      .Default([&](Operation *op) {
        return fail(op, "step 0 starts from zero, which this op may change");
      });
}

/// Lane 0 is not like the others, which add something to it: perhaps it is
/// what is left of the sum when the rest is zero.
FailureOr<Ref> LockstepWalk::visitFoldedFirst(ArrayRef<Lane> lanes,
                                              Operation *rep) {
  if (!isa<arith::AddFOp, arith::SubFOp>(rep) || !lanes[0].value)
    return failure();
  SmallVector<Operation *, 0> ops{nullptr};
  for (const Lane &lane : lanes.drop_front())
    ops.push_back(lane.value ? lane.value.getDefiningOp() : nullptr);
  for (unsigned k : {1u, 0u}) {
    if (k == 1 && isa<arith::SubFOp>(rep))
      continue;
    SmallVector<Lane> first(2, Lane::zeroed());
    first[k] = lanes[0];
    FailureOr<Ref> sum = addSteps(lanes, ops, rep, 0, first);
    if (succeeded(sum))
      return sum;
  }
  return failure();
}
