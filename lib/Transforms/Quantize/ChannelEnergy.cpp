// SPDX-License-Identifier: Apache-2.0

#include "ChannelEnergy.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace itera;

/// Ops that a channel is followed through to what writes it.
static constexpr unsigned kMaxDepth = 64;

static double silu(double x) { return x / (1 + std::exp(-x)); }

static double softplus(double x) {
  return x > 30 ? x : std::log1p(std::exp(x));
}

/// f of a normal distribution, by Gauss-Hermite quadrature.
static Moments throughFunction(Moments in, llvm::function_ref<double(double)> f) {
  static constexpr double kNodes[] = {-2.8569700138728, -1.3556261799743, 0,
                                      1.3556261799743, 2.8569700138728};
  static constexpr double kWeights[] = {0.011257411327721, 0.222075922005613,
                                        0.533333333333333, 0.222075922005613,
                                        0.011257411327721};
  double mean = 0, energy = 0, deviation = std::sqrt(in.variance);
  for (auto [node, weight] : llvm::zip_equal(kNodes, kWeights)) {
    double y = f(in.mean + deviation * node);
    mean += weight * y;
    energy += weight * y * y;
  }
  return {mean, std::max(0.0, energy - mean * mean)};
}

ArrayRef<Moments> ChannelEnergy::constantAt(Value value, unsigned dim) {
  Key key{value.getAsOpaquePointer(), dim};
  if (auto it = constants.find(key); it != constants.end())
    return it->second;
  std::vector<Moments> moments;
  if (std::optional<ssm::HostTensor> data = evaluator.evaluate(value)) {
    int64_t size = data->shape()[dim], inner = 1;
    for (int64_t extent : data->shape().drop_front(dim + 1))
      inner *= extent;
    std::vector<double> sums(size), squares(size);
    for (int64_t i = 0; i < data->size(); ++i) {
      double x = ssm::isFloat(data->kind) ? data->getFloat(i) : data->getInt(i);
      sums[i / inner % size] += x;
      squares[i / inner % size] += x * x;
    }
    double count = double(data->size()) / size;
    for (auto [sum, square] : llvm::zip_equal(sums, squares)) {
      double mean = sum / count;
      moments.push_back({mean, std::max(0.0, square / count - mean * mean)});
    }
    evaluator.forget(value);
  }
  return constants[key] = std::move(moments);
}

/// The sums of squares of a weight, over what is not `dim`: of rows (0) those
/// that go into each output feature, weighted by the scale of a norm in front.
ArrayRef<double> ChannelEnergy::linearEnergies(ssm::LinearOp linear,
                                               unsigned dim) {
  Key key{linear.getOperation(), dim};
  if (auto it = energies.find(key); it != energies.end())
    return it->second;
  std::vector<double> sums;
  std::optional<ssm::HostTensor> scales, zeros,
      weight = evaluator.evaluate(linear.getWeight());
  if (linear.getScales())
    scales = evaluator.evaluate(linear.getScales());
  if (linear.getZeroPoints())
    zeros = evaluator.evaluate(linear.getZeroPoints());
  if (weight && linear.isQuantized() == scales.has_value() &&
      bool(linear.getZeroPoints()) == zeros.has_value()) {
    int64_t groups = scales ? scales->shape()[1] : 1;
    int64_t rows = weight->shape()[0], columns = weight->shape()[1];
    std::vector<double> gains(columns, 1.0), row(columns);
    auto norm = linear.getX().getDefiningOp<ssm::NormOp>();
    if (dim == 0 && norm && norm.getScale())
      for (auto [gain, scale] : llvm::zip(gains, constantAt(norm.getScale(), 0)))
        gain = scale.energy();
    sums.resize(dim == 0 ? rows : columns);
    for (int64_t n = 0; n < rows; ++n) {
      ssm::loadFloats(*weight, n * columns, columns, row.data());
      for (int64_t k = 0; scales && k < columns; ++k) {
        int64_t g = n * groups + k / linear.getGroupSize();
        row[k] = scales->getFloat(g) * (row[k] - (zeros ? zeros->getInt(g) : 0));
      }
      for (int64_t k = 0; k < columns; ++k)
        sums[dim == 0 ? n : k] += row[k] * row[k] * gains[k];
    }
    evaluator.forget(linear.getWeight());
  }
  return energies[key] = std::move(sums);
}

ArrayRef<double> ChannelEnergy::columnEnergies(ssm::LinearOp linear) {
  return linearEnergies(linear, 1);
}

Moments ChannelEnergy::visit(ssm::LinearOp linear, unsigned dim,
                             int64_t index) {
  if (dim + 1 != unsigned(cast<RankedTensorType>(linear.getType()).getRank()))
    return {};
  ArrayRef<double> rows = linearEnergies(linear, 0);
  Moments result{0, rows.empty() ? 1.0 : rows[index]};
  if (linear.getBias())
    if (ArrayRef<Moments> bias = constantAt(linear.getBias(), 0); !bias.empty())
      result.mean = bias[index].mean;
  return result;
}

Moments ChannelEnergy::visit(ssm::CausalConv1dOp conv, unsigned dim,
                             int64_t index) {
  Moments result = at(conv.getX(), dim, index);
  if (dim != 2)
    return result;
  if (ArrayRef<Moments> taps = constantAt(conv.getWeight(), 0); !taps.empty()) {
    int64_t count =
        cast<RankedTensorType>(conv.getWeight().getType()).getDimSize(1);
    result.mean *= taps[index].mean * count;
    result.variance *= taps[index].energy() * count;
  }
  if (conv.getBias())
    if (ArrayRef<Moments> bias = constantAt(conv.getBias(), 0); !bias.empty())
      result.mean += bias[index].mean;
  return conv.getActivation() == ssm::Activation::silu
             ? throughFunction(result, silu)
             : result;
}

/// Each state adds up dt x_t with a decay a = exp(dt A); over T steps of white
/// noise that has the energy dt^2 (1 + a^2 + ... + a^(2(T-1))). B and C are
/// unknown: of unit energy.
Moments ChannelEnergy::visit(ssm::SelectiveScanOp scan, unsigned dim,
                             int64_t index) {
  Moments x = at(scan.getX(), dim, index);
  if (dim != 2)
    return x;
  auto shape = cast<RankedTensorType>(scan.getInit().getType()).getShape();
  double steps = cast<RankedTensorType>(scan.getX().getType()).getDimSize(1);
  double dt = std::max(0.0, at(scan.getDt(), 2, index).mean), gain = 0;
  if (ArrayRef<Moments> decay = constantAt(scan.getA(), 0); !decay.empty()) {
    double square = std::exp(2 * dt * decay[index].mean);
    double terms = std::abs(1 - square) < 1e-9
                       ? steps
                       : (1 - std::pow(square, steps)) / (1 - square);
    gain = shape[2] * dt * dt * terms;
  }
  if (scan.getD())
    if (ArrayRef<Moments> skip = constantAt(scan.getD(), 0); !skip.empty())
      gain += skip[index].energy();
  double energy = x.energy() * gain;
  if (scan.getZ())
    energy *= throughFunction(at(scan.getZ(), 2, index), silu).energy();
  return {0, energy};
}

/// Up to a factor that all channels share.
Moments ChannelEnergy::visitNorm(ssm::NormOp norm, unsigned dim,
                                 int64_t index) {
  Moments result = at(norm.getX(), dim, index);
  if (!norm.getScale() ||
      dim + 1 != unsigned(cast<RankedTensorType>(norm.getType()).getRank()))
    return result;
  if (ArrayRef<Moments> scale = constantAt(norm.getScale(), 0); !scale.empty()) {
    result.mean *= scale[index].mean;
    result.variance *= scale[index].energy();
  }
  return result;
}

Moments ChannelEnergy::elementwise(Operation *op, unsigned dim,
                                   int64_t index) {
  auto operand = [&](unsigned i) { return at(op->getOperand(i), dim, index); };
  return llvm::TypeSwitch<Operation *, Moments>(op)
      .Case([&](arith::AddFOp) {
        Moments a = operand(0), b = operand(1);
        return Moments{a.mean + b.mean, a.variance + b.variance};
      })
      .Case([&](arith::SubFOp) {
        Moments a = operand(0), b = operand(1);
        return Moments{a.mean - b.mean, a.variance + b.variance};
      })
      .Case([&](arith::MulFOp) {
        Moments a = operand(0), b = operand(1);
        double mean = a.mean * b.mean;
        return Moments{mean, a.energy() * b.energy() - mean * mean};
      })
      .Case([&](ssm::SiluOp) { return throughFunction(operand(0), silu); })
      .Case(
          [&](ssm::SoftplusOp) { return throughFunction(operand(0), softplus); })
      .Case([&](ssm::SigmoidOp) {
        return throughFunction(operand(0),
                               [](double x) { return 1 / (1 + std::exp(-x)); });
      })
      .Case([&](math::ExpOp) {
        return throughFunction(
            operand(0), [](double x) { return std::exp(std::min(x, 30.0)); });
      })
      .Default([&](Operation *) {
        // Clamps and casts change little.
        return isa<RankedTensorType>(op->getOperand(0).getType()) ? operand(0)
                                                                  : Moments{};
      });
}

Moments ChannelEnergy::compute(Value value, unsigned dim, int64_t index) {
  Operation *op = value.getDefiningOp();
  if (!op || depth > kMaxDepth)
    return {};
  if (isCuttableConstant(value)) {
    ArrayRef<Moments> moments = constantAt(value, dim);
    return moments.empty() ? Moments{} : moments[index];
  }
  // The dimension of a reshape's other side that has index / block.
  auto reshaped = [&](Value from, ArrayRef<ReassociationIndices> groups,
                      bool expands) -> Moments {
    auto type = cast<RankedTensorType>(from.getType());
    int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(dim);
    for (auto [collapsed, group] : llvm::enumerate(groups)) {
      if (expands ? !llvm::is_contained(group, dim) : collapsed != dim)
        continue;
      if (expands)
        return at(from, collapsed,
                  index * (type.getDimSize(collapsed) / size));
      for (int64_t inner : group)
        if (type.getDimSize(inner) != 1)
          return at(from, inner, index / (size / type.getDimSize(inner)));
    }
    return {};
  };
  return llvm::TypeSwitch<Operation *, Moments>(op)
      .Case<ssm::LinearOp, ssm::CausalConv1dOp, ssm::SelectiveScanOp>(
          [&](auto layer) { return visit(layer, dim, index); })
      .Case([&](ssm::NormOp norm) { return visitNorm(norm, dim, index); })
      .Case([&](ssm::ReverseOp reverse) {
        return at(reverse.getX(), dim, index);
      })
      .Case([&](tensor::ExtractSliceOp slice) -> Moments {
        unsigned result = 0;
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        for (unsigned from = 0; from < dropped.size(); ++from)
          if (!dropped.test(from) && result++ == dim)
            return at(slice.getSource(), from,
                      slice.getStaticOffset(from) + index);
        return {};
      })
      .Case([&](tensor::ConcatOp concat) -> Moments {
        int64_t at0 = index;
        for (Value part : concat.getInputs()) {
          int64_t size = cast<RankedTensorType>(part.getType()).getDimSize(dim);
          if (dim != concat.getDim() || at0 < size)
            return at(part, dim, at0);
          at0 -= size;
        }
        return {};
      })
      .Case([&](tensor::CollapseShapeOp reshape) {
        return reshaped(reshape.getSrc(), reshape.getReassociationIndices(),
                        false);
      })
      .Case([&](tensor::ExpandShapeOp reshape) {
        return reshaped(reshape.getSrc(), reshape.getReassociationIndices(),
                        true);
      })
      .Case([&](linalg::BroadcastOp broadcast) -> Moments {
        if (llvm::is_contained(broadcast.getDimensions(), int64_t(dim)))
          return {};
        unsigned from = dim - llvm::count_if(broadcast.getDimensions(),
                                             [&](int64_t added) {
                                               return added < int64_t(dim);
                                             });
        return at(broadcast.getInput(), from, index);
      })
      .Case([&](linalg::TransposeOp transpose) {
        return at(transpose.getInput(), transpose.getPermutation()[dim], index);
      })
      .Default([&](Operation *) {
        return op->hasTrait<OpTrait::Elementwise>() && op->getNumOperands() > 0
                   ? elementwise(op, dim, index)
                   : Moments{};
      });
}

Moments ChannelEnergy::at(Value value, unsigned dim, int64_t index) {
  Key key{value.getAsOpaquePointer(), dim};
  std::vector<std::optional<Moments>> &slot = known[key];
  if (slot.empty())
    slot.resize(cast<RankedTensorType>(value.getType()).getDimSize(dim));
  if (slot[index])
    return *slot[index];
  ++depth;
  Moments result = compute(value, dim, index);
  --depth;
  // `known` may have grown since.
  return *(known[key][index] = result);
}
