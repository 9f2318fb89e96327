// SPDX-License-Identifier: Apache-2.0
// DFT as a product with constant matrices of cosines and sines.
//
// A model's transforms have one fixed length, and a kernel that does not depend
// on the input folds through them, so the plain sum is what a compiler wants
// to see.

#include "Common.h"

#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static constexpr int64_t kMaxMatrix = int64_t(1) << 26;

namespace {
class Dft {
public:
  explicit Dft(Node &n) : n(n) {}
  LogicalResult run();

private:
  LogicalResult readParameters();
  /// entry(row, column) scaled by what the transform needs.
  Value buildMatrix(bool sine);
  /// Part `index` of the last dimension, cut or padded to the columns.
  Value takePart(int64_t index);
  Value apply(Value x, Value matrix);

  Node &n;
  int64_t axis = 0, length = 0, rows = 0, columns = 0;
  bool inverse = false, oneSided = false;
};
} // namespace

LogicalResult Dft::readParameters() {
  Value x = n.in(0);
  int64_t rank = n.b.rankOf(x);
  if (failed(n.expectFloat(0)))
    return failure();
  int64_t parts = rank == 0 ? 0 : n.b.shapeOf(x).back();
  if (rank < 2 || (parts != 1 && parts != 2))
    return n.error() << "expected a last dimension of 1 or 2, but got "
                     << x.getType();
  inverse = n.intAttr("inverse", 0);
  oneSided = n.intAttr("onesided", 0);
  int64_t given = n.opset < 20 ? n.intAttr("axis", 1) : -2;
  if (n.has(2)) {
    FailureOr<Shape> list = n.ints(2, "the axis");
    if (failed(list))
      return failure();
    if (list->size() != 1)
      return n.error() << "expected one axis";
    given = list->front();
  }
  FailureOr<int64_t> natural = n.axis(given, rank);
  if (failed(natural))
    return failure();
  axis = *natural;
  if (axis == rank - 1)
    return n.error() << "expected an axis before the last dimension";
  int64_t size = n.b.shapeOf(x)[axis];
  length = inverse && oneSided ? 2 * (size - 1) : size;
  if (n.has(1)) {
    FailureOr<Shape> list = n.ints(1, "the length");
    if (failed(list))
      return failure();
    length = list->size() == 1 ? list->front() : 0;
  }
  if (length < 1 || length > 1 << 20)
    return n.error() << "expected a length of a sane size, but got " << length;
  int64_t half = length / 2 + 1;
  rows = oneSided && !inverse ? half : length;
  columns = oneSided && inverse ? half : length;
  if (rows * columns > kMaxMatrix)
    return n.error() << "expected a transform of at most 8192 entries, but got "
                     << length;
  return success();
}

Value Dft::buildMatrix(bool sine) {
  char *data;
  Type element = n.b.elementOf(n.in(0));
  ssm::HostTensor matrix =
      ssm::HostTensor::allocate(RankedTensorType::get({rows, columns}, element),
                                *ssm::getElementKind(element), data);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      // The product is reduced first: the angle stays exact.
      double angle = 2 * M_PI * static_cast<double>(i * j % length) / length;
      double value = sine ? std::sin(angle) : std::cos(angle);
      if (inverse)
        value /= length;
      // Half a spectrum stands for the whole: all but the ends count twice.
      if (inverse && oneSided && j != 0 && 2 * j != length)
        value *= 2;
      ssm::storeFloats(matrix.kind, data, i * columns + j, 1, &value);
    }
  return n.importer.buildConstant(matrix, n.loc);
}

Value Dft::takePart(int64_t index) {
  Value part = n.b.selectDim(n.in(0), n.b.rankOf(n.in(0)) - 1, index);
  int64_t size = n.b.shapeOf(part)[axis];
  if (size > columns)
    return n.b.sliceDim(part, axis, 0, columns);
  Shape low(n.b.rankOf(part), 0), high(low);
  high[axis] = columns - size;
  return n.b.pad(part, low, high,
                 n.b.builder.getFloatAttr(n.b.elementOf(part), 0));
}

Value Dft::apply(Value x, Value matrix) {
  SmallVector<int64_t> labels(numbersFrom(0, n.b.rankOf(x))), result(labels);
  constexpr int64_t kRow = 100;
  result[axis] = kRow;
  return n.b.contract(x, labels, matrix, {kRow, axis}, result);
}

LogicalResult Dft::run() {
  if (failed(readParameters()))
    return failure();
  bool isComplex = n.b.shapeOf(n.in(0)).back() == 2;
  Shape shape(n.b.shapeOf(n.in(0)).drop_back());
  shape[axis] = rows;
  shape.push_back(2);
  if (failed(n.checkShape(shape)))
    return failure();
  Value cosine = buildMatrix(false), sine = buildMatrix(true);
  Value real = takePart(0), imaginary = isComplex ? takePart(1) : Value();
  // exp(-i a) = cos a - i sin a forward, exp(+i a) backward.
  auto combine = [&](Value x, Value y, bool subtract) {
    return subtract ? n.b.sub(x, y) : n.b.add(x, y);
  };
  Value outReal = apply(real, cosine);
  if (isComplex)
    outReal = combine(outReal, apply(imaginary, sine), inverse);
  int64_t last = n.b.rankOf(outReal);
  if (inverse && oneSided) {
    n.out(n.b.unsqueeze(outReal, {last}));
    return success();
  }
  Value outImaginary = apply(real, sine);
  if (!inverse)
    outImaginary = n.b.sub(n.b.splatLike(outImaginary, 0), outImaginary);
  if (isComplex)
    outImaginary = n.b.add(outImaginary, apply(imaginary, cosine));
  n.out(n.b.concat({n.b.unsqueeze(outReal, {last}),
                    n.b.unsqueeze(outImaginary, {last})},
                   last));
  return success();
}

static LogicalResult dft(Node &n) { return Dft(n).run(); }

ArrayRef<OpEntry> onnx_import::signalOps() {
  static const OpEntry kOps[] = {
      {"", "DFT", 17, kNewestOpset, 1, 3, dft, false,
       "constant length and axis; at most 8192 entries"},
  };
  return kOps;
}
