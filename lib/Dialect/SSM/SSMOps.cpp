// SPDX-License-Identifier: Apache-2.0
// Verifiers and folders. Each check carries the label of the constraint in the
// op's description; a test of the same label makes it fail.

#include "itera/Dialect/SSM/SSM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace itera::ssm;

#define GET_OP_CLASSES
#include "itera/Dialect/SSM/SSMOps.cpp.inc"

using Shape = ArrayRef<int64_t>;

static Shape shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

static SmallVector<int64_t> without(Shape shape, int64_t dim) {
  SmallVector<int64_t> result(shape);
  result.erase(result.begin() + dim);
  return result;
}

/// Reports that `what` should have the shape `expected`.
static LogicalResult expectShape(Operation *op, StringRef what, Value value,
                                 Shape expected) {
  if (shapeOf(value) == expected)
    return success();
  InFlightDiagnostic error = op->emitOpError("expected ") << what << " of shape [";
  llvm::interleaveComma(expected, error);
  error << "], but got " << value.getType();
  return error;
}

static LogicalResult expectDim(Operation *op, int64_t dim, int64_t rank) {
  if (dim >= 0 && dim < rank)
    return success();
  return op->emitOpError("expected a dimension in [0, ")
         << rank << "), but got " << dim;
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

LogicalResult ScanOp::verify() {
  Block &block = getBody().front();
  // scan_c1
  if (getSequenceDims().size() != getSequences().size())
    return emitOpError("expected one sequence_dims entry per sequence");
  SmallVector<Type> arguments(getInits().getTypes());
  for (auto [sequence, dim] : llvm::zip(getSequences(), getSequenceDims())) {
    Shape shape = shapeOf(sequence);
    if (failed(expectDim(*this, dim, shape.size())))
      return failure();
    // scan_c2
    if (shape[dim] != static_cast<int64_t>(getLength()))
      return emitOpError("expected size ")
             << getLength() << " along the time dimension, but got "
             << sequence.getType();
    arguments.push_back(RankedTensorType::get(
        without(shape, dim),
        cast<RankedTensorType>(sequence.getType()).getElementType()));
  }
  // scan_c3
  if (TypeRange(block.getArgumentTypes()) != TypeRange(arguments))
    return emitOpError("expected body arguments of types (")
           << arguments << "), but got (" << block.getArgumentTypes() << ")";
  // scan_c5
  if (getNumResults() != getInits().size() + getStackDims().size())
    return emitOpError("expected one stack_dims entry per stacked result");
  SmallVector<Type> yielded(getInits().getTypes());
  if (TypeRange(getLastStates().getTypes()) != TypeRange(yielded))
    return emitOpError("expected the last states to have the inits' types");
  for (auto [result, dim] : llvm::zip(getStacked(), getStackDims())) {
    Shape shape = shapeOf(result);
    if (failed(expectDim(*this, dim, shape.size())))
      return failure();
    if (shape[dim] != static_cast<int64_t>(getLength()))
      return emitOpError("expected size ")
             << getLength() << " along the stacked dimension, but got "
             << result.getType();
    yielded.push_back(RankedTensorType::get(
        without(shape, dim),
        cast<RankedTensorType>(result.getType()).getElementType()));
  }
  // scan_c4
  Operation *yield = block.getTerminator();
  if (TypeRange(yield->getOperandTypes()) != TypeRange(yielded))
    return emitOpError("expected the body to yield (")
           << yielded << "), but got (" << yield->getOperandTypes() << ")";
  return success();
}

//===----------------------------------------------------------------------===//
// Recurrences
//===----------------------------------------------------------------------===//

LogicalResult LinearRecurrenceOp::verify() {
  Shape u = shapeOf(getU());
  // linear_recurrence_c1
  if (failed(expectDim(*this, getDim(), u.size())))
    return failure();
  // linear_recurrence_c2
  return expectShape(*this, "init", getInit(), without(u, getDim()));
}

LogicalResult SelectiveScanOp::verify() {
  Shape x = shapeOf(getX());
  // selective_scan_c1
  if (x.size() != 3)
    return emitOpError("expected x of rank 3, but got ") << getX().getType();
  if (getZ() && getZ().getType() != getX().getType())
    return emitOpError("expected z of x's type, but got ") << getZ().getType();
  // selective_scan_c2
  Shape a = shapeOf(getA()), b = shapeOf(getB());
  if (b.size() < 3 || b.size() > 4)
    return emitOpError("expected B of rank 3 or 4, but got ") << getB().getType();
  int64_t n = b.back();
  if ((a.size() != 1 && a.size() != 2) || a[0] != x[2] ||
      (a.size() == 2 && a[1] != n))
    return emitOpError("expected A of shape [D] or [D, N] with D = ")
           << x[2] << " and N = " << n << ", but got " << getA().getType();
  if (b.size() == 4 && (b[2] < 1 || x[2] % b[2] != 0))
    return emitOpError("expected B with a number of groups that divides ")
           << x[2] << ", but got " << getB().getType();
  if (b[0] != x[0] || b[1] != x[1])
    return emitOpError("expected B of shape [")
           << x[0] << ", " << x[1] << ", ...], but got " << getB().getType();
  // selective_scan_c3
  if (failed(expectShape(*this, "init", getInit(), {x[0], x[2], n})))
    return failure();
  return getD() ? expectShape(*this, "D", getD(), {x[2]}) : success();
}

LogicalResult CausalConv1dOp::verify() {
  Shape x = shapeOf(getX()), w = shapeOf(getWeight());
  // causal_conv1d_c1
  if (x.size() != 3)
    return emitOpError("expected x of rank 3, but got ") << getX().getType();
  // causal_conv1d_c2
  if (w.size() != 2 || w[0] != x[2] || w[1] < 1)
    return emitOpError("expected a weight of shape [D, K] with D = ")
           << x[2] << ", but got " << getWeight().getType();
  if (getBias() && failed(expectShape(*this, "bias", getBias(), {x[2]})))
    return failure();
  // causal_conv1d_c3
  if (getPast() &&
      failed(expectShape(*this, "past", getPast(), {x[0], w[1] - 1, x[2]})))
    return failure();
  // causal_conv1d_c4
  if (getActivation() != Activation::none &&
      getActivation() != Activation::silu)
    return emitOpError("expected activation none or silu, but got ")
           << stringifyActivation(getActivation());
  return success();
}

Value LongConvOp::buildConv(OpBuilder &builder, Location loc, Value frames,
                            Value kernel, int64_t zeros) {
  Shape x = shapeOf(frames), k = shapeOf(kernel);
  // A convolution's weight begins with what the oldest frame is multiplied by.
  Value weight = ReverseOp::create(builder, loc, kernel.getType(), kernel,
                                   ArrayRef<int64_t>{1});
  auto weightType = cast<RankedTensorType>(kernel.getType());
  SmallVector<ReassociationIndices> groups = {{0, 1}, {2}};
  weight = tensor::ExpandShapeOp::create(
      builder, loc, weightType.clone({k[0], 1, k[1]}), weight, groups);
  int64_t one = 1, none = 0;
  auto type = cast<RankedTensorType>(frames.getType())
                  .clone({x[0], x[1], x[2] + zeros - k[1] + 1});
  return ConvOp::create(builder, loc, type, frames, weight, /*bias=*/Value(),
                        one, one, zeros, none, /*groups=*/k[0]);
}

LogicalResult LongConvOp::verify() {
  Shape x = shapeOf(getX()), kernel = shapeOf(getKernel());
  // long_conv_c1
  if (x.size() != 3)
    return emitOpError("expected x of rank 3, but got ") << getX().getType();
  // long_conv_c2
  if (kernel.size() != 2 || kernel[0] != x[1] || kernel[1] < 1)
    return emitOpError("expected a kernel of shape [D, K] with D = ")
           << x[1] << ", but got " << getKernel().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

namespace {
/// A matrix [N, K] as ssm.linear and ssm.embedding store it.
struct StoredMatrix {
  Operation *op;
  StringRef what;
  Value matrix, scales, zeroPoints;
  std::optional<int64_t> group;
  std::optional<Type> packed;
  Type result; // of the op's elements

  LogicalResult verify(int64_t n, int64_t k) const;
};
} // namespace

LogicalResult StoredMatrix::verify(int64_t n, int64_t k) const {
  Shape w = shapeOf(matrix);
  Type element = getElementTypeOrSelf(matrix.getType());
  auto mismatch = [&]() {
    return op->emitOpError("expected ")
           << what << " of shape [" << n << ", " << k
           << "], or packed, but got " << matrix.getType();
  };
  auto blocksOf = [&](int64_t height) {
    return height > 0 && w[0] == llvm::divideCeilSigned(n, height);
  };
  int64_t height = 0; // of a packed block
  if (packed) {
    // linear_c2
    int64_t perStep = packed->isInteger(4) ? 8 : packed->isInteger(8) ? 4 : 0;
    if (perStep == 0 || !element.isInteger(8))
      return op->emitOpError("expected bytes packed from i4 or i8, but got ")
             << matrix.getType() << " packed from " << *packed;
    int64_t size = group.value_or(k);
    if (size < 1 || w.size() != 4 || !blocksOf(w[2]) || w[3] != 4 ||
        w[1] != llvm::divideCeilSigned(k, size) *
                    llvm::divideCeilSigned(size, perStep))
      return mismatch();
    height = w[2];
  } else if (isa<FloatType>(element)) {
    if (element.getIntOrFloatBitWidth() > result.getIntOrFloatBitWidth())
      return op->emitOpError("expected ")
             << what << " of at most " << result << ", but got "
             << matrix.getType();
    if (w.size() == 3 && w[1] == k && blocksOf(w[2]))
      height = w[2];
    else if (w != Shape({n, k}))
      return mismatch();
  } else if (!element.isInteger(4) && !element.isInteger(8)) {
    return op->emitOpError("expected ")
           << what << " of floats, i8 or i4, but got " << matrix.getType();
  } else if (w != Shape({n, k})) {
    return mismatch();
  }
  // linear_c4
  if (isa<IntegerType>(element) != static_cast<bool>(scales))
    return op->emitOpError(scales ? "expected no scales for "
                                  : "expected scales for ")
           << what << " of type " << matrix.getType();
  // linear_c6
  if (group && (!scales || *group < 8 || *group % 8 != 0))
    return op->emitOpError("expected groups, of integers, of a positive "
                           "multiple of 8, but got ")
           << *group;
  if (!scales)
    // linear_c5
    return zeroPoints ? op->emitOpError("expected no zero points for ")
                            << what << " of type " << matrix.getType()
                      : success();
  int64_t groups = llvm::divideCeilSigned(k, group.value_or(std::max<int64_t>(k, 1)));
  SmallVector<int64_t> expected = {n, groups};
  if (packed)
    expected = {w[0], groups, height};
  if (failed(expectShape(op, "scales", scales, expected)))
    return failure();
  // linear_c5
  if (!zeroPoints)
    return success();
  if (!getElementTypeOrSelf(zeroPoints.getType()).isInteger(8))
    return op->emitOpError("expected zero points of i8, but got ")
           << zeroPoints.getType();
  return expectShape(op, "zero points", zeroPoints, expected);
}

unsigned LinearOp::getWeightBits() {
  Type type = getPacked() ? *getPacked()
                          : getElementTypeOrSelf(getWeight().getType());
  return type.getIntOrFloatBitWidth();
}

LogicalResult LinearOp::verify() {
  Shape x = shapeOf(getX()), y = shapeOf(getY());
  // linear_c1
  if (x.empty() || y.size() != x.size() || x.drop_back() != y.drop_back())
    return emitOpError("expected x and y with the same leading dimensions, "
                       "but got ")
           << getX().getType() << " and " << getY().getType();
  int64_t n = y.back(), k = x.back();
  StoredMatrix weight{*this,           "a weight",           getWeight(),
                      getScales(),     getZeroPoints(),      getGroup(),
                      getPacked(),     getY().getType().getElementType()};
  if (failed(weight.verify(n, k)))
    return failure();
  // linear_c7
  if (std::optional<InputScales> input = getInt8Input()) {
    constexpr int64_t kMostExact = 65536;
    if (!getScales() || getGroupSize() > kMostExact)
      return emitOpError("expected integer weights in groups of at most ")
             << kMostExact << " for an int8 input";
    if (*input == InputScales::group && !getGroup())
      return emitOpError("expected groups for input scales per group");
  }
  // linear_c3
  return getBias() ? expectShape(*this, "bias", getBias(), {n}) : success();
}

LogicalResult HadamardOp::verify() {
  Shape x = shapeOf(getX());
  int64_t block = getBlock();
  // hadamard_c1
  if (block < 1 || (block & (block - 1)) != 0)
    return emitOpError("expected a block of a power of two, but got ") << block;
  // hadamard_c2
  if (x.empty() || x.back() % block != 0)
    return emitOpError("expected a last dimension in blocks of ")
           << block << ", but got " << getX().getType();
  return success();
}

LogicalResult NormOp::verify() {
  Shape x = shapeOf(getX());
  if (x.empty())
    return emitOpError("expected x of rank 1 or more");
  // norm_c1
  if (getScale() && failed(expectShape(*this, "scale", getScale(), {x.back()})))
    return failure();
  return getBias() ? expectShape(*this, "bias", getBias(), {x.back()})
                   : success();
}

LogicalResult EmbeddingOp::verify() {
  Shape table = shapeOf(getTable()), y = shapeOf(getY());
  Shape indices = shapeOf(getIndices());
  // embedding_c1
  if (y.size() != indices.size() + 1 || y.drop_back() != indices)
    return emitOpError("expected a result of indices' shape and one dimension "
                       "more, but got ")
           << getY().getType();
  if (table.size() < 2)
    return emitOpError("expected a table of shape [V, D], or packed, but got ")
           << getTable().getType();
  int64_t rows = table[0];
  if (table.size() > 2)
    rows = getRows() ? *getRows() : table[0] * table[2];
  // embedding_c2
  StoredMatrix matrix{*this,       "a table",       getTable(),
                      getScales(), getZeroPoints(), getGroup(),
                      getPacked(),     getY().getType().getElementType()};
  return matrix.verify(rows, y.back());
}

LogicalResult MoeOp::verify() {
  Shape x = shapeOf(getX()), selected = shapeOf(getSelected());
  if (x.size() != 2)
    return emitOpError("expected x of rank 2, but got ") << getX().getType();
  // moe_c1
  if (selected.size() != 2 || selected[0] != x[0])
    return emitOpError("expected selected of shape [T, J] with T = ")
           << x[0] << ", but got " << getSelected().getType();
  if (failed(expectShape(*this, "gates", getGates(), selected)))
    return failure();
  // moe_c2
  Shape up = shapeOf(getUp());
  if (up.size() != 3 || up[2] != x[1])
    return emitOpError("expected up of shape [E, H, D] with D = ")
           << x[1] << ", but got " << getUp().getType();
  if (failed(expectShape(*this, "down", getDown(), {up[0], x[1], up[1]})))
    return failure();
  // moe_c3
  if (getUpBias() &&
      failed(expectShape(*this, "up_bias", getUpBias(), {up[0], up[1]})))
    return failure();
  return getDownBias() ? expectShape(*this, "down_bias", getDownBias(),
                                     {up[0], x[1]})
                       : success();
}

//===----------------------------------------------------------------------===//
// Tensor movements
//===----------------------------------------------------------------------===//

LogicalResult ConvOp::verify() {
  Shape x = shapeOf(getX()), w = shapeOf(getWeight()), y = shapeOf(getY());
  // conv_c1
  if (x.size() < 3 || w.size() != x.size() || y.size() != x.size())
    return emitOpError("expected x, weight and y of one rank, 3 or more");
  // conv_c2
  size_t spatial = x.size() - 2;
  for (ArrayRef<int64_t> list :
       {getStrides(), getDilations(), getPadsLow(), getPadsHigh()})
    if (list.size() != spatial)
      return emitOpError("expected ")
             << spatial << " strides, dilations and pads each";
  auto positive = [](int64_t v) { return v > 0; };
  auto natural = [](int64_t v) { return v >= 0; };
  if (!llvm::all_of(getStrides(), positive) ||
      !llvm::all_of(getDilations(), positive) ||
      !llvm::all_of(getPadsLow(), natural) ||
      !llvm::all_of(getPadsHigh(), natural))
    return emitOpError("expected positive strides and dilations and pads that "
                       "are not negative");
  // conv_c3
  int64_t groups = getGroups();
  if (groups < 1 || x[1] != w[1] * groups || w[0] % groups != 0 ||
      y[0] != x[0] || y[1] != w[0])
    return emitOpError("expected channels that match the weight and ")
           << groups << " groups, but got " << getX().getType() << ", "
           << getWeight().getType() << " and " << getY().getType();
  // conv_c4
  for (size_t i = 0; i < spatial; ++i) {
    int64_t span = x[i + 2] + getPadsLow()[i] + getPadsHigh()[i] -
                   getDilations()[i] * (w[i + 2] - 1) - 1;
    int64_t expected = span < 0 ? 0 : span / getStrides()[i] + 1;
    if (y[i + 2] != expected)
      return emitOpError("expected size ")
             << expected << " along dimension " << i + 2 << ", but got "
             << getY().getType();
  }
  return getBias() ? expectShape(*this, "bias", getBias(), {w[0]}) : success();
}

LogicalResult CumsumOp::verify() {
  return expectDim(*this, getDim(), shapeOf(getX()).size());
}

LogicalResult ReverseOp::verify() {
  for (int64_t dim : getDims())
    if (failed(expectDim(*this, dim, shapeOf(getX()).size())))
      return failure();
  return success();
}

LogicalResult OnesLikeOp::verify() {
  // ones_like_c1
  ArrayRef<int64_t> x = shapeOf(getX()), y = shapeOf(getY());
  bool fits = x.size() == y.size() && getElementTypeOrSelf(getX()) ==
                                          getElementTypeOrSelf(getY());
  for (size_t i = 0; fits && i < x.size(); ++i)
    fits = y[i] == x[i] || y[i] == 1;
  if (!fits)
    return emitOpError() << "expected a result with the dimensions of "
                         << getX().getType() << " or 1, but got "
                         << getY().getType();
  return success();
}

OpFoldResult ReverseOp::fold(FoldAdaptor) {
  // Nothing to reverse: no dims, or dims of size one.
  if (llvm::all_of(getDims(),
                   [&](int64_t dim) { return shapeOf(getX())[dim] == 1; }))
    return getX();
  // Reversed twice.
  if (auto inner = getX().getDefiningOp<ReverseOp>();
      inner && inner.getDims() == getDims())
    return inner.getX();
  return {};
}

LogicalResult GatherOp::verify() {
  Shape data = shapeOf(getData()), indices = shapeOf(getIndices());
  if (failed(expectDim(*this, getDim(), data.size())))
    return failure();
  // gather_c1
  SmallVector<int64_t> expected(data.take_front(getDim()));
  llvm::append_range(expected, indices);
  llvm::append_range(expected, data.drop_front(getDim() + 1));
  return expectShape(*this, "a result", getY(), expected);
}

LogicalResult GatherElementsOp::verify() {
  Shape data = shapeOf(getData()), indices = shapeOf(getIndices());
  if (failed(expectDim(*this, getDim(), data.size())))
    return failure();
  if (indices.size() != data.size())
    return emitOpError("expected indices of data's rank, but got ")
           << getIndices().getType();
  return expectShape(*this, "a result", getY(), indices);
}

LogicalResult GatherNdOp::verify() {
  Shape data = shapeOf(getData()), indices = shapeOf(getIndices());
  int64_t batch = getBatchDims();
  if (indices.empty() || batch < 0 ||
      batch >= static_cast<int64_t>(indices.size()) ||
      batch + indices.back() > static_cast<int64_t>(data.size()) ||
      data.take_front(batch) != indices.take_front(batch))
    return emitOpError("expected index tuples that fit data, but got ")
           << getIndices().getType();
  SmallVector<int64_t> expected(indices.drop_back());
  llvm::append_range(expected, data.drop_front(batch + indices.back()));
  return expectShape(*this, "a result", getY(), expected);
}

LogicalResult ScatterNdOp::verify() {
  Shape data = shapeOf(getData()), indices = shapeOf(getIndices());
  if (indices.empty() || indices.back() > static_cast<int64_t>(data.size()))
    return emitOpError("expected index tuples that fit data, but got ")
           << getIndices().getType();
  // scatter_nd_c1
  SmallVector<int64_t> expected(indices.drop_back());
  llvm::append_range(expected, data.drop_front(indices.back()));
  if (getValid() && failed(expectShape(*this, "valid", getValid(), {})))
    return failure();
  return expectShape(*this, "updates", getUpdates(), expected);
}

LogicalResult ScatterElementsOp::verify() {
  Shape data = shapeOf(getData()), indices = shapeOf(getIndices());
  if (failed(expectDim(*this, getDim(), data.size())))
    return failure();
  if (indices.size() != data.size())
    return emitOpError("expected indices of data's rank, but got ")
           << getIndices().getType();
  return expectShape(*this, "updates", getUpdates(), indices);
}

LogicalResult TopKOp::verify() {
  Shape x = shapeOf(getX()), values = shapeOf(getValues());
  if (failed(expectDim(*this, getDim(), x.size())))
    return failure();
  if (values.size() != x.size() || without(values, getDim()) != without(x, getDim()) ||
      values[getDim()] > x[getDim()])
    return emitOpError("expected at most ")
           << x[getDim()] << " values along dimension " << getDim()
           << ", but got " << getValues().getType();
  return expectShape(*this, "indices", getIndices(), values);
}

LogicalResult NonzeroOp::verify() {
  auto x = cast<RankedTensorType>(getX().getType());
  if (failed(expectShape(*this, "indices", getIndices(),
                         {x.getRank(), x.getNumElements()})))
    return failure();
  return expectShape(*this, "count", getCount(), {});
}

//===----------------------------------------------------------------------===//
// Weights and kernels
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  // weight_c1
  if (!isa<DenseResourceElementsAttr, DenseElementsAttr>(getValue()))
    return emitOpError("expected a dense resource or a dense constant, but got ")
           << getValue();
  return success();
}

LogicalResult KernelOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // kernel_c1
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getCalleeAttr());
  if (!callee)
    return emitOpError("expected a kernel function, but got ") << getCalleeAttr();
  if (getNumResults() == 0)
    return success(); // bufferised: operands are buffers
  FunctionType type = callee.getFunctionType();
  if (TypeRange(type.getInputs()) != TypeRange(getArguments().getTypes()) ||
      TypeRange(type.getResults()) != TypeRange(getResultTypes()))
    return emitOpError("expected the types of ")
           << getCalleeAttr() << ", " << type;
  return success();
}

void KernelOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (getNumResults() > 0)
    return;
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}
