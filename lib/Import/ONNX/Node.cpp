// SPDX-License-Identifier: Apache-2.0

#include "Importer.h"

#include "itera/Dialect/SSM/Evaluate.h"
#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::onnx_import;

Node::Node(Importer &importer, const onnx::NodeProto &proto, Scope &scope,
           Location loc, int opset)
    : importer(importer), proto(proto), scope(scope), loc(loc),
      b(importer.builder, loc), opset(opset) {}

InFlightDiagnostic Node::error() const {
  InFlightDiagnostic diagnostic = importer.error(loc);
  StringRef name = "(unnamed)";
  if (auto named = dyn_cast<NameLoc>(loc))
    name = named.getName().getValue();
  diagnostic << "node '" << name << "' (" << StringRef(proto.op_type())
             << "): ";
  return diagnostic;
}

InFlightDiagnostic Node::mismatch(int64_t size, int64_t other) const {
  importer.mismatches.push_back({size, other});
  return error();
}

InFlightDiagnostic Node::shapeMismatch(Dims shape, Dims other) const {
  size_t common = std::min(shape.size(), other.size());
  Dims a = shape.take_back(common), c = other.take_back(common);
  for (size_t i = 0; i < common; ++i)
    if (a[i] != c[i] && a[i] != 1 && c[i] != 1)
      importer.mismatches.push_back({a[i], c[i]});
  return error();
}

void Node::outList(ArrayRef<Value> values) {
  Entry entry;
  entry.list = std::make_shared<const SmallVector<Value>>(values);
  outputs.push_back(std::move(entry));
}

Value Node::indexVector(ArrayRef<int64_t> values) const {
  ssm::HostTensor data;
  data.type = RankedTensorType::get({static_cast<int64_t>(values.size())},
                                    importer.builder.getI64Type());
  data.kind = ssm::ElementKind::I64;
  data.bytes = ArrayRef<char>(reinterpret_cast<const char *>(values.data()),
                              values.size() * sizeof(int64_t));
  return importer.buildConstant(data, loc);
}

const onnx::AttributeProto *Node::attribute(StringRef name) const {
  for (const onnx::AttributeProto &attribute : proto.attribute()) {
    if (StringRef(attribute.name()) != name)
      continue;
    if (attribute.ref_attr_name().empty())
      return &attribute;
    // In a function body: the attribute of the call, if it has one.
    if (!importer.callAttributes)
      return nullptr;
    auto found = importer.callAttributes->find(attribute.ref_attr_name());
    return found == importer.callAttributes->end() ? nullptr : found->second;
  }
  return nullptr;
}

int64_t Node::intAttr(StringRef name, int64_t otherwise) const {
  const onnx::AttributeProto *a = attribute(name);
  return a && a->has_i() ? a->i() : otherwise;
}

double Node::floatAttr(StringRef name, double otherwise) const {
  const onnx::AttributeProto *a = attribute(name);
  return a && a->has_f() ? a->f() : otherwise;
}

std::string Node::stringAttr(StringRef name, StringRef otherwise) const {
  const onnx::AttributeProto *a = attribute(name);
  return a && a->has_s() ? a->s() : otherwise.str();
}

std::optional<Shape> Node::intsAttr(StringRef name) const {
  const onnx::AttributeProto *a = attribute(name);
  if (!a)
    return std::nullopt;
  return Shape(a->ints().begin(), a->ints().end());
}

std::optional<ssm::HostTensor> Node::constant(Value value) const {
  ssm::Evaluator::Limits limits;
  limits.elements = int64_t(1) << 20;
  limits.work = int64_t(1) << 24;
  return ssm::Evaluator(limits).evaluate(value);
}

FailureOr<Shape> Node::ints(size_t i, StringRef what) const {
  Value value = in(i);
  if (!isa<IntegerType>(b.elementOf(value)))
    return error() << "expected integers as " << what << ", but got "
                   << value.getType();
  ssm::Evaluator::Limits limits;
  limits.elements = int64_t(1) << 16;
  limits.work = int64_t(1) << 20;
  ssm::Evaluator evaluator(limits);
  std::optional<ssm::HostTensor> data = evaluator.evaluate(value);
  if (!data)
    return error() << "expected a constant as " << what
                   << ", but it depends on " << evaluator.getReason()
                   << "; export the model with fixed shapes";
  return Shape(data->getInts());
}

FailureOr<std::optional<Shape>> Node::intsOrAttr(size_t i,
                                                 StringRef name) const {
  if (has(i)) {
    FailureOr<Shape> values = ints(i, name);
    if (failed(values))
      return failure();
    return std::optional<Shape>(*values);
  }
  return intsAttr(name);
}

FailureOr<int64_t> Node::axis(int64_t value, int64_t rank) const {
  if (value < -rank || value >= rank)
    return error() << "expected an axis in [" << -rank << ", " << rank - 1
                   << "], but got " << value;
  return value < 0 ? value + rank : value;
}

FailureOr<Shape> Node::axes(Dims values, int64_t rank) const {
  Shape result;
  for (int64_t value : values) {
    FailureOr<int64_t> dim = axis(value, rank);
    if (failed(dim))
      return failure();
    if (llvm::is_contained(result, *dim))
      return error() << "expected different axes, but got " << *dim << " twice";
    result.push_back(*dim);
  }
  return result;
}

LogicalResult Node::checkShape(Dims shape) const {
  if (countElements(shape))
    return success();
  InFlightDiagnostic diagnostic = error();
  diagnostic << "expected a shape of at most " << kMaxRank
             << " dimensions and a sane size, but got [";
  llvm::interleaveComma(shape, diagnostic);
  return diagnostic << "]";
}

LogicalResult Node::expectFloat(size_t i) const {
  if (b.isFloat(in(i)))
    return success();
  return error() << "expected floats as input " << i << ", but got "
                 << in(i).getType();
}

LogicalResult Node::expectInteger(size_t i) const {
  if (isa<IntegerType>(b.elementOf(in(i))))
    return success();
  return error() << "expected integers as input " << i << ", but got "
                 << in(i).getType();
}

LogicalResult Node::expectSameElement(size_t i, size_t j) const {
  if (b.elementOf(in(i)) == b.elementOf(in(j)))
    return success();
  return error() << "expected inputs " << i << " and " << j
                 << " of one element type, but got " << in(i).getType()
                 << " and " << in(j).getType();
}

LogicalResult Node::expectFinite(size_t i, StringRef what) const {
  Operation *op = in(i).getDefiningOp();
  if (!isa_and_nonnull<arith::ConstantOp, ssm::WeightOp>(op))
    return success();
  std::optional<ssm::HostTensor> data =
      ssm::readAttribute(op->getAttr("value"));
  if (!data || !ssm::isFloat(data->kind))
    return success();
  for (int64_t k = 0, e = data->size(); k < e; ++k)
    if (!std::isfinite(data->getFloat(k)))
      return error() << "expected " << what << " that are finite, but element "
                     << k << " of '"
                     << cleanName(proto.input(i)) << "' is "
                     << (std::isnan(data->getFloat(k)) ? "NaN" : "infinite");
  return success();
}

int Node::fileType(Value value) const {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
      break;
    value = op->getOperand(0);
  }
  for (auto &[tensor, known] : importer.tensors)
    if (known == value)
      return tensor->data_type();
  return onnx::TensorProto::UNDEFINED;
}

bool Node::isUnsigned(Value value) const {
  return importer.unsignedValues.contains(value);
}

void Node::setUnsigned(Value value) const {
  importer.unsignedValues.insert(value);
}

std::optional<Counted> Node::counted(Value value) const {
  auto found = importer.counted.find(value);
  if (found == importer.counted.end())
    return std::nullopt;
  return found->second;
}

void Node::setCounted(Value value, Counted counted) const {
  importer.counted[value] = counted;
}

LogicalResult Node::refuseCounted() const {
  for (auto [i, input] : llvm::enumerate(inputs))
    if (input.value && counted(input.value))
      return error() << "expected a static shape, but input " << i
                     << " comes from NonZero and has a length that depends on "
                        "the data; only elementwise ops, gathers, reshapes, "
                        "matrix products and ScatterND can take it";
  return success();
}
