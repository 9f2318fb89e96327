// SPDX-License-Identifier: Apache-2.0
// Norms: ssm.norm where it fits, otherwise its formula.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {
struct Normalized {
  Value y, mean, inverse;
};
} // namespace

/// (x - mean) / sqrt(var + epsilon) over `dims`; without mean for RMS.
static Normalized normalize(TensorBuilder &b, Value x, Dims dims,
                            ssm::NormKind kind, double epsilon) {
  Normalized result;
  Value centred = x;
  if (kind == ssm::NormKind::layer) {
    result.mean = b.mean(x, dims, true);
    centred = b.sub(x, b.broadcast(result.mean, b.shapeOf(x)));
  }
  Value variance = b.mean(b.mul(centred, centred), dims, true);
  Value root = b.make<math::SqrtOp>(
      b.add(variance, b.splatLike(variance, epsilon)));
  result.inverse = b.div(b.splatLike(root, 1), root);
  result.y = b.div(centred, b.broadcast(root, b.shapeOf(x)));
  return result;
}

/// `like` broadcast to x, or an error.
static FailureOr<Value> broadcastTo(Node &n, Value value, Value x,
                                    StringRef what) {
  std::optional<Shape> shape =
      broadcastShapes(n.b.shapeOf(value), n.b.shapeOf(x));
  if (!shape || Dims(*shape) != n.b.shapeOf(x))
    return n.error() << "expected a " << what << " that broadcasts to "
                     << x.getType() << ", but got " << value.getType();
  return n.b.broadcast(n.b.cast(value, n.b.elementOf(x)), *shape);
}

/// Norm over the dimensions from `axis` on, with scale and bias.
static LogicalResult normFrom(Node &n, Value x, int64_t axis,
                              ssm::NormKind kind, Value scale, Value bias,
                              double epsilon) {
  TensorBuilder &b = n.b;
  int64_t rank = b.rankOf(x);
  Dims last = b.shapeOf(x).drop_front(rank - 1);
  Type element = b.elementOf(x);
  auto fits = [&](Value v) {
    return !v || (b.shapeOf(v) == last && b.elementOf(v) == element);
  };
  Value result;
  if (axis == rank - 1 && element.isF32() && fits(scale) && fits(bias) &&
      !n.wantsOutput(1) && !n.wantsOutput(2)) {
    n.out(ssm::NormOp::create(b.builder, n.loc, x.getType(), x, scale, bias,
                              kind, llvm::APFloat(float(epsilon))));
  } else {
    // In float32 at least, unless the file says otherwise.
    Value wide = x;
    if (element.getIntOrFloatBitWidth() < 32 && n.intAttr("stash_type", 1) == 1)
      wide = b.cast(x, b.builder.getF32Type());
    Shape dims = numbersFrom(axis, rank);
    Normalized norm = normalize(b, wide, dims, kind, epsilon);
    result = b.cast(norm.y, element);
    if (scale) {
      FailureOr<Value> wideScale = broadcastTo(n, scale, x, "scale");
      if (failed(wideScale))
        return failure();
      result = b.mul(result, *wideScale);
    }
    if (bias) {
      FailureOr<Value> wideBias = broadcastTo(n, bias, x, "bias");
      if (failed(wideBias))
        return failure();
      result = b.add(result, *wideBias);
    }
    n.out(result);
    if (kind == ssm::NormKind::layer)
      n.out(norm.mean);
    n.out(norm.inverse);
  }
  if (std::optional<Counted> counted = n.counted(n.in(0))) {
    if (counted->dim >= axis || n.outputs.size() > 1)
      return n.refuseCounted();
    n.setCounted(n.outputs[0].value, *counted);
  }
  return success();
}

template <ssm::NormKind kind>
static LogicalResult layerNorm(Node &n) {
  if (failed(n.expectFloat(0)))
    return failure();
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), n.b.rankOf(n.in(0)));
  if (failed(axis))
    return failure();
  return normFrom(n, n.in(0), *axis, kind, n.has(1) ? n.in(1) : Value(),
                  n.has(2) ? n.in(2) : Value(), n.floatAttr("epsilon", 1e-5));
}

/// com.microsoft: norm(input + skip (+ bias)), and the sum as output 3.
template <ssm::NormKind kind>
static LogicalResult skipNorm(Node &n) {
  bool isLayer = kind == ssm::NormKind::layer;
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)))
    return failure();
  if (n.wantsOutput(1) || n.wantsOutput(2))
    return n.error() << "expected outputs 0 and 3 only";
  FailureOr<Value> skip = broadcastTo(n, n.in(1), n.in(0), "skip");
  if (failed(skip))
    return failure();
  Value sum = n.b.add(n.in(0), *skip);
  size_t biasInput = isLayer ? 4 : 3;
  if (n.has(biasInput)) {
    FailureOr<Value> bias = broadcastTo(n, n.in(biasInput), n.in(0), "bias");
    if (failed(bias))
      return failure();
    sum = n.b.add(sum, *bias);
  }
  Value beta = isLayer && n.has(3) ? n.in(3) : Value();
  if (failed(normFrom(n, sum, n.b.rankOf(sum) - 1, kind, n.in(2), beta,
                      n.floatAttr("epsilon", 1e-12))))
    return failure();
  n.outputs.resize(4);
  n.outputs[1] = n.outputs[2] = Entry();
  n.outputs[3].value = sum;
  return success();
}

/// Scale and bias per channel, dimension 1 of x.
static FailureOr<Value> perChannel(Node &n, Value value, Value x,
                                   StringRef what) {
  Dims shape = n.b.shapeOf(x);
  if (n.b.shapeOf(value) != Dims({shape[1]}))
    return n.error() << "expected a " << what << " of " << shape[1]
                     << " channels, but got " << value.getType();
  Shape others;
  for (int64_t i = 0; i < n.b.rankOf(x); ++i)
    if (i != 1)
      others.push_back(i);
  return n.b.broadcastInto(n.b.cast(value, n.b.elementOf(x)), shape, others);
}

/// Norm of x viewed as [B, groups, rest], then scale and bias.
static LogicalResult groupedNorm(Node &n, int64_t groups, bool perGroup) {
  Value x = n.in(0);
  Dims s = n.b.shapeOf(x);
  if (failed(n.expectFloat(0)))
    return failure();
  if (s.size() < 2 || groups < 1 || s[1] % groups ||
      n.b.typeOf(x).getNumElements() == 0)
    return n.error() << "expected channels that divide into " << groups
                     << " groups, but got " << x.getType();
  int64_t rest = n.b.typeOf(x).getNumElements() / (s[0] * groups);
  double epsilon = n.floatAttr("epsilon", 1e-5);
  Value flat = n.b.reshape(x, {s[0], groups, rest});
  Value y = n.b.elementOf(x).isF32()
                ? Value(ssm::NormOp::create(n.b.builder, n.loc, flat.getType(),
                                            flat, nullptr, nullptr,
                                            ssm::NormKind::layer,
                                            llvm::APFloat(float(epsilon))))
                : normalize(n.b, flat, {2}, ssm::NormKind::layer, epsilon).y;
  if (perGroup) {
    FailureOr<Value> scale = perChannel(n, n.in(1), y, "scale"),
                     bias = perChannel(n, n.in(2), y, "bias");
    if (failed(scale) || failed(bias))
      return failure();
    n.out(n.b.reshape(n.b.add(n.b.mul(y, *scale), *bias), s));
    return success();
  }
  y = n.b.reshape(y, s);
  FailureOr<Value> scale = perChannel(n, n.in(1), y, "scale"),
                   bias = perChannel(n, n.in(2), y, "bias");
  if (failed(scale) || failed(bias))
    return failure();
  n.out(n.b.add(n.b.mul(y, *scale), *bias));
  return success();
}

static LogicalResult instanceNorm(Node &n) {
  return groupedNorm(n, n.b.rankOf(n.in(0)) < 2 ? 0 : n.b.shapeOf(n.in(0))[1],
                     false);
}

static LogicalResult groupNorm(Node &n) {
  // Opset 18 had scale and bias per group, 21 has them per channel.
  return groupedNorm(n, n.intAttr("num_groups", 0), n.opset < 21);
}

static LogicalResult lpNorm(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", -1), n.b.rankOf(x));
  if (failed(axis))
    return failure();
  int64_t p = n.intAttr("p", 2);
  if (p != 1 && p != 2)
    return n.error() << "expected p 1 or 2, but got " << p;
  Value terms = p == 1 ? n.b.make<math::AbsFOp>(x) : n.b.mul(x, x);
  Value norm = n.b.reduce(terms, {*axis}, Reduction::Sum, true);
  if (p == 2)
    norm = n.b.make<math::SqrtOp>(norm);
  // Zeros stay zeros.
  Value isZero =
      arith::CmpFOp::create(n.b.builder, n.loc, arith::CmpFPredicate::OEQ, norm,
                            n.b.splatLike(norm, 0));
  norm = arith::SelectOp::create(n.b.builder, n.loc, isZero,
                                 n.b.splatLike(norm, 1), norm);
  n.out(n.b.div(x, n.b.broadcast(norm, n.b.shapeOf(x))));
  return success();
}

static LogicalResult batchNorm(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  if (n.b.rankOf(x) < 2 || n.intAttr("training_mode", 0))
    return n.error() << "expected a tensor of rank 2 or more, not in training";
  SmallVector<Value> wide;
  for (size_t i = 1; i < 5; ++i) {
    Value value = n.in(i);
    if (i == 4) {
      value = n.b.cast(value, n.b.elementOf(x));
      value = n.b.make<math::SqrtOp>(n.b.add(
          value, n.b.splatLike(value, n.floatAttr("epsilon", 1e-5))));
    }
    FailureOr<Value> broadcast = perChannel(n, value, x, "parameter");
    if (failed(broadcast))
      return failure();
    wide.push_back(*broadcast);
  }
  Value y = n.b.div(n.b.sub(x, wide[2]), wide[3]);
  n.out(n.b.add(n.b.mul(y, wide[0]), wide[1]));
  return success();
}

static LogicalResult meanVariance(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  FailureOr<Shape> axes =
      n.axes(n.intsAttr("axes").value_or(Shape{0, 2, 3}), n.b.rankOf(x));
  if (failed(axes))
    return failure();
  n.out(normalize(n.b, x, *axes, ssm::NormKind::layer, 1e-9).y);
  return success();
}

ArrayRef<OpEntry> onnx_import::normalizationOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  constexpr const char *kMs = "com.microsoft";
  constexpr ssm::NormKind kLayer = ssm::NormKind::layer,
                          kRms = ssm::NormKind::rms;
  static const OpEntry kOps[] = {
      {"", "BatchNormalization", kOld, kNew, 5, 5, batchNorm, false,
       "inference only"},
      {"", "GroupNormalization", 18, kNew, 3, 3, groupNorm},
      {"", "InstanceNormalization", kOld, kNew, 3, 3, instanceNorm},
      {"", "LayerNormalization", 17, kNew, 2, 3, layerNorm<kLayer>, true},
      {"", "LpNormalization", kOld, kNew, 1, 1, lpNorm},
      {"", "MeanVarianceNormalization", 9, kNew, 1, 1, meanVariance},
      {"", "RMSNormalization", 23, kNew, 2, 2, layerNorm<kRms>, true},
      {"", "SimplifiedLayerNormalization", kOld, kNew, 2, 2, layerNorm<kRms>,
       true},
      {kMs, "SimplifiedLayerNormalization", 1, 1, 2, 2, layerNorm<kRms>, true},
      {kMs, "SkipLayerNormalization", 1, 1, 3, 5, skipNorm<kLayer>},
      {kMs, "SkipSimplifiedLayerNormalization", 1, 1, 3, 4, skipNorm<kRms>},
  };
  return kOps;
}
