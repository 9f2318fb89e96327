// SPDX-License-Identifier: Apache-2.0
// Parts of tensors: Slice, Split, Pad, Trilu.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static void markLike(Node &n, Value result, Value like) {
  if (n.isUnsigned(like))
    n.setUnsigned(result);
}

static LogicalResult slice(Node &n) {
  Value x = n.in(0);
  Dims shape = n.b.shapeOf(x);
  FailureOr<std::optional<Shape>> starts = n.intsOrAttr(1, "starts"),
                                  ends = n.intsOrAttr(2, "ends"),
                                  axesGiven = n.intsOrAttr(3, "axes"),
                                  stepsGiven = n.intsOrAttr(4, "steps");
  if (failed(starts) || failed(ends) || failed(axesGiven) || failed(stepsGiven))
    return failure();
  if (!*starts || !*ends || (*starts)->size() != (*ends)->size())
    return n.error() << "expected as many starts as ends";
  size_t count = (*starts)->size();
  Shape axes, steps(count, 1);
  for (size_t i = 0; i < count; ++i)
    axes.push_back(i);
  if (*axesGiven)
    axes = **axesGiven;
  if (*stepsGiven)
    steps = **stepsGiven;
  if (axes.size() != count || steps.size() != count)
    return n.error() << "expected " << count << " axes and steps, but got "
                     << axes.size() << " and " << steps.size();
  FailureOr<Shape> natural = n.axes(axes, shape.size());
  if (failed(natural))
    return failure();
  Shape offsets(shape.size(), 0), sizes(shape), strides(shape.size(), 1),
      cut(shape.size(), -1), reversed;
  for (size_t i = 0; i < count; ++i) {
    int64_t dim = (*natural)[i], size = shape[dim], step = steps[i];
    if (step == 0 || step == INT64_MIN)
      return n.error() << "expected steps that are not zero";
    bool back = step < 0;
    auto clamp = [&](int64_t value, int64_t low, int64_t high) {
      if (value < 0)
        value += size;
      return std::max(low, std::min(value, high));
    };
    int64_t begin = back ? clamp((**starts)[i], 0, size - 1)
                         : clamp((**starts)[i], 0, size);
    int64_t end =
        back ? clamp((**ends)[i], -1, size - 1) : clamp((**ends)[i], 0, size);
    int64_t span = back ? begin - end : end - begin;
    int64_t stride = std::min(back ? -step : step, std::max<int64_t>(size, 1));
    int64_t taken = span <= 0 ? 0 : (span + stride - 1) / stride;
    // Backward: the same elements forward, then reversed.
    offsets[dim] = back && taken ? begin - (taken - 1) * stride : begin;
    sizes[dim] = taken;
    strides[dim] = taken > 1 ? stride : 1;
    if (back && taken > 1)
      reversed.push_back(dim);
    if (!back && (**ends)[i] < 0)
      cut[dim] = size - end;
    else if (!back && (**ends)[i] > size)
      cut[dim] = 0;
    if (taken == 1 && size > 1)
      n.importer.takenIndices[size].insert(offsets[dim]);
  }
  Value taken = n.b.slice(x, offsets, sizes, strides);
  n.b.setCut(taken, strides, cut);
  Value result = n.b.reverse(taken, reversed);
  markLike(n, result, x);
  if (std::optional<Counted> counted = n.counted(x)) {
    if (sizes[counted->dim] != shape[counted->dim] ||
        llvm::is_contained(reversed, counted->dim))
      return n.refuseCounted();
    n.setCounted(result, *counted);
  }
  n.out(result);
  return success();
}

static LogicalResult split(Node &n) {
  Value x = n.in(0);
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), n.b.rankOf(x));
  FailureOr<std::optional<Shape>> given = n.intsOrAttr(1, "split");
  if (failed(axis) || failed(given))
    return failure();
  int64_t size = n.b.shapeOf(x)[*axis];
  Shape sizes;
  if (*given) {
    sizes = **given;
  } else {
    // Equal parts; the last one may be smaller.
    int64_t parts = n.intAttr("num_outputs", n.proto.output_size());
    if (parts < 1 || parts > std::max<int64_t>(1, size))
      return n.error() << "expected between 1 and " << size
                       << " parts, but got " << parts;
    int64_t chunk = (size + parts - 1) / parts;
    if (!n.attribute("num_outputs") && size % parts)
      return n.error() << "expected " << parts << " equal parts of size "
                       << size;
    for (int64_t i = 0, left = size; i < parts; ++i, left -= chunk)
      sizes.push_back(std::max<int64_t>(0, std::min(chunk, left)));
  }
  std::optional<Counted> counted = n.counted(x);
  if (counted && counted->dim == *axis)
    return n.refuseCounted();
  int64_t begin = 0;
  for (int64_t part : sizes) {
    if (part < 0 || part > size - begin)
      return n.mismatch(size, begin + std::max<int64_t>(part, 0))
             << "expected parts that add up to " << size << ", but got more";
    Value result = n.b.sliceDim(x, *axis, begin, part);
    markLike(n, result, x);
    if (counted)
      n.setCounted(result, *counted);
    n.out(result);
    begin += part;
  }
  if (begin != size)
    return n.mismatch(size, begin) << "expected parts that add up to " << size
                                   << ", but got " << begin;
  return success();
}

/// The source index of each position of a padded dimension.
static FailureOr<Shape> padIndices(Node &n, StringRef mode, int64_t size,
                                   int64_t low, int64_t high) {
  if (size < 1 || (mode == "reflect" && (low >= size || high >= size)))
    return n.error() << "expected padding smaller than size " << size
                     << " for mode " << mode;
  Shape result;
  for (int64_t i = -low; i < size + high; ++i) {
    int64_t from = i;
    if (mode == "edge")
      from = std::max<int64_t>(0, std::min(i, size - 1));
    else if (mode == "wrap")
      from = ((i % size) + size) % size;
    else if (i < 0)
      from = -i;
    else if (i >= size)
      from = 2 * size - 2 - i;
    result.push_back(from);
  }
  return result;
}

static FailureOr<TypedAttr> padValue(Node &n, Value x) {
  Type element = n.b.elementOf(x);
  OpBuilder &b = n.b.builder;
  if (!n.has(2)) {
    double value = n.floatAttr("value", 0);
    if (auto type = dyn_cast<FloatType>(element))
      return TypedAttr(b.getFloatAttr(type, value));
    return TypedAttr(b.getIntegerAttr(element, static_cast<int64_t>(value)));
  }
  std::optional<ssm::HostTensor> data = n.constant(n.in(2));
  if (!data || data->size() != 1 || n.b.elementOf(n.in(2)) != element)
    return n.error() << "expected a constant of type " << element
                     << " as the padding";
  return cast<TypedAttr>(
      ssm::toDenseAttribute(*data).getSplatValue<Attribute>());
}

static LogicalResult pad(Node &n) {
  Value x = n.in(0);
  int64_t rank = n.b.rankOf(x);
  FailureOr<std::optional<Shape>> pads = n.intsOrAttr(1, "pads"),
                                  axesGiven = n.intsOrAttr(3, "axes");
  if (failed(pads) || failed(axesGiven))
    return failure();
  Shape axes;
  for (int64_t i = 0; i < rank; ++i)
    axes.push_back(i);
  if (*axesGiven) {
    FailureOr<Shape> natural = n.axes(**axesGiven, rank);
    if (failed(natural))
      return failure();
    axes = *natural;
  }
  if (!*pads || (*pads)->size() != 2 * axes.size())
    return n.error() << "expected " << 2 * axes.size() << " pads";
  Shape low(rank, 0), high(rank, 0), shape(n.b.shapeOf(x));
  // Negative pads crop.
  for (auto [i, dim] : llvm::enumerate(axes)) {
    int64_t before = (**pads)[i], after = (**pads)[i + axes.size()];
    if (std::abs(before) > kMaxElements || std::abs(after) > kMaxElements)
      return n.error() << "expected pads of a sane size";
    int64_t begin = std::max<int64_t>(0, -before),
            end = shape[dim] - std::max<int64_t>(0, -after);
    if (begin > end)
      return n.error() << "expected pads that leave something of size "
                       << shape[dim];
    x = n.b.sliceDim(x, dim, begin, end - begin);
    low[dim] = std::max<int64_t>(0, before);
    high[dim] = std::max<int64_t>(0, after);
    shape[dim] = end - begin + low[dim] + high[dim];
  }
  if (failed(n.checkShape(shape)))
    return failure();
  std::string mode = n.stringAttr("mode", "constant");
  if (mode == "constant") {
    FailureOr<TypedAttr> value = padValue(n, x);
    if (failed(value))
      return failure();
    x = n.b.pad(x, low, high, *value);
  } else if (mode == "reflect" || mode == "edge" || mode == "wrap") {
    for (int64_t dim = 0; dim < rank; ++dim) {
      if (low[dim] == 0 && high[dim] == 0)
        continue;
      FailureOr<Shape> indices =
          padIndices(n, mode, n.b.shapeOf(x)[dim], low[dim], high[dim]);
      if (failed(indices))
        return failure();
      Shape result(n.b.shapeOf(x));
      result[dim] = indices->size();
      x = ssm::GatherOp::create(
          n.b.builder, n.loc, RankedTensorType::get(result, n.b.elementOf(x)), x,
          n.indexVector(*indices), dim);
    }
  } else {
    return n.error() << "expected mode constant, reflect, edge or wrap, but got '"
                     << mode << "'";
  }
  markLike(n, x, n.in(0));
  n.out(x);
  return success();
}

static LogicalResult trilu(Node &n) {
  Value x = n.in(0);
  Dims shape = n.b.shapeOf(x);
  int64_t k = 0;
  if (n.has(1)) {
    FailureOr<Shape> given = n.ints(1, "the diagonal");
    if (failed(given))
      return failure();
    if (given->size() != 1)
      return n.error() << "expected one diagonal";
    k = given->front();
  }
  if (shape.size() < 2)
    return n.error() << "expected a matrix, but got " << x.getType();
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  if (rows * columns > int64_t(1) << 28)
    return n.error() << "expected a matrix of a sane size, but got "
                     << x.getType();
  bool upper = n.intAttr("upper", 1);
  char *data;
  ssm::HostTensor mask = ssm::HostTensor::allocate(
      RankedTensorType::get({rows, columns}, n.b.builder.getI1Type()),
      ssm::ElementKind::I1, data);
  // Written so that an extreme k cannot overflow.
  k = std::max(-rows, std::min(k, columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      data[i * columns + j] = upper ? j - i >= k : j - i <= k;
  Value keep =
      n.b.broadcast(n.importer.buildConstant(mask, n.loc), shape);
  Value result = n.b.make<arith::SelectOp>(keep, x, n.b.splatLike(x, 0));
  markLike(n, result, x);
  n.out(result);
  return success();
}

ArrayRef<OpEntry> onnx_import::sliceOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "Pad", kOld, kNew, 1, 4, pad},
      {"", "Slice", kOld, kNew, 1, 5, slice, true, "constant bounds"},
      {"", "Split", kOld, kNew, 1, 2, split, true},
      {"", "Trilu", 14, kNew, 1, 2, trilu},
  };
  return kOps;
}
