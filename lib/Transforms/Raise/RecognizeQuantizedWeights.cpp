// SPDX-License-Identifier: Apache-2.0
// A weight that a file holds in few bits arrives as the arithmetic that undoes
// it: converted to floats, less a zero point, times a scale, with transposes
// and reshapes anywhere between. Folded, it would be a matrix of floats.
//
// The arithmetic is read from its result down, and each of its three parts
// (numbers, zero points, scales) is carried up through the same movements, by
// the evaluator, until it has the weight's own shape [N, K]. There it no longer
// matters how it was written: where zero points and scales repeat along K, they
// are groups. A float32 product of the same two factors is formed later as it
// would have been here, so not one bit of the weight changes.

#include "Match.h"
#include "itera/Transforms/Raise/Passes.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <cmath>
#include <cstring>
#include <numeric>

namespace itera {
#define GEN_PASS_DEF_RECOGNIZEQUANTIZEDWEIGHTSPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;
using ssm::HostTensor;

namespace {

/// scales * (numbers - zeros), each in float32 and of the shape of the value
/// that it stands for.
struct Dequantised {
  HostTensor numbers;
  std::optional<HostTensor> zeros, scales;
};

/// The same as a layer stores it.
struct Stored {
  Value weight, scales, zeroPoints;
  IntegerAttr group;
};

} // namespace

//===----------------------------------------------------------------------===//
// Reading the arithmetic
//===----------------------------------------------------------------------===//

/// Ops that only move the elements of their first operand.
static bool isMovement(Operation *op) {
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return slice->getNumOperands() == 1;
  return isa<linalg::TransposeOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, ssm::ReverseOp>(op);
}

static bool isConversion(Operation *op) {
  return isa<arith::SIToFPOp, arith::UIToFPOp>(op);
}

/// The conversion from integers at the root of a dequantised value, or null.
static Operation *findConversion(Value value, unsigned depth = 16) {
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0 || !isa<RankedTensorType>(value.getType()) ||
      !typeOf(value).getElementType().isF32())
    return nullptr;
  if (isConversion(op))
    return op;
  if (isMovement(op) || isa<arith::SubFOp>(op))
    return findConversion(op->getOperand(0), depth - 1);
  if (!isa<arith::MulFOp>(op))
    return nullptr;
  Operation *left = findConversion(op->getOperand(0), depth - 1);
  return left ? left : findConversion(op->getOperand(1), depth - 1);
}

static std::optional<HostTensor> evaluate(Value value) {
  return ssm::Evaluator().evaluate(value);
}

/// The integers of a constant as float32, read with the sign of `conversion`.
static std::optional<HostTensor> toFloats(Value value, Operation *conversion) {
  std::optional<HostTensor> from = evaluate(value);
  if (!from || ssm::isFloat(from->kind))
    return std::nullopt;
  int64_t bits = typeOf(value).getElementTypeBitWidth();
  bool isUnsigned = isa<arith::UIToFPOp>(conversion) && bits < 64;
  char *data;
  HostTensor result = HostTensor::allocate(
      RankedTensorType::get(from->shape(),
                            Float32Type::get(value.getContext())),
      ssm::ElementKind::F32, data);
  for (int64_t i = 0, e = from->size(); i < e; ++i) {
    int64_t number = from->getInt(i);
    double real = isUnsigned ? number & ((int64_t(1) << bits) - 1) : number;
    ssm::storeFloats(ssm::ElementKind::F32, data, i, 1, &real);
  }
  return result;
}

static std::optional<Dequantised> read(Value value);

/// `part` of the operand of the movement, moved.
static std::optional<HostTensor> move(Operation *movement,
                                      const HostTensor &part) {
  ssm::Evaluator evaluator;
  evaluator.bind(movement->getOperand(0), part);
  return evaluator.evaluate(movement->getResult(0));
}

static std::optional<Dequantised> readMoved(Operation *op) {
  std::optional<Dequantised> inner = read(op->getOperand(0));
  if (!inner)
    return std::nullopt;
  Dequantised result;
  std::optional<HostTensor> numbers = move(op, inner->numbers);
  if (inner->zeros)
    result.zeros = move(op, *inner->zeros);
  if (inner->scales)
    result.scales = move(op, *inner->scales);
  if (!numbers || result.zeros.has_value() != inner->zeros.has_value() ||
      result.scales.has_value() != inner->scales.has_value())
    return std::nullopt;
  result.numbers = *numbers;
  return result;
}

static std::optional<Dequantised> readConversion(Operation *op) {
  Value integers = op->getOperand(0);
  Dequantised result;
  // A zero point that is subtracted before; the difference is a signed number.
  if (auto sub = integers.getDefiningOp<arith::SubIOp>();
      sub && isa<arith::SIToFPOp>(op)) {
    result.zeros = toFloats(sub.getRhs(), op);
    integers = sub.getLhs();
    if (!result.zeros)
      return std::nullopt;
  }
  std::optional<HostTensor> numbers = toFloats(integers, op);
  if (!numbers)
    return std::nullopt;
  result.numbers = *numbers;
  return result;
}

/// Precondition: `findConversion` finds one.
static std::optional<Dequantised> read(Value value) {
  Operation *op = value.getDefiningOp();
  if (isConversion(op))
    return readConversion(op);
  if (isMovement(op))
    return readMoved(op);
  // Zero point first, scale second: (q - z) s is not rounded as q s - z s is.
  bool isScale = isa<arith::MulFOp>(op);
  unsigned at = isScale && !findConversion(op->getOperand(0)) ? 1 : 0;
  std::optional<Dequantised> inner = read(op->getOperand(at));
  std::optional<HostTensor> other = evaluate(op->getOperand(1 - at));
  if (!inner || !other || inner->scales || (!isScale && inner->zeros))
    return std::nullopt;
  (isScale ? inner->scales : inner->zeros) = other;
  return inner;
}

//===----------------------------------------------------------------------===//
// Storing it
//===----------------------------------------------------------------------===//

/// The elements [low, high] of integers; nothing if one is no small integer.
static std::optional<std::pair<int64_t, int64_t>>
rangeOf(const HostTensor &values) {
  int64_t low = INT64_MAX, high = INT64_MIN;
  for (int64_t i = 0, e = values.size(); i < e; ++i) {
    double value = values.getFloat(i);
    if (!(std::fabs(value) <= 1024) || value != std::rint(value))
      return std::nullopt;
    low = std::min(low, static_cast<int64_t>(value));
    high = std::max(high, static_cast<int64_t>(value));
  }
  return std::make_pair(low, high);
}

namespace {
/// Bits of a stored number, and what it and its zero point are less than those
/// of the file.
struct Width {
  int64_t bits, shift;
};
} // namespace

/// The fewest bits that hold all numbers, where zero points fit in eight.
static std::optional<Width> chooseWidth(const Dequantised &w) {
  auto numbers = rangeOf(w.numbers);
  std::optional<std::pair<int64_t, int64_t>> zeros = std::make_pair(0, 0);
  if (w.zeros)
    zeros = rangeOf(*w.zeros);
  if (!numbers || !zeros)
    return std::nullopt;
  for (int64_t bits : {4, 8}) {
    std::optional<Width> chosen;
    int64_t half = int64_t(1) << (bits - 1);
    for (int64_t shift : {int64_t(0), half}) {
      auto fits = [&](std::pair<int64_t, int64_t> range, int64_t half) {
        return range.first - shift >= -half && range.second - shift < half;
      };
      // Rather the one that needs no zero points.
      bool needsNone = zeros->first == shift && zeros->second == shift;
      if (fits(*numbers, half) && fits(*zeros, 128) && (!chosen || needsNone))
        chosen = Width{bits, shift};
    }
    if (chosen)
      return chosen;
  }
  return std::nullopt;
}

/// The longest run of elements along K after which a scale or zero point may
/// change: K, or a multiple of eight, or nothing.
static std::optional<int64_t> findGroup(const Dequantised &w) {
  int64_t n = w.numbers.shape()[0], k = w.numbers.shape()[1], step = 0;
  for (const std::optional<HostTensor> *part : {&w.zeros, &w.scales}) {
    if (!*part)
      continue;
    const char *data = (*part)->bytes.data();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 1; j < k; ++j) {
        const char *at = data + (i * k + j) * sizeof(float);
        if (std::memcmp(at, at - sizeof(float), sizeof(float)))
          step = std::gcd(step, j);
      }
  }
  if (step == 0)
    return k;
  return step % 8 == 0 ? std::optional(step) : std::nullopt;
}

/// The elements of `part` at the beginnings of the groups, [N, G].
static HostTensor takeGroups(const HostTensor &part, int64_t group) {
  int64_t n = part.shape()[0], k = part.shape()[1];
  int64_t groups = llvm::divideCeil(k, group);
  char *data;
  HostTensor result =
      HostTensor::allocate(part.type.clone({n, groups}), part.kind, data);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t g = 0; g < groups; ++g)
      std::memcpy(data + (i * groups + g) * sizeof(float),
                  part.bytes.data() + (i * k + g * group) * sizeof(float),
                  sizeof(float));
  return result;
}

static HostTensor toIntegers(const HostTensor &values, int64_t bits,
                             int64_t shift) {
  char *data;
  HostTensor result = HostTensor::allocate(
      RankedTensorType::get(values.shape(),
                            IntegerType::get(values.type.getContext(), bits)),
      ssm::ElementKind::I8, data);
  for (int64_t i = 0, e = values.size(); i < e; ++i)
    data[i] = static_cast<char>(values.getInt(i) - shift);
  return result;
}

static HostTensor filled(RankedTensorType type, ssm::ElementKind kind,
                         double value) {
  char *data;
  HostTensor result = HostTensor::allocate(type, kind, data);
  std::vector<double> values(type.getNumElements(), value);
  ssm::storeFloats(kind, data, 0, values.size(), values.data());
  return result;
}

/// The name of the weight that the conversion reads.
static std::string nameOf(Operation *conversion) {
  Value value = conversion->getOperand(0);
  while (Operation *op = value.getDefiningOp()) {
    if (auto weight = dyn_cast<ssm::WeightOp>(op))
      return weight.getName().str();
    if (op->getNumOperands() == 0)
      break;
    value = op->getOperand(0);
  }
  return "weight";
}

static std::optional<Stored> store(Value weight) {
  Operation *conversion = findConversion(weight);
  if (!conversion || rankOf(weight) != 2)
    return std::nullopt;
  std::optional<Dequantised> w = read(weight);
  if (!w || w->numbers.size() == 0)
    return std::nullopt;
  std::optional<Width> width = chooseWidth(*w);
  std::optional<int64_t> group = findGroup(*w);
  if (!width || !group)
    return std::nullopt;
  int64_t groups = llvm::divideCeil(w->numbers.shape()[1], *group);
  auto perGroup = w->numbers.type.clone({w->numbers.shape()[0], groups});
  HostTensor scales = w->scales
                          ? takeGroups(*w->scales, *group)
                          : filled(perGroup, ssm::ElementKind::F32, 1);
  for (int64_t i = 0, e = scales.size(); i < e; ++i)
    if (!std::isfinite(scales.getFloat(i)))
      return std::nullopt;
  HostTensor zeros =
      toIntegers(w->zeros ? takeGroups(*w->zeros, *group)
                          : filled(perGroup, ssm::ElementKind::F32, 0),
                 8, width->shift);

  OpBuilder builder(weight.getContext());
  builder.setInsertionPointAfterValue(weight);
  std::string name = nameOf(conversion);
  auto build = [&](const HostTensor &value, StringRef suffix) {
    return ssm::buildConstant(builder, weight.getLoc(), value,
                              (name + suffix).str());
  };
  Stored stored;
  stored.weight =
      build(toIntegers(w->numbers, width->bits, width->shift), ".integers");
  stored.scales = build(scales, ".scales");
  if (llvm::any_of(zeros.bytes, [](char zero) { return zero != 0; }))
    stored.zeroPoints = build(zeros, ".zero_points");
  if (groups > 1)
    stored.group = builder.getI64IntegerAttr(*group);
  return stored;
}

namespace {
struct RecognizeQuantizedWeightsPass
    : itera::impl::RecognizeQuantizedWeightsPassBase<
          RecognizeQuantizedWeightsPass> {
  void runOnOperation() override {
    known.clear();
    visitAndClean(getOperation(), [&](Operation *op) {
      if (auto linear = dyn_cast<ssm::LinearOp>(op)) {
        if (linear.isQuantized() || linear.getPacked() ||
            !linear.getX().getType().getElementType().isF32())
          return;
        if (std::optional<Stored> w = find(linear.getWeight())) {
          OpBuilder builder(op);
          replace(op, ssm::LinearOp::create(
                          builder, op->getLoc(), linear.getType(),
                          linear.getX(), w->weight, w->scales, w->zeroPoints,
                          linear.getBias(), w->group, /*int8_input=*/nullptr,
                          /*packed=*/nullptr));
        }
      } else if (auto embedding = dyn_cast<ssm::EmbeddingOp>(op)) {
        if (embedding.isQuantized() || embedding.getPacked())
          return;
        if (std::optional<Stored> w = find(embedding.getTable())) {
          OpBuilder builder(op);
          replace(op, ssm::EmbeddingOp::create(
                          builder, op->getLoc(), embedding.getType(),
                          embedding.getIndices(), w->weight, w->scales,
                          w->zeroPoints, w->group, /*rows=*/nullptr,
                          /*packed=*/nullptr));
        }
      }
    });
    known.clear();
  }

private:
  std::optional<Stored> find(Value weight) {
    auto [entry, isNew] = known.try_emplace(weight);
    if (isNew)
      entry->second = store(weight);
    return entry->second;
  }
  void replace(Operation *op, Operation *by) {
    op->replaceAllUsesWith(by);
    ++numRaised;
  }

  llvm::DenseMap<Value, std::optional<Stored>> known;
};
} // namespace
