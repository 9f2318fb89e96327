// SPDX-License-Identifier: Apache-2.0
// Resize and its predecessor Upsample, without interpolation. Where every entry
// is repeated a whole number of times, whatever the size, that is said by a
// broadcast along a new dimension; everything else looks entries up by number.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

namespace {

/// How positions of a result become positions of the input.
struct Resampling {
  std::string coordinates, rounding;

  /// Whether a whole factor means repetition at every size.
  bool isUniform() const { return coordinates != "align_corners"; }

  double sourceOf(int64_t place, double scale, int64_t size,
                  int64_t result) const {
    if (coordinates == "asymmetric")
      return place / scale;
    if (coordinates == "align_corners")
      return result == 1 ? 0.0 : double(place) * (size - 1) / (result - 1);
    if (coordinates == "pytorch_half_pixel" && result == 1)
      return 0.0;
    double source = (place + 0.5) / scale - 0.5;
    if (coordinates == "half_pixel_symmetric") {
      double exact = scale * size;
      source += size / 2.0 * (1.0 - result / exact);
    }
    return source;
  }

  int64_t nearest(double source) const {
    double floor = std::floor(source);
    if (rounding == "floor")
      return int64_t(floor);
    if (rounding == "ceil")
      return int64_t(std::ceil(source));
    bool half = source - floor == 0.5;
    return int64_t(half ? (rounding == "round_prefer_ceil" ? floor + 1 : floor)
                        : std::round(source));
  }
};

} // namespace

static Value repeat(Node &n, Value x, int64_t dim, int64_t factor) {
  Shape shape(n.b.shapeOf(x)), result(shape);
  result[dim] *= factor;
  shape.insert(shape.begin() + dim + 1, factor);
  return n.b.reshape(n.b.broadcastInto(x, shape, {dim + 1}), result);
}

static LogicalResult resample(Node &n, Dims axes, ArrayRef<double> scales,
                              Dims sizes, const Resampling &how) {
  Value x = n.in(0);
  Shape shape(n.b.shapeOf(x));
  for (auto [dim, size] : llvm::zip(axes, sizes)) {
    if (size < 0 || (size > 0) != (shape[dim] > 0))
      return n.error() << "expected a size above 0, but got " << size;
    shape[dim] = size;
  }
  if (failed(n.checkShape(shape)))
    return failure();
  for (auto [dim, scale, size] : llvm::zip(axes, scales, sizes)) {
    int64_t from = n.b.shapeOf(x)[dim];
    if (size == 0)
      continue;
    Shape indices;
    for (int64_t i = 0; i < size; ++i)
      indices.push_back(std::clamp<int64_t>(
          how.nearest(how.sourceOf(i, scale, from, size)), 0, from - 1));
    bool repeats = how.isUniform() && size % from == 0;
    for (int64_t i = 0; repeats && i < size; ++i)
      repeats = indices[i] == i / (size / from);
    if (repeats) {
      if (size != from)
        x = repeat(n, x, dim, size / from);
      continue;
    }
    Shape result(n.b.shapeOf(x));
    result[dim] = size;
    x = ssm::GatherOp::create(
        n.b.builder, n.loc, RankedTensorType::get(result, n.b.elementOf(x)), x,
        n.indexVector(indices), dim);
  }
  if (n.isUnsigned(n.in(0)))
    n.setUnsigned(x);
  n.out(x);
  return success();
}

/// Numbers of an input, if it is given and not empty.
static FailureOr<std::optional<SmallVector<double>>> numbers(Node &n,
                                                             size_t i) {
  if (!n.has(i) || n.b.typeOf(n.in(i)).getNumElements() == 0)
    return std::optional<SmallVector<double>>();
  std::optional<ssm::HostTensor> data = n.constant(n.in(i));
  if (!data || !isa<FloatType>(n.b.elementOf(n.in(i)))) {
    n.error() << "expected constant scales";
    return failure();
  }
  SmallVector<double> values;
  for (const APFloat &value :
       ssm::toDenseAttribute(*data).getValues<APFloat>())
    values.push_back(value.convertToDouble());
  return std::optional(values);
}

static Shape sizesOf(Node &n, Dims axes, ArrayRef<double> scales) {
  Shape sizes;
  for (auto [dim, scale] : llvm::zip(axes, scales)) {
    double size = std::floor(n.b.shapeOf(n.in(0))[dim] * scale);
    sizes.push_back(size >= 0 && size < double(kMaxElements) ? int64_t(size)
                                                             : -1);
  }
  return sizes;
}

static LogicalResult expectNearest(Node &n) {
  std::string mode = n.stringAttr("mode", "nearest");
  if (mode == "nearest")
    return success();
  return n.error() << "expected mode nearest, but got '" << mode << "'";
}

static LogicalResult resize(Node &n) {
  int64_t rank = n.b.rankOf(n.in(0));
  bool old = n.opset < 11;
  Resampling how = {n.stringAttr("coordinate_transformation_mode",
                                 old ? "asymmetric" : "half_pixel"),
                    n.stringAttr("nearest_mode",
                                 old ? "floor" : "round_prefer_floor")};
  if (failed(expectNearest(n)))
    return failure();
  if (!llvm::is_contained({"asymmetric", "align_corners", "half_pixel",
                           "pytorch_half_pixel", "half_pixel_symmetric"},
                          StringRef(how.coordinates)))
    return n.error() << "expected other coordinates than '" << how.coordinates
                     << "'";
  if (n.stringAttr("keep_aspect_ratio_policy", "stretch") != "stretch")
    return n.error() << "expected the policy stretch";
  Shape axes = numbersFrom(0, rank);
  if (std::optional<Shape> given = n.intsAttr("axes")) {
    FailureOr<Shape> natural = n.axes(*given, rank);
    if (failed(natural))
      return failure();
    axes = *natural;
  }
  FailureOr<std::optional<SmallVector<double>>> given =
      numbers(n, old ? 1 : 2);
  if (failed(given))
    return failure();
  SmallVector<double> scales;
  Shape sizes;
  if (*given) {
    scales = **given;
    if (scales.size() == axes.size())
      sizes = sizesOf(n, axes, scales);
  } else {
    if (!n.has(3))
      return n.error() << "expected scales or sizes";
    FailureOr<Shape> wanted = n.ints(3, "the sizes");
    if (failed(wanted))
      return failure();
    sizes = *wanted;
    for (auto [dim, size] : llvm::zip(axes, sizes))
      scales.push_back(double(size) / n.b.shapeOf(n.in(0))[dim]);
  }
  if (sizes.size() != axes.size() || scales.size() != axes.size())
    return n.error() << "expected a scale or a size for each of " << axes.size()
                     << " dimensions";
  return resample(n, axes, scales, sizes, how);
}

static LogicalResult upsample(Node &n) {
  Shape axes = numbersFrom(0, n.b.rankOf(n.in(0)));
  FailureOr<std::optional<SmallVector<double>>> given = numbers(n, 1);
  if (failed(given) || failed(expectNearest(n)))
    return failure();
  if (!*given || (*given)->size() != axes.size())
    return n.error() << "expected constant scales, one for each of "
                     << axes.size() << " dimensions";
  return resample(n, axes, **given, sizesOf(n, axes, **given),
                  {"asymmetric", "floor"});
}

ArrayRef<OpEntry> onnx_import::resamplingOps() {
  static const OpEntry kOps[] = {
      {"", "Resize", 10, kNewestOpset, 1, 4, resize, false, "mode nearest"},
      {"", "Upsample", 9, 9, 2, 2, upsample, false, "mode nearest"},
  };
  return kOps;
}
