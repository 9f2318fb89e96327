// SPDX-License-Identifier: Apache-2.0
// Reductions over dimensions, softmax, running sums.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {
enum class Kind { Sum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp, SumSquare };
} // namespace

/// A count that survives a reduction over other dimensions.
static LogicalResult carryOverReduce(Node &n, Value x, Value result, Dims axes,
                                     bool keepDims) {
  std::optional<Counted> counted = n.counted(x);
  if (!counted)
    return success();
  if (llvm::is_contained(axes, counted->dim))
    return n.refuseCounted();
  int64_t before = keepDims ? 0 : llvm::count_if(axes, [&](int64_t axis) {
    return axis < counted->dim;
  });
  n.setCounted(result, {counted->dim - before, counted->count});
  return success();
}

static Value reduceLogSumExp(TensorBuilder &b, Value x, Dims axes, bool keep) {
  // Relative to the largest entry, so that nothing overflows.
  Value largest = b.reduce(x, axes, Reduction::Max, true);
  Value e = b.make<math::ExpOp>(b.sub(x, b.broadcast(largest, b.shapeOf(x))));
  Value sum = b.reduce(e, axes, Reduction::Sum, true);
  Value result = b.add(b.make<math::LogOp>(sum), largest);
  return keep ? result : b.squeeze(result, axes);
}

static Value buildReduce(Node &n, Kind kind, Value x, Dims axes, bool keep) {
  TensorBuilder &b = n.b;
  bool isFloat = b.isFloat(x);
  auto sum = [&](Value v) { return b.reduce(v, axes, Reduction::Sum, keep); };
  auto magnitude = [&](Value v) {
    return isFloat ? b.make<math::AbsFOp>(v) : b.make<math::AbsIOp>(v);
  };
  switch (kind) {
  case Kind::Sum:
    return sum(x);
  case Kind::Mean:
    return b.mean(x, axes, keep);
  case Kind::Max:
    return b.elementOf(x).isInteger(1)
               ? b.reduce(x, axes, Reduction::Or, keep)
               : b.reduce(x, axes, Reduction::Max, keep, n.isUnsigned(x));
  case Kind::Min:
    return b.elementOf(x).isInteger(1)
               ? b.reduce(x, axes, Reduction::And, keep)
               : b.reduce(x, axes, Reduction::Min, keep, n.isUnsigned(x));
  case Kind::Prod:
    return b.reduce(x, axes, Reduction::Prod, keep);
  case Kind::L1:
    return sum(magnitude(x));
  case Kind::L2:
    return b.make<math::SqrtOp>(sum(b.mul(x, x)));
  case Kind::LogSum:
    return b.make<math::LogOp>(sum(x));
  case Kind::LogSumExp:
    return reduceLogSumExp(b, x, axes, keep);
  case Kind::SumSquare:
    return sum(b.mul(x, x));
  }
  llvm_unreachable("all kinds are listed");
}

template <Kind kind>
static LogicalResult reduce(Node &n) {
  Value x = n.in(0);
  FailureOr<std::optional<Shape>> given = n.intsOrAttr(1, "axes");
  if (failed(given))
    return failure();
  bool needsFloat = kind == Kind::L2 || kind == Kind::LogSum ||
                    kind == Kind::LogSumExp;
  if (needsFloat && failed(n.expectFloat(0)))
    return failure();
  Shape axes;
  if (*given && !(*given)->empty()) {
    FailureOr<Shape> natural = n.axes(**given, n.b.rankOf(x));
    if (failed(natural))
      return failure();
    axes = *natural;
  } else if (!n.intAttr("noop_with_empty_axes", 0)) {
    for (int64_t i = 0; i < n.b.rankOf(x); ++i)
      axes.push_back(i);
  }
  bool keep = n.intAttr("keepdims", 1);
  Value result = buildReduce(n, kind, x, axes, keep);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  if (failed(carryOverReduce(n, x, result, axes, keep)))
    return failure();
  n.out(result);
  return success();
}

/// Before opset 13 softmax ran over all dimensions from `axis` on as one.
static LogicalResult overAxis(Node &n,
                              function_ref<Value(Value, int64_t)> build) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  int64_t rank = n.b.rankOf(x);
  bool flattens = n.opset < 13 && n.proto.domain().empty();
  if (rank == 0)
    return n.error() << "expected a tensor of rank 1 or more";
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", flattens ? 1 : -1),
                                   flattens ? std::max<int64_t>(rank, 2) : rank);
  if (failed(axis))
    return failure();
  std::optional<Counted> counted = n.counted(x);
  if (counted && (counted->dim == *axis || (flattens && *axis != rank - 1)))
    return n.refuseCounted();
  Value result;
  if (flattens && *axis != rank - 1) {
    Shape shape(n.b.shapeOf(x)), flat{1, 1};
    for (int64_t i = 0; i < rank; ++i)
      flat[i < *axis ? 0 : 1] *= shape[i];
    result = n.b.reshape(build(n.b.reshape(x, flat), 1), shape);
  } else {
    result = build(x, *axis);
  }
  if (counted)
    n.setCounted(result, *counted);
  n.out(result);
  return success();
}

static LogicalResult softmax(Node &n) {
  return overAxis(n, [&](Value x, int64_t axis) {
    return n.b.typeOf(x).getNumElements() == 0 ? x : n.b.softmax(x, axis);
  });
}

static LogicalResult logSoftmax(Node &n) {
  return overAxis(n, [&](Value x, int64_t axis) {
    Value sum = reduceLogSumExp(n.b, x, {axis}, true);
    return n.b.sub(x, n.b.broadcast(sum, n.b.shapeOf(x)));
  });
}

static LogicalResult hardmax(Node &n) {
  return overAxis(n, [&](Value x, int64_t axis) {
    Shape shape(n.b.shapeOf(x)), others;
    shape[axis] = 1;
    Type index = n.b.builder.getI64Type();
    Value best = ssm::TopKOp::create(
                     n.b.builder, n.loc,
                     RankedTensorType::get(shape, n.b.elementOf(x)),
                     RankedTensorType::get(shape, index), x, axis, false)
                     .getIndices();
    for (int64_t i = 0; i < n.b.rankOf(x); ++i)
      if (i != axis)
        others.push_back(i);
    Value iota = n.b.broadcastInto(
        n.indexVector(numbersFrom(0, n.b.shapeOf(x)[axis])), n.b.shapeOf(x),
        others);
    Value hit = n.b.make<arith::CmpIOp>(
        arith::CmpIPredicate::eq, iota, n.b.broadcast(best, n.b.shapeOf(x)));
    return n.b.cast(hit, n.b.elementOf(x));
  });
}

static LogicalResult cumSum(Node &n) {
  Value x = n.in(0);
  FailureOr<Shape> given = n.ints(1, "the axis");
  if (failed(given))
    return failure();
  if (given->size() != 1)
    return n.error() << "expected one axis";
  FailureOr<int64_t> axis = n.axis(given->front(), n.b.rankOf(x));
  if (failed(axis))
    return failure();
  Value result = ssm::CumsumOp::create(n.b.builder, n.loc, x.getType(), x,
                                       *axis, n.intAttr("exclusive", 0) != 0,
                                       n.intAttr("reverse", 0) != 0);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  n.out(result);
  return success();
}

ArrayRef<OpEntry> onnx_import::reductionOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "CumSum", 11, kNew, 2, 2, cumSum, false, "constant axis"},
      {"", "Hardmax", kOld, kNew, 1, 1, hardmax},
      {"", "LogSoftmax", kOld, kNew, 1, 1, logSoftmax, true},
      {"", "ReduceL1", kOld, kNew, 1, 2, reduce<Kind::L1>, true},
      {"", "ReduceL2", kOld, kNew, 1, 2, reduce<Kind::L2>, true},
      {"", "ReduceLogSum", kOld, kNew, 1, 2, reduce<Kind::LogSum>, true},
      {"", "ReduceLogSumExp", kOld, kNew, 1, 2, reduce<Kind::LogSumExp>, true},
      {"", "ReduceMax", kOld, kNew, 1, 2, reduce<Kind::Max>, true},
      {"", "ReduceMean", kOld, kNew, 1, 2, reduce<Kind::Mean>, true},
      {"", "ReduceMin", kOld, kNew, 1, 2, reduce<Kind::Min>, true},
      {"", "ReduceProd", kOld, kNew, 1, 2, reduce<Kind::Prod>, true},
      {"", "ReduceSum", kOld, kNew, 1, 2, reduce<Kind::Sum>, true},
      {"", "ReduceSumSquare", kOld, kNew, 1, 2, reduce<Kind::SumSquare>, true},
      {"", "Softmax", kOld, kNew, 1, 1, softmax, true},
  };
  return kOps;
}
