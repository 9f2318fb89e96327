// SPDX-License-Identifier: Apache-2.0
//
// Idea: dimensions that an op keeps in step are one; so all dimensions of all
// values fall into classes. The rules of the ops say which: asked what follows
// from time in one dimension of one operand, they name the dimensions of the
// other operands and of the results. Recurrences say which class is time.

#include "TimeInference.h"

#include "Rules.h"
#include "itera/Dialect/SSM/SSM.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;

namespace {

/// The dimensions of all values, and the factors of dimensions that reshapes
/// make of them, in classes.
class Dimensions {
public:
  explicit Dimensions(func::FuncOp function) {
    for (Value argument : function.getArguments())
      add(argument);
    for (Operation &op : function.getBody().front()) {
      for (Value result : op.getResults())
        add(result);
      relate(&op);
    }
  }

  /// The class of a dimension.
  unsigned classOf(Value value, int64_t dim) const {
    for (const Known &known : dimensions.lookup(value))
      if (known.time == TimeDim{dim, 1, 1})
        return *classes.findLeader(known.number);
    return 0;
  }

private:
  struct Known {
    TimeDim time;
    unsigned number;
  };

  void add(Value value) {
    if (RankedTensorType type = tensorOf(value))
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        number(value, {dim, 1, 1});
  }
  unsigned number(Value value, const TimeDim &time) {
    SmallVector<Known> &list = dimensions[value];
    for (const Known &known : list)
      if (known.time == time)
        return known.number;
    classes.insert(++last);
    list.push_back({time, last});
    return last;
  }

  void relate(Operation *op) {
    auto streaming = dyn_cast<StreamingOpInterface>(op);
    if (!streaming)
      return;
    SmallVector<std::optional<TimeDim>> times(op->getNumOperands());
    for (auto [k, operand] : llvm::enumerate(op->getOperands())) {
      SmallVector<Known> list = dimensions.lookup(operand);
      for (const Known &known : list) {
        times[k] = known.time;
        TimeRule rule;
        std::string why;
        if (succeeded(streaming.inferTime(times, rule, why)))
          unite(op, known.number, rule);
      }
      times[k] = std::nullopt;
    }
  }

  void unite(Operation *op, unsigned with, const TimeRule &rule) {
    for (auto [operand, time] : llvm::zip(op->getOperands(), rule.operands))
      if (time.time)
        classes.unionSets(with, number(operand, *time.time));
    for (auto [result, time] : llvm::zip(op->getResults(), rule.results))
      if (time.kind == TimeResult::frames)
        classes.unionSets(with, number(result, time.time));
  }

  llvm::DenseMap<Value, SmallVector<Known>> dimensions;
  unsigned last = 0;
  llvm::EquivalenceClasses<unsigned> classes;
};

/// A dimension that is time by the nature of its op, and how surely.
struct Hint {
  Value value;
  int64_t dim;
  unsigned weight;
};

} // namespace

/// Weights of hints.
static constexpr unsigned kRecurrence = 1000, kWindow = 1;

/// What an op says about time.
static std::optional<Hint> hintOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::optional<Hint>>(op)
      .Case([](ssm::SelectiveScanOp scan) {
        return Hint{scan.getX(), 1, kRecurrence};
      })
      .Case([](ssm::CausalConv1dOp conv) {
        return Hint{conv.getX(), 1, kRecurrence};
      })
      .Case([](ssm::LinearRecurrenceOp recurrence) {
        return Hint{recurrence.getU(), int64_t(recurrence.getDim()),
                    kRecurrence};
      })
      .Case([](ssm::ScanOp scan) -> std::optional<Hint> {
        if (scan.getSequences().empty())
          return std::nullopt;
        return Hint{scan.getSequences()[0], scan.getSequenceDims()[0],
                    kRecurrence};
      })
      .Case([](ssm::CumsumOp sum) {
        return Hint{sum.getX(), int64_t(sum.getDim()), kWindow};
      })
      .Case([](ssm::ConvOp conv) -> std::optional<Hint> {
        if (tensorOf(conv.getX()).getRank() != 3)
          return std::nullopt;
        return Hint{conv.getX(), 2, kWindow};
      })
      .Default([](Operation *) { return std::nullopt; });
}

SmallVector<InputTimes> itera::inferInputTimes(func::FuncOp function,
                                               const InputTimes &given) {
  Dimensions dimensions(function);
  // The classes that may be time, with what speaks for them.
  llvm::MapVector<unsigned, unsigned> candidates;
  bool fixed = llvm::any_of(given, [](auto &time) { return time.has_value(); });
  if (fixed) {
    for (auto [argument, time] : llvm::zip(function.getArguments(), given))
      if (time)
        candidates[dimensions.classOf(argument, time->dim)] = 1;
  } else {
    function.walk([&](Operation *op) {
      std::optional<Hint> hint = hintOf(op);
      if (hint && op->getParentOp() == function)
        candidates[dimensions.classOf(hint->value, hint->dim)] += hint->weight;
    });
  }
  auto order = candidates.takeVector();
  llvm::sort(order, [](auto &a, auto &b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });

  SmallVector<InputTimes> answers;
  for (auto [wanted, weight] : order) {
    InputTimes times(given);
    bool any = fixed;
    for (auto [argument, time] : llvm::zip(function.getArguments(), times)) {
      RankedTensorType type = tensorOf(argument);
      for (int64_t dim = 0; type && !time && dim < type.getRank(); ++dim)
        if (dimensions.classOf(argument, dim) == wanted) {
          time = TimeDim{dim, 1, 1};
          any = true;
        }
    }
    // What has another length is not of the same time: a past in front.
    int64_t longest = 0;
    auto lengthOf = [&](Value argument, const TimeDim &time) {
      return tensorOf(argument).getDimSize(time.dim);
    };
    for (auto [argument, time] : llvm::zip(function.getArguments(), times))
      if (time)
        longest = std::max(longest, lengthOf(argument, *time));
    for (auto [argument, time, fixedTime] :
         llvm::zip(function.getArguments(), times, given))
      if (time && !fixedTime && lengthOf(argument, *time) < longest)
        time = std::nullopt;
    // A window alone says little where nothing is as long as two frames.
    if (any && (fixed || longest > 1 || weight >= kRecurrence))
      answers.push_back(times);
  }
  return answers;
}

LogicalResult itera::readTimeDims(func::FuncOp forward,
                                  ArrayRef<std::string> timeDims,
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
