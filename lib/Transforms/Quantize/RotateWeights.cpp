// SPDX-License-Identifier: Apache-2.0

#include "WeightClasses.h"
#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Transforms/Quantize/Passes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Threading.h"
#include <cmath>
#include <cstring>

namespace itera {
#define GEN_PASS_DEF_ROTATEWEIGHTSPASS
#include "itera/Transforms/Quantize/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;

namespace {

struct RotateWeights : itera::impl::RotateWeightsPassBase<RotateWeights> {
  using RotateWeightsPassBase::RotateWeightsPassBase;

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    rotatedInputs.clear();
    for (auto function : getOperation().getOps<func::FuncOp>())
      for (auto &[weight, use] : WeightClasses(function).uses)
        if (use.readsRecurrence || which == "all")
          consider(weight);
  }

  LogicalResult checkOptions();
  void consider(ssm::WeightOp weight);
  Value rotate(Value x, int64_t size);

  /// One rotation for all linears that read a value.
  llvm::DenseMap<Value, Value> rotatedInputs;
};

} // namespace

LogicalResult RotateWeights::checkOptions() {
  if (which != "recurrence" && which != "all")
    return getOperation().emitError(
               "expected recurrence or all as what to rotate, but got '")
           << which << "'";
  if (block < 2 || (block & (block - 1)) != 0)
    return getOperation().emitError(
               "expected a block of a power of two from 2 on, but got ")
           << int64_t(block);
  return success();
}

Value RotateWeights::rotate(Value x, int64_t size) {
  Value &known = rotatedInputs[x];
  if (!known) {
    OpBuilder b(&getContext());
    b.setInsertionPointAfterValue(x);
    known = ssm::HadamardOp::create(b, x.getLoc(), x.getType(), x, size);
  }
  return known;
}

/// Each row of [.., k] in blocks of `size`, in double, rounded once at the end.
static void rotateRow(MutableArrayRef<float> row, int64_t size) {
  std::vector<double> wide(row.begin(), row.end());
  int64_t k = row.size();
  for (int64_t half = 1; half < size; half *= 2)
    for (int64_t i = 0; i < k; ++i)
      if ((i & half) == 0) {
        double a = wide[i], b = wide[i + half];
        wide[i] = a + b;
        wide[i + half] = a - b;
      }
  for (auto [narrow, value] : llvm::zip(row, wide))
    narrow = float(value / std::sqrt(double(size)));
}

void RotateWeights::consider(ssm::WeightOp weight) {
  auto precision =
      weight->getAttrOfType<ssm::PrecisionAttr>(ssm::kPrecisionAttr);
  if (!precision || !isa<IntegerType>(precision.getStorage()))
    return;
  auto reads = [&](Operation *user) {
    auto linear = dyn_cast<ssm::LinearOp>(user);
    return linear && linear.getWeight() == weight.getResult();
  };
  if (llvm::none_of(weight->getUsers(), reads))
    return; // a table
  if (!weight->hasOneUse()) {
    weight.emitRemark("is not rotated: weight '")
        << weight.getName() << "' is read at "
        << llvm::range_size(weight->getUses()) << " places";
    return;
  }
  auto linear = cast<ssm::LinearOp>(*weight->getUsers().begin());
  int64_t k = linear.getK();
  int64_t size = std::min<int64_t>(block, k & -k);
  if (size < 2) {
    weight.emitRemark("is not rotated: weight '")
        << weight.getName() << "' has an odd number of columns, " << k;
    return;
  }
  std::optional<ssm::HostTensor> data = ssm::readAttribute(weight.getValue());
  if (!data || data->kind != ssm::ElementKind::F32)
    return; // ssm-quantize-weights says so
  // A copy: in a model file nothing is aligned.
  char *bytes = nullptr;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(data->type, ssm::ElementKind::F32, bytes);
  std::memcpy(bytes, data->bytes.data(), data->size() * sizeof(float));
  MutableArrayRef<float> values(reinterpret_cast<float *>(bytes),
                                data->size());
  // ssm-quantize-weights names the first that is not finite.
  if (!llvm::all_of(values, [](float v) { return std::isfinite(v); }))
    return;
  parallelFor(&getContext(), 0, linear.getN(), [&](size_t row) {
    rotateRow(values.slice(row * k, k), size);
  });
  weight.setValueAttr(ssm::toResourceAttribute(
      result, (weight.getName() + ".rotated").str()));
  // It is no part of the model's file any more.
  weight.removeFileAttr();
  weight.removeOffsetAttr();
  // Whatever a row had of outliers is now everywhere: one scale is enough.
  if (precision.getInput() && size == k)
    weight->setAttr(
        ssm::kPrecisionAttr,
        ssm::PrecisionAttr::get(
            &getContext(), precision.getStorage(), precision.getGroup(),
            precision.getAsymmetric(),
            ssm::InputScalesAttr::get(&getContext(), ssm::InputScales::token)));
  linear.getXMutable().assign(rotate(linear.getX(), size));
  ++rotated;
}
