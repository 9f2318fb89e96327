// SPDX-License-Identifier: Apache-2.0
//
// Idea: rows are independent if the model would be frame-wise in them, were
// they time. So the rules of time decide: each op must give a frame for each
// frame, of that frame alone, and carry nothing. What depends on no input must
// be the same in all rows, for otherwise they could not change places. Only the
// first value of a state may differ: it is history.
//
// The batch is the first dimension of the inputs that is not time; behind time
// the last one is not it.

#include "RowInference.h"

#include "Rules.h"
#include "TimeInference.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace itera;

namespace {

class RowAnalysis {
public:
  RowAnalysis(const StreamAnalysis &analysis, Rows &rows)
      : analysis(analysis), rows(rows) {}

  LogicalResult visit(Operation *op);

private:
  LogicalResult visitScan(ssm::ScanOp scan);
  LogicalResult tryScan(ssm::ScanOp scan,
                        ArrayRef<std::optional<int64_t>> states);
  bool isSameInAllRows(Value value, const TimeDim &dim) const;
  bool isFirstValue(Operation *op, Value value) const;
  std::optional<TimeDim> get(Value value) const {
    auto it = rows.dims.find(value);
    return it == rows.dims.end() ? std::nullopt : std::optional(it->second);
  }
  void set(Value value, std::optional<TimeDim> dim) {
    rows.dims.erase(value);
    if (dim)
      rows.dims[value] = *dim;
  }
  LogicalResult fail(Operation *op, const Twine &why) {
    rows.problem = {op, why.str()};
    return failure();
  }

  const StreamAnalysis &analysis;
  Rows &rows;
};

} // namespace

/// Whether a weight, as [outer, rows, inner], repeats one row.
static bool repeatsRow(ssm::WeightOp weight, const TimeDim &dim) {
  auto resource = dyn_cast<DenseResourceElementsAttr>(weight.getValue());
  AsmResourceBlob *blob = resource ? resource.getRawHandle().getBlob() : nullptr;
  RankedTensorType type = tensorOf(weight.getResult());
  unsigned bits = type.getElementTypeBitWidth();
  if (!blob || bits % 8 != 0)
    return false;
  int64_t rows = type.getDimSize(dim.dim) / (dim.outer * dim.inner);
  int64_t row = dim.inner * (bits / 8);
  for (int64_t size : type.getShape().drop_front(dim.dim + 1))
    row *= size;
  ArrayRef<char> data = blob->getData();
  if (int64_t(data.size()) != type.getNumElements() * (bits / 8))
    return false;
  for (; !data.empty(); data = data.drop_front(rows * row))
    for (int64_t i = 1; i < rows; ++i)
      if (data.slice(i * row, row) != data.take_front(row))
        return false;
  return true;
}

bool RowAnalysis::isSameInAllRows(Value value, const TimeDim &dim) const {
  if (get(value))
    return false;
  if (repeatConstant(value, dim, 1))
    return true;
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<tensor::EmptyOp>(op))
    return true;
  if (auto weight = dyn_cast_or_null<ssm::WeightOp>(op))
    return repeatsRow(weight, dim);
  TimeRule rule;
  if (!op || isa<arith::ConstantOp>(op) ||
      failed(traceBack(op, cast<OpResult>(value).getResultNumber(), dim, rule)))
    return false;
  return llvm::all_of(
      llvm::zip(rule.operands, op->getOperands()), [&](auto entry) {
        auto &[operand, source] = entry;
        return !operand.time || isSameInAllRows(source, *operand.time);
      });
}

/// Whether the op reads `value` as what a state is before the first frame.
bool RowAnalysis::isFirstValue(Operation *op, Value value) const {
  const TimeRule *rule = analysis.getRule(op);
  return rule && llvm::any_of(
                     cast<StreamingOpInterface>(op).getCarriedStates(*rule),
                     [&](auto &state) { return state.init == value; });
}

LogicalResult RowAnalysis::visit(Operation *op) {
  bool hasRows = false;
  SmallVector<std::optional<TimeDim>> dims;
  for (Value operand : op->getOperands()) {
    dims.push_back(get(operand));
    hasRows |= dims.back().has_value();
  }
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  bool capturesRows =
      llvm::any_of(captured, [&](Value value) { return get(value); });
  for (Value result : op->getResults())
    set(result, std::nullopt);
  if (auto scan = dyn_cast<ssm::ScanOp>(op))
    return hasRows || capturesRows ? visitScan(scan) : success();
  if (capturesRows)
    return fail(op, "reads the rows of a batch in its body");
  if (!hasRows)
    return success();
  auto streaming = dyn_cast<StreamingOpInterface>(op);
  if (!streaming)
    return fail(op, "has no rule for the rows of a batch");
  TimeRule rule;
  std::string why;
  if (failed(streaming.inferTime(dims, rule, why)) || rule.tail ||
      !rule.length.isIdentity() || !streaming.getCarriedStates(rule).empty())
    return fail(op, "mixes the rows of a batch");
  for (auto [operand, known, value] :
       llvm::zip(rule.operands, dims, op->getOperands())) {
    if (!operand.time)
      continue;
    if (!operand.window.isFrame())
      return fail(op, "mixes the rows of a batch");
    if (!known && !isFirstValue(op, value) &&
        !isSameInAllRows(value, *operand.time))
      return fail(op, "reads what is not the same for all rows of a batch");
  }
  for (auto [result, dim] : llvm::zip(op->getResults(), rule.results)) {
    if (dim.kind != TimeResult::frames)
      return fail(op, "mixes the rows of a batch");
    set(result, dim.time);
  }
  const TimeRule *time = analysis.getRule(op);
  size_t states = time ? streaming.getCarriedStates(*time).size() : 0;
  for (size_t i = 0; i < states; ++i)
    if (std::optional<TimeDim> dim = streaming.getStateTime(rule, i))
      if (dim->isWhole())
        rows.states[{op, unsigned(i)}] = dim->dim;
  return success();
}

/// Which dimension of a state is that of rows its first value may not tell:
/// then the one is sought with which the body agrees.
LogicalResult RowAnalysis::visitScan(ssm::ScanOp scan) {
  constexpr size_t kMostTries = 256;
  std::vector<SmallVector<std::optional<int64_t>>> tries(1);
  for (Value init : scan.getInits()) {
    SmallVector<std::optional<int64_t>> choices;
    if (std::optional<TimeDim> known = get(init))
      choices.push_back(known->dim);
    else
      for (auto [dim, size] : llvm::enumerate(tensorOf(init).getShape()))
        if (size == rows.count)
          choices.push_back(dim);
    if (!get(init))
      choices.push_back(std::nullopt);
    std::vector<SmallVector<std::optional<int64_t>>> more;
    for (auto &begun : tries)
      for (std::optional<int64_t> choice : choices) {
        more.push_back(begun);
        more.back().push_back(choice);
      }
    tries = std::move(more);
    if (tries.size() > kMostTries)
      return fail(scan, "has too many states for the rows of a batch");
  }
  StreamingProblem first;
  for (auto &states : tries) {
    if (succeeded(tryScan(scan, states)))
      return success();
    if (first.why.empty())
      first = rows.problem;
  }
  rows.problem = first;
  return failure();
}

LogicalResult RowAnalysis::tryScan(ssm::ScanOp scan,
                                   ArrayRef<std::optional<int64_t>> states) {
  Block &body = scan.getBody().front();
  auto at = [](std::optional<int64_t> dim) {
    return dim ? std::optional(TimeDim{*dim, 1, 1}) : std::nullopt;
  };
  for (auto [i, init] : llvm::enumerate(scan.getInits())) {
    std::optional<TimeDim> known = get(init);
    if (known && !known->isWhole())
      return fail(scan, "reads rows that are a part of a dimension");
    if (!known && states[i] && !isFirstValue(scan, init) &&
        !isSameInAllRows(init, *at(states[i])))
      return fail(scan, "reads what is not the same for all rows of a batch");
    set(body.getArgument(i), at(states[i]));
  }
  size_t count = states.size();
  for (auto [i, sequence] : llvm::enumerate(scan.getSequences())) {
    std::optional<TimeDim> dim = get(sequence);
    int64_t time = scan.getSequenceDims()[i];
    if (dim && (!dim->isWhole() || dim->dim == time))
      return fail(scan, "mixes the rows of a batch");
    set(body.getArgument(count + i),
        dim ? at(dim->dim - (dim->dim > time)) : std::nullopt);
  }
  for (Operation &op : body.without_terminator())
    if (failed(visit(&op)))
      return failure();
  for (auto [i, next] : llvm::enumerate(body.getTerminator()->getOperands())) {
    std::optional<TimeDim> dim = get(next);
    if (dim && !dim->isWhole())
      return fail(scan, "makes rows a part of a dimension");
    if (i < count) {
      bool same = states[i] ? dim && dim->dim == *states[i]
                            : !dim;
      if (!same)
        return fail(scan, "mixes the rows of a batch");
      set(scan.getResult(i), dim);
      rows.states.erase({scan, unsigned(i)});
      if (dim)
        rows.states[{scan, unsigned(i)}] = dim->dim;
      continue;
    }
    int64_t time = scan.getStackDims()[i - count];
    set(scan.getResult(i),
        dim ? at(dim->dim + (dim->dim >= time)) : std::nullopt);
  }
  return success();
}

/// Where the batch is in a streamed input.
static std::optional<int64_t> batchDim(const StreamAnalysis &analysis,
                                       Value input) {
  const ValueTime &time = analysis.get(input);
  if (time.kind != ValueTime::frames)
    return std::nullopt;
  // Behind time there are channels before there is a batch.
  int64_t rank = tensorOf(input).getRank();
  bool timeFirst = time.available.time.dim == 0;
  if (rank < (timeFirst ? 3 : 2))
    return std::nullopt;
  return timeFirst ? 1 : 0;
}

Rows itera::inferRows(func::FuncOp sequence, const StreamAnalysis &analysis) {
  Rows rows;
  InputTimes given(sequence.getNumArguments());
  for (BlockArgument argument : sequence.getArguments())
    if (std::optional<int64_t> dim = batchDim(analysis, argument)) {
      int64_t size = tensorOf(argument).getDimSize(*dim);
      if (rows.count == 0)
        rows.count = size;
      if (size == rows.count)
        given[argument.getArgNumber()] = TimeDim{*dim, 1, 1};
    }
  if (rows.count < 2) {
    rows.count = 0;
    return rows;
  }
  // Other inputs have a batch where what they meet has one.
  for (const InputTimes &answer : inferInputTimes(sequence, given)) {
    for (auto [argument, dim] : llvm::zip(sequence.getArguments(), answer))
      if (dim && tensorOf(argument).getDimSize(dim->dim) == rows.count)
        rows.dims[argument] = *dim;
    break;
  }
  RowAnalysis visitor(analysis, rows);
  for (Operation &op : sequence.getBody().front().without_terminator())
    if (failed(visitor.visit(&op))) {
      StreamingProblem problem = rows.problem;
      rows = Rows();
      rows.problem = problem;
      return rows;
    }
  rows.problem = {};
  return rows;
}
