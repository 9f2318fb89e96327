// SPDX-License-Identifier: Apache-2.0
// Splits a scan into the recurrences that really are ones and the rest, which
// is done for all time steps at once.
//
// Problem: a re-rolled loop holds a whole layer, or many: matmuls per step that
// could be one matmul over time, states that do not depend on each other.
// Idea: the body is a graph with an edge from each yielded state to the state's
// argument. Its cycles are the recurrences: each becomes a scan of its own. A
// state on no cycle is a delay by one step. Every other op is batched over time
// by its rule (TimeBatching), before or after the scans as it lies.
// An op stays in the scan beside it if it has no rule, or if batching it would
// write out a tensor larger, per step, than what the loop reads and writes
// anyway: an outer product per step must not become [T, D, N].

#include "itera/Transforms/Raise/Passes.h"

#include "LockstepWalk.h"
#include "TensorUtils.h"
#include "TimeBatching.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/MapVector.h"

namespace itera {
#define GEN_PASS_DEF_FISSIONSCANSPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Tensors of so few elements per step may always be written out.
static constexpr int64_t kSmallElements = 64;

static int64_t elementsOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? tensor.getNumElements() : 1;
}

namespace {

/// The scan, cut into pieces.
class Fission {
public:
  explicit Fission(ssm::ScanOp scan)
      : scan(scan), body(&scan.getBody().front()),
        yield(body->getTerminator()), builder(scan), loc(scan.getLoc()),
        numStates(scan.getInits().size()), length(scan.getLength()) {}

  /// Rewrites the scan; false if there is nothing to gain.
  bool run();

private:
  static constexpr int kOutside = -1;

  // Analysis.
  void findRecurrences();
  void placeOps();
  void joinUpstream(const DenseSet<Operation *> &mustStay);
  void joinDownstream(const DenseSet<Operation *> &mustStay);
  /// A matmul that, over all time steps, is worth its operand and result.
  bool hasInvariantFactor(linalg::ContractOp op) {
    return !isInBody(op->getOperand(0)) || !isInBody(op->getOperand(1));
  }
  bool isLarge(Value value) {
    return elementsOf(value.getType()) > elementLimit;
  }
  SmallVector<Value> inputsOf(Operation *op) {
    SmallVector<Value> values(op->getOperands());
    llvm::append_range(values, getCaptures(op));
    return values;
  }
  /// The recurrence inside of which `value` is computed; kOutside for others.
  int homeOf(Value value);
  bool isInBody(Value value) {
    Operation *op = value.getDefiningOp();
    return op ? op->getBlock() == body : cast<BlockArgument>(value).getOwner() == body;
  }

  // Rewriting.
  void emitAll();
  void emitOp(Operation *op);
  void emitRecurrence(int home);
  void emitDelay(unsigned state);
  TimeValue get(Value value);
  SmallVector<Value> neededFrom(int home);
  void replaceResults();

  ssm::ScanOp scan;
  Block *body;
  Operation *yield;
  OpBuilder builder;
  Location loc;
  unsigned numStates;
  int64_t length;
  int64_t elementLimit = kSmallElements;

  /// Per state: its recurrence (the lowest state of its cycle), or kOutside.
  SmallVector<int> recurrenceOf;
  /// Per recurrence: the ops and arguments that depend on its states.
  DenseMap<int, DenseSet<Operation *>> downstream;
  DenseMap<Operation *, int> home;

  DenseMap<Value, TimeValue> done;
  DenseMap<unsigned, Value> lastStates;
};

struct FissionScansPass : itera::impl::FissionScansPassBase<FissionScansPass> {
  void runOnOperation() override;
};

} // namespace

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

void Fission::findRecurrences() {
  // Forward from each state, through later steps: ops and states it reaches.
  SmallVector<DenseSet<Operation *>> ops(numStates);
  SmallVector<llvm::SmallBitVector> states(numStates,
                                           llvm::SmallBitVector(numStates));
  for (unsigned s = 0; s < numStates; ++s) {
    SmallVector<Value> work{scan.getStateArguments()[s]};
    while (!work.empty()) {
      Value value = work.pop_back_val();
      for (OpOperand &use : value.getUses()) {
        Operation *user = body->findAncestorOpInBlock(*use.getOwner());
        if (user == yield) {
          unsigned index = use.getOperandNumber();
          if (index < numStates && !states[s].test(index)) {
            states[s].set(index);
            work.push_back(scan.getStateArguments()[index]);
          }
          continue;
        }
        if (ops[s].insert(user).second)
          llvm::append_range(work, user->getResults());
      }
    }
  }
  recurrenceOf.assign(numStates, kOutside);
  for (unsigned s = 0; s < numStates; ++s) {
    if (!states[s].test(s) || recurrenceOf[s] != kOutside)
      continue;
    for (unsigned t = s; t < numStates; ++t)
      if (states[s].test(t) && states[t].test(s))
        recurrenceOf[t] = s;
    downstream[s] = ops[s];
  }
  // An op is on a cycle if it depends on a recurrence and leads back to it.
  for (auto &[recurrence, reached] : downstream) {
    SmallVector<Value> work;
    for (unsigned s = 0; s < numStates; ++s)
      if (recurrenceOf[s] == recurrence)
        work.push_back(yield->getOperand(s));
    while (!work.empty()) {
      Value value = work.pop_back_val();
      Operation *op = value.getDefiningOp();
      if (!op || op->getBlock() != body || !reached.contains(op) ||
          !home.try_emplace(op, recurrence).second)
        continue;
      llvm::append_range(work, inputsOf(op));
    }
  }
}

int Fission::homeOf(Value value) {
  if (Operation *op = value.getDefiningOp()) {
    auto it = home.find(op);
    return it == home.end() ? kOutside : it->second;
  }
  auto arg = cast<BlockArgument>(value);
  if (arg.getOwner() != body || arg.getArgNumber() >= numStates)
    return kOutside;
  return recurrenceOf[arg.getArgNumber()];
}

/// Decides for every op on no cycle whether it is batched, and if not, which
/// scan it joins.
void Fission::placeOps() {
  for (BlockArgument slice : scan.getSliceArguments())
    elementLimit = std::max(elementLimit, elementsOf(slice.getType()));
  for (Value value : yield->getOperands().drop_front(numStates))
    elementLimit = std::max(elementLimit, elementsOf(value.getType()));
  for (auto contract : body->getOps<linalg::ContractOp>())
    if (hasInvariantFactor(contract))
      elementLimit =
          std::max(elementLimit, elementsOf(contract->getResult(0).getType()));

  // What varies with time at all.
  DenseSet<Value> varying(body->getArguments().begin(), body->getArguments().end());
  DenseSet<Operation *> mustStay;
  for (Operation &op : body->without_terminator()) {
    bool varies = false;
    for (Value input : inputsOf(&op))
      varies |= varying.contains(input);
    if (!varies)
      continue;
    varying.insert(op.result_begin(), op.result_end());
    if (home.contains(&op))
      continue;
    bool hasRule = canBatch(&op, [&](unsigned k) {
      return varying.contains(op.getOperand(k));
    });
    bool large = false;
    for (Value result : op.getResults())
      large |= isLarge(result);
    if (!hasRule || large)
      mustStay.insert(&op);
  }

  joinUpstream(mustStay);
  joinDownstream(mustStay);
  joinUpstream(mustStay); // of what has just joined
}

/// An op that must stay joins the one scan that needs it.
void Fission::joinUpstream(const DenseSet<Operation *> &mustStay) {
  for (Operation &op : llvm::reverse(body->without_terminator())) {
    if (!mustStay.contains(&op) || home.contains(&op))
      continue;
    int only = kOutside;
    bool one = true;
    for (Operation *user : op.getUsers()) {
      auto it = home.find(body->findAncestorOpInBlock(*user));
      if (it == home.end() || (only != kOutside && it->second != only))
        one = false;
      else
        only = it->second;
    }
    if (one && only != kOutside && !downstream[only].contains(&op))
      home[&op] = only;
  }
}

/// An op that must stay, or that reads something large out of a scan, joins
/// that scan, if all else that it reads is there before the scan.
void Fission::joinDownstream(const DenseSet<Operation *> &mustStay) {
  for (Operation &op : body->without_terminator()) {
    if (home.contains(&op))
      continue;
    int candidate = kOutside;
    bool readsLarge = false;
    for (Value input : inputsOf(&op)) {
      int from = homeOf(input);
      if (from == kOutside)
        continue;
      candidate = from;
      readsLarge |= isLarge(input);
    }
    if (auto contract = dyn_cast<linalg::ContractOp>(op))
      readsLarge &= !hasInvariantFactor(contract);
    if (candidate == kOutside || !(mustStay.contains(&op) || readsLarge))
      continue;
    bool early = llvm::all_of(inputsOf(&op), [&](Value input) {
      if (homeOf(input) == candidate || !isInBody(input))
        return true;
      if (Operation *def = input.getDefiningOp())
        return !downstream[candidate].contains(def);
      return cast<BlockArgument>(input).getArgNumber() >= numStates;
    });
    if (early)
      home[&op] = candidate;
  }
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

TimeValue Fission::get(Value value) {
  if (!isInBody(value))
    return {value, -1};
  auto arg = dyn_cast<BlockArgument>(value);
  if (arg && arg.getArgNumber() >= numStates) {
    unsigned index = arg.getArgNumber() - numStates;
    return {scan.getSequences()[index], scan.getSequenceDims()[index]};
  }
  return done.lookup(value);
}

/// The values of a recurrence that others read, in the body's order.
SmallVector<Value> Fission::neededFrom(int index) {
  llvm::SetVector<Value> needed;
  auto consider = [&](Value value) {
    if (homeOf(value) != index)
      return;
    for (OpOperand &use : value.getUses()) {
      Operation *user = body->findAncestorOpInBlock(*use.getOwner());
      bool inside = user == yield
                        ? use.getOperandNumber() < numStates &&
                              recurrenceOf[use.getOperandNumber()] == index
                        : home.contains(user) && home.lookup(user) == index;
      if (!inside)
        needed.insert(value);
    }
  };
  for (BlockArgument arg : scan.getStateArguments())
    consider(arg);
  for (Operation &op : body->without_terminator())
    for (Value result : op.getResults())
      consider(result);
  return needed.takeVector();
}

void Fission::emitOp(Operation *op) {
  SmallVector<TimeValue> inputs;
  bool varies = false;
  for (Value input : inputsOf(op)) {
    inputs.push_back(get(input));
    varies |= !inputs.back().isInvariant();
  }
  if (!varies) {
    IRMapping mapping;
    for (auto [input, value] : llvm::zip(inputsOf(op), inputs))
      mapping.map(input, value.value);
    Operation *copy = builder.clone(*op, mapping);
    for (auto [old, made] : llvm::zip(op->getResults(), copy->getResults()))
      done[old] = {made, -1};
    return;
  }
  unsigned count = op->getNumOperands();
  if (canBatch(op, [&](unsigned k) { return !inputs[k].isInvariant(); })) {
    SmallVector<TimeValue> results =
        batchOverTime(builder, op, ArrayRef(inputs).take_front(count), length);
    for (auto [old, made] : llvm::zip(op->getResults(), results))
      done[old] = made;
    return;
  }
  // No rule and no scan to join: a scan that carries nothing.
  SmallVector<Value> sequences;
  SmallVector<int64_t> dims, stackDims(op->getNumResults(), 0);
  SmallVector<Type> types;
  for (TimeValue input : inputs)
    if (!input.isInvariant()) {
      sequences.push_back(input.value);
      dims.push_back(input.dim);
    }
  for (Type type : op->getResultTypes()) {
    SmallVector<int64_t> shape(cast<RankedTensorType>(type).getShape());
    shape.insert(shape.begin(), length);
    types.push_back(RankedTensorType::get(
        shape, cast<RankedTensorType>(type).getElementType()));
  }
  auto map = ssm::ScanOp::create(builder, op->getLoc(), types, ValueRange(),
                                 sequences, length, dims, stackDims, false);
  Block *block = &map.getBody().emplaceBlock();
  IRMapping mapping;
  for (auto [input, value] : llvm::zip(inputsOf(op), inputs))
    mapping.map(input, value.isInvariant()
                           ? value.value
                           : block->addArgument(input.getType(), op->getLoc()));
  OpBuilder inner = OpBuilder::atBlockBegin(block);
  Operation *copy = inner.clone(*op, mapping);
  ssm::YieldOp::create(inner, op->getLoc(), copy->getResults());
  for (auto [old, made] : llvm::zip(op->getResults(), map.getResults()))
    done[old] = {made, 0};
}

/// The state before each step is what was yielded a step earlier.
void Fission::emitDelay(unsigned state) {
  BlockArgument arg = scan.getStateArguments()[state];
  TimeValue next = get(yield->getOperand(state));
  int64_t dim = next.isInvariant() ? 0 : next.dim;
  Value all = withTimeAt(builder, loc, next, dim, length);
  auto type = cast<RankedTensorType>(all.getType());
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<OpFoldResult> offsets(shape.size(), builder.getIndexAttr(0)),
      ones(shape.size(), builder.getIndexAttr(1)), sizes;
  auto slice = [&](int64_t from, int64_t count, RankedTensorType result) {
    offsets[dim] = builder.getIndexAttr(from);
    sizes.clear();
    for (auto [d, size] : llvm::enumerate(shape))
      sizes.push_back(builder.getIndexAttr(static_cast<int64_t>(d) == dim ? count : size));
    return tensor::ExtractSliceOp::create(builder, loc, result, all, offsets,
                                          sizes, ones);
  };
  bool reverse = scan.getReverse();
  lastStates[state] = slice(reverse ? 0 : length - 1, 1,
                            cast<RankedTensorType>(arg.getType()));
  if (arg.use_empty())
    return;
  shape[dim] = length - 1;
  auto rest = RankedTensorType::get(shape, type.getElementType());
  Value kept = slice(reverse ? 1 : 0, length - 1, rest);
  Value first = withTimeAt(builder, loc, {scan.getInits()[state], -1}, dim, 1);
  SmallVector<Value> parts{first, kept};
  if (reverse)
    std::swap(parts[0], parts[1]);
  done[arg] = {tensor::ConcatOp::create(builder, loc, dim, parts), dim};
}

void Fission::emitRecurrence(int index) {
  SmallVector<Operation *> ops;
  for (Operation &op : body->without_terminator())
    if (home.contains(&op) && home.lookup(&op) == index)
      ops.push_back(&op);
  SmallVector<unsigned> states;
  SmallVector<Value> inits, sequences;
  SmallVector<int64_t> sequenceDims, stackDims;
  llvm::MapVector<Value, TimeValue> inputs;
  for (unsigned s = 0; s < numStates; ++s)
    if (recurrenceOf[s] == index) {
      states.push_back(s);
      inits.push_back(scan.getInits()[s]);
    }
  SmallVector<Value> read;
  for (Operation *op : ops)
    llvm::append_range(read, inputsOf(op));
  for (unsigned s : states)
    read.push_back(yield->getOperand(s));
  for (Value input : read)
    if (homeOf(input) != index)
      inputs.insert({input, get(input)});
  for (auto &[value, time] : inputs)
    if (!time.isInvariant()) {
      sequences.push_back(time.value);
      sequenceDims.push_back(time.dim);
    }

  SmallVector<Value> needed = neededFrom(index);
  SmallVector<Type> types(ValueRange(inits).getTypes());
  for (Value value : needed) {
    auto type = cast<RankedTensorType>(value.getType());
    // Where the loop stacks this value, or else where it stacks others.
    int64_t dim = 0;
    if (!scan.getStackDims().empty())
      dim = std::min(scan.getStackDims().front(), type.getRank());
    for (auto [k, at] : llvm::enumerate(scan.getStackDims()))
      if (yield->getOperand(numStates + k) == value)
        dim = at;
    stackDims.push_back(dim);
    SmallVector<int64_t> shape(type.getShape());
    shape.insert(shape.begin() + dim, length);
    types.push_back(RankedTensorType::get(shape, type.getElementType()));
  }

  auto part = ssm::ScanOp::create(builder, loc, types, inits, sequences, length,
                                  sequenceDims, stackDims, scan.getReverse());
  Block *block = &part.getBody().emplaceBlock();
  IRMapping mapping;
  for (unsigned s : states)
    mapping.map(scan.getStateArguments()[s],
                block->addArgument(scan.getInits()[s].getType(), loc));
  for (auto &[value, time] : inputs)
    mapping.map(value, time.isInvariant()
                           ? time.value
                           : block->addArgument(value.getType(), loc));
  OpBuilder inner = OpBuilder::atBlockBegin(block);
  for (Operation *op : ops)
    inner.clone(*op, mapping);
  SmallVector<Value> yielded;
  for (unsigned s : states)
    yielded.push_back(mapping.lookup(yield->getOperand(s)));
  for (Value value : needed)
    yielded.push_back(mapping.lookup(value));
  ssm::YieldOp::create(inner, loc, yielded);

  for (auto [k, s] : llvm::enumerate(states))
    lastStates[s] = part.getLastStates()[k];
  for (auto [value, result, dim] :
       llvm::zip(needed, part.getStacked(), stackDims))
    done[value] = {result, dim};
}

/// Emits every piece once all that it reads is there. The pieces are few, or
/// nearly in order, so that a few rounds over the body do.
void Fission::emitAll() {
  DenseSet<int> pending;
  for (int index : recurrenceOf)
    if (index != kOutside)
      pending.insert(index);
  SmallVector<unsigned> delays;
  for (unsigned s = 0; s < numStates; ++s)
    if (recurrenceOf[s] == kOutside)
      delays.push_back(s);
  SmallVector<Operation *> rest;
  for (Operation &op : body->without_terminator())
    if (!home.contains(&op))
      rest.push_back(&op);

  auto isReady = [&](Value value) {
    auto arg = dyn_cast<BlockArgument>(value);
    return !isInBody(value) || (arg && arg.getArgNumber() >= numStates) ||
           done.contains(value);
  };
  auto recurrenceReady = [&](int index) {
    for (Operation &op : body->without_terminator())
      if (home.contains(&op) && home.lookup(&op) == index)
        for (Value input : inputsOf(&op))
          if (homeOf(input) != index && !isReady(input))
            return false;
    for (unsigned s = 0; s < numStates; ++s)
      if (recurrenceOf[s] == index && homeOf(yield->getOperand(s)) != index &&
          !isReady(yield->getOperand(s)))
        return false;
    return true;
  };
  bool progress = true;
  while (progress) {
    progress = false;
    SmallVector<Operation *> waiting;
    for (Operation *op : rest) {
      if (!llvm::all_of(inputsOf(op), isReady)) {
        waiting.push_back(op);
        continue;
      }
      emitOp(op);
      progress = true;
    }
    rest = waiting;
    for (unsigned s = 0; s < numStates; ++s) {
      if (llvm::is_contained(delays, s) && isReady(yield->getOperand(s))) {
        emitDelay(s);
        llvm::erase(delays, s);
        progress = true;
      }
      int index = recurrenceOf[s];
      if (index != kOutside && pending.contains(index) && recurrenceReady(index)) {
        emitRecurrence(index);
        pending.erase(index);
        progress = true;
      }
    }
  }
  assert(rest.empty() && pending.empty() && delays.empty() &&
         "the pieces of a scan form no cycle");
}

void Fission::replaceResults() {
  for (auto [s, result] : llvm::enumerate(scan.getLastStates()))
    result.replaceAllUsesWith(lastStates.lookup(s));
  for (auto [k, result] : llvm::enumerate(scan.getStacked())) {
    if (result.use_empty())
      continue;
    TimeValue value = get(yield->getOperand(numStates + k));
    result.replaceAllUsesWith(
        withTimeAt(builder, loc, value, scan.getStackDims()[k], length));
  }
}

bool Fission::run() {
  if (length < 2)
    return false;
  findRecurrences();
  placeOps();
  DenseSet<int> homes;
  bool anyOutside = false;
  for (int index : recurrenceOf) {
    homes.insert(index);
    anyOutside |= index == kOutside;
  }
  for (Operation &op : body->without_terminator())
    anyOutside |= !home.contains(&op);
  if (numStates > 0 && !anyOutside && homes.size() == 1)
    return false;
  emitAll();
  replaceResults();
  scan.erase();
  return true;
}

void FissionScansPass::runOnOperation() {
  SmallVector<ssm::ScanOp> scans;
  getOperation().walk([&](ssm::ScanOp scan) { scans.push_back(scan); });
  for (ssm::ScanOp scan : scans)
    numScans += Fission(scan).run();
  for (Block &block : getOperation().getBody())
    eraseDeadOps(block);
}
