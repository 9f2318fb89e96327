// SPDX-License-Identifier: Apache-2.0

#include "EntryBuilder.h"
#include "TimeInference.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Stream/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace itera {
#define GEN_PASS_DEF_DERIVESTREAMINGPASS
#include "itera/Transforms/Stream/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct DeriveStreaming : itera::impl::DeriveStreamingPassBase<DeriveStreaming> {
  using Base::Base;
  void runOnOperation() override;

private:
  LogicalResult readTimeDims(func::FuncOp forward, InputTimes &given);
  void cannotStream(Operation *op, const Twine &why);
  void describe(const StreamPlan &plan, int64_t chunk);
};

} // namespace

/// The dimensions that the user gave.
LogicalResult DeriveStreaming::readTimeDims(func::FuncOp forward,
                                            InputTimes &given) {
  given.assign(forward.getNumArguments(), std::nullopt);
  for (const std::string &text : timeDims) {
    auto [name, number] = StringRef(text).rsplit('=');
    int64_t dim;
    if (number.getAsInteger(10, dim))
      return forward.emitError("expected --time-dim to be NAME=DIM, but got '")
             << text << "'";
    bool found = false;
    for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
      auto attr = forward.getArgAttrOfType<StringAttr>(i, ssm::kNameAttr);
      if (!attr || attr.getValue() != name)
        continue;
      auto type = cast<RankedTensorType>(forward.getArgumentTypes()[i]);
      if (dim < 0 || dim >= type.getRank())
        return forward.emitError("expected --time-dim to name one of the ")
               << type.getRank() << " dimensions of input '" << name
               << "', but got " << dim;
      given[i] = TimeDim{dim, 1, 1};
      found = true;
    }
    if (!found)
      return forward.emitError("--time-dim: the model has no input '")
             << name << "'";
  }
  return success();
}

void DeriveStreaming::cannotStream(Operation *op, const Twine &why) {
  ModuleOp module = getOperation();
  std::string text =
      op ? "node '" + nodeName(op) + "' (" +
               op->getName().getStringRef().str() + ") " + why.str()
         : why.str();
  module->setAttr(ssm::kStreamProblemAttr,
                  StringAttr::get(&getContext(), text));
  emitRemark(op ? op->getLoc() : module.getLoc())
      << "the model cannot stream: " << text;
}

void DeriveStreaming::runOnOperation() {
  ModuleOp module = getOperation();
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward || forward.isExternal())
    return;
  InputTimes given;
  if (failed(readTimeDims(forward, given)))
    return signalPassFailure();
  SmallVector<InputTimes> answers = inferInputTimes(forward, given);
  if (answers.empty())
    return cannotStream(nullptr, "nothing in it says which dimension of its "
                                 "inputs is time; give it by --time-dim");
  StreamingProblem problem;
  for (const InputTimes &times : answers) {
    StreamAnalysis analysis(forward);
    if (failed(analysis.run(times))) {
      if (problem.why.empty())
        problem = analysis.getProblem();
      continue;
    }
    StreamPlan plan(forward, analysis);
    OpBuilder b(&getContext());
    EntryBuilder entries(plan, b);
    int64_t frames = chunk > 0 ? int64_t(chunk) : 64;
    if (std::optional<int64_t> most = analysis.getMaxFrames())
      frames = std::min(frames, *most);
    if (!plan.constants.empty())
      entries.buildBegin(ssm::kBeginName);
    entries.buildReset(ssm::kResetName);
    entries.buildChunk(ssm::kStepName, 1);
    if (frames > 1)
      entries.buildChunk(ssm::kPrefillName, frames);
    if (llvm::any_of(forward.front().getTerminator()->getOperands(),
                     [&](Value output) {
                       return analysis.get(output).kind != ValueTime::frames;
                     }))
      entries.buildFinal(ssm::kFinalName);
    describe(plan, frames);
    return;
  }
  cannotStream(problem.op, problem.why);
}

/// The attribute `ssm.stream`.
void DeriveStreaming::describe(const StreamPlan &plan, int64_t chunk) {
  OpBuilder b(&getContext());
  const StreamAnalysis &analysis = plan.analysis;
  func::FuncOp sequence = plan.sequence;
  auto number = [&](StringRef name, int64_t value) {
    return b.getNamedAttr(name, b.getI64IntegerAttr(value));
  };
  SmallVector<Attribute> states, inputs, outputs;
  for (const StateSpec &state : plan.states)
    states.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(state.name)),
         b.getNamedAttr("node", b.getStringAttr(state.node)),
         b.getNamedAttr("type", TypeAttr::get(state.type))}));
  for (Value argument : sequence.getArguments()) {
    const ValueTime &time = analysis.get(argument);
    inputs.push_back(b.getDictionaryAttr({number(
        "time_dim",
        time.kind == ValueTime::frames ? time.available.time.dim : -1)}));
  }
  for (Value output : sequence.front().getTerminator()->getOperands()) {
    const ValueTime &time = analysis.get(output);
    bool streams = time.kind == ValueTime::frames;
    SmallVector<Attribute> length;
    for (const CountStep &step : time.available.length)
      length.push_back(b.getDenseI64ArrayAttr({step.add, step.divide, step.multiply}));
    outputs.push_back(b.getDictionaryAttr(
        {number("time_dim", streams ? time.available.time.dim : -1),
         number("stride", time.available.stride),
         number("lookahead", time.available.lookahead),
         b.getNamedAttr("length", b.getArrayAttr(length))}));
  }
  SmallVector<NamedAttribute> all = {
      b.getNamedAttr("states", b.getArrayAttr(states)),
      b.getNamedAttr("inputs", b.getArrayAttr(inputs)),
      b.getNamedAttr("outputs", b.getArrayAttr(outputs)),
      number("chunk", chunk)};
  if (std::optional<int64_t> most = analysis.getMaxFrames())
    all.push_back(number("max_frames", *most));
  getOperation()->setAttr(ssm::kStreamAttr, b.getDictionaryAttr(all));
}
