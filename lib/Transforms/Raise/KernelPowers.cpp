// SPDX-License-Identifier: Apache-2.0

#include "KernelPowers.h"

#include "Match.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Ops that are looked at above a kernel.
static constexpr size_t kMostOps = 512;
/// How far from the file's kernel the sum of powers may be, relative to its
/// largest entry: what rounding the arguments of cosines to floats makes.
static constexpr double kTolerance = 1e-4;

namespace {

/// One sum over terms in a kernel: of a value, or of a product of two. Each has
/// its dimensions as strides of channels, term and frame.
struct Sum {
  struct Part {
    Value value;
    /// For each dimension: 'd', 'n' or 't'.
    std::string roles;
  };
  double scale;
  SmallVector<Part> parts;
  int64_t terms;
};

class PowerFinder {
public:
  PowerFinder(int64_t channels, int64_t frames, ssm::Evaluator &evaluator)
      : channels(channels), frames(frames), evaluator(evaluator) {}
  std::optional<KernelPowers> find(Value kernel);

private:
  bool collect(Value value, double scale);
  bool addReduce(Value value, linalg::ReduceOp reduce, double scale);
  bool addContract(linalg::ContractOp contract, double scale);
  std::optional<std::vector<double>> numbersOf(const Sum::Part &part);
  bool readSlopes(Value kernel);
  bool readSlope(Value argument, std::vector<double> &slopes);

  int64_t channels, frames, terms = 0;
  ssm::Evaluator &evaluator;
  SmallVector<Sum> sums;
  /// Per channel and term: what exponentials and cosines are of, per frame.
  std::vector<double> decay, angle;
};

} // namespace

/// The sums that are added up to `value`.
bool PowerFinder::collect(Value value, double scale) {
  value = skipReshapes(value);
  Operation *op = value.getDefiningOp();
  if (!op || sums.size() > 8)
    return false;
  if (isa<arith::NegFOp>(op))
    return collect(op->getOperand(0), -scale);
  if (isa<arith::AddFOp, arith::SubFOp>(op))
    return collect(op->getOperand(0), scale) &&
           collect(op->getOperand(1), isa<arith::SubFOp>(op) ? -scale : scale);
  if (isa<arith::MulFOp, arith::DivFOp>(op))
    for (unsigned k : {1u, 0u})
      if (std::optional<double> factor = matchSplat(op->getOperand(k));
          factor && (k == 1 || isa<arith::MulFOp>(op)))
        return collect(op->getOperand(1 - k), isa<arith::MulFOp>(op)
                                                  ? scale * *factor
                                                  : scale / *factor);
  if (auto reduce = dyn_cast<linalg::ReduceOp>(op))
    return addReduce(value, reduce, scale);
  if (auto contract = dyn_cast<linalg::ContractOp>(op))
    return addContract(contract, scale);
  return false;
}

bool PowerFinder::addReduce(Value value, linalg::ReduceOp reduce,
                            double scale) {
  ArrayRef<int64_t> dims = reduce.getDimensions();
  Value source = matchSum(value, dims);
  if (!source || dims.size() != 1)
    return false;
  Sum::Part part = {source, std::string(rankOf(source), 'd')};
  part.roles[dims[0]] = 'n';
  // Time is the last of the others.
  int64_t last = dims[0] == rankOf(source) - 1 ? rankOf(source) - 2
                                               : rankOf(source) - 1;
  if (last < 0 || shapeOf(source)[last] != frames)
    return false;
  part.roles[last] = 't';
  sums.push_back({scale, {part}, shapeOf(source)[dims[0]]});
  return true;
}

bool PowerFinder::addContract(linalg::ContractOp contract, double scale) {
  if (!isZero(contract.getDpsInits()[0]))
    return false;
  SmallVector<AffineMap> maps = contract.getIndexingMapsArray();
  SmallVector<int64_t> ranges = contract.getStaticLoopRanges();
  std::string roles(ranges.size(), 'n');
  for (AffineExpr expr : maps[2].getResults())
    roles[cast<AffineDimExpr>(expr).getPosition()] = 'd';
  if (llvm::count(roles, 'n') != 1 || maps[2].getNumResults() == 0)
    return false;
  unsigned last = cast<AffineDimExpr>(maps[2].getResults().back()).getPosition();
  if (ranges[last] != frames)
    return false;
  roles[last] = 't';
  Sum sum = {scale, {}, ranges[roles.find('n')]};
  for (unsigned k : {0u, 1u}) {
    Sum::Part part = {contract.getInputs()[k], ""};
    for (AffineExpr expr : maps[k].getResults())
      part.roles += roles[cast<AffineDimExpr>(expr).getPosition()];
    sum.parts.push_back(part);
  }
  sums.push_back(sum);
  return true;
}

/// The numbers of a part as [channels, terms, frames]; what it does not have it
/// repeats.
std::optional<std::vector<double>>
PowerFinder::numbersOf(const Sum::Part &part) {
  std::optional<ssm::HostTensor> data = evaluator.evaluate(part.value);
  if (!data)
    return std::nullopt;
  std::vector<double> all(data->size());
  ssm::loadFloats(*data, 0, all.size(), all.data());
  SmallVector<int64_t> strides = ssm::getRowMajorStrides(data->shape());
  int64_t ownChannels = 1;
  for (auto [role, size] : llvm::zip(part.roles, data->shape()))
    ownChannels *= role == 'd' ? size : 1;
  if (ownChannels != channels && ownChannels != 1)
    return std::nullopt;
  std::vector<double> result(channels * terms * frames);
  for (int64_t d = 0; d < channels; ++d) {
    int64_t base = 0, rest = ownChannels == 1 ? 0 : d, n = 0, t = 0;
    for (int64_t i = int64_t(part.roles.size()) - 1; i >= 0; --i) {
      if (part.roles[i] == 'd') {
        base += rest % data->shape()[i] * strides[i];
        rest /= data->shape()[i];
      } else {
        (part.roles[i] == 'n' ? n : t) = strides[i];
      }
    }
    for (int64_t i = 0; i < terms; ++i)
      for (int64_t j = 0; j < frames; ++j)
        result[(d * terms + i) * frames + j] = all[base + i * n + j * t];
  }
  return result;
}

/// By how much an argument grows from frame to frame, if it begins at zero and
/// grows by the same each time.
bool PowerFinder::readSlope(Value argument, std::vector<double> &slopes) {
  // It has the dimensions of one of the parts that have time.
  for (const Sum &sum : sums)
    for (const Sum::Part &part : sum.parts) {
      if (part.roles.find('t') == std::string::npos ||
          shapeOf(part.value) != shapeOf(argument))
        continue;
      std::optional<std::vector<double>> numbers =
          numbersOf({argument, part.roles});
      if (!numbers)
        return false;
      std::vector<double> found(channels * terms);
      for (int64_t row = 0; row < channels * terms; ++row) {
        const double *at = numbers->data() + row * frames;
        double products = 0, squares = 0, largest = 0;
        for (int64_t t = 0; t < frames; ++t) {
          products += t * at[t];
          squares += double(t) * t;
          largest = std::max(largest, std::abs(at[t]));
        }
        found[row] = products / squares;
        for (int64_t t = 0; t < frames; ++t)
          if (std::abs(at[t] - found[row] * t) > 1e-6 * (1e-3 + largest))
            return false;
      }
      slopes = found;
      return true;
    }
  return false;
}

/// Slopes of the first exponential, and of the first cosine or sine, that have
/// one.
bool PowerFinder::readSlopes(Value kernel) {
  llvm::SetVector<Operation *> above;
  above.insert(kernel.getDefiningOp());
  for (size_t i = 0; i < above.size() && above.size() < kMostOps; ++i)
    for (Value operand : above[i]->getOperands())
      if (Operation *op = operand.getDefiningOp())
        above.insert(op);
  for (Operation *op : above) {
    if (isa<math::ExpOp>(op) && decay.empty())
      readSlope(op->getOperand(0), decay);
    if (isa<math::CosOp, math::SinOp>(op) && angle.empty())
      readSlope(op->getOperand(0), angle);
  }
  return !decay.empty() || !angle.empty();
}

/// c of Re(c * p^t), by least squares.
static std::complex<double> fit(const double *values, int64_t frames,
                                std::complex<double> power) {
  double aa = 0, ab = 0, bb = 0, av = 0, bv = 0;
  std::complex<double> now = 1;
  for (int64_t t = 0; t < frames; ++t, now *= power) {
    double a = now.real(), b = -now.imag();
    aa += a * a;
    ab += a * b;
    bb += b * b;
    av += a * values[t];
    bv += b * values[t];
  }
  double determinant = aa * bb - ab * ab;
  if (determinant <= 1e-12 * aa * bb || bb == 0)
    return aa == 0 ? 0 : av / aa;
  return {(av * bb - bv * ab) / determinant, (bv * aa - av * ab) / determinant};
}

std::optional<KernelPowers> PowerFinder::find(Value kernel) {
  if (!collect(kernel, 1) || sums.empty())
    return std::nullopt;
  terms = sums[0].terms;
  if (!llvm::all_of(sums, [&](const Sum &sum) { return sum.terms == terms; }) ||
      !readSlopes(kernel))
    return std::nullopt;
  std::vector<double> all(channels * terms * frames);
  for (const Sum &sum : sums) {
    std::vector<double> product(all.size(), sum.scale);
    for (const Sum::Part &part : sum.parts) {
      std::optional<std::vector<double>> numbers = numbersOf(part);
      if (!numbers)
        return std::nullopt;
      for (size_t i = 0; i < all.size(); ++i)
        product[i] *= (*numbers)[i];
    }
    for (size_t i = 0; i < all.size(); ++i)
      all[i] += product[i];
  }
  KernelPowers found;
  found.channels = channels;
  found.terms = terms;
  found.isReal = angle.empty();
  std::optional<ssm::HostTensor> exact = evaluator.evaluate(kernel);
  if (!exact)
    return std::nullopt;
  for (int64_t d = 0; d < channels; ++d) {
    std::vector<double> sum(frames);
    for (int64_t n = 0; n < terms; ++n) {
      int64_t row = d * terms + n;
      std::complex<double> power =
          std::polar(decay.empty() ? 1.0 : std::exp(decay[row]),
                     angle.empty() ? 0.0 : angle[row]);
      std::complex<double> c = fit(all.data() + row * frames, frames, power);
      found.powers.push_back(power);
      found.coefficients.push_back(c);
      std::complex<double> now = c;
      for (int64_t t = 0; t < frames; ++t, now *= power)
        sum[t] += now.real();
    }
    double largest = 0, difference = 0;
    for (int64_t t = 0; t < frames; ++t) {
      double value = exact->getFloat(d * frames + t);
      largest = std::max(largest, std::abs(value));
      difference = std::max(difference, std::abs(value - sum[t]));
    }
    if (!(difference <= kTolerance * largest))
      return std::nullopt;
  }
  return found;
}

std::optional<KernelPowers> itera::raise::findPowers(Value kernel,
                                                     int64_t channels,
                                                     int64_t frames,
                                                     ssm::Evaluator &evaluator) {
  return PowerFinder(channels, frames, evaluator).find(kernel);
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

Value itera::raise::buildPowers(OpBuilder &builder, Location loc, Value x,
                                const KernelPowers &powers) {
  ImplicitLocOpBuilder b(loc, builder);
  RankedTensorType xType = typeOf(x);
  int64_t batch = xType.getDimSize(0), frames = xType.getDimSize(2);
  Type element = xType.getElementType();
  auto state = RankedTensorType::get({batch, powers.channels, powers.terms},
                                     element);
  // One number per channel and term, for all rows of the batch.
  auto constant = [&](const std::vector<std::complex<double>> &numbers,
                      bool imaginary, StringRef name) -> Value {
    auto type = RankedTensorType::get({powers.channels, powers.terms}, element);
    char *data;
    auto host =
        ssm::HostTensor::allocate(type, *ssm::getElementKind(element), data);
    std::vector<double> values;
    for (std::complex<double> value : numbers)
      values.push_back(imaginary ? value.imag() : value.real());
    ssm::storeFloats(host.kind, data, 0, values.size(), values.data());
    Value whole = ssm::buildConstant(b, loc, host, name);
    Value empty = tensor::EmptyOp::create(b, state.getShape(), element);
    return linalg::BroadcastOp::create(b, whole, empty, ArrayRef<int64_t>{0})
        ->getResult(0);
  };
  SmallVector<Value> power{constant(powers.powers, false, "power")},
      coefficient{constant(powers.coefficients, false, "coefficient")};
  if (!powers.isReal) {
    power.push_back(constant(powers.powers, true, "power.imaginary"));
    coefficient.push_back(
        constant(powers.coefficients, true, "coefficient.imaginary"));
  }
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(state));
  SmallVector<Value> inits(power.size(), zero);
  SmallVector<Type> types(power.size(), state);
  auto row = RankedTensorType::get({batch, powers.channels}, element);
  types.push_back(xType);
  auto scan = ssm::ScanOp::create(b, types, inits, ValueRange(x), frames,
                                  ArrayRef<int64_t>{2}, ArrayRef<int64_t>{2},
                                  false);
  Block *body = b.createBlock(&scan.getBody());
  for (size_t i = 0; i < inits.size(); ++i)
    body->addArgument(state, loc);
  body->addArgument(row, loc);
  auto mul = [&](Value left, Value right) -> Value {
    return arith::MulFOp::create(b, left, right);
  };
  Value empty = tensor::EmptyOp::create(b, state.getShape(), element);
  Value input = linalg::BroadcastOp::create(b, body->getArguments().back(),
                                            empty, ArrayRef<int64_t>{2})
                    ->getResult(0);
  SmallVector<Value> next;
  Value real = body->getArgument(0), decayed = mul(power[0], real);
  if (powers.isReal) {
    next.push_back(arith::AddFOp::create(b, decayed, input));
  } else {
    Value imaginary = body->getArgument(1);
    decayed = arith::SubFOp::create(b, decayed, mul(power[1], imaginary));
    next.push_back(arith::AddFOp::create(b, decayed, input));
    next.push_back(arith::AddFOp::create(b, mul(power[0], imaginary),
                                         mul(power[1], real)));
  }
  Value read = mul(coefficient[0], next[0]);
  if (!powers.isReal)
    read = arith::SubFOp::create(b, read, mul(coefficient[1], next[1]));
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(element));
  Value sums = linalg::FillOp::create(
                   b, none,
                   tensor::EmptyOp::create(b, row.getShape(), element)
                       .getResult())
                   .getResult(0);
  Value y = linalg::ReduceOp::create(
                b, ValueRange(read), ValueRange(sums), ArrayRef<int64_t>{2},
                [](OpBuilder &inner, Location at, ValueRange v) {
                  Value sum = arith::AddFOp::create(inner, at, v[0], v[1]);
                  linalg::YieldOp::create(inner, at, sum);
                })
                .getResult(0);
  next.push_back(y);
  ssm::YieldOp::create(b, next);
  builder.setInsertionPointAfter(scan);
  return scan.getResults().back();
}
