// SPDX-License-Identifier: Apache-2.0

#include "Gptq.h"
#include "RowLanes.h"
#include "ScaleSearch.h"
#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Support/Npz.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Threading.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <cstring>

namespace itera {
#define GEN_PASS_DEF_QUANTIZEWEIGHTSPASS
#include "itera/Transforms/Quantize/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

/// The largest that rounds to a finite f16.
static constexpr float kMostHalf = 65519.0f;

namespace {

/// A weight in its new form.
struct StoredWeight {
  TypedAttr matrix, scales, zeroPoints; // of integers: scales, maybe zeros
};

struct QuantizeWeights : itera::impl::QuantizeWeightsPassBase<QuantizeWeights> {
  using QuantizeWeightsPassBase::QuantizeWeightsPassBase;

  void runOnOperation() override {
    stored.clear();
    std::optional<ScaleRule> found =
        llvm::StringSwitch<std::optional<ScaleRule>>(search)
            .Case("mse", ScaleRule::mse)
            .Case("max", ScaleRule::max)
            .Case("absmax", ScaleRule::absmax)
            .Default(std::nullopt);
    if (!found) {
      getOperation().emitError("expected a search of mse, max or absmax, but "
                               "got '")
          << search << "'";
      return signalPassFailure();
    }
    rule = *found;
    moments.reset();
    if (!statistics.empty()) {
      llvm::Expected<NpzReader> file = NpzReader::open(statistics);
      if (!file) {
        getOperation().emitError(llvm::toString(file.takeError()));
        return signalPassFailure();
      }
      moments = std::make_shared<NpzReader>(std::move(*file));
    }
    SmallVector<ssm::WeightOp> weights;
    getOperation().walk([&](ssm::WeightOp weight) {
      if (weight->hasAttr(ssm::kPrecisionAttr))
        weights.push_back(weight);
    });
    for (ssm::WeightOp weight : weights)
      if (failed(quantize(weight)))
        return signalPassFailure();
  }

  LogicalResult quantize(ssm::WeightOp weight);
  LogicalResult roundVector(ssm::WeightOp weight);
  FailureOr<StoredWeight> store(ssm::WeightOp weight,
                                ssm::PrecisionAttr precision);
  StoredWeight storeIntegers(StringRef name, ArrayRef<float> values, int64_t n,
                             int64_t k, ssm::PrecisionAttr precision,
                             const InputMoments *spread);
  /// What calibration knows of the inputs of this weight's linears.
  FailureOr<std::optional<InputMoments>> momentsOf(ssm::WeightOp weight,
                                                   int64_t k);
  StoredWeight storeFloats(StringRef name, ArrayRef<float> values,
                           RankedTensorType type);

  /// One form for all that read a weight, in any function.
  llvm::DenseMap<std::pair<Attribute, Attribute>, StoredWeight> stored;
  ScaleRule rule = ScaleRule::mse;
  /// Shared with copies of the pass.
  std::shared_ptr<NpzReader> moments;
};

} // namespace

StoredWeight QuantizeWeights::storeIntegers(StringRef name,
                                            ArrayRef<float> values, int64_t n,
                                            int64_t k,
                                            ssm::PrecisionAttr precision,
                                            const InputMoments *spread) {
  bool isFour = precision.getStorage().isInteger(4);
  int64_t group = precision.getGroup() ? precision.getGroup() : k;
  int64_t groups = llvm::divideCeilSigned(k, group);
  char *integers = nullptr, *scaleBytes = nullptr;
  ssm::HostTensor matrix = ssm::HostTensor::allocate(
      RankedTensorType::get({n, k}, precision.getStorage()),
      ssm::ElementKind::I8, integers);
  ssm::HostTensor scales = ssm::HostTensor::allocate(
      RankedTensorType::get({n, groups}, BFloat16Type::get(&getContext())),
      ssm::ElementKind::BF16, scaleBytes);
  std::vector<double> found(n * groups);
  if (spread) {
    parallelFor(&getContext(), 0, llvm::divideCeil(n, kRowLanes),
                [&](size_t block) {
                  int64_t first = block * kRowLanes,
                          count = std::min(kRowLanes, n - first);
                  std::vector<float> own(count * groups);
                  auto *to = reinterpret_cast<int8_t *>(integers) + first * k;
                  quantizeRows4(values.slice(first * k, count * k), *spread,
                                group, {to, size_t(count * k)}, own);
                  llvm::copy(own, found.begin() + first * groups);
                });
  } else {
    parallelFor(&getContext(), 0, n, [&](size_t row) {
      for (int64_t g = 0; g < groups; ++g) {
        int64_t begin = row * k + g * group,
                size = std::min(group, k - g * group);
        ArrayRef<float> members = values.slice(begin, size);
        float scale = isFour ? findScale4(members, rule) : findScale8(members);
        int low = isFour ? -8 : -127, high = isFour ? 7 : 127;
        for (int64_t i = 0; i < size; ++i)
          integers[begin + i] = roundToInteger(members[i], scale, low, high);
        found[row * groups + g] = scale;
      }
    });
  }
  ssm::storeFloats(ssm::ElementKind::BF16, scaleBytes, 0, found.size(),
                   found.data());
  return {
      ssm::toResourceAttribute(matrix, (name + (isFour ? ".i4" : ".i8")).str()),
      ssm::toResourceAttribute(scales, (name + ".scales").str()),
      {}};
}

FailureOr<std::optional<InputMoments>>
QuantizeWeights::momentsOf(ssm::WeightOp weight, int64_t k) {
  std::optional<InputMoments> spread;
  if (!moments || !moments->contains(weight.getName()))
    return spread;
  llvm::Expected<NpyArray> array = moments->read(weight.getName());
  if (!array)
    return weight.emitError(llvm::toString(array.takeError()));
  if (array->type != NpyType::Float32 ||
      array->shape != std::vector<int64_t>{k, k})
    return weight.emitError("expected statistics of shape ")
           << k << "x" << k << " of float32 for '" << weight.getName()
           << "', but got " << formatShape(array->shape);
  std::vector<float> values(k * k);
  std::memcpy(values.data(), array->data.data(), array->data.size());
  if (!spread.emplace().compute(values, k))
    return weight.emitError("the inputs of '")
           << weight.getName() << "' were not finite in calibration";
  return spread;
}

StoredWeight QuantizeWeights::storeFloats(StringRef name,
                                          ArrayRef<float> values,
                                          RankedTensorType type) {
  bool fits =
      llvm::all_of(values, [](float v) { return std::abs(v) <= kMostHalf; });
  Type element = fits ? Type(Float16Type::get(&getContext()))
                      : Type(BFloat16Type::get(&getContext()));
  ssm::ElementKind kind = fits ? ssm::ElementKind::F16 : ssm::ElementKind::BF16;
  char *data = nullptr;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(type.clone(element), kind, data);
  std::vector<double> wide(values.begin(), values.end());
  ssm::storeFloats(kind, data, 0, wide.size(), wide.data());
  return {ssm::toResourceAttribute(result,
                                   (name + (fits ? ".f16" : ".bf16")).str()),
          {},
          {}};
}

template <typename T>
static LogicalResult checkFinite(ssm::WeightOp weight,
                                 const std::vector<T> &values) {
  auto bad = llvm::find_if(values, [](T v) { return !std::isfinite(v); });
  if (bad == values.end())
    return success();
  auto type = cast<RankedTensorType>(weight.getType());
  return weight.emitError("cannot be stored in fewer bits: weight '")
         << weight.getName() << "' is "
         << (std::isnan(*bad) ? "NaN" : "infinite") << " at ["
         << delinearize(bad - values.begin(), computeStrides(type.getShape()))
         << "]; --precision=" << weight.getName() << "=f32 keeps it";
}

FailureOr<StoredWeight> QuantizeWeights::store(ssm::WeightOp weight,
                                               ssm::PrecisionAttr precision) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  std::optional<ssm::HostTensor> data = ssm::readAttribute(weight.getValue());
  if (!type || type.getRank() != 2 || !data ||
      data->kind != ssm::ElementKind::F32)
    return weight.emitError("expected a weight [N, K] of f32 for precision ")
           << precision << ", but got " << weight.getType();
  // A copy: in a model file nothing is aligned.
  std::vector<float> values(data->size());
  std::memcpy(values.data(), data->bytes.data(), values.size() * 4);
  int64_t n = type.getDimSize(0), k = type.getDimSize(1);
  if (failed(checkFinite(weight, values)))
    return failure();
  if (precision.getStorage().isInteger(4)) {
    FailureOr<std::optional<InputMoments>> spread = momentsOf(weight, k);
    if (failed(spread))
      return failure();
    return storeIntegers(weight.getName(), values, n, k, precision,
                         *spread ? &**spread : nullptr);
  }
  if (precision.getStorage().isInteger(8))
    return storeIntegers(weight.getName(), values, n, k, precision, nullptr);
  return storeFloats(weight.getName(), values, type);
}

/// The matrix of a linear, or the table of an embedding.
static bool isMatrixUse(OpOperand &use) {
  if (auto linear = dyn_cast<ssm::LinearOp>(use.getOwner()))
    return use.get() == linear.getWeight() && use.get() != linear.getX();
  auto embedding = dyn_cast<ssm::EmbeddingOp>(use.getOwner());
  return embedding && use.get() == embedding.getTable();
}

LogicalResult QuantizeWeights::roundVector(ssm::WeightOp weight) {
  // Between them f16 has its full precision, at least relative to the largest.
  constexpr float kLeastHalf = 0x1p-14f;
  std::optional<ssm::HostTensor> data = ssm::readAttribute(weight.getValue());
  if (!data || data->kind != ssm::ElementKind::F32)
    return weight.emitError("expected a weight of f32 for precision f16, but "
                            "got ")
           << weight.getType();
  std::vector<double> values(data->size());
  ssm::loadFloats(*data, 0, values.size(), values.data());
  if (failed(checkFinite(weight, values)))
    return failure();
  double largest = 0;
  for (double value : values)
    largest = std::max(largest, std::abs(value));
  if (largest < kLeastHalf || largest > kMostHalf)
    return success();
  char *bytes = nullptr;
  ssm::HostTensor half = ssm::HostTensor::allocate(
      data->type.clone(Float16Type::get(&getContext())), ssm::ElementKind::F16,
      bytes);
  ssm::storeFloats(ssm::ElementKind::F16, bytes, 0, values.size(),
                   values.data());
  ssm::loadFloats(half, 0, values.size(), values.data());
  ssm::HostTensor rounded =
      ssm::HostTensor::allocate(data->type, ssm::ElementKind::F32, bytes);
  ssm::storeFloats(ssm::ElementKind::F32, bytes, 0, values.size(),
                   values.data());
  weight.setValueAttr(
      ssm::toResourceAttribute(rounded, (weight.getName() + ".rounded").str()));
  // It is no part of the model's file any more.
  weight.removeFileAttr();
  weight.removeOffsetAttr();
  ++quantized;
  return success();
}

LogicalResult QuantizeWeights::quantize(ssm::WeightOp weight) {
  auto precision =
      weight->getAttrOfType<ssm::PrecisionAttr>(ssm::kPrecisionAttr);
  if (!precision)
    return weight.emitError("expected a #ssm.precision as ")
           << ssm::kPrecisionAttr;
  if (precision.getStorage().isF16() &&
      llvm::none_of(weight->getUses(), isMatrixUse)) {
    weight->removeAttr(ssm::kPrecisionAttr);
    return roundVector(weight);
  }
  StoredWeight &known = stored[{weight.getValue(), precision}];
  if (!known.matrix) {
    FailureOr<StoredWeight> made = store(weight, precision);
    if (failed(made))
      return failure();
    known = *made;
    ++quantized;
  }
  OpBuilder b(weight);
  auto create = [&](TypedAttr value, const Twine &suffix) -> Value {
    if (!value)
      return {};
    return ssm::WeightOp::create(b, weight.getLoc(),
                                 (weight.getName() + suffix).str(), value,
                                 /*file=*/nullptr, /*offset=*/nullptr);
  };
  Value matrix = create(known.matrix, ""),
        scales = create(known.scales, ".scales");
  IntegerAttr group;
  if (precision.getGroup())
    group = b.getI64IntegerAttr(precision.getGroup());
  for (OpOperand &use : llvm::make_early_inc_range(weight->getUses())) {
    if (!isMatrixUse(use))
      continue;
    use.set(matrix);
    if (!scales)
      continue;
    if (auto linear = dyn_cast<ssm::LinearOp>(use.getOwner())) {
      linear.getScalesMutable().assign(scales);
      linear.setGroupAttr(group);
      linear.setInt8InputAttr(precision.getInput());
    } else {
      auto embedding = cast<ssm::EmbeddingOp>(use.getOwner());
      embedding.getScalesMutable().assign(scales);
      embedding.setGroupAttr(group);
    }
  }
  weight->removeAttr(ssm::kPrecisionAttr);
  if (weight->use_empty())
    weight.erase();
  return success();
}
