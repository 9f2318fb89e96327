// SPDX-License-Identifier: Apache-2.0

#include "ReportWeights.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Quantize/WeightClassNames.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace itera;

namespace {

/// What a linear or an embedding reads.
struct Reader {
  Operation *op = nullptr;
  ssm::WeightOp weight, scales, zeroPoints;
  int64_t group = 0;
  InputRounding rounding = InputRounding::none;
};

} // namespace

static ssm::WeightOp weightOf(Value value) {
  return value ? value.getDefiningOp<ssm::WeightOp>() : ssm::WeightOp();
}

/// Nothing if it is something else, or what it reads is no weight by itself.
static std::optional<Reader> readerOf(Operation *op) {
  Reader reader{op, {}, {}, {}};
  if (auto linear = dyn_cast<ssm::LinearOp>(op)) {
    reader.weight = weightOf(linear.getWeight());
    reader.scales = weightOf(linear.getScales());
    reader.zeroPoints = weightOf(linear.getZeroPoints());
    reader.group = linear.getGroup().value_or(0);
    if (auto scales = linear.getInt8Input())
      reader.rounding = *scales == ssm::InputScales::group
                            ? InputRounding::group
                            : InputRounding::token;
  } else if (auto embedding = dyn_cast<ssm::EmbeddingOp>(op)) {
    reader.weight = weightOf(embedding.getTable());
    reader.scales = weightOf(embedding.getScales());
    reader.zeroPoints = weightOf(embedding.getZeroPoints());
    reader.group = embedding.getGroup().value_or(0);
  }
  if (!reader.weight ||
      cast<ShapedType>(reader.weight.getType()).getRank() != 2)
    return std::nullopt;
  return reader;
}

static std::vector<Reader> readersOf(ModuleOp module) {
  std::vector<Reader> readers;
  if (auto forward = module.lookupSymbol<FunctionOpInterface>(ssm::kForwardName))
    forward->walk([&](Operation *op) {
      if (std::optional<Reader> reader = readerOf(op))
        readers.push_back(*reader);
    });
  return readers;
}

static std::vector<float> readFloats(Attribute attribute) {
  std::optional<ssm::HostTensor> data = ssm::readAttribute(attribute);
  if (!data)
    return {};
  std::vector<double> wide(data->size());
  ssm::loadFloats(*data, 0, wide.size(), wide.data());
  return std::vector<float>(wide.begin(), wide.end());
}

static std::vector<int8_t> readIntegers(Attribute attribute) {
  std::optional<ssm::HostTensor> data = ssm::readAttribute(attribute);
  if (!data)
    return {};
  std::vector<int64_t> wide(data->size());
  ssm::loadInts(*data, 0, wide.size(), wide.data());
  return std::vector<int8_t>(wide.begin(), wide.end());
}

std::vector<float> itera::readOriginal(const WeightPair &pair) {
  return readFloats(pair.original);
}

static StoredMatrix readMatrix(int64_t n, int64_t k, int64_t group,
                               Attribute matrix, Attribute scales,
                               Attribute zeroPoints) {
  StoredMatrix stored{n, k, group, {}, {}, {}, {}};
  if (!scales) {
    stored.values = readFloats(matrix);
    return stored;
  }
  stored.integers = readIntegers(matrix);
  stored.scales = readFloats(scales);
  if (zeroPoints)
    stored.zeroPoints = readIntegers(zeroPoints);
  return stored;
}

StoredMatrix itera::readStored(const WeightPair &pair) {
  return readMatrix(pair.report.n, pair.report.k, pair.report.group,
                    pair.matrix, pair.scales, pair.zeroPoints);
}

bool itera::hasPrecisions(ModuleOp module) {
  return module
      .walk([](ssm::WeightOp weight) {
        return weight->hasAttr(ssm::kPrecisionAttr) ? WalkResult::interrupt()
                                                    : WalkResult::advance();
      })
      .wasInterrupted();
}

bool itera::dequantizeWeights(ModuleOp module) {
  bool any = false;
  llvm::DenseMap<Operation *, Value> known;
  for (Reader reader : readersOf(module)) {
    if (!reader.scales)
      continue;
    any = true;
    Value &value = known[reader.weight];
    if (!value) {
      auto type = cast<RankedTensorType>(reader.weight.getType());
      int64_t n = type.getDimSize(0), k = type.getDimSize(1);
      std::vector<float> floats =
          readMatrix(n, k, reader.group, reader.weight.getValueAttr(),
                     reader.scales.getValueAttr(),
                     reader.zeroPoints ? reader.zeroPoints.getValueAttr()
                                       : Attribute())
              .dequantize();
      char *data = nullptr;
      OpBuilder b(reader.weight);
      ssm::HostTensor tensor = ssm::HostTensor::allocate(
          type.clone(b.getF32Type()), ssm::ElementKind::F32, data);
      std::vector<double> wide(floats.begin(), floats.end());
      ssm::storeFloats(ssm::ElementKind::F32, data, 0, wide.size(),
                       wide.data());
      value = ssm::WeightOp::create(
          b, reader.weight.getLoc(), reader.weight.getName(),
          ssm::toResourceAttribute(tensor,
                                   (reader.weight.getName() + ".f32").str()),
          /*file=*/nullptr, /*offset=*/nullptr);
    }
    if (auto linear = dyn_cast<ssm::LinearOp>(reader.op)) {
      linear.getWeightMutable().assign(value);
      linear.getScalesMutable().clear();
      linear.getZeroPointsMutable().clear();
      linear.removeGroupAttr();
      linear.removeInt8InputAttr();
    } else if (auto embedding = dyn_cast<ssm::EmbeddingOp>(reader.op)) {
      embedding.getTableMutable().assign(value);
      embedding.getScalesMutable().clear();
      embedding.getZeroPointsMutable().clear();
      embedding.removeGroupAttr();
    }
  }
  return any;
}

/// Bytes of a weight where it is dense.
static uint64_t bytesOf(ssm::WeightOp weight) {
  if (!weight)
    return 0;
  auto type = cast<ShapedType>(weight.getType());
  return llvm::divideCeil(
      type.getNumElements() * type.getElementTypeBitWidth(), 8);
}

static std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << type;
  return text;
}

static WeightPair makePair(Reader before, Reader after) {
  WeightPair pair;
  auto type = cast<ShapedType>(after.weight.getType());
  pair.report.name = before.weight.getName().str();
  pair.report.storage = textOf(type.getElementType());
  pair.report.n = type.getDimSize(0);
  pair.report.k = type.getDimSize(1);
  pair.report.group = after.group;
  pair.report.bytesBefore = bytesOf(before.weight);
  pair.report.bytesAfter =
      bytesOf(after.weight) + bytesOf(after.scales) + bytesOf(after.zeroPoints);
  pair.original = before.weight.getValueAttr();
  pair.matrix = after.weight.getValueAttr();
  if (after.scales)
    pair.scales = after.scales.getValueAttr();
  if (after.zeroPoints)
    pair.zeroPoints = after.zeroPoints.getValueAttr();
  return pair;
}

llvm::Expected<std::vector<WeightPair>>
itera::pairWeights(ModuleOp reference, ModuleOp quantized) {
  std::vector<Reader> before = readersOf(reference),
                      after = readersOf(quantized);
  auto forward = reference.lookupSymbol<func::FuncOp>(ssm::kForwardName);
  if (before.size() != after.size() || !forward)
    return llvm::createStringError(
        "the two models do not have the same linears");
  llvm::DenseMap<Operation *, StringRef> kinds = nameWeightClasses(forward);
  llvm::MapVector<Operation *, WeightPair> pairs;
  llvm::StringMap<unsigned> counts;
  for (auto [from, to] : llvm::zip_equal(before, after)) {
    auto [found, isNew] = pairs.insert({from.weight, WeightPair()});
    WeightPair &pair = found->second;
    if (isNew) {
      pair = makePair(from, to);
      pair.report.kind = kinds.lookup(from.weight).str();
    }
    if (!isa<ssm::LinearOp>(from.op))
      continue;
    pair.rounding = to.rounding;
    pair.report.input = to.rounding == InputRounding::token   ? "token"
                        : to.rounding == InputRounding::group ? "group"
                                                              : "";
    // As ssm-tap-linears names them.
    if (from.op->getParentOp() != forward)
      continue;
    std::string name = pair.report.name;
    if (unsigned number = counts[name]++)
      name += "#" + std::to_string(number + 1);
    pair.taps.push_back(name);
  }
  std::vector<WeightPair> result;
  for (auto &[weight, pair] : pairs)
    result.push_back(std::move(pair));
  return result;
}
