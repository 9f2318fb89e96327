// SPDX-License-Identifier: Apache-2.0
// If, Loop, Scan.
//
// Loop and Scan become ssm.scan. The body is built in a block of its own, since
// the types it yields decide the op's results; captured values need nothing,
// because the scan's region sees what dominates it. A Loop's step number is a
// sequence 0, 1, 2, ...; a gather of an outer tensor at just that number is a
// slice of a sequence and becomes one.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {
/// A scan whose body is being built, detached.
struct ScanBuilder {
  explicit ScanBuilder(Node &n) : n(n), block(std::make_unique<Block>()) {}

  Node &n;
  std::unique_ptr<Block> block;
  int64_t length = 0;
  bool reverse = false;
  SmallVector<Value> inits, sequences;
  SmallVector<int64_t> sequenceDims, stackDims;

  Value addState(Value init) {
    inits.push_back(init);
    Value argument = block->addArgument(init.getType(), n.loc);
    mark(argument, init);
    return argument;
  }
  /// Only after all states.
  Value addSequence(Value sequence, int64_t dim) {
    sequences.push_back(sequence);
    sequenceDims.push_back(dim);
    Shape shape(n.b.shapeOf(sequence));
    shape.erase(shape.begin() + dim);
    Value argument = block->addArgument(
        RankedTensorType::get(shape, n.b.elementOf(sequence)), n.loc);
    mark(argument, sequence);
    return argument;
  }
  void mark(Value argument, Value like) {
    if (n.isUnsigned(like))
      n.setUnsigned(argument);
  }

  /// Imports `graph` into the block.
  LogicalResult importBody(const onnx::GraphProto &graph,
                           ArrayRef<Entry> arguments,
                           SmallVectorImpl<Entry> &results);
  /// Ends the body and builds the op: last states, then stacked results.
  FailureOr<SmallVector<Value>> finish(ArrayRef<Value> states,
                                       ArrayRef<Value> stacked);
};
} // namespace

LogicalResult ScanBuilder::importBody(const onnx::GraphProto &graph,
                                      ArrayRef<Entry> arguments,
                                      SmallVectorImpl<Entry> &results) {
  OpBuilder::InsertionGuard guard(n.b.builder);
  n.b.builder.setInsertionPointToEnd(block.get());
  return n.importer.importGraph(graph, &n.scope, arguments, results, n.loc);
}

FailureOr<SmallVector<Value>> ScanBuilder::finish(ArrayRef<Value> states,
                                                  ArrayRef<Value> stacked) {
  SmallVector<Type> types;
  for (auto [i, state, init] : llvm::enumerate(states, inits)) {
    if (state.getType() != init.getType())
      return n.shapeMismatch(n.b.shapeOf(state), n.b.shapeOf(init))
             << "expected state " << i << " to keep its type "
             << init.getType() << ", but got " << state.getType();
    types.push_back(state.getType());
  }
  SmallVector<Value> yielded(states);
  for (auto [value, dim] : llvm::zip(stacked, stackDims)) {
    Shape shape(n.b.shapeOf(value));
    shape.insert(shape.begin() + dim, length);
    if (failed(n.checkShape(shape)))
      return failure();
    types.push_back(RankedTensorType::get(shape, n.b.elementOf(value)));
    yielded.push_back(value);
  }
  for (Value value : yielded)
    if (n.counted(value))
      return n.error() << "expected static shapes in a loop, but a value has a "
                          "length that depends on the data";
  OpBuilder &b = n.b.builder;
  if (length == 0) {
    // Nothing runs; the body only told the types. Its ops use each other, so
    // they go last to first.
    while (!block->empty()) {
      block->back().walk([&](Operation *op) { n.importer.forget(op); });
      block->back().erase();
    }
    SmallVector<Value> results(inits);
    for (Type type : ArrayRef(types).drop_front(inits.size())) {
      auto tensor = cast<RankedTensorType>(type);
      results.push_back(n.b.splat(tensor.getShape(), tensor.getElementType(), 0));
    }
    return results;
  }
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(block.get());
    ssm::YieldOp::create(b, n.loc, yielded);
  }
  auto scan = ssm::ScanOp::create(
      b, n.loc, types, inits, sequences, b.getI64IntegerAttr(length),
      b.getDenseI64ArrayAttr(sequenceDims), b.getDenseI64ArrayAttr(stackDims),
      reverse ? b.getUnitAttr() : UnitAttr());
  scan.getBody().push_back(block.release());
  for (auto [result, value] : llvm::zip(scan.getResults(), yielded))
    mark(result, value);
  return SmallVector<Value>(scan.getResults());
}

/// The tensors among `entries`, or an error for a list.
static FailureOr<SmallVector<Value>> expectTensors(Node &n,
                                                   ArrayRef<Entry> entries) {
  SmallVector<Value> result;
  for (const Entry &entry : entries) {
    if (!entry.value)
      return n.error() << "expected tensors from the body, but got a sequence";
    result.push_back(entry.value);
  }
  return result;
}

static Entry tensorEntry(Value value) {
  Entry entry;
  entry.value = value;
  return entry;
}

static FailureOr<const onnx::GraphProto *> getGraph(Node &n, StringRef name) {
  const onnx::AttributeProto *a = n.attribute(name);
  if (!a || !a->has_g())
    return n.error() << "expected a graph as attribute '" << name << "'";
  return &a->g();
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

static LogicalResult ifOp(Node &n) {
  Value condition = n.in(0);
  if (!condition || !n.b.elementOf(condition).isInteger(1) ||
      n.b.typeOf(condition).getNumElements() != 1)
    return n.error() << "expected one bool as the condition";
  FailureOr<const onnx::GraphProto *> thenGraph = getGraph(n, "then_branch"),
                                      elseGraph = getGraph(n, "else_branch");
  if (failed(thenGraph) || failed(elseGraph))
    return failure();
  if (std::optional<ssm::HostTensor> data = n.constant(condition))
    return n.importer.importGraph(data->getInt(0) ? **thenGraph : **elseGraph,
                                  &n.scope, {}, n.outputs, n.loc);
  // Ops are pure: compute both and choose.
  SmallVector<Entry> thenEntries, elseEntries;
  if (failed(n.importer.importGraph(**thenGraph, &n.scope, {}, thenEntries,
                                    n.loc)) ||
      failed(n.importer.importGraph(**elseGraph, &n.scope, {}, elseEntries,
                                    n.loc)))
    return failure();
  FailureOr<SmallVector<Value>> thenValues = expectTensors(n, thenEntries),
                                elseValues = expectTensors(n, elseEntries);
  if (failed(thenValues) || failed(elseValues))
    return failure();
  if (thenValues->size() != elseValues->size())
    return n.error() << "expected both branches to have as many outputs";
  condition = n.b.reshape(condition, {});
  for (auto [a, b] : llvm::zip(*thenValues, *elseValues)) {
    if (a.getType() != b.getType() || n.counted(a) || n.counted(b))
      return n.error() << "expected both branches to give one type when the "
                          "condition is not constant, but got "
                       << a.getType() << " and " << b.getType();
    Value result = n.b.make<arith::SelectOp>(
        n.b.broadcast(condition, n.b.shapeOf(a)), a, b);
    if (n.isUnsigned(a))
      n.setUnsigned(result);
    n.out(result);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

static LogicalResult scan(Node &n) {
  FailureOr<const onnx::GraphProto *> body = getGraph(n, "body");
  if (failed(body))
    return failure();
  int64_t numSequences = n.intAttr("num_scan_inputs", 0);
  int64_t numStates = static_cast<int64_t>(n.numInputs()) - numSequences;
  if (numSequences < 1 || numStates < 0)
    return n.error() << "expected between 1 and " << n.numInputs()
                     << " scan inputs, but got " << numSequences;
  int64_t numStacked = (*body)->output_size() - numStates;
  if (numStacked < 0)
    return n.error() << "expected a body with at least " << numStates
                     << " outputs, but got " << (*body)->output_size();
  for (size_t i = 0; i < n.numInputs(); ++i)
    if (!n.has(i))
      return n.error() << "expected input " << i << " to be given";
  auto list = [&](StringRef name, int64_t size) -> FailureOr<Shape> {
    Shape given = n.intsAttr(name).value_or(Shape(size, 0));
    if (static_cast<int64_t>(given.size()) != size)
      return n.error() << "expected " << size << " " << name << ", but got "
                       << given.size();
    return given;
  };
  FailureOr<Shape> inAxes = list("scan_input_axes", numSequences),
                   inBack = list("scan_input_directions", numSequences),
                   outAxes = list("scan_output_axes", numStacked),
                   outBack = list("scan_output_directions", numStacked);
  if (failed(inAxes) || failed(inBack) || failed(outAxes) || failed(outBack))
    return failure();

  ScanBuilder builder(n);
  builder.reverse = (*inBack)[0] != 0;
  SmallVector<Entry> arguments, results;
  for (int64_t i = 0; i < numStates; ++i)
    arguments.push_back(tensorEntry(builder.addState(n.in(i))));
  for (int64_t i = 0; i < numSequences; ++i) {
    Value sequence = n.in(numStates + i);
    FailureOr<int64_t> axis = n.axis((*inAxes)[i], n.b.rankOf(sequence));
    if (failed(axis))
      return failure();
    int64_t size = n.b.shapeOf(sequence)[*axis];
    if (i > 0 && size != builder.length)
      return n.mismatch(size, builder.length)
             << "expected scan inputs of one length, but got "
             << builder.length << " and " << size;
    builder.length = size;
    // The first input sets the direction; one that runs the other way is
    // reversed beforehand.
    if (((*inBack)[i] != 0) != builder.reverse)
      sequence = n.b.reverse(sequence, {*axis});
    arguments.push_back(tensorEntry(builder.addSequence(sequence, *axis)));
  }
  if (failed(builder.importBody(**body, arguments, results)))
    return failure();
  FailureOr<SmallVector<Value>> values = expectTensors(n, results);
  if (failed(values))
    return failure();
  for (int64_t i = 0; i < numStacked; ++i) {
    FailureOr<int64_t> axis =
        n.axis((*outAxes)[i], n.b.rankOf((*values)[numStates + i]) + 1);
    if (failed(axis))
      return failure();
    builder.stackDims.push_back(*axis);
  }
  FailureOr<SmallVector<Value>> built =
      builder.finish(ArrayRef(*values).take_front(numStates),
                     ArrayRef(*values).drop_front(numStates));
  if (failed(built))
    return failure();
  for (auto [i, value] : llvm::enumerate(*built)) {
    int64_t k = static_cast<int64_t>(i) - numStates;
    if (k >= 0 && ((*outBack)[k] != 0) != builder.reverse)
      value = n.b.reverse(value, {builder.stackDims[k]});
    n.out(value);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

namespace {
class LoopImport {
public:
  explicit LoopImport(Node &n) : n(n), builder(n) {}
  LogicalResult run();

private:
  LogicalResult readLength();
  LogicalResult checkCondition(const Entry &condition);
  void takeSlices(Value step, MutableArrayRef<Value> results);

  Node &n;
  ScanBuilder builder;
};
} // namespace

LogicalResult LoopImport::readLength() {
  if (!n.has(0))
    return n.error() << "expected a trip count; a loop that only has a "
                        "condition has no static length";
  if (!n.in(0))
    return n.error() << "expected an integer as the trip count";
  FailureOr<Shape> count = n.ints(0, "the trip count");
  if (failed(count))
    return failure();
  if (count->size() != 1 || count->front() > int64_t(1) << 24)
    return n.error() << "expected one trip count of a sane size";
  builder.length = std::max<int64_t>(0, count->front());
  if (!n.has(1))
    return success();
  std::optional<ssm::HostTensor> condition =
      n.in(1) ? n.constant(n.in(1)) : std::nullopt;
  if (!condition || condition->size() != 1)
    return n.error() << "expected a constant condition";
  if (!condition->getInt(0))
    builder.length = 0;
  return success();
}

LogicalResult LoopImport::checkCondition(const Entry &condition) {
  std::optional<ssm::HostTensor> data =
      condition.value ? n.constant(condition.value) : std::nullopt;
  if (data && data->size() == 1 && data->getInt(0))
    return success();
  return n.error() << "expected a loop that always runs to its trip count, but "
                      "its condition depends on the data";
}

/// Replaces gathers of outer tensors at the step number by slices, in the body
/// and among its `results`.
void LoopImport::takeSlices(Value step, MutableArrayRef<Value> results) {
  Block *block = builder.block.get();
  for (Operation *user :
       llvm::make_early_inc_range(step.getUsers())) {
    auto gather = dyn_cast<ssm::GatherOp>(user);
    if (!gather || gather.getIndices() != step ||
        gather.getData().getParentBlock() == block ||
        user->getBlock() != block ||
        n.b.shapeOf(gather.getData())[gather.getDim()] != builder.length)
      continue;
    Value slice = builder.addSequence(gather.getData(), gather.getDim());
    gather.getY().replaceAllUsesWith(slice);
    std::replace(results.begin(), results.end(), Value(gather.getY()), slice);
    n.importer.forget(gather);
    gather.erase();
  }
}

LogicalResult LoopImport::run() {
  FailureOr<const onnx::GraphProto *> body = getGraph(n, "body");
  if (failed(body) || failed(readLength()))
    return failure();
  int64_t numCarried = std::max<int64_t>(0, int64_t(n.numInputs()) - 2);
  int64_t numStacked = (*body)->output_size() - 1 - numCarried;
  if ((*body)->input_size() != numCarried + 2 || numStacked < 0)
    return n.error() << "expected a body with " << numCarried + 2
                     << " inputs and at least " << numCarried + 1
                     << " outputs, but got " << (*body)->input_size() << " and "
                     << (*body)->output_size();
  // States are carried tensors; a carried sequence becomes a stacked result.
  SmallVector<Entry> arguments(2), results;
  SmallVector<int64_t> states, lists;
  for (int64_t i = 0; i < numCarried; ++i) {
    Entry carried = i + 2 < static_cast<int64_t>(n.numInputs())
                        ? n.inputs[i + 2]
                        : Entry();
    if (!carried)
      return n.error() << "expected input " << i + 2 << " to be given";
    if (carried.isList()) {
      if (carried.isAppendOnly || carried.stacked || !carried.list->empty())
        return n.error() << "expected a carried sequence to begin empty";
      carried.isAppendOnly = true;
      lists.push_back(i);
      arguments.push_back(carried);
    } else {
      states.push_back(i);
      arguments.push_back(tensorEntry(builder.addState(carried.value)));
    }
  }
  Value step =
      builder.addSequence(n.indexVector(numbersFrom(0, builder.length)), 0);
  arguments[0].value = step;
  arguments[1].value = n.b.splat({}, n.b.builder.getI1Type(), 1);
  if (failed(builder.importBody(**body, arguments, results)) ||
      failed(checkCondition(results[0])))
    return failure();

  // The next states, then what is stacked.
  SmallVector<Value> yielded;
  for (int64_t i : states) {
    if (!results[1 + i].value)
      return n.error() << "expected the body to carry tensors as tensors";
    yielded.push_back(results[1 + i].value);
  }
  for (int64_t i : lists) {
    const Entry &list = results[1 + i];
    if (!list.isAppendOnly || list.list->size() != 1)
      return n.error() << "expected the loop to append one entry per step to a "
                          "carried sequence";
    yielded.push_back(list.list->front());
  }
  for (int64_t i = 0; i < numStacked; ++i) {
    if (!results[1 + numCarried + i].value)
      return n.error() << "expected tensors from the body, but got a sequence";
    yielded.push_back(results[1 + numCarried + i].value);
  }
  builder.stackDims.assign(yielded.size() - states.size(), 0);
  takeSlices(step, yielded);
  if (step.use_empty() && !llvm::is_contained(yielded, step)) {
    auto argument = cast<BlockArgument>(step);
    builder.block->eraseArgument(argument.getArgNumber());
    builder.sequences.erase(builder.sequences.begin());
    builder.sequenceDims.erase(builder.sequenceDims.begin());
  }
  FailureOr<SmallVector<Value>> built =
      builder.finish(ArrayRef(yielded).take_front(states.size()),
                     ArrayRef(yielded).drop_front(states.size()));
  if (failed(built))
    return failure();
  n.outputs.resize(numCarried + numStacked);
  auto value = built->begin();
  for (int64_t i : states)
    n.outputs[i].value = *value++;
  for (int64_t i : lists)
    n.outputs[i].stacked = *value++;
  for (int64_t i = 0; i < numStacked; ++i)
    n.outputs[numCarried + i].value = *value++;
  return success();
}

static LogicalResult loop(Node &n) { return LoopImport(n).run(); }

ArrayRef<OpEntry> onnx_import::controlOps() {
  constexpr int kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "If", 7, kNew, 1, 1, ifOp},
      {"", "Loop", 11, kNew, 1, kUnlimited, loop, false,
       "constant trip count; carried sequences may only be appended to"},
      {"", "Scan", 9, kNew, 1, kUnlimited, scan},
  };
  return kOps;
}
