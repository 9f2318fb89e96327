// SPDX-License-Identifier: Apache-2.0
// Where values wait.
//
// Where a value meets one that is known later, it has to be kept for that long.
// What was computed from less can wait as that instead: a projection to many
// channels waits as the few it is made of. So an op is moved to when its result
// is needed, if that costs no more memory: its result waits less, its operands
// wait longer, and one that waits for another reader anyway does so for
// nothing. That is retiming (Leiserson and Saxe, 1991) of a graph whose outputs
// stay when they are; a greedy search from the outputs up is enough here, as a
// chain of moves is tried as a whole.

#include "StreamAnalysis.h"

#include <queue>

using namespace mlir;
using namespace itera;

/// Ops to move at a time, at most.
static constexpr size_t kMaxMoves = 64;

static int64_t frameBytes(Value value, const TimeDim &time) {
  RankedTensorType type = withFrames(value.getType(), time, 1);
  return type.getNumElements() *
         llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

namespace {

class Retiming {
public:
  Retiming(func::FuncOp sequence, StreamAnalysis &analysis)
      : body(sequence.front()), analysis(analysis) {}

  void run();

private:
  int64_t getSlack(Operation *op) const;
  int64_t getDepth(Value value) const;
  int64_t move(Operation *op, int64_t frames);
  void tryFrom(Operation *op);

  Block &body;
  StreamAnalysis &analysis;
  llvm::DenseMap<Operation *, unsigned> order;
};

} // namespace

/// By how many frames every reader of the op's results is behind them; 0 if the
/// op must stay.
int64_t Retiming::getSlack(Operation *op) const {
  const TimeRule *rule = analysis.getRule(op);
  if (!rule || op->getBlock() != &body ||
      analysis.getAvailability(op).lookahead < 0 ||
      analysis.getAvailability(op).burst != 1)
    return 0;
  std::optional<int64_t> slack;
  for (auto [time, result] : llvm::zip(rule->results, op->getResults())) {
    if (time.kind != TimeResult::frames || analysis.get(result).repeatedAt)
      return 0;
    for (OpOperand &use : result.getUses()) {
      const TimeRule *reader = analysis.getRule(use.getOwner());
      if (!reader || reader->tail || reader->nearest ||
          analysis.getAvailability(use.getOwner()).burst != 1)
        return 0;
      unsigned k = use.getOperandNumber();
      StreamAnalysis::Age age = analysis.getAge(use.getOwner(), k);
      if (!age.isAlways)
        return 0;
      int64_t newest = age.most - (reader->operands[k].window.window - 1);
      slack = std::min(slack.value_or(newest), newest);
    }
  }
  return std::max<int64_t>(slack.value_or(0), 0);
}

/// How many frames before its newest one are kept of a value.
int64_t Retiming::getDepth(Value value) const {
  int64_t depth = 0;
  for (OpOperand &use : value.getUses())
    if (analysis.getRule(use.getOwner()))
      depth = std::max(depth,
                       analysis.getAge(use.getOwner(), use.getOperandNumber())
                           .most);
  return depth;
}

/// Moves the op by so many frames of its results. Returns the bytes that this
/// costs.
int64_t Retiming::move(Operation *op, int64_t frames) {
  llvm::SmallSetVector<Value, 4> touched(op->result_begin(), op->result_end());
  for (Value operand : op->getOperands())
    if (analysis.get(operand).kind == ValueTime::frames)
      touched.insert(operand);
  auto cost = [&] {
    int64_t bytes = 0;
    for (Value value : touched)
      bytes += getDepth(value) *
               frameBytes(value, analysis.get(value).available.time);
    return bytes;
  };
  int64_t before = cost();
  analysis.delay(op, frames);
  return cost() - before;
}

/// Moves the op, and of what it is made of as much as makes the most of it.
void Retiming::tryFrom(Operation *start) {
  auto isBefore = [&](Operation *a, Operation *b) {
    return order.lookup(a) < order.lookup(b);
  };
  std::priority_queue<Operation *, std::vector<Operation *>, decltype(isBefore)>
      next(isBefore);
  llvm::SmallPtrSet<Operation *, 8> seen{start};
  next.push(start);
  SmallVector<std::pair<Operation *, int64_t>> moves;
  int64_t cost = 0, least = 0;
  size_t best = 0;
  while (!next.empty() && moves.size() < kMaxMoves) {
    Operation *op = next.top();
    next.pop();
    int64_t slack = getSlack(op);
    if (!slack)
      continue;
    cost += move(op, slack);
    moves.push_back({op, slack});
    if (cost < least) {
      least = cost;
      best = moves.size();
    }
    for (Value operand : op->getOperands())
      if (Operation *producer = operand.getDefiningOp())
        if (seen.insert(producer).second)
          next.push(producer);
  }
  for (auto [op, frames] : llvm::reverse(ArrayRef(moves).drop_front(best)))
    analysis.delay(op, -frames);
}

void Retiming::run() {
  for (auto [i, op] : llvm::enumerate(body))
    order[&op] = i;
  for (Operation &op : llvm::reverse(body))
    if (getSlack(&op))
      tryFrom(&op);
}

void StreamAnalysis::delay(Operation *op, int64_t frames) {
  Availability &value = available.find(op)->second;
  value.lookahead += frames * value.stride;
  value.waits += frames * value.stride;
  for (Value result : op->getResults())
    if (ValueTime &known = values[result]; known.kind == ValueTime::frames) {
      known.available.lookahead = value.lookahead;
      known.available.waits = value.waits;
    }
}

void StreamAnalysis::retime() { Retiming(sequence, *this).run(); }
