// SPDX-License-Identifier: Apache-2.0
// Ops that combine elements. Sums run in double and are rounded once.

#include "EvaluateImpl.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace itera;
using namespace itera::ssm;
using namespace ssm::detail;

using Dims = ArrayRef<int64_t>;

/// Steps `index` to the next position of `shape`, row-major.
static void advance(SmallVectorImpl<int64_t> &index, Dims shape) {
  for (int64_t d = shape.size() - 1; d >= 0; --d) {
    if (++index[d] < shape[d])
      return;
    index[d] = 0;
  }
}

static int64_t dot(Dims a, Dims b) {
  int64_t sum = 0;
  for (auto [x, y] : llvm::zip(a, b))
    sum += x * y;
  return sum;
}

static std::vector<double> toDoubles(const HostTensor &t) {
  std::vector<double> values(t.size());
  loadFloats(t, 0, t.size(), values.data());
  return values;
}

static std::vector<int64_t> toInts(const HostTensor &t) {
  std::vector<int64_t> values(t.size());
  loadInts(t, 0, t.size(), values.data());
  return values;
}

template <typename T>
static std::vector<T> load(const HostTensor &t) {
  if constexpr (std::is_same_v<T, double>)
    return toDoubles(t);
  else
    return toInts(t);
}

/// Adds a result that holds `values`.
template <typename T>
static bool finish(Evaluation &e, const std::vector<T> &values) {
  size_t number = e.results.size();
  char *data = e.addResult();
  if constexpr (std::is_same_v<T, double>)
    storeFloats(e.results[number].kind, data, 0, values.size(), values.data());
  else
    storeInts(e.results[number].kind, data, 0, values.size(), values.data());
  return true;
}

static double plus(double a, double b) { return a + b; }
static double times(double a, double b) { return a * b; }

/// Integers wrap around, as they do in a compiled model.
static int64_t plus(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) + static_cast<uint64_t>(b);
}
static int64_t times(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) * static_cast<uint64_t>(b);
}

/// The name of the one op that combines the two arguments of a reduction.
static StringRef getCombiner(linalg::ReduceOp op) {
  Block &body = op.getCombiner().front();
  if (op.getInputs().size() != 1 || body.getOperations().size() != 2)
    return {};
  Operation &inner = body.front();
  if (inner.getNumOperands() != 2 || inner.getNumResults() != 1 ||
      body.getTerminator()->getOperand(0) != inner.getResult(0) ||
      !llvm::all_of(inner.getOperands(), llvm::IsaPred<BlockArgument>) ||
      inner.getOperand(0) == inner.getOperand(1))
    return {};
  return inner.getName().getStringRef();
}

template <typename T>
static bool reduce(Evaluation &e, linalg::ReduceOp op) {
  StringRef name = getCombiner(op);
  const HostTensor &in = e.operands[0];
  std::vector<T> values = load<T>(in), result = load<T>(e.operands[1]);
  // Strides of the result per input dimension; a reduced one does not move.
  SmallVector<int64_t> inner = getRowMajorStrides(e.operands[1].shape());
  SmallVector<int64_t> strides, index(in.shape().size(), 0);
  int64_t next = 0;
  for (int64_t d = 0; d < in.type.getRank(); ++d)
    strides.push_back(
        llvm::is_contained(op.getDimensions(), d) ? 0 : inner[next++]);
  for (T value : values) {
    T &to = result[dot(index, strides)];
    if (name == "arith.addf" || name == "arith.addi")
      to = plus(to, value);
    else if (!combine(name, to, value, to))
      return false;
    advance(index, in.shape());
  }
  return finish(e, result);
}

template <typename T>
static bool contract(Evaluation &e, linalg::ContractOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  int64_t loops = maps[0].getNumDims();
  // Sizes of the loops, and each operand's stride per loop.
  SmallVector<int64_t> sizes(loops, 1);
  SmallVector<SmallVector<int64_t>> strides(3, SmallVector<int64_t>(loops, 0));
  for (auto [k, operand] : llvm::enumerate(e.operands)) {
    SmallVector<int64_t> own = getRowMajorStrides(operand.shape());
    for (auto [d, expr] : llvm::enumerate(maps[k].getResults())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop)
        return false;
      sizes[loop.getPosition()] = operand.shape()[d];
      strides[k][loop.getPosition()] += own[d];
    }
  }
  int64_t total = 1;
  for (int64_t size : sizes)
    if (llvm::MulOverflow(total, size, total) || total > (int64_t(1) << 32))
      return false;
  std::vector<T> a = load<T>(e.operands[0]), b = load<T>(e.operands[1]),
                 c = load<T>(e.operands[2]);
  SmallVector<int64_t> index(loops, 0);
  for (int64_t i = 0; i < total; ++i) {
    T &to = c[dot(index, strides[2])];
    to = plus(to, times(a[dot(index, strides[0])], b[dot(index, strides[1])]));
    advance(index, sizes);
  }
  return finish(e, c);
}

/// Calls `visit(begin, stride, size)` for each line of `shape` along `dim`.
template <typename Visit>
static void forEachLine(Dims shape, int64_t dim, Visit visit) {
  SmallVector<int64_t> strides = getRowMajorStrides(shape);
  int64_t inner = strides[dim], size = shape[dim], outer = 1;
  for (int64_t d = 0; d < dim; ++d)
    outer *= shape[d];
  for (int64_t i = 0; i < outer; ++i)
    for (int64_t j = 0; j < inner; ++j)
      visit(i * size * inner + j, inner, size);
}

static bool softmax(Evaluation &e, linalg::SoftmaxOp op) {
  std::vector<double> values = toDoubles(e.operands[0]);
  forEachLine(e.operands[0].shape(), op.getDimension(),
              [&](int64_t begin, int64_t stride, int64_t size) {
                double largest = -INFINITY, sum = 0;
                for (int64_t i = 0; i < size; ++i)
                  largest = std::max(largest, values[begin + i * stride]);
                for (int64_t i = 0; i < size; ++i) {
                  double &x = values[begin + i * stride];
                  x = std::exp(x - largest);
                  sum += x;
                }
                for (int64_t i = 0; i < size; ++i)
                  values[begin + i * stride] /= sum;
              });
  return finish(e, values);
}

template <typename T>
static bool cumsum(Evaluation &e, CumsumOp op) {
  std::vector<T> values = load<T>(e.operands[0]);
  forEachLine(e.operands[0].shape(), op.getDim(),
              [&](int64_t begin, int64_t stride, int64_t size) {
                T sum = 0;
                for (int64_t i = 0; i < size; ++i) {
                  int64_t t = op.getReverse() ? size - 1 - i : i;
                  T &x = values[begin + t * stride];
                  T own = x;
                  T next = plus(sum, own);
                  x = op.getExclusive() ? sum : next;
                  sum = next;
                }
              });
  return finish(e, values);
}

template <typename T>
static bool topK(Evaluation &e, TopKOp op) {
  const HostTensor &x = e.operands[0];
  std::vector<T> values = load<T>(x);
  int64_t dim = op.getDim();
  auto type = cast<RankedTensorType>(op.getValues().getType());
  int64_t k = type.getShape()[dim];
  std::vector<T> best(type.getNumElements());
  std::vector<int64_t> indices(best.size());
  SmallVector<int64_t> begins;
  forEachLine(type.getShape(), dim,
              [&](int64_t begin, int64_t, int64_t) { begins.push_back(begin); });
  int64_t line = 0;
  forEachLine(x.shape(), dim, [&](int64_t begin, int64_t stride, int64_t size) {
    std::vector<int64_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    // A total order, NaN above everything, as sorting needs one.
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      T va = values[begin + a * stride], vb = values[begin + b * stride];
      bool aIsNan = va != va, bIsNan = vb != vb;
      if (aIsNan != bIsNan)
        return op.getSmallest() ? bIsNan : aIsNan;
      if (!aIsNan && va != vb)
        return op.getSmallest() ? va < vb : va > vb;
      return a < b;
    });
    for (int64_t i = 0; i < k; ++i) {
      best[begins[line] + i * stride] = values[begin + order[i] * stride];
      indices[begins[line] + i * stride] = order[i];
    }
    ++line;
  });
  return finish(e, best) && finish(e, indices);
}

static bool conv(Evaluation &e, ConvOp op) {
  const HostTensor &x = e.operands[0], &w = e.operands[1];
  std::vector<double> xs = toDoubles(x), ws = toDoubles(w), bias;
  if (op.getBias())
    bias = toDoubles(e.operands[2]);
  auto type = cast<RankedTensorType>(op.getY().getType());
  Dims shape = type.getShape();
  std::vector<double> result(type.getNumElements());
  SmallVector<int64_t> xStrides = getRowMajorStrides(x.shape());
  SmallVector<int64_t> wStrides = getRowMajorStrides(w.shape());
  Dims kernel = w.shape().drop_front(2);
  int64_t taps = 1, channels = w.shape()[1];
  for (int64_t size : kernel)
    taps *= size;
  int64_t perGroup = shape[1] / op.getGroups();
  SmallVector<int64_t> index(shape.size(), 0), tap(kernel.size(), 0);
  for (double &y : result) {
    y = bias.empty() ? 0 : bias[index[1]];
    int64_t first = perGroup ? index[1] / perGroup * channels : 0;
    std::fill(tap.begin(), tap.end(), 0);
    for (int64_t i = 0; i < taps; ++i) {
      int64_t from = index[0] * xStrides[0], weight = index[1] * wStrides[0];
      bool inside = true;
      for (size_t d = 0; d < kernel.size(); ++d) {
        int64_t at = index[d + 2] * op.getStrides()[d] - op.getPadsLow()[d] +
                     tap[d] * op.getDilations()[d];
        inside &= at >= 0 && at < x.shape()[d + 2];
        from += at * xStrides[d + 2];
        weight += tap[d] * wStrides[d + 2];
      }
      for (int64_t c = 0; inside && c < channels; ++c)
        y += xs[from + (first + c) * xStrides[1]] * ws[weight + c * wStrides[1]];
      advance(tap, kernel);
    }
    advance(index, shape);
  }
  return finish(e, result);
}

static bool norm(Evaluation &e, NormOp op) {
  const HostTensor &x = e.operands[0];
  std::vector<double> values = toDoubles(x), scale, bias;
  size_t next = 1;
  if (op.getScale())
    scale = toDoubles(e.operands[next++]);
  if (op.getBias())
    bias = toDoubles(e.operands[next]);
  double epsilon = op.getEpsilon().convertToDouble();
  bool isLayer = op.getKind() == NormKind::layer;
  int64_t size = x.shape().back();
  for (int64_t begin = 0; begin + size <= x.size() && size > 0; begin += size) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < size && isLayer; ++i)
      mean += values[begin + i] / size;
    for (int64_t i = 0; i < size; ++i)
      variance += std::pow(values[begin + i] - mean, 2) / size;
    double factor = 1 / std::sqrt(variance + epsilon);
    for (int64_t i = 0; i < size; ++i) {
      double &y = values[begin + i];
      y = (y - mean) * factor * (scale.empty() ? 1 : scale[i]) +
          (bias.empty() ? 0 : bias[i]);
    }
  }
  return finish(e, values);
}

static bool hadamard(Evaluation &e, HadamardOp op) {
  std::vector<double> values = toDoubles(e.operands[0]);
  size_t block = op.getBlock();
  for (size_t half = 1; half < block; half *= 2)
    for (size_t i = 0; i < values.size(); ++i)
      if ((i & half) == 0) {
        double a = values[i], b = values[i + half];
        values[i] = a + b;
        values[i + half] = a - b;
      }
  for (double &value : values)
    value /= std::sqrt(double(block));
  return finish(e, values);
}

bool ssm::detail::isReduction(Operation *op) {
  if (auto r = dyn_cast<linalg::ReduceOp>(op))
    return !getCombiner(r).empty();
  return isa<linalg::ContractOp, linalg::SoftmaxOp, CumsumOp, TopKOp, ConvOp,
             HadamardOp, NormOp>(op);
}

bool ssm::detail::evaluateReduction(Evaluation &e) {
  if (e.operands.empty())
    return false;
  bool floats = isFloat(e.operands[0].kind);
  return llvm::TypeSwitch<Operation *, bool>(e.op)
      .Case([&](linalg::ReduceOp op) {
        return floats ? reduce<double>(e, op) : reduce<int64_t>(e, op);
      })
      .Case([&](linalg::ContractOp op) {
        return floats ? contract<double>(e, op) : contract<int64_t>(e, op);
      })
      .Case([&](linalg::SoftmaxOp op) { return softmax(e, op); })
      .Case([&](CumsumOp op) {
        return floats ? cumsum<double>(e, op) : cumsum<int64_t>(e, op);
      })
      .Case([&](TopKOp op) {
        return floats ? topK<double>(e, op) : topK<int64_t>(e, op);
      })
      .Case([&](ConvOp op) { return conv(e, op); })
      .Case([&](HadamardOp op) { return hadamard(e, op); })
      .Case([&](NormOp op) { return norm(e, op); })
      .Default([](Operation *) { return false; });
}
