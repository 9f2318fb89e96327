// SPDX-License-Identifier: Apache-2.0

#include "StreamPlan.h"

#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace itera;

std::string itera::nodeName(Operation *op) {
  if (auto name = op->getLoc()->findInstanceOf<NameLoc>())
    return name.getName().str();
  return op->getName().getStringRef().str();
}

static std::string valueName(func::FuncOp function, Value value) {
  if (Operation *op = value.getDefiningOp())
    return nodeName(op);
  unsigned number = cast<BlockArgument>(value).getArgNumber();
  auto name = function.getArgAttrOfType<StringAttr>(number, "ssm.name");
  return name ? name.str() : "input" + std::to_string(number);
}

StreamPlan::StreamPlan(func::FuncOp sequence, const StreamAnalysis &analysis)
    : sequence(sequence), analysis(analysis) {
  auto addHistory = [&](Value value) {
    int64_t depth = analysis.getHistory(value);
    const ValueTime &time = analysis.get(value);
    if (depth <= 0 || time.kind != ValueTime::frames)
      return;
    std::string node = valueName(sequence, value);
    histories[value] = states.size();
    states.push_back({withFrames(value.getType(), time.available.time, depth),
                      node + ".history", node, Value(), value});
  };
  for (Value argument : sequence.getArguments())
    addHistory(argument);

  Block &body = sequence.getBody().front();
  for (Operation &op : body) {
    auto read = [&](Value value) {
      if (analysis.get(value).kind == ValueTime::fixed)
        constants.insert(value);
    };
    // What is read frame by frame is made frame by frame: of its sources.
    auto readFrames = [&](auto &self, Value value, const TimeDim &time) -> void {
      TimeRule rule;
      if (analysis.get(value).kind != ValueTime::fixed)
        return;
      Operation *made = value.getDefiningOp();
      (void)traceBack(made, cast<OpResult>(value).getResultNumber(), time, rule);
      for (auto [operand, source] : llvm::zip(rule.operands, made->getOperands()))
        if (operand.time)
          self(self, source, *operand.time);
        else
          read(source);
    };
    const TimeRule *rule = analysis.getRule(&op);
    bool streams = llvm::any_of(op.getResults(), [&](Value result) {
      ValueTime::Kind kind = analysis.get(result).kind;
      return kind == ValueTime::frames || kind == ValueTime::atEnd;
    });
    if (streams || op.hasTrait<OpTrait::IsTerminator>()) {
      for (auto [k, operand] : llvm::enumerate(op.getOperands()))
        if (rule && rule->operands[k].time)
          readFrames(readFrames, operand, *rule->operands[k].time);
        else
          read(operand);
      llvm::SetVector<Value> captured;
      getUsedValuesDefinedAbove(op.getRegions(), captured);
      llvm::for_each(captured, read);
    }
    if (!rule)
      continue;
    std::string node = nodeName(&op);
    for (auto [i, state] : llvm::enumerate(
             cast<StreamingOpInterface>(op).getCarriedStates(*rule))) {
      carried[{&op, unsigned(i)}] = states.size();
      states.push_back(
          {state.type, node + "." + state.name, node, state.init, Value()});
      if (analysis.getRollback() > 0) {
        bases[states.size() - 1] = states.size();
        states.push_back({state.type, node + "." + state.name + ".base", node,
                          state.init, Value()});
      }
      if (state.init)
        read(state.init);
    }
    for (Value result : op.getResults())
      addHistory(result);
  }
  // Names tell states apart.
  llvm::StringMap<unsigned> counts;
  for (StateSpec &state : states)
    if (unsigned number = counts[state.name]++)
      state.name += "." + std::to_string(number);
}

SmallVector<unsigned> StreamPlan::carriedBy(Operation *op) const {
  SmallVector<unsigned> found;
  for (unsigned i = 0;; ++i) {
    auto state = carried.find({op, i});
    if (state == carried.end())
      return found;
    found.push_back(state->second);
  }
}

unsigned StreamPlan::stateOfBase(unsigned base) const {
  for (auto [state, other] : bases)
    if (other == base)
      return state;
  return base;
}
