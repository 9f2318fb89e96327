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
    bool streams = llvm::any_of(op.getResults(), [&](Value result) {
      ValueTime::Kind kind = analysis.get(result).kind;
      return kind == ValueTime::frames || kind == ValueTime::atEnd;
    });
    if (streams || op.hasTrait<OpTrait::IsTerminator>()) {
      llvm::for_each(op.getOperands(), read);
      llvm::SetVector<Value> captured;
      getUsedValuesDefinedAbove(op.getRegions(), captured);
      llvm::for_each(captured, read);
    }
    const TimeRule *rule = analysis.getRule(&op);
    if (!rule)
      continue;
    std::string node = nodeName(&op);
    for (auto [i, state] : llvm::enumerate(
             cast<StreamingOpInterface>(op).getCarriedStates(*rule))) {
      carried[{&op, unsigned(i)}] = states.size();
      states.push_back(
          {state.type, node + "." + state.name, node, state.init, Value()});
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
