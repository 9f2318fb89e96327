// SPDX-License-Identifier: Apache-2.0

#include "StatePairs.h"

#include "itera/Dialect/SSM/SSM.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace itera;

/// A name without the words that say before or after: present_conv.0 and
/// past_conv.0 are both conv.0. Where `loose`, without those that say that it
/// is a state: conv_state.0 is conv.0 too.
static std::string stem(StringRef name, bool loose) {
  static const llvm::StringSet<> directions = {
      "past", "present", "prev", "previous", "last", "in",   "input", "cur",
      "curr", "current", "next", "new",      "out",  "output", "old", "init",
      "initial", "updated"};
  static const llvm::StringSet<> kinds = {"state",  "states", "cache",
                                          "caches", "hidden", "carry"};
  std::string result;
  std::string word;
  auto finish = [&] {
    if (!word.empty() && !directions.contains(word) &&
        !(loose && kinds.contains(word)))
      result += (result.empty() ? "" : ".") + word;
    word.clear();
  };
  for (char c : name) {
    if (c == '_' || c == '.' || c == '/' || c == ':' || c == '-' || c == ' ')
      finish();
    else
      word += llvm::toLower(c);
  }
  finish();
  return result;
}

static std::string nameOf(func::FuncOp function, unsigned number, bool input) {
  auto name = input ? function.getArgAttrOfType<StringAttr>(number,
                                                            ssm::kNameAttr)
                    : function.getResultAttrOfType<StringAttr>(number,
                                                               ssm::kNameAttr);
  return name ? name.str() : "";
}

FailureOr<StatePairs> itera::findStatePairs(func::FuncOp function,
                                            ArrayRef<std::string> given) {
  StatePairs pairs;
  SmallVector<bool> taken(function.getNumResults(), false);
  auto find = [&](StringRef name, bool input) -> std::optional<unsigned> {
    unsigned count = input ? function.getNumArguments() : function.getNumResults();
    for (unsigned i = 0; i < count; ++i)
      if (nameOf(function, i, input) == name)
        return i;
    return std::nullopt;
  };
  for (StringRef text : given) {
    auto [in, out] = text.split('=');
    std::optional<unsigned> input = find(in, true), output = find(out, false);
    if (!input || !output)
      return function.emitError("--state ")
             << text << ": the model has no "
             << (input ? "output '" + out : "input '" + in) << "'";
    if (function.getArgumentTypes()[*input] != function.getResultTypes()[*output])
      return function.emitError("--state ")
             << text << ": expected the two to have one type, but got "
             << function.getArgumentTypes()[*input] << " and "
             << function.getResultTypes()[*output];
    if (pairs.outputOf(*input) || taken[*output])
      return function.emitError("--state ") << text << ": one of the two is in "
                                               "another --state already";
    pairs.add(*input, *output);
    taken[*output] = true;
  }

  // A stem must be one input's and one output's.
  for (bool loose : {false, true}) {
    llvm::StringMap<SmallVector<unsigned>> inputs, outputs;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (!pairs.outputOf(i))
        inputs[stem(nameOf(function, i, true), loose)].push_back(i);
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      if (!taken[i])
        outputs[stem(nameOf(function, i, false), loose)].push_back(i);
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      std::string name = stem(nameOf(function, i, true), loose);
      auto from = inputs.find(name), to = outputs.find(name);
      if (pairs.outputOf(i) || name.empty() || to == outputs.end() ||
          from->second.size() != 1 || to->second.size() != 1)
        continue;
      unsigned output = to->second.front();
      if (function.getArgumentTypes()[i] != function.getResultTypes()[output])
        continue;
      pairs.add(i, output);
      taken[output] = true;
    }
  }
  return pairs;
}
