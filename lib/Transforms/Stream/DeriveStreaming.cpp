// SPDX-License-Identifier: Apache-2.0

#include "EntryBuilder.h"
#include "ForwardOfStep.h"
#include "Infinities.h"
#include "RowInference.h"
#include "StatePairs.h"
#include "TimeInference.h"
#include "itera/Dialect/SSM/InOrder.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Stream/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/MathExtras.h"

namespace itera {
#define GEN_PASS_DEF_DERIVESTREAMINGPASS
#include "itera/Transforms/Stream/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

static constexpr StringLiteral kNoTime =
    "nothing in it says which dimension of its inputs is time; give it by "
    "--time-dim";

namespace {

struct DeriveStreaming : itera::impl::DeriveStreamingPassBase<DeriveStreaming> {
  using Base::Base;
  void runOnOperation() override;

private:
  void cannotStream(Operation *op, const Twine &why);
  std::optional<std::string> findExcess(func::FuncOp sequence,
                                        const StreamAnalysis &analysis);
  void writeEntries(const StreamPlan &plan);
  ArrayAttr lookaheadNodes(const StreamAnalysis &analysis, Value output);
  void describe(const StreamPlan &plan, const Rows &rows);

  StatePairs pairs;
  /// Frames of @prefill; 1: there is none.
  int64_t frames = 1;
};

} // namespace

void DeriveStreaming::cannotStream(Operation *op, const Twine &why) {
  ModuleOp module = getOperation();
  std::string text =
      op ? "node '" + nodeName(op) + "' (" +
               op->getName().getStringRef().str() + ") " + why.str()
         : why.str();
  module->setAttr(ssm::kStreamProblemAttr,
                  StringAttr::get(&getContext(), text));
  Location loc = op ? op->getLoc() : module.getLoc();
  if (!required) {
    emitRemark(loc) << "the model cannot stream: " << text;
    return;
  }
  emitError(loc) << "the model cannot stream: " << text;
  signalPassFailure();
}

/// What is said of an output that looks further ahead than the user wants.
std::optional<std::string>
DeriveStreaming::findExcess(func::FuncOp sequence,
                            const StreamAnalysis &analysis) {
  if (maxLookahead < 0)
    return std::nullopt;
  auto forward = getOperation().lookupSymbol<func::FuncOp>(ssm::kForwardName);
  for (auto [i, output] :
       llvm::enumerate(sequence.front().getTerminator()->getOperands())) {
    const ValueTime &time = analysis.get(output);
    int64_t latency = time.available.getLatency();
    if (time.kind != ValueTime::frames || latency <= maxLookahead)
      continue;
    auto name = forward.getResultAttrOfType<StringAttr>(i, ssm::kNameAttr);
    return "output '" + (name ? name.str() : std::to_string(i)) + "' needs " +
           std::to_string(latency) +
           " frames ahead, more than --max-lookahead=" +
           std::to_string(maxLookahead);
  }
  return std::nullopt;
}

/// Whether each output has its one frame after the first input frame.
static bool deliversAtOnce(const StreamPlan &plan) {
  if (plan.analysis.getFlushFrames() > 0)
    return false;
  func::FuncOp sequence = plan.sequence;
  return llvm::all_of(
      sequence.front().getTerminator()->getOperands(), [&](Value output) {
        const ValueTime &time = plan.analysis.get(output);
        const Arrival arrival = time.available.delivered();
        return time.kind != ValueTime::frames ||
               (arrival.stride == 1 && arrival.lookahead <= 0 &&
                arrival.burst == 1 && time.available.length.empty());
      });
}

void DeriveStreaming::runOnOperation() {
  ModuleOp module = getOperation();
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward || forward.isExternal())
    return;
  InputTimes given;
  if (failed(readTimeDims(forward, timeDims, given)))
    return signalPassFailure();
  // The rules want padding to be ops of its own.
  auto sequence = module.lookupSymbol<func::FuncOp>(ssm::kSequenceName);
  IRMapping inSequence;
  const bool ofStep = bool(sequence);
  if (!sequence) {
    sequence = forward.clone(inSequence);
    sequence.setName(ssm::kSequenceName);
    module.push_back(sequence);
  }
  llvm::scope_exit erase([&] { sequence.erase(); });
  makePaddingExplicit(sequence);
  FailureOr<StatePairs> found = findStatePairs(forward, stateNames);
  if (failed(found))
    return signalPassFailure();
  pairs = *found;
  SmallVector<InputTimes> answers = inferInputTimes(sequence, given);
  if (answers.empty() && required)
    return cannotStream(nullptr, kNoTime);
  if (answers.empty()) {
    // Most models without time were never meant to stream: no remark.
    module->setAttr(ssm::kStreamProblemAttr,
                    StringAttr::get(&getContext(), kNoTime));
    return;
  }
  StreamingProblem problem;
  for (const InputTimes &times : answers) {
    StreamAnalysis analysis(sequence, rollback);
    if (failed(analysis.run(times))) {
      if (problem.why.empty())
        problem = analysis.getProblem();
      continue;
    }
    if (std::optional<std::string> excess = findExcess(sequence, analysis)) {
      problem = {nullptr, *excess};
      break;
    }
    StreamPlan plan(sequence, analysis);
    writeEntries(plan);
    describe(plan, inferRows(sequence, analysis));
    if (ofStep && deliversAtOnce(plan))
      makeForwardOfStep(module);
    // What is summed up over all frames has the same bits in forward.
    for (auto reduce : forward.getOps<linalg::ReduceOp>())
      if (Value sum = inSequence.lookupOrNull(reduce.getResult(0));
          sum && analysis.get(sum).kind == ValueTime::atEnd)
        ssm::setInOrder(reduce);
    return;
  }
  cannotStream(problem.op, problem.why);
}

void DeriveStreaming::writeEntries(const StreamPlan &plan) {
  const StreamAnalysis &analysis = plan.analysis;
  func::FuncOp sequence = plan.sequence;
  OpBuilder b(&getContext());
  EntryBuilder entries(plan, b);
  int64_t alignment = analysis.getAlignment();
  // A chunk leaves behind all that can be taken back.
  frames = std::max<int64_t>(chunk > 0 ? int64_t(chunk) : 64, rollback);
  frames = llvm::divideCeil(frames, alignment) * alignment;
  if (std::optional<int64_t> most = analysis.getMaxFrames())
    frames = std::min(frames, *most / alignment * alignment);
  if (frames < rollback)
    frames = 1;
  if (!plan.constants.empty())
    entries.buildBegin(ssm::kBeginName);
  entries.buildReset(ssm::kResetName);
  entries.buildTick(ssm::kStepName, /*flush=*/false);
  if (frames > 1)
    entries.buildChunk(ssm::kPrefillName, frames);
  if (analysis.getFlushFrames() > 0)
    entries.buildTick(ssm::kFlushName, /*flush=*/true);
  if (llvm::any_of(sequence.front().getTerminator()->getOperands(),
                   [&](Value output) {
                     return analysis.get(output).kind != ValueTime::frames;
                   }))
    entries.buildFinal(ssm::kFinalName);
  if (rollback > 0)
    entries.buildRollback(ssm::kRollbackName);
}

/// How many bytes of the states are there for frames to be taken back.
static int64_t rollbackBytes(const StreamPlan &plan) {
  auto bytesOf = [](RankedTensorType type) -> int64_t {
    return type.getNumElements() *
           llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  };
  int64_t bytes = 0;
  for (auto [state, base] : plan.bases)
    bytes += bytesOf(plan.states[base].type);
  for (auto [value, history] : plan.histories) {
    const TimeDim &time = plan.analysis.get(value).available.time;
    RankedTensorType type = plan.states[history].type;
    bytes += bytesOf(type) -
             bytesOf(withFrames(type, time,
                                plan.analysis.getNeededHistory(value)));
  }
  return bytes;
}

/// The nodes on the way to an output that decide its look-ahead, from the input
/// on, with what each adds.
ArrayAttr DeriveStreaming::lookaheadNodes(const StreamAnalysis &analysis,
                                          Value output) {
  OpBuilder b(&getContext());
  SmallVector<std::pair<std::string, int64_t>> nodes;
  Value value = output;
  while (analysis.get(value).kind == ValueTime::frames) {
    Operation *op = value.getDefiningOp();
    if (!op)
      break;
    // The operand that is known last, for the frame that waits longest.
    const Availability &out = analysis.get(value).available;
    int64_t frame = 0;
    for (int64_t j = 0; j < out.burst; ++j)
      if (out.inputOf(j) - out.stride * j / out.burst == out.getLatency())
        frame = j;
    Value last;
    int64_t latest = 0;
    for (auto [operand, in] :
         llvm::zip(op->getOperands(), analysis.getRule(op)->operands)) {
      const ValueTime &time = analysis.get(operand);
      if (time.kind != ValueTime::frames)
        continue;
      int64_t when = time.available.inputOf(in.window.firstFor(frame) +
                                            in.window.window - 1) -
                     time.available.waits;
      if (!last || when > latest) {
        last = operand;
        latest = when;
      }
    }
    const Availability &from = analysis.get(last).available;
    int64_t added =
        out.getLatency() - out.waits - (from.getLatency() - from.waits);
    // A node may have become several ops: its padding is one of its own.
    std::string node = nodeName(op);
    if (nodes.empty() || nodes.back().first != node)
      nodes.push_back({node, 0});
    nodes.back().second += added;
    value = last;
  }
  SmallVector<Attribute> adds;
  for (auto &[node, added] : llvm::reverse(nodes))
    if (added != 0)
      adds.push_back(b.getDictionaryAttr(
          {b.getNamedAttr("frames", b.getI64IntegerAttr(added)),
           b.getNamedAttr("node", b.getStringAttr(node))}));
  return b.getArrayAttr(adds);
}

/// The dimension of rows of a state; -1 if it has none.
static int64_t rowsOf(const StreamPlan &plan, const Rows &rows,
                      unsigned number) {
  if (Value value = plan.states[number].value)
    return rows.dimOf(value);
  for (auto [place, state] : plan.carried)
    if (state == plan.stateOfBase(number))
      if (auto dim = rows.states.find(place); dim != rows.states.end())
        return dim->second;
  return -1;
}

/// The attribute `ssm.stream`.
void DeriveStreaming::describe(const StreamPlan &plan, const Rows &rows) {
  OpBuilder b(&getContext());
  const StreamAnalysis &analysis = plan.analysis;
  func::FuncOp sequence = plan.sequence;
  auto number = [&](StringRef name, int64_t value) {
    return b.getNamedAttr(name, b.getI64IntegerAttr(value));
  };
  auto addRows = [&](SmallVectorImpl<NamedAttribute> &fields, int64_t dim) {
    if (dim >= 0)
      fields.push_back(number("batch_dim", dim));
  };
  SmallVector<Attribute> states, inputs, outputs;
  Infinities infinities(plan);
  for (auto [i, state] : llvm::enumerate(plan.states)) {
    SmallVector<NamedAttribute> fields = {
        b.getNamedAttr("name", b.getStringAttr(state.name)),
        b.getNamedAttr("node", b.getStringAttr(state.node)),
        b.getNamedAttr("type", TypeAttr::get(state.type))};
    if (auto base = plan.bases.find(i); base != plan.bases.end())
      fields.push_back(number("base", base->second));
    addRows(fields, rowsOf(plan, rows, i));
    if (infinities.isLegitimateIn(plan.states[plan.stateOfBase(i)]))
      fields.push_back(b.getNamedAttr("infinite", b.getUnitAttr()));
    states.push_back(b.getDictionaryAttr(fields));
  }
  for (Value argument : sequence.getArguments()) {
    const ValueTime &time = analysis.get(argument);
    bool streams = time.kind == ValueTime::frames;
    SmallVector<NamedAttribute> fields = {
        number("time_dim", streams ? time.available.time.dim : -1)};
    addRows(fields, rows.dimOf(argument));
    if (!streams && pairs.outputOf(cast<BlockArgument>(argument).getArgNumber()))
      fields.push_back(b.getNamedAttr("state", b.getUnitAttr()));
    inputs.push_back(b.getDictionaryAttr(fields));
  }
  for (Value output : sequence.front().getTerminator()->getOperands()) {
    const ValueTime &time = analysis.get(output);
    bool streams = time.kind == ValueTime::frames;
    SmallVector<Attribute> length;
    for (const CountStep &step : time.available.length)
      length.push_back(b.getDenseI64ArrayAttr({step.add, step.divide, step.multiply}));
    const Arrival arrival = time.available.delivered();
    SmallVector<NamedAttribute> fields = {
        number("time_dim", streams ? time.available.time.dim : -1),
        number("stride", arrival.stride),
        number("lookahead", arrival.lookahead),
        b.getNamedAttr("adds", lookaheadNodes(analysis, output)),
        b.getNamedAttr("length", b.getArrayAttr(length))};
    if (arrival.burst > 1) {
      fields.push_back(number("burst", arrival.burst));
      fields.push_back(number("skip", arrival.skip));
      fields.push_back(number("latency", arrival.getLatency()));
    }
    addRows(fields, rows.dimOf(output));
    outputs.push_back(b.getDictionaryAttr(fields));
  }
  SmallVector<NamedAttribute> all = {
      b.getNamedAttr("states", b.getArrayAttr(states)),
      b.getNamedAttr("inputs", b.getArrayAttr(inputs)),
      b.getNamedAttr("outputs", b.getArrayAttr(outputs)),
      number("chunk", frames), number("warmup", analysis.getWarmup()),
      number("alignment", analysis.getAlignment()),
      number("flush_frames", analysis.getFlushFrames())};
  if (std::optional<int64_t> most = analysis.getMaxFrames())
    all.push_back(number("max_frames", *most));
  if (rows.count > 0)
    all.push_back(number("rows", rows.count));
  if (rows.problem.op)
    all.push_back(b.getNamedAttr(
        "rows_problem", b.getStringAttr("node '" + nodeName(rows.problem.op) +
                                        "' " + rows.problem.why)));
  if (rollback > 0) {
    all.push_back(number("rollback", rollback));
    all.push_back(number("rollback_bytes", rollbackBytes(plan)));
  }
  getOperation()->setAttr(ssm::kStreamAttr, b.getDictionaryAttr(all));
}
