// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/ProgramInfo.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace itera;

/// The numbers of ITERA_ROLE_* in abi.h.
enum Role : uint32_t {
  kStream = 1,
  kStatic = 2,
  kInitialState = 3,
  kFinal = 4,
  kState = 5
};
/// ITERA_STATE_* of program.h.
constexpr uint32_t kInfinite = 1;

/// The itera_dtype (abi.h) of an element type; 0 if it has none.
static uint32_t dtypeOf(Type type, bool isUnsigned) {
  if (type.isF32())
    return 1;
  if (type.isF16())
    return 10;
  if (type.isF64())
    return 11;
  if (type.isBF16())
    return 16;
  if (type.isInteger(1))
    return 9;
  if (type.isInteger(8))
    return isUnsigned ? 2 : 3;
  if (type.isInteger(16))
    return isUnsigned ? 4 : 5;
  if (type.isInteger(32))
    return isUnsigned ? 12 : 6;
  if (type.isInteger(64))
    return isUnsigned ? 13 : 7;
  return 0;
}

static uint64_t bytesOf(ShapedType type) {
  return type.getNumElements() *
         llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

static FailureOr<InterfaceTensor> describe(func::FuncOp function, Type type,
                                           bool isUnsigned, StringRef name) {
  auto buffer = dyn_cast<ShapedType>(type);
  InterfaceTensor tensor;
  if (buffer)
    tensor.dtype = dtypeOf(buffer.getElementType(), isUnsigned);
  if (!buffer || !buffer.hasStaticShape() || tensor.dtype == 0)
    return function.emitError("expected '")
           << name
           << "' to be a buffer of a type that the C interface has, but got "
           << type;
  tensor.name = name.str();
  tensor.dims.assign(buffer.getShape().begin(), buffer.getShape().end());
  tensor.bytes = bytesOf(buffer);
  return tensor;
}

static std::string textAttr(Operation *op, StringRef name) {
  auto attr = op->getAttrOfType<StringAttr>(name);
  return attr ? attr.str() : "";
}

namespace {

/// Reads one module.
class Reader {
public:
  explicit Reader(ModuleOp planned) : planned(planned) {}
  FailureOr<ProgramInfo> read();

private:
  FailureOr<EntryInfo> readEntry(func::FuncOp function);
  LogicalResult readInterface(func::FuncOp forward);
  LogicalResult readStream(DictionaryAttr stream);
  LogicalResult readOptional(StringRef name, std::optional<EntryInfo> &entry);
  void readOutputs(ArrayAttr outputs);
  LogicalResult placeConstants();

  ModuleOp planned;
  ProgramInfo info;
};

} // namespace

/// The attributes of output number `index` of a function whose results have
/// become arguments.
static DictionaryAttr outputAttrs(func::FuncOp function, unsigned index) {
  auto all = function->getAttrOfType<ArrayAttr>(ssm::kOutputsAttr);
  if (all && index < all.size())
    return cast<DictionaryAttr>(all[index]);
  return DictionaryAttr::get(function.getContext());
}

FailureOr<EntryInfo> Reader::readEntry(func::FuncOp function) {
  if (function.getNumResults() != 0)
    return function.emitError(
        "expected a planned function, which returns nothing");
  EntryInfo entry;
  entry.function = function.getName().str();
  unsigned inputs = 0, outputs = 0;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    Type type = function.getArgumentTypes()[i];
    auto number = [&](StringRef name) {
      return function.getArgAttrOfType<IntegerAttr>(i, name);
    };
    if (function.getArgAttr(i, ssm::kWeightImageAttr)) {
      info.weightBytes = cast<MemRefType>(type).getNumElements();
      entry.arguments.push_back({ArgumentRole::weights});
    } else if (function.getArgAttr(i, ssm::kScratchAttr)) {
      info.scratchBytes = std::max<uint64_t>(
          info.scratchBytes, cast<MemRefType>(type).getNumElements());
      entry.arguments.push_back({ArgumentRole::scratch});
    } else if (auto index = number(ssm::kInputAttr)) {
      entry.arguments.push_back(
          {ArgumentRole::input, unsigned(index.getInt())});
    } else if (auto index = number(ssm::kConstantAttr)) {
      entry.arguments.push_back(
          {ArgumentRole::constant, unsigned(index.getInt())});
    } else if (auto index = number(ssm::kStateAttr)) {
      entry.arguments.push_back(
          {ArgumentRole::state, unsigned(index.getInt())});
    } else if (number(ssm::kClockAttr)) {
      entry.arguments.push_back({ArgumentRole::clock});
    } else if (function.getArgAttr(i, ssm::kNameAttr)) {
      entry.arguments.push_back({ArgumentRole::input, inputs++});
    } else {
      DictionaryAttr attrs = outputAttrs(function, outputs);
      ArgumentRole role{ArgumentRole::output, outputs++};
      if (auto index = attrs.getAs<IntegerAttr>(ssm::kOutputAttr))
        role.index = index.getInt();
      if (auto index = attrs.getAs<IntegerAttr>(ssm::kStateAttr))
        role = {ArgumentRole::nextState, unsigned(index.getInt())};
      if (auto index = attrs.getAs<IntegerAttr>(ssm::kConstantAttr))
        role = {ArgumentRole::constant, unsigned(index.getInt())};
      entry.arguments.push_back(role);
    }
  }
  return entry;
}

LogicalResult Reader::readInterface(func::FuncOp forward) {
  for (auto [i, role] : llvm::enumerate(info.forward.arguments)) {
    if (role.kind != ArgumentRole::input && role.kind != ArgumentRole::output)
      continue;
    bool isInput = role.kind == ArgumentRole::input;
    DictionaryAttr attrs = isInput ? forward.getArgAttrDict(i)
                                   : outputAttrs(forward, role.index);
    auto name = attrs.getAs<StringAttr>(ssm::kNameAttr);
    FailureOr<InterfaceTensor> tensor =
        describe(forward, forward.getArgumentTypes()[i],
                 bool(attrs.get(ssm::kUnsignedAttr)),
                 name ? name.str() : "output" + std::to_string(role.index));
    if (failed(tensor))
      return failure();
    if (auto node = attrs.getAs<StringAttr>(ssm::kNodeAttr))
      tensor->node = node.str();
    (isInput ? info.inputs : info.outputs).push_back(*tensor);
  }
  return success();
}

LogicalResult Reader::readOptional(StringRef name,
                                   std::optional<EntryInfo> &entry) {
  auto function = planned.lookupSymbol<func::FuncOp>(name);
  if (!function)
    return success();
  FailureOr<EntryInfo> read = readEntry(function);
  if (succeeded(read))
    entry = *read;
  return read;
}

/// Constants are the results of @begin, one after the other.
LogicalResult Reader::placeConstants() {
  auto begin = planned.lookupSymbol<func::FuncOp>(ssm::kBeginName);
  if (!begin)
    return success();
  StreamInfo &stream = *info.stream;
  for (auto [i, role] : llvm::enumerate(stream.begin->arguments)) {
    if (role.kind != ArgumentRole::constant)
      continue;
    stream.constantOffsets.push_back(stream.constantBytes);
    stream.constantBytes = llvm::alignTo(
        stream.constantBytes +
            bytesOf(cast<ShapedType>(begin.getArgumentTypes()[i])),
        64);
  }
  return success();
}

static CountSteps stepsOf(ArrayAttr list) {
  CountSteps steps;
  for (Attribute step : list) {
    ArrayRef<int64_t> numbers = cast<DenseI64ArrayAttr>(step).asArrayRef();
    steps.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return steps;
}

static int64_t batchDim(DictionaryAttr fields) {
  auto dim = fields.getAs<IntegerAttr>("batch_dim");
  return dim ? dim.getInt() : -1;
}

void Reader::readOutputs(ArrayAttr outputs) {
  for (auto [tensor, attr] : llvm::zip(info.outputs, outputs)) {
    auto fields = cast<DictionaryAttr>(attr);
    auto number = [&](StringRef name) {
      return fields.getAs<IntegerAttr>(name).getInt();
    };
    tensor.timeDim = number("time_dim");
    tensor.batchDim = batchDim(fields);
    tensor.role = tensor.timeDim >= 0 ? kStream : kFinal;
    CountSteps counts, totals;
    if (tensor.role == kStream) {
      int64_t stride = number("stride"), lookahead = number("lookahead");
      tensor.frames = 1;
      tensor.period = stride;
      tensor.latency = lookahead;
      // floor((t - 1 - f) / s) + 1
      if (stride != 1 || lookahead != 0)
        counts.push_back({stride - 1 - lookahead, stride, 1});
      totals = stepsOf(fields.getAs<ArrayAttr>("length"));
    }
    info.stream->counts.push_back(counts);
    info.stream->totals.push_back(totals);
  }
}

LogicalResult Reader::readStream(DictionaryAttr attr) {
  StreamInfo &stream = info.stream.emplace();
  auto number = [&](StringRef name, int64_t otherwise) {
    auto value = attr.getAs<IntegerAttr>(name);
    return value ? value.getInt() : otherwise;
  };
  stream.warmup = number("warmup", 0);
  stream.alignment = number("alignment", 1);
  stream.flushFrames = number("flush_frames", 0);
  if (auto most = attr.getAs<IntegerAttr>("max_frames"))
    stream.maxFrames = most.getInt();
  if (failed(readOptional(ssm::kBeginName, stream.begin)) ||
      failed(readOptional(ssm::kResetName, stream.reset)) ||
      failed(readOptional(ssm::kFlushName, stream.flush)) ||
      failed(readOptional(ssm::kFinalName, stream.final)) ||
      failed(readOptional(ssm::kRollbackName, stream.rollback)))
    return failure();
  stream.rollbackWindow = number("rollback", 0);
  std::optional<EntryInfo> prefill, step;
  if (failed(readOptional(ssm::kPrefillName, prefill)) ||
      failed(readOptional(ssm::kStepName, step)))
    return failure();
  if (!step || !stream.reset)
    return planned.emitError("expected functions @")
           << ssm::kStepName << " and @" << ssm::kResetName;
  if (prefill)
    stream.chunks.push_back({uint64_t(number("chunk", 1)), *prefill});
  stream.chunks.push_back({1, *step});
  if (failed(placeConstants()))
    return failure();

  for (auto [tensor, input] :
       llvm::zip(info.inputs, attr.getAs<ArrayAttr>("inputs"))) {
    auto fields = cast<DictionaryAttr>(input);
    tensor.timeDim = fields.getAs<IntegerAttr>("time_dim").getInt();
    tensor.batchDim = batchDim(fields);
    tensor.role = tensor.timeDim >= 0    ? kStream
                  : fields.get("state") ? kInitialState
                                        : kStatic;
    if (tensor.role == kStream)
      tensor.frames = 1;
  }
  readOutputs(attr.getAs<ArrayAttr>("outputs"));

  std::string identity = info.sourceHash;
  auto forward = planned.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  for (Attribute state : attr.getAs<ArrayAttr>("states")) {
    auto fields = cast<DictionaryAttr>(state);
    auto type = cast<ShapedType>(fields.getAs<TypeAttr>("type").getValue());
    StringRef name = fields.getAs<StringAttr>("name").getValue();
    FailureOr<InterfaceTensor> tensor = describe(forward, type, false, name);
    if (failed(tensor))
      return failure();
    tensor->role = kState;
    tensor->node = fields.getAs<StringAttr>("node").str();
    tensor->batchDim = batchDim(fields);
    stream.states.push_back(*tensor);
    auto base = fields.getAs<IntegerAttr>("base");
    stream.stateBases.push_back(base ? base.getInt() : UINT32_MAX);
    stream.stateFlags.push_back(fields.get("infinite") ? kInfinite : 0);
    stream.stateOffsets.push_back(stream.stateBytes);
    stream.stateBytes = llvm::alignTo(stream.stateBytes + tensor->bytes, 64);
    llvm::raw_string_ostream(identity) << '|' << name << ':' << type;
  }
  for (uint64_t offset : stream.constantOffsets)
    identity += "+" + std::to_string(offset);
  llvm::XXH128_hash_t hash = llvm::xxh3_128bits(
      ArrayRef(reinterpret_cast<const uint8_t *>(identity.data()),
               identity.size()));
  stream.stateHash = {hash.low64, hash.high64};
  return success();
}

FailureOr<ProgramInfo> Reader::read() {
  auto forward = planned.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (!forward)
    return planned.emitError("expected a function @") << ssm::kForwardName;
  info.name = textAttr(planned, ssm::kModelNameAttr);
  info.sourceHash = textAttr(planned, ssm::kSourceHashAttr);
  FailureOr<EntryInfo> entry = readEntry(forward);
  if (failed(entry))
    return failure();
  info.forward = *entry;
  if (failed(readInterface(forward)))
    return failure();
  auto stream = planned->getAttrOfType<DictionaryAttr>(ssm::kStreamAttr);
  info.streamProblem = textAttr(planned, ssm::kStreamProblemAttr);
  if (!stream && info.streamProblem.empty())
    info.streamProblem = "it was compiled without streaming";
  if (stream && failed(readStream(stream)))
    return failure();
  return info;
}

FailureOr<ProgramInfo> itera::readProgramInfo(ModuleOp planned) {
  return Reader(planned).read();
}
