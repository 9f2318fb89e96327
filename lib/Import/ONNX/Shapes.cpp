// SPDX-License-Identifier: Apache-2.0
// Constants, and ops that give the same elements another shape.

#include "Common.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

static constexpr int64_t kMaxRange = int64_t(1) << 24;

/// Carries a count over to a value with the same elements in another shape: the
/// counted dimension must still be there as a whole.
static LogicalResult carryThroughReshape(Node &n, Value from, Value to) {
  std::optional<Counted> counted = n.counted(from);
  if (!counted || from == to)
    return success();
  Dims before = n.b.shapeOf(from), after = n.b.shapeOf(to);
  int64_t outer = 1, running = 1;
  for (int64_t size : before.take_front(counted->dim))
    outer *= size;
  for (auto [dim, size] : llvm::enumerate(after)) {
    if (running == outer && size == before[counted->dim]) {
      n.setCounted(to, {static_cast<int64_t>(dim), counted->count});
      return success();
    }
    running *= size;
  }
  return n.refuseCounted();
}

/// Tracing an `x[rows] = values` that happened to meet one row drops the
/// leading one of the values' shape, and so leaves a reshape of all the rows
/// to the shape of a single one, which the next reshape takes back. What is
/// meant are the rows, however many.
static bool isOneCountedRow(Node &n, Value from, Dims to) {
  std::optional<Counted> counted = n.counted(from);
  return counted && counted->dim == 0 &&
         n.b.shapeOf(from).drop_front() == to;
}

/// Adds `value` reshaped as the output.
static LogicalResult finishReshape(Node &n, Value value, Dims shape) {
  if (failed(n.checkShape(shape)))
    return failure();
  Value result = n.b.reshape(value, shape);
  if (n.isUnsigned(value))
    n.setUnsigned(result);
  if (failed(carryThroughReshape(n, value, result)))
    return failure();
  n.out(result);
  return success();
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

static LogicalResult constant(Node &n) {
  TensorBuilder &b = n.b;
  auto floats = [&](ArrayRef<float> values, Dims shape) {
    auto type = RankedTensorType::get(shape, b.builder.getF32Type());
    ssm::HostTensor data;
    data.type = type;
    data.kind = ssm::ElementKind::F32;
    data.bytes = ArrayRef<char>(reinterpret_cast<const char *>(values.data()),
                                values.size() * sizeof(float));
    n.out(n.importer.buildConstant(data, n.loc));
  };
  if (const onnx::AttributeProto *a = n.attribute("value"); a && a->has_t()) {
    std::string name = a->t().name();
    if (name.empty() && n.proto.output_size() > 0)
      name = n.proto.output(0);
    FailureOr<Value> value = n.importer.getTensor(a->t(), n.loc, name);
    if (failed(value))
      return failure();
    n.out(*value);
    return success();
  }
  if (const onnx::AttributeProto *a = n.attribute("value_float"))
    return floats({a->f()}, {}), success();
  if (const onnx::AttributeProto *a = n.attribute("value_floats"))
    return floats({a->floats().data(), static_cast<size_t>(a->floats_size())},
                  {a->floats_size()}),
           success();
  if (const onnx::AttributeProto *a = n.attribute("value_int"))
    return n.out(b.scalar(a->i())), success();
  if (const onnx::AttributeProto *a = n.attribute("value_ints")) {
    Shape values(a->ints().begin(), a->ints().end());
    n.out(b.vector(values));
    return success();
  }
  return n.error() << "expected a dense tensor, integers or floats as the value";
}

static LogicalResult constantOfShape(Node &n) {
  FailureOr<Shape> shape = n.ints(0, "the shape");
  if (failed(shape) || failed(n.checkShape(*shape)))
    return failure();
  const onnx::AttributeProto *a = n.attribute("value");
  if (!a || !a->has_t()) {
    n.out(n.b.splat(*shape, n.b.builder.getF32Type(), 0));
    return success();
  }
  llvm::Expected<ssm::HostTensor> value =
      readTensor(n.importer.model, a->t(), n.importer.context);
  if (!value)
    return n.error() << llvm::toString(value.takeError());
  if (value->size() != 1)
    return n.error() << "expected a value of one element, but got "
                     << value->type;
  auto type = RankedTensorType::get(*shape, value->type.getElementType());
  Value result =
      n.b.constant(ssm::toDenseAttribute(*value).reshape(
                          RankedTensorType::get({}, type.getElementType()))
                       .resizeSplat(type));
  if (isUnsignedType(a->t().data_type()))
    n.setUnsigned(result);
  n.out(result);
  return success();
}

static LogicalResult shape(Node &n) {
  Dims shape = n.b.shapeOf(n.in(0));
  int64_t rank = shape.size();
  auto clamp = [rank](int64_t value) {
    return std::max<int64_t>(0, std::min(value < 0 ? value + rank : value, rank));
  };
  int64_t begin = clamp(n.intAttr("start", 0)),
          end = clamp(n.intAttr("end", rank));
  n.out(n.b.vector(begin < end ? shape.slice(begin, end - begin) : Dims()));
  return success();
}

static LogicalResult size(Node &n) {
  n.out(n.b.scalar(n.b.typeOf(n.in(0)).getNumElements()));
  return success();
}

static LogicalResult range(Node &n) {
  std::optional<ssm::HostTensor> start = n.constant(n.in(0)),
                                 limit = n.constant(n.in(1)),
                                 delta = n.constant(n.in(2));
  if (!start || !limit || !delta)
    return n.error() << "expected constants as start, limit and delta; export "
                        "the model with fixed shapes";
  if (start->size() != 1 || limit->size() != 1 || delta->size() != 1 ||
      failed(n.expectSameElement(0, 1)) || failed(n.expectSameElement(0, 2)))
    return n.error() << "expected three scalars of one type";
  double count = std::ceil((limit->getFloat(0) - start->getFloat(0)) /
                           delta->getFloat(0));
  if (!(count < kMaxRange))
    return n.error() << "expected a range of less than " << kMaxRange
                     << " entries, but got a longer or endless one";
  int64_t length = std::max<int64_t>(0, static_cast<int64_t>(count));
  char *data;
  ssm::HostTensor result = ssm::HostTensor::allocate(
      RankedTensorType::get({length}, n.b.elementOf(n.in(0))), start->kind,
      data);
  for (int64_t i = 0; i < length; ++i) {
    if (ssm::isFloat(start->kind)) {
      double value = start->getFloat(0) + i * delta->getFloat(0);
      ssm::storeFloats(start->kind, data, i, 1, &value);
    } else {
      int64_t value = static_cast<int64_t>(
          static_cast<uint64_t>(start->getInt(0)) +
          static_cast<uint64_t>(i) * static_cast<uint64_t>(delta->getInt(0)));
      ssm::storeInts(start->kind, data, i, 1, &value);
    }
  }
  n.out(n.importer.buildConstant(result, n.loc));
  return success();
}

static LogicalResult eyeLike(Node &n) {
  Dims shape = n.b.shapeOf(n.in(0));
  if (shape.size() != 2)
    return n.error() << "expected a matrix, but got " << n.in(0).getType();
  Type element = n.attribute("dtype")
                     ? getElementType(n.intAttr("dtype", 0), n.importer.context)
                     : n.b.elementOf(n.in(0));
  if (!element || shape[0] * shape[1] > kMaxRange)
    return n.error() << "expected a small matrix of numbers";
  char *data;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(RankedTensorType::get(shape, element),
                                *ssm::getElementKind(element), data);
  int64_t one = 1, offset = n.intAttr("k", 0);
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j)
      if (j - i == offset)
        ssm::storeInts(result.kind, data, i * shape[1] + j, 1, &one);
  n.out(n.importer.buildConstant(result, n.loc));
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

static LogicalResult reshape(Node &n) {
  FailureOr<std::optional<Shape>> wanted = n.intsOrAttr(1, "shape");
  if (failed(wanted))
    return failure();
  if (!*wanted)
    return n.error() << "expected a shape";
  Shape shape = **wanted;
  Dims from = n.b.shapeOf(n.in(0));
  bool allowZero = n.intAttr("allowzero", 0);
  std::optional<size_t> open;
  for (auto [i, size] : llvm::enumerate(shape)) {
    if (size == 0 && !allowZero) {
      if (i >= from.size())
        return n.error() << "expected a zero in the shape only where the input "
                            "has a dimension";
      size = from[i];
    } else if (size == -1) {
      if (open)
        return n.error() << "expected at most one -1 in the shape";
      open = i;
      size = 1;
    }
  }
  int64_t total = n.b.typeOf(n.in(0)).getNumElements();
  if (failed(n.checkShape(shape)))
    return failure();
  int64_t rest = *countElements(shape);
  if (open && rest > 0 && total % rest == 0) {
    shape[*open] = total / rest;
    rest = total;
  }
  if (isOneCountedRow(n, n.in(0), shape)) {
    shape.insert(shape.begin(), from.front());
    rest = total;
  }
  if (rest != total || (open && total == 0 && rest == 0)) {
    // Which size is off is a guess; one that merges others is a hint too.
    for (int64_t a : from)
      for (int64_t b : shape)
        if (a != b)
          n.importer.mismatches.push_back({a, b});
    InFlightDiagnostic diagnostic = n.error();
    diagnostic << "expected a shape of " << total << " elements, but got [";
    llvm::interleaveComma(shape, diagnostic);
    return diagnostic << "]";
  }
  return finishReshape(n, n.in(0), shape);
}

static LogicalResult flatten(Node &n) {
  Dims from = n.b.shapeOf(n.in(0));
  int64_t rank = from.size(), axis = n.intAttr("axis", 1);
  if (axis < -rank || axis > rank)
    return n.error() << "expected an axis in [" << -rank << ", " << rank
                     << "], but got " << axis;
  axis = axis < 0 ? axis + rank : axis;
  Shape shape{1, 1};
  for (int64_t i = 0; i < rank; ++i)
    shape[i < axis ? 0 : 1] *= from[i];
  return finishReshape(n, n.in(0), shape);
}

static LogicalResult unsqueeze(Node &n) {
  FailureOr<std::optional<Shape>> wanted = n.intsOrAttr(1, "axes");
  if (failed(wanted))
    return failure();
  Value x = n.in(0);
  Shape list = wanted->value_or(Shape());
  int64_t rank = n.b.rankOf(x) + list.size();
  FailureOr<Shape> axes = n.axes(list, rank);
  if (failed(axes))
    return failure();
  llvm::sort(*axes);
  Shape shape(n.b.shapeOf(x));
  for (int64_t axis : *axes)
    shape.insert(shape.begin() + axis, 1);
  // The counted dimension moves up by the axes before it.
  if (failed(n.checkShape(shape)))
    return failure();
  Value result = n.b.reshape(x, shape);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  if (std::optional<Counted> counted = n.counted(x)) {
    for (int64_t axis : *axes)
      if (axis <= counted->dim)
        ++counted->dim;
    n.setCounted(result, *counted);
  }
  n.out(result);
  return success();
}

static LogicalResult squeeze(Node &n) {
  FailureOr<std::optional<Shape>> wanted = n.intsOrAttr(1, "axes");
  if (failed(wanted))
    return failure();
  Value x = n.in(0);
  Dims from = n.b.shapeOf(x);
  Shape axes, shape;
  if (*wanted) {
    FailureOr<Shape> natural = n.axes(**wanted, from.size());
    if (failed(natural))
      return failure();
    axes = *natural;
  } else {
    for (auto [i, size] : llvm::enumerate(from))
      if (size == 1)
        axes.push_back(i);
  }
  std::optional<Counted> counted = n.counted(x);
  int64_t dropped = 0;
  for (auto [i, size] : llvm::enumerate(from)) {
    if (!llvm::is_contained(axes, static_cast<int64_t>(i))) {
      shape.push_back(size);
      continue;
    }
    if (size != 1)
      return n.mismatch(size, 1) << "expected size 1 along axis " << i
                                 << ", but got " << x.getType();
    if (counted && static_cast<int64_t>(i) == counted->dim)
      return n.refuseCounted();
    if (counted && static_cast<int64_t>(i) < counted->dim)
      ++dropped;
  }
  Value result = n.b.reshape(x, shape);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  if (counted)
    n.setCounted(result, {counted->dim - dropped, counted->count});
  n.out(result);
  return success();
}

static LogicalResult transpose(Node &n) {
  Value x = n.in(0);
  int64_t rank = n.b.rankOf(x);
  Shape perm;
  for (int64_t i = 0; i < rank; ++i)
    perm.push_back(rank - 1 - i);
  if (std::optional<Shape> given = n.intsAttr("perm")) {
    if (static_cast<int64_t>(given->size()) != rank)
      return n.error() << "expected a permutation of " << rank
                       << " dimensions, but got " << given->size();
    // Some exporters write entries that count from the end.
    FailureOr<Shape> natural = n.axes(*given, rank);
    if (failed(natural))
      return failure();
    perm = *natural;
  }
  Value result = n.b.transpose(x, perm);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  if (std::optional<Counted> counted = n.counted(x)) {
    int64_t dim = llvm::find(perm, counted->dim) - perm.begin();
    n.setCounted(result, {dim, counted->count});
  }
  n.out(result);
  return success();
}

static LogicalResult expand(Node &n) {
  FailureOr<Shape> wanted = n.ints(1, "the shape");
  if (failed(wanted))
    return failure();
  Value x = n.in(0);
  std::optional<Shape> shape = broadcastShapes(n.b.shapeOf(x), *wanted);
  if (!shape)
    return n.shapeMismatch(n.b.shapeOf(x), *wanted)
           << "expected a shape that " << x.getType() << " broadcasts to";
  if (failed(n.checkShape(*shape)))
    return failure();
  return finishElementwise(n, n.b.broadcast(x, *shape));
}

static LogicalResult tile(Node &n) {
  FailureOr<Shape> repeats = n.ints(1, "the repeats");
  if (failed(repeats))
    return failure();
  Value x = n.in(0);
  Dims from = n.b.shapeOf(x);
  if (repeats->size() != from.size())
    return n.error() << "expected " << from.size() << " repeats, but got "
                     << repeats->size();
  // Each repeated dimension gets a new one before it, which is broadcast.
  Shape shape, split, stretched;
  for (auto [size, count] : llvm::zip(from, *repeats)) {
    int64_t product;
    if (count < 0 || llvm::MulOverflow(size, count, product))
      return n.error() << "expected natural repeats, but got " << count;
    shape.push_back(product);
    if (count != 1) {
      split.push_back(1);
      stretched.push_back(count);
    }
    split.push_back(size);
    stretched.push_back(size);
  }
  if (failed(n.checkShape(shape)))
    return failure();
  Value result = n.b.reshape(
      n.b.broadcast(n.b.reshape(x, split), stretched), shape);
  if (n.isUnsigned(x))
    n.setUnsigned(result);
  n.out(result);
  return success();
}

static LogicalResult concat(Node &n) {
  SmallVector<Value> values;
  Dims first = n.b.shapeOf(n.in(0));
  FailureOr<int64_t> axis = n.axis(n.intAttr("axis", 0), first.size());
  if (failed(axis))
    return failure();
  Shape shape(first);
  shape[*axis] = 0;
  std::optional<Counted> counted;
  for (size_t i = 0; i < n.numInputs(); ++i) {
    if (!n.has(i))
      return n.error() << "expected input " << i << " to be given";
    Value value = n.in(i);
    Dims own = n.b.shapeOf(value);
    if (failed(n.expectSameElement(0, i)))
      return failure();
    if (own.size() != first.size())
      return n.error() << "expected inputs of one rank, but got "
                       << n.in(0).getType() << " and " << value.getType();
    for (auto [dim, size] : llvm::enumerate(own)) {
      if (static_cast<int64_t>(dim) == *axis)
        shape[dim] += size;
      else if (size != first[dim])
        return n.mismatch(size, first[dim])
               << "expected one size along dimension " << dim << ", but got "
               << n.in(0).getType() << " and " << value.getType();
    }
    if (failed(n.checkShape(shape)))
      return failure();
    if (std::optional<Counted> own = n.counted(value)) {
      if (own->dim == *axis ||
          (counted &&
           (counted->dim != own->dim || counted->count != own->count)))
        return n.refuseCounted();
      counted = own;
    }
    values.push_back(value);
  }
  Value result = n.b.concat(values, *axis);
  if (n.isUnsigned(n.in(0)))
    n.setUnsigned(result);
  if (counted)
    n.setCounted(result, *counted);
  n.out(result);
  return success();
}

/// DepthToSpace (`toSpace`) and its inverse.
template <bool toSpace>
static LogicalResult depthSpace(Node &n) {
  Value x = n.in(0);
  Dims s = n.b.shapeOf(x);
  int64_t block = n.intAttr("blocksize", 0);
  if (s.size() != 4 || block < 1 || block > 1 << 15)
    return n.error() << "expected a tensor of rank 4 and a block size, but got "
                     << x.getType();
  int64_t divisorC = toSpace ? block * block : 1,
          divisorS = toSpace ? 1 : block;
  if (s[1] % divisorC || s[2] % divisorS || s[3] % divisorS)
    return n.error() << "expected sizes that divide by the block size " << block
                     << ", but got " << x.getType();
  bool columnFirst = n.stringAttr("mode", "DCR") == "CRD";
  if (toSpace) {
    int64_t c = s[1] / (block * block);
    Value split = columnFirst
                      ? n.b.reshape(x, {s[0], c, block, block, s[2], s[3]})
                      : n.b.reshape(x, {s[0], block, block, c, s[2], s[3]});
    Value moved = columnFirst ? n.b.transpose(split, {0, 1, 4, 2, 5, 3})
                              : n.b.transpose(split, {0, 3, 4, 1, 5, 2});
    n.out(n.b.reshape(moved, {s[0], c, s[2] * block, s[3] * block}));
    return success();
  }
  Value split = n.b.reshape(
      x, {s[0], s[1], s[2] / block, block, s[3] / block, block});
  Value moved = columnFirst ? n.b.transpose(split, {0, 1, 3, 5, 2, 4})
                            : n.b.transpose(split, {0, 3, 5, 1, 2, 4});
  n.out(n.b.reshape(moved,
                    {s[0], s[1] * block * block, s[2] / block, s[3] / block}));
  return success();
}

ArrayRef<OpEntry> onnx_import::shapeOps() {
  constexpr int kOld = kOldestOpset, kNew = kNewestOpset;
  static const OpEntry kOps[] = {
      {"", "Concat", kOld, kNew, 1, kUnlimited, concat, true},
      {"", "Constant", kOld, kNew, 0, 0, constant, true,
       "not sparse, not strings"},
      {"", "ConstantOfShape", 9, kNew, 1, 1, constantOfShape},
      {"", "DepthToSpace", kOld, kNew, 1, 1, depthSpace<true>},
      {"", "Expand", 8, kNew, 2, 2, expand, true},
      {"", "EyeLike", 9, kNew, 1, 1, eyeLike},
      {"", "Flatten", kOld, kNew, 1, 1, flatten, true},
      {"", "Range", 11, kNew, 3, 3, range, false, "constant operands"},
      {"", "Reshape", kOld, kNew, 1, 2, reshape, true},
      {"", "Shape", kOld, kNew, 1, 1, shape, true},
      {"", "Size", kOld, kNew, 1, 1, size, true},
      {"", "SpaceToDepth", kOld, kNew, 1, 1, depthSpace<false>},
      {"", "Squeeze", kOld, kNew, 1, 2, squeeze, true},
      {"", "Tile", kOld, kNew, 2, 2, tile},
      {"", "Transpose", kOld, kNew, 1, 1, transpose, true},
      {"", "Unsqueeze", kOld, kNew, 1, 2, unsqueeze, true},
  };
  return kOps;
}
