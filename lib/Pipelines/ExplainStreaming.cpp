// SPDX-License-Identifier: Apache-2.0

#include "ExplainStreaming.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace itera;

static int64_t numberOf(DictionaryAttr fields, StringRef name) {
  auto value = fields.getAs<IntegerAttr>(name);
  return value ? value.getInt() : 0;
}

static StringRef textOf(DictionaryAttr fields, StringRef name) {
  auto value = fields.getAs<StringAttr>(name);
  return value ? value.getValue() : "";
}

static StringRef nameOf(Attribute name) {
  auto text = dyn_cast_if_present<StringAttr>(name);
  return text ? text.getValue() : "";
}

/// "1 frame", "2 frames".
static std::string frames(int64_t count) {
  return std::to_string(count) + (count == 1 ? " frame" : " frames");
}

static void explainOutput(StringRef name, DictionaryAttr output,
                          llvm::raw_ostream &os) {
  os << "output '" << name << "': ";
  if (numberOf(output, "time_dim") < 0) {
    os << "known at the end\n";
    return;
  }
  int64_t stride = numberOf(output, "stride"),
          lookahead = numberOf(output, "lookahead");
  int64_t burst = std::max<int64_t>(1, numberOf(output, "burst"));
  if (burst > 1)
    lookahead = numberOf(output, "latency");
  os << (burst == 1 ? "a frame" : frames(burst)) << " for every "
     << (stride == 1 ? "frame" : frames(stride)) << " of the input, ";
  if (lookahead == 0)
    os << "without look-ahead\n";
  else
    os << frames(lookahead) << " of look-ahead\n";
  for (Attribute entry : output.getAs<ArrayAttr>("adds")) {
    auto fields = cast<DictionaryAttr>(entry);
    int64_t added = numberOf(fields, "frames");
    os << "  " << (added > 0 ? "+" : "") << added << " at node '"
       << textOf(fields, "node") << "'\n";
  }
}

void itera::explainStreaming(ModuleOp module, llvm::raw_ostream &os) {
  auto stream = module->getAttrOfType<DictionaryAttr>(ssm::kStreamAttr);
  if (!stream) {
    StringRef why = nameOf(module->getAttr(ssm::kStreamProblemAttr));
    os << "cannot stream: " << (why.empty() ? "not analysed" : why) << "\n";
    return;
  }
  auto forward = module.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  for (auto [i, entry] : llvm::enumerate(stream.getAs<ArrayAttr>("inputs"))) {
    auto fields = cast<DictionaryAttr>(entry);
    int64_t dim = numberOf(fields, "time_dim");
    os << "input '" << nameOf(forward.getArgAttr(i, ssm::kNameAttr)) << "': ";
    if (dim >= 0)
      os << "dimension " << dim << " is time\n";
    else
      os << (fields.get("state") ? "the first value of a state\n"
                                 : "the same for the whole stream\n");
  }
  for (auto [i, entry] : llvm::enumerate(stream.getAs<ArrayAttr>("outputs")))
    explainOutput(nameOf(forward.getResultAttr(i, ssm::kNameAttr)),
                  cast<DictionaryAttr>(entry), os);
  int64_t total = 0;
  for (Attribute entry : stream.getAs<ArrayAttr>("states")) {
    auto fields = cast<DictionaryAttr>(entry);
    auto type = cast<RankedTensorType>(
        fields.getAs<TypeAttr>("type").getValue());
    int64_t bytes = type.getNumElements() *
                    llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    total += bytes;
    os << "state '" << textOf(fields, "name") << "': " << bytes << " bytes, "
       << type << ", of node '" << textOf(fields, "node") << "'\n";
  }
  os << "all states: " << total << " bytes\n";
  if (int64_t window = numberOf(stream, "rollback"))
    os << "of these to take back up to " << frames(window) << ": "
       << numberOf(stream, "rollback_bytes") << " bytes\n";
  if (int64_t count = numberOf(stream, "rows"))
    os << "a batch of " << count
       << " independent rows, which can change places\n";
  if (StringRef why = textOf(stream, "rows_problem"); !why.empty())
    os << "the rows of a batch are not independent: " << why << "\n";
  if (auto most = stream.getAs<IntegerAttr>("max_frames"))
    os << "the stream ends after " << frames(most.getInt())
       << ", where a table of positions or a kernel does\n";
}
