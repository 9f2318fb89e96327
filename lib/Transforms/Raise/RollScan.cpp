// SPDX-License-Identifier: Apache-2.0

#include "RollScan.h"
#include "TensorUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Static extract_slice with unit strides but along `dim`; drops `dropped`.
static Value extract(OpBuilder &builder, Location loc, Value source,
                     ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
                     int64_t dim, int64_t stride,
                     const llvm::SmallBitVector &dropped) {
  RankedTensorType type = typeOf(source);
  if (stride == 1 && dropped.none() && sizes == type.getShape())
    return source;
  SmallVector<OpFoldResult> o, s, st;
  SmallVector<int64_t> shape;
  for (int64_t d = 0; d < type.getRank(); ++d) {
    o.push_back(builder.getIndexAttr(offsets[d]));
    s.push_back(builder.getIndexAttr(sizes[d]));
    st.push_back(builder.getIndexAttr(d == dim ? stride : 1));
    if (!dropped.test(d))
      shape.push_back(sizes[d]);
  }
  return tensor::ExtractSliceOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), source,
      o, s, st);
}

std::pair<Value, int64_t>
itera::raise::materializeSlices(OpBuilder &builder, Location loc,
                                const SliceSequence &slices, unsigned numLanes) {
  SmallVector<int64_t> offsets = slices.offsets, sizes = slices.sizes;
  int64_t width = sizes[slices.dim], step = slices.step, count = numLanes;
  bool backward = step < 0;
  if (backward)
    offsets[slices.dim] += (count - 1) * step;
  int64_t stride = width == 1 ? std::abs(step) : 1;
  sizes[slices.dim] = width == 1 ? count : count * width;
  llvm::SmallBitVector dropped = slices.dropped;
  bool dropsTime = dropped.test(slices.dim);
  dropped.reset(slices.dim);
  // The last stride must not reach past the end of the source.
  Value result = extract(builder, loc, slices.source, offsets, sizes, slices.dim,
                         stride, dropped);
  int64_t time = 0;
  for (int64_t d = 0; d < slices.dim; ++d)
    time += !dropped.test(d);
  if (!dropsTime) {
    SmallVector<int64_t> shape(typeOf(result).getShape());
    SmallVector<ReassociationIndices> groups;
    for (int64_t d = 0, out = 0, e = shape.size(); d < e; ++d) {
      groups.push_back({out++});
      if (d == time)
        groups.back().push_back(out++);
    }
    shape[time] = count;
    shape.insert(shape.begin() + time + 1, width);
    result = tensor::ExpandShapeOp::create(
        builder, loc,
        RankedTensorType::get(shape, typeOf(result).getElementType()), result,
        groups);
  }
  if (backward)
    result = ssm::ReverseOp::create(builder, loc, result.getType(), result,
                                    ArrayRef<int64_t>{time});
  return {result, time};
}

namespace {

/// A use of one lane's value by something that stays.
struct Exposure {
  unsigned lane;
  OpOperand *use;
};

class Roller {
public:
  Roller(LockstepWalk &walk, const RollRequest &request, std::string &reason)
      : walk(walk), request(request), reason(reason),
        builder(request.anchor), loc(request.anchor->getLoc()),
        numLanes(walk.getNumLanes()) {}

  FailureOr<Rolled> run();

private:
  LogicalResult collect();
  LogicalResult orderUses();
  void addInputs();
  void addBody();
  Value getInBody(Ref ref);
  Value makeInit(const Node &state);
  Value makeConstants(const Node &node);
  unsigned stackOutput(Ref ref, int64_t dim);
  void replaceExposures();

  unsigned timeOf(unsigned lane) const {
    return flipped ? numLanes - 1 - lane : lane;
  }
  using Key = std::pair<int, unsigned>;
  static Key keyOf(Ref ref) { return {ref.node, ref.result}; }

  LockstepWalk &walk;
  const RollRequest &request;
  std::string &reason;
  OpBuilder builder;
  Location loc;
  unsigned numLanes;
  /// Time runs against the lanes: every sequence does.
  bool flipped = false;

  std::vector<int> reachable; // nodes, an operand after its user
  llvm::SetVector<Operation *> claimed;
  llvm::MapVector<Key, SmallVector<Exposure, 0>> exposures;
  llvm::SetVector<Operation *> later; // must follow the scan

  SmallVector<int> states; // one node per carried state
  DenseMap<int, unsigned> stateOf;
  SmallVector<Value> inits, sequences;
  SmallVector<int64_t> sequenceDims;
  DenseMap<int, unsigned> sequenceOf;
  llvm::MapVector<Key, int64_t> stacked; // vector -> stack dimension
  ssm::ScanOp scan;
  DenseMap<Key, Value> inBody;
};

/// Finds the nodes that count, the ops that go, and who uses them from outside.
LogicalResult Roller::collect() {
  llvm::SmallBitVector seen(walk.getNodes().size());
  SmallVector<int> stack;
  if (request.output)
    stack.push_back(request.output->node);
  else
    stack.push_back(0);
  while (!stack.empty()) {
    int n = stack.pop_back_val();
    if (seen.test(n))
      continue;
    seen.set(n);
    reachable.push_back(n);
    const Node &node = walk.getNodes()[n];
    for (Ref operand : node.operands)
      stack.push_back(operand.node);
    if (node.kind == Node::State)
      stack.push_back(node.producer.node);
    if (node.kind == Node::Step)
      for (Operation *op : node.ops)
        if (op)
          claimed.insert(op);
  }
  auto isClaimed = [&](Value value) {
    return value && value.getDefiningOp() &&
           claimed.contains(value.getDefiningOp());
  };
  bool anySlices = false, allBackward = true;
  for (int n : reachable) {
    const Node &node = walk.getNodes()[n];
    if (isClaimed(node.value) || isClaimed(node.slices.source) ||
        isClaimed(node.init.value)) {
      reason = "a step uses the result of another step out of turn";
      return failure();
    }
    if (node.kind == Node::Slices) {
      anySlices = true;
      allBackward &= node.slices.step < 0;
    }
    if (node.kind == Node::Constants)
      allBackward = false;
  }
  flipped = anySlices && allBackward;

  llvm::SmallPtrSet<Operation *, 16> done;
  for (int n : reachable) {
    const Node &node = walk.getNodes()[n];
    for (auto [lane, op] : llvm::enumerate(node.ops)) {
      if (!op || !done.insert(op).second)
        continue;
      for (OpResult result : op->getResults())
        for (OpOperand &use : result.getUses()) {
          Operation *user =
              request.anchor->getBlock()->findAncestorOpInBlock(*use.getOwner());
          if (!claimed.contains(user) && !request.anchorOps.contains(user))
            exposures[{n, result.getResultNumber()}].push_back(
                {static_cast<unsigned>(lane), &use});
        }
    }
  }
  return success();
}

/// Uses that come before the scan's place must move behind it; none of them
/// may feed the scan.
LogicalResult Roller::orderUses() {
  SmallVector<Operation *> work;
  Block *block = request.anchor->getBlock();
  for (auto &[key, uses] : exposures)
    for (Exposure &exposure : uses)
      work.push_back(block->findAncestorOpInBlock(*exposure.use->getOwner()));
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    if (claimed.contains(op)) {
      reason = "a step depends on another step through ops outside of the loop";
      return failure();
    }
    if (request.anchorOps.contains(op) ||
        !op->isBeforeInBlock(request.anchor) || !later.insert(op))
      continue;
    for (Operation *user : op->getUsers())
      work.push_back(block->findAncestorOpInBlock(*user));
  }
  auto isLater = [&](Value value) {
    return value && value.getDefiningOp() && later.contains(value.getDefiningOp());
  };
  for (int n : reachable) {
    const Node &node = walk.getNodes()[n];
    if (isLater(node.value) || isLater(node.slices.source) ||
        isLater(node.init.value)) {
      reason = "a step depends on another step through ops outside of the loop";
      return failure();
    }
  }
  return success();
}

Value Roller::makeInit(const Node &state) {
  if (state.init.value)
    return state.init.value;
  Operation *producer = walk[state.producer].op;
  Type type = producer->getResult(state.producer.result).getType();
  return arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
}

Value Roller::makeConstants(const Node &node) {
  auto type = cast<RankedTensorType>(
      cast<TypedAttr>(node.constants.front()).getType());
  SmallVector<Attribute> values;
  for (Attribute attr : node.constants)
    values.push_back(cast<DenseElementsAttr>(attr).getSplatValue<Attribute>());
  auto flat = RankedTensorType::get({static_cast<int64_t>(numLanes)},
                                    type.getElementType());
  return arith::ConstantOp::create(builder, loc,
                                   DenseElementsAttr::get(flat, values));
}

void Roller::addInputs() {
  for (int n : llvm::reverse(reachable)) {
    const Node &node = walk.getNodes()[n];
    if (node.kind == Node::State) {
      auto same = llvm::find_if(states, [&](int other) {
        const Node &known = walk.getNodes()[other];
        return known.producer == node.producer &&
               (known.init == node.init || node.init.isAny());
      });
      stateOf[n] = same - states.begin();
      if (same != states.end())
        continue;
      states.push_back(n);
      inits.push_back(makeInit(node));
    }
    if (node.kind == Node::Slices) {
      SliceSequence slices = node.slices;
      if (flipped) {
        slices.offsets[slices.dim] += (numLanes - 1) * slices.step;
        slices.step = -slices.step;
      }
      auto [value, dim] = materializeSlices(builder, loc, slices, numLanes);
      sequenceOf[n] = sequences.size();
      sequences.push_back(value);
      sequenceDims.push_back(dim);
    }
    if (node.kind == Node::Constants) {
      sequenceOf[n] = sequences.size();
      sequences.push_back(makeConstants(node));
      sequenceDims.push_back(0);
    }
  }
}

Value Roller::getInBody(Ref ref) {
  Value &known = inBody[keyOf(ref)];
  if (known)
    return known;
  const Node &node = walk[ref];
  switch (node.kind) {
  case Node::Invariant:
    return known = node.value;
  case Node::State:
    return known = scan.getStateArguments()[stateOf.lookup(ref.node)];
  case Node::Slices:
    return known = scan.getSliceArguments()[sequenceOf.lookup(ref.node)];
  case Node::Constants: {
    // Spread the scalar over the lane's shape.
    Value scalar = scan.getSliceArguments()[sequenceOf.lookup(ref.node)];
    auto type = cast<RankedTensorType>(
        cast<TypedAttr>(node.constants.front()).getType());
    if (type.getRank() == 0)
      return known = scalar;
    Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                          type.getElementType());
    auto dims = llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
    return inBody[keyOf(ref)] =
               linalg::BroadcastOp::create(builder, loc, scalar, empty, dims)
                   ->getResult(0);
  }
  case Node::Step:
    break;
  }
  unsigned numOperands = node.op->getNumOperands();
  SmallVector<Value> operands;
  IRMapping captures;
  SmallVector<Value> outer = getCaptures(node.op);
  for (auto [k, operand] : llvm::enumerate(node.operands)) {
    Value value = getInBody(operand);
    if (k < numOperands)
      operands.push_back(value);
    else
      captures.map(outer[k - numOperands], value);
  }
  Operation *copy = builder.clone(*node.op, captures);
  copy->setOperands(operands);
  for (OpResult result : copy->getResults())
    inBody[{ref.node, result.getResultNumber()}] = result;
  return copy->getResult(ref.result);
}

unsigned Roller::stackOutput(Ref ref, int64_t dim) {
  return std::distance(stacked.begin(),
                       stacked.insert({keyOf(ref), dim}).first);
}

void Roller::addBody() {
  // Which vectors must come out whole; a last state alone need not.
  if (request.output)
    stackOutput(*request.output, request.stackDim);
  unsigned lastLane = walk.getDirection() < 0 ? 0 : numLanes - 1;
  for (auto &[key, uses] : exposures) {
    Ref ref{key.first, key.second};
    bool isState = llvm::any_of(states, [&](int s) {
      return walk.getNodes()[s].producer == ref;
    });
    if (!isState || llvm::any_of(uses, [&](Exposure &exposure) {
          return exposure.lane != lastLane;
        }))
      stackOutput(ref, 0);
  }

  auto typeOfRef = [&](Ref ref) {
    for (unsigned t = 0; t < numLanes; ++t)
      if (Value value = walk.getLane(ref, t).value)
        return typeOf(value);
    return RankedTensorType();
  };
  SmallVector<Type> results(ValueRange(inits).getTypes());
  SmallVector<int64_t> stackDims;
  for (auto &[key, dim] : stacked) {
    results.push_back(withDim(typeOfRef({key.first, key.second}), dim, numLanes));
    stackDims.push_back(dim);
  }
  bool reverse = (walk.getDirection() < 0) != flipped;
  scan = ssm::ScanOp::create(builder, loc, results, inits, sequences, numLanes,
                             sequenceDims, stackDims, reverse);
  Block *body = &scan.getBody().emplaceBlock();
  for (Value init : inits)
    body->addArgument(init.getType(), loc);
  for (auto [sequence, dim] : llvm::zip(sequences, sequenceDims)) {
    SmallVector<int64_t> shape(typeOf(sequence).getShape());
    shape.erase(shape.begin() + dim);
    body->addArgument(
        RankedTensorType::get(shape, typeOf(sequence).getElementType()), loc);
  }
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(body);
  SmallVector<Value> yielded;
  for (int s : states)
    yielded.push_back(getInBody(walk.getNodes()[s].producer));
  for (auto &entry : stacked)
    yielded.push_back(getInBody({entry.first.first, entry.first.second}));
  ssm::YieldOp::create(builder, loc, yielded);
}

void Roller::replaceExposures() {
  unsigned lastLane = walk.getDirection() < 0 ? 0 : numLanes - 1;
  for (auto &[key, uses] : exposures) {
    auto it = stacked.find(key);
    DenseMap<unsigned, Value> made;
    for (Exposure &exposure : uses) {
      Value &value = made[exposure.lane];
      if (!value && exposure.lane == lastLane)
        for (auto [i, s] : llvm::enumerate(states))
          if (keyOf(walk.getNodes()[s].producer) == key)
            value = scan.getLastStates()[i];
      if (!value) {
        Value whole = scan.getStacked()[it - stacked.begin()];
        RankedTensorType type = typeOf(whole);
        SmallVector<int64_t> offsets(type.getRank(), 0), sizes(type.getShape());
        llvm::SmallBitVector dropped(type.getRank());
        offsets[it->second] = timeOf(exposure.lane);
        sizes[it->second] = 1;
        dropped.set(it->second);
        value = extract(builder, loc, whole, offsets, sizes, it->second, 1,
                        dropped);
      }
      exposure.use->set(value);
    }
  }
}

FailureOr<Rolled> Roller::run() {
  if (failed(collect()) || failed(orderUses()))
    return failure();
  addInputs();
  addBody();
  replaceExposures();
  Rolled rolled{scan, {}, {claimed.begin(), claimed.end()}};
  if (request.output) {
    rolled.output = scan.getStacked()[0];
    if (flipped)
      rolled.output =
          ssm::ReverseOp::create(builder, loc, rolled.output.getType(),
                                 rolled.output,
                                 ArrayRef<int64_t>{request.stackDim});
  }
  // In block order, so that they keep their order among themselves.
  SmallVector<Operation *> moved(later.begin(), later.end());
  llvm::sort(moved, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : moved)
    op->moveBefore(request.anchor);
  return rolled;
}

} // namespace

FailureOr<Rolled> itera::raise::rollScan(LockstepWalk &walk,
                                         const RollRequest &request,
                                         std::string &reason) {
  return Roller(walk, request, reason).run();
}
