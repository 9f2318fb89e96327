// SPDX-License-Identifier: Apache-2.0
// Convolution and pooling, one to three spatial dimensions.

#include "Common.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static constexpr int64_t kMaxTaps = 1024;

namespace {
/// A window that slides over the spatial dimensions.
struct Window {
  Shape kernel, strides, dilations, low, high;
  /// Sizes of the result's spatial dimensions.
  Shape result;
  /// What of `high` counts as padding; ceil_mode adds more.
  Shape declaredHigh;
};
} // namespace

/// Reads the attributes that all windows share.
static LogicalResult readWindow(Node &n, Dims spatial, Window &w) {
  size_t rank = spatial.size();
  auto list = [&](StringRef name, size_t size, int64_t otherwise) {
    std::optional<Shape> given = n.intsAttr(name);
    return given && !given->empty() ? *given : Shape(size, otherwise);
  };
  w.strides = list("strides", rank, 1);
  w.dilations = list("dilations", rank, 1);
  Shape pads = list("pads", 2 * rank, 0);
  auto isSane = [](int64_t v) { return v >= 0 && v < int64_t(1) << 31; };
  auto isStep = [&](int64_t v) { return v > 0 && isSane(v); };
  if (w.kernel.size() != rank || w.strides.size() != rank ||
      w.dilations.size() != rank || pads.size() != 2 * rank ||
      !llvm::all_of(w.kernel, isStep) || !llvm::all_of(w.strides, isStep) ||
      !llvm::all_of(w.dilations, isStep) || !llvm::all_of(pads, isSane))
    return n.error() << "expected a positive kernel shape, strides and "
                        "dilations and natural pads for "
                     << rank << " spatial dimensions";
  std::string mode = n.stringAttr("auto_pad", "NOTSET");
  bool ceil = n.intAttr("ceil_mode", 0);
  for (size_t i = 0; i < rank; ++i) {
    int64_t span = w.dilations[i] * (w.kernel[i] - 1) + 1;
    int64_t low = pads[i], high = pads[i + rank], stride = w.strides[i];
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      int64_t out = (spatial[i] + stride - 1) / stride;
      int64_t total =
          std::max<int64_t>(0, (out - 1) * stride + span - spatial[i]);
      low = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      high = total - low;
    } else if (mode == "VALID") {
      low = high = 0;
    } else if (mode != "NOTSET") {
      return n.error() << "expected auto_pad NOTSET, VALID, SAME_UPPER or "
                          "SAME_LOWER, but got '"
                       << mode << "'";
    }
    w.declaredHigh.push_back(high);
    int64_t room = spatial[i] + low + high - span;
    if (room < 0)
      return n.error() << "expected a padded size of at least " << span
                       << " along spatial dimension " << i << ", but got "
                       << spatial[i] + low + high;
    // As much more padding as lets a last, incomplete window in. It must begin
    // inside of the input or its low padding. This is the padding of every
    // length, also of those for which there is no such window.
    if (ceil)
      high = std::max(high, std::min(high + stride - 1, span - 1));
    w.low.push_back(low);
    w.high.push_back(high);
    w.result.push_back((spatial[i] + low + high - span) / stride + 1);
  }
  return success();
}

static LogicalResult conv(Node &n) {
  Value x = n.in(0), weight = n.in(1), bias = n.has(2) ? n.in(2) : Value();
  Dims s = n.b.shapeOf(x), k = n.b.shapeOf(weight);
  if (failed(n.expectFloat(0)) || failed(n.expectSameElement(0, 1)) ||
      (bias && failed(n.expectSameElement(0, 2))))
    return failure();
  int64_t groups = n.intAttr("group", 1);
  if (s.size() < 3 || s.size() > 5 || k.size() != s.size())
    return n.error()
           << "expected an input and a weight of one rank from 3 to 5, "
              "but got "
           << x.getType() << " and " << weight.getType();
  if (groups < 1 || s[1] % groups || k[0] % groups || s[1] / groups != k[1])
    return n.error() << "expected channels that match the weight and " << groups
                     << " groups, but got " << x.getType() << " and "
                     << weight.getType();
  if (bias && n.b.shapeOf(bias) != Dims({k[0]}))
    return n.error() << "expected a bias of " << k[0] << " channels, but got "
                     << bias.getType();
  Window w;
  w.kernel = Shape(k.drop_front(2));
  if (failed(readWindow(n, s.drop_front(2), w)))
    return failure();
  Shape shape{s[0], k[0]};
  llvm::append_range(shape, w.result);
  if (failed(n.checkShape(shape)))
    return failure();
  n.out(ssm::ConvOp::create(
      n.b.builder, n.loc, RankedTensorType::get(shape, n.b.elementOf(x)), x,
      weight, bias, w.strides, w.dilations, w.low, w.high, groups));
  return success();
}

/// The same of 8-bit integers less their zero points, exact in 32 bits. It is
/// computed in floats wide enough for every sum of products of nine bits.
static LogicalResult convInteger(Node &n) {
  Dims k = n.b.shapeOf(n.in(1));
  int64_t terms = 1;
  for (int64_t size : k.drop_front())
    terms *= std::max<int64_t>(size, 1);
  constexpr int64_t kMostExact = (int64_t(1) << 24) / (255 * 255);
  Type element = terms <= kMostExact ? Type(n.b.builder.getF32Type())
                                     : Type(n.b.builder.getF64Type());
  for (size_t input : {0, 1}) {
    Value value = n.in(input);
    Dims shape = n.b.shapeOf(value);
    if (!n.b.elementOf(value).isInteger(8))
      return n.error() << "expected 8-bit integers as input " << input
                       << ", but got " << value.getType();
    Value wide = n.b.cast(value, element, n.isUnsigned(value));
    if (n.has(input + 2)) {
      if (failed(n.expectSameElement(input, input + 2)))
        return failure();
      Value zero = n.in(input + 2);
      Dims own = n.b.shapeOf(zero);
      bool isOne = n.b.typeOf(zero).getNumElements() == 1;
      bool isPerChannel =
          input == 1 && !shape.empty() && own == Dims({shape[0]});
      if (!isOne && !isPerChannel)
        return n.error() << "expected a zero point for all of "
                         << value.getType() << ", but got " << zero.getType();
      zero = n.b.cast(zero, element, n.isUnsigned(zero));
      Shape others = numbersFrom(1, shape.size());
      wide = n.b.sub(wide, isPerChannel
                               ? n.b.broadcastInto(zero, shape, others)
                               : n.b.broadcast(n.b.reshape(zero, {}), shape));
    }
    n.inputs[input].value = wide;
  }
  n.inputs.resize(2);
  if (failed(conv(n)))
    return failure();
  Value &y = n.outputs.back().value;
  y = n.b.cast(y, n.b.builder.getI32Type());
  return success();
}

/// One strided slice of the padded input per tap of the window: of as many
/// elements as there are places for a window, every so many. Both at once would
/// not say whether what is left behind the last one has to do with the tap.
static SmallVector<Value> takeTaps(Node &n, Value padded, const Window &w) {
  SmallVector<Value> taps;
  Dims shape = n.b.shapeOf(padded);
  Shape tap(w.kernel.size(), 0), strides{1, 1}, sizes{shape[0], shape[1]},
      places = sizes, ones(shape.size(), 1), zeros(shape.size(), 0);
  llvm::append_range(strides, w.strides);
  llvm::append_range(sizes, w.result);
  for (size_t i = 0; i < w.kernel.size(); ++i)
    places.push_back(shape[i + 2] - w.dilations[i] * (w.kernel[i] - 1));
  while (true) {
    Shape offsets{0, 0};
    for (size_t i = 0; i < tap.size(); ++i)
      offsets.push_back(tap[i] * w.dilations[i]);
    Value at = n.b.slice(padded, offsets, places, ones);
    taps.push_back(strides == ones ? at : n.b.slice(at, zeros, sizes, strides));
    int64_t dim = tap.size() - 1;
    for (; dim >= 0; --dim) {
      if (++tap[dim] < w.kernel[dim])
        break;
      tap[dim] = 0;
    }
    if (dim < 0)
      return taps;
  }
}

static Value addAll(Node &n, ArrayRef<Value> taps) {
  Value sum = taps.front();
  for (Value tap : taps.drop_front())
    sum = n.b.add(sum, tap);
  return sum;
}

static bool isZero(int64_t value) { return value == 0; }

static int64_t tapsOf(const Window &w) {
  int64_t taps = 1;
  for (int64_t size : w.kernel)
    taps *= size;
  return taps;
}

/// How many taps of each window lie inside of the counted region: the input,
/// or with `includePad` also its padding.
static Value countTaps(Node &n, Value x, const Window &w, bool includePad) {
  Dims s = n.b.shapeOf(x);
  Shape shape{s[0], s[1]};
  llvm::append_range(shape, w.result);
  auto type = cast<FloatType>(n.b.elementOf(x));
  bool padsCount = includePad && w.high == w.declaredHigh;
  if (padsCount ||
      (llvm::all_of(w.low, isZero) && llvm::all_of(w.high, isZero)))
    return n.b.splat(shape, type, tapsOf(w));

  // Counted when the model runs: the input may be a sequence of any length.
  Shape padded{1, 1};
  llvm::append_range(padded, s.drop_front(2));
  Shape low{0, 0}, high{0, 0};
  llvm::append_range(low, w.low);
  llvm::append_range(high, w.high);
  auto paddedType = RankedTensorType::get(padded, type);
  Value ones = n.constant(x) ? n.b.splat(padded, type, 1)
                             : n.b.make<ssm::OnesLikeOp>(paddedType, x);
  TypedAttr zero = n.b.builder.getFloatAttr(type, 0);
  if (includePad) {
    Shape declared{0, 0}, extra(high.size(), 0), none(high.size(), 0);
    llvm::append_range(declared, w.declaredHigh);
    for (size_t i = 0; i < high.size(); ++i)
      extra[i] = high[i] - declared[i];
    TypedAttr one = n.b.builder.getFloatAttr(type, 1);
    ones = n.b.pad(n.b.pad(ones, low, declared, one), none, extra, zero);
  } else {
    ones = n.b.pad(ones, low, high, zero);
  }
  return n.b.broadcast(addAll(n, takeTaps(n, ones, w)), shape);
}

template <bool isMax> static LogicalResult pool(Node &n) {
  Value x = n.in(0);
  Dims s = n.b.shapeOf(x);
  if (failed(n.expectFloat(0)))
    return failure();
  if (s.size() < 3 || s.size() > 5)
    return n.error() << "expected a tensor of rank 3 to 5, but got "
                     << x.getType();
  if (n.wantsOutput(1))
    return n.error() << "expected one output; the indices of MaxPool are not "
                        "supported";
  Window w;
  w.kernel = n.intsAttr("kernel_shape").value_or(Shape());
  if (failed(readWindow(n, s.drop_front(2), w)))
    return failure();
  int64_t taps = 1;
  for (int64_t size : w.kernel)
    if (llvm::MulOverflow(taps, size, taps) || taps > kMaxTaps)
      return n.error() << "expected a window of at most " << kMaxTaps
                       << " entries";
  auto type = cast<FloatType>(n.b.elementOf(x));
  TypedAttr padding = n.b.builder.getFloatAttr(
      type, isMax ? llvm::APFloat::getInf(type.getFloatSemantics(), true)
                  : llvm::APFloat::getZero(type.getFloatSemantics()));
  Shape low{0, 0}, high{0, 0};
  llvm::append_range(low, w.low);
  llvm::append_range(high, w.high);
  SmallVector<Value> parts = takeTaps(n, n.b.pad(x, low, high, padding), w);
  if (isMax) {
    Value result = parts.front();
    for (Value part : ArrayRef(parts).drop_front())
      result = n.b.make<arith::MaximumFOp>(result, part);
    n.out(result);
    return success();
  }
  Value count = countTaps(n, x, w, n.intAttr("count_include_pad", 0));
  n.out(n.b.div(addAll(n, parts), count));
  return success();
}

template <bool isMax> static LogicalResult globalPool(Node &n) {
  Value x = n.in(0);
  if (failed(n.expectFloat(0)))
    return failure();
  if (n.b.rankOf(x) < 3)
    return n.error() << "expected a tensor of rank 3 or more, but got "
                     << x.getType();
  Shape dims = numbersFrom(2, n.b.rankOf(x));
  n.out(isMax ? n.b.reduce(x, dims, Reduction::Max, true)
              : n.b.mean(x, dims, true));
  return success();
}

ArrayRef<OpEntry> onnx_import::convolutionOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "AveragePool", kOld, kNew, 1, 1, pool<false>},
      {"", "Conv", kOld, kNew, 2, 3, conv, false, "1 to 3 spatial dimensions"},
      {"", "ConvInteger", 10, kNew, 2, 4, convInteger, false,
       "1 to 3 spatial dimensions"},
      {"", "GlobalAveragePool", kOld, kNew, 1, 1, globalPool<false>},
      {"", "GlobalMaxPool", kOld, kNew, 1, 1, globalPool<true>},
      {"", "MaxPool", kOld, kNew, 1, 1, pool<true>, false, "without indices"},
  };
  return kOps;
}
