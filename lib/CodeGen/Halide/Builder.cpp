// SPDX-License-Identifier: Apache-2.0
// Arguments, results and the evaluation of values. See Builder.h.

#include "Builder.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

using namespace itera;
using namespace itera::halide;

void halide::fail(const llvm::Twine &message) {
  throw KernelError(message.str());
}

Machine::Machine(const TargetSpec &spec) : target(halideTargetString(spec)) {
  bool arm = target.arch == Halide::Target::ARM;
  bool avx512 = target.has_feature(Halide::Target::AVX512_Skylake);
  bool avx = target.has_feature(Halide::Target::AVX2);
  lanes = avx512 ? 16 : avx ? 8 : 4;
  registers = arm || avx512 ? 32 : 16;
  if (arm)
    products = target.has_feature(Halide::Target::ARMDotProd)
                   ? Products::dotSigned
                   : Products::lanes;
  else if (spec.hasFeature("avx512vl") ? spec.hasFeature("avx512vnni")
                                       : avx && spec.hasFeature("avxvnni"))
    products = Products::dotUnsigned;
  else
    products = target.has_feature(Halide::Target::SSE41)
                   ? Products::pairsOfBytes
                   : Products::pairs;
  manyProducts = products;
  if (products == Products::dotSigned && spec.hasFeature("i8mm"))
    manyProducts = Products::matrices;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

Halide::Type halide::halideType(mlir::Type type) {
  if (auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(type))
    type = tensor.getElementType();
  if (type.isF32() || type.isF64() || type.isF16())
    return Halide::Float(type.getIntOrFloatBitWidth());
  if (type.isBF16())
    return Halide::BFloat(16);
  if (type.isInteger(1))
    return Halide::Bool();
  if (type.isInteger(8) || type.isInteger(16) || type.isInteger(32) ||
      type.isInteger(64))
    return Halide::Int(type.getIntOrFloatBitWidth());
  fail("a value of this element type is not supported");
}

Shape halide::shapeOf(mlir::Value value) {
  auto type = mlir::dyn_cast<mlir::RankedTensorType>(value.getType());
  if (!type || !type.hasStaticShape())
    fail("expected static tensors");
  if (type.getNumElements() == 0 || type.getNumElements() > (int64_t(1) << 30))
    fail("expected tensors of 1 to 2^30 elements");
  return Shape(type.getShape().begin(), type.getShape().end());
}

int64_t halide::elementsOf(const Shape &shape) {
  int64_t count = 1;
  for (int extent : shape)
    count *= extent;
  return count;
}

std::vector<int64_t> halide::stridesOf(const Shape &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (int i = int(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

Index halide::delinearize(Expr offset, const Shape &shape) {
  Index index(shape.size(), Expr(0));
  std::vector<int64_t> strides = stridesOf(shape);
  int64_t total = elementsOf(shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1)
      continue;
    Expr e = strides[i] == 1 ? offset : offset / int(strides[i]);
    // The outermost dimension needs no modulo.
    index[i] = strides[i] * shape[i] == total ? e : e % shape[i];
  }
  return index;
}

Expr halide::linearize(const Index &index, const Shape &shape) {
  std::vector<int64_t> strides = stridesOf(shape);
  Expr offset;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1)
      continue;
    Expr term = strides[i] == 1 ? index[i] : index[i] * int(strides[i]);
    offset = offset.defined() ? offset + term : term;
  }
  return offset.defined() ? offset : Expr(0);
}

int halide::tileOf(int tokens, int most) {
  if (tokens <= most)
    return tokens;
  int best = most;
  auto work = [&](int tile) { return (tokens + tile - 1) / tile * tile; };
  for (int tile = most; tile >= std::max(1, most / 2); --tile)
    if (work(tile) < work(best))
      best = tile;
  return best;
}

int halide::powerOfTwoBelow(int value) {
  int power = 1;
  while (power * 2 <= value)
    power *= 2;
  return power;
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

static KernelBuffer bufferOf(unsigned argument, Halide::Type type,
                             const std::vector<KernelBuffer::Dim> &dims,
                             int64_t offset) {
  KernelBuffer buffer;
  buffer.argument = argument;
  buffer.byteOffset = offset * type.bytes();
  buffer.typeCode = type.code();
  buffer.bits = type.bits();
  buffer.dims = dims;
  return buffer;
}

ImageParam KernelBuilder::inputView(unsigned argument, const View &view) {
  return inputView(argument, view,
                   halideType(function.getArgument(argument).getType()));
}

ImageParam KernelBuilder::inputView(unsigned argument, const View &view,
                                    Halide::Type type) {
  // Names are part of the object: they must not depend on what else this
  // process compiled.
  ImageParam param(type, view.dims.size(),
                   "arg" + std::to_string(argument) + "_" +
                       std::to_string(inputBuffers.size()));
  for (auto [i, dim] : llvm::enumerate(view.dims))
    param.dim(i).set_bounds(dim.min, dim.extent).set_stride(dim.stride);
  arguments.push_back(param);
  inputBuffers.push_back(bufferOf(argument, type, view.dims, view.offset));
  return param;
}

/// All dimensions of size above one, innermost first; at least one dimension.
static std::vector<KernelBuffer::Dim> wholeDims(const Shape &shape) {
  std::vector<KernelBuffer::Dim> dims;
  std::vector<int64_t> strides = stridesOf(shape);
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (shape[i] != 1)
      dims.push_back({0, shape[i], int32_t(strides[i])});
  if (dims.empty())
    dims.push_back({0, 1, 1});
  return dims;
}

/// The index without its unit dimensions, innermost first.
static std::vector<Expr> wholeIndex(const Index &index, const Shape &shape) {
  std::vector<Expr> result;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (shape[i] != 1)
      result.push_back(index[i]);
  if (result.empty())
    result.push_back(0);
  return result;
}

Expr KernelBuilder::readArgument(mlir::BlockArgument argument,
                                 const Index &index) {
  Shape shape = shapeOf(argument);
  unsigned number = argument.getArgNumber();
  auto it = wholeArguments.find(number);
  if (it == wholeArguments.end())
    it = wholeArguments
             .try_emplace(number, inputView(number, {wholeDims(shape), 0}))
             .first;
  return it->second(wholeIndex(index, shape));
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Expr KernelBuilder::at(mlir::Value value, const Index &index) {
  std::vector<const void *> key;
  for (const Expr &e : index)
    key.push_back(e.get());
  auto full = std::make_pair(value.getAsOpaquePointer(), std::move(key));
  auto it = memo.find(full);
  if (it != memo.end())
    return it->second.value;
  Expr result = compute(value, index);
  // The index is kept, so that its address stays its identity.
  memo.emplace(std::move(full), Memo{index, result});
  return result;
}

Expr KernelBuilder::compute(mlir::Value value, const Index &index) {
  if (auto it = overrides.find(value); it != overrides.end())
    return it->second(index);
  if (auto argument = mlir::dyn_cast<mlir::BlockArgument>(value))
    return readArgument(argument, index);
  mlir::Operation *op = value.getDefiningOp();
  if (auto it = materialized.find(value); it != materialized.end())
    return it->second(wholeIndex(index, shapeOf(value)));
  if (isElementwise(op)) {
    std::vector<Expr> operands;
    for (mlir::Value operand : op->getOperands())
      operands.push_back(mlir::isa<mlir::RankedTensorType>(operand.getType())
                             ? at(operand, index)
                             : at(operand, {}));
    return scalarOp(op, operands);
  }
  if (mlir::Attribute attr; mlir::matchPattern(op, mlir::m_Constant(&attr)))
    return constant(attr, value.getType(), index);
  if (Expr moved = movement(op, index); moved.defined())
    return moved;
  if (auto norm = mlir::dyn_cast<ssm::NormOp>(op))
    return normAt(norm, index);
  if (auto softmax = mlir::dyn_cast<mlir::linalg::SoftmaxOp>(op))
    return softmaxAt(softmax, index);
  if (auto conv = mlir::dyn_cast<ssm::CausalConv1dOp>(op))
    return convAt(conv, index);
  if (auto reduce = mlir::dyn_cast<mlir::linalg::ReduceOp>(op)) {
    unsigned result = mlir::cast<mlir::OpResult>(value).getResultNumber();
    if (reduce.getNumResults() != 1)
      fail("a reduction with several results");
    return staged(value, index, [&] { return buildReduce(reduce, result); });
  }
  if (auto contract = mlir::dyn_cast<mlir::linalg::ContractOp>(op))
    return staged(value, index, [&] { return buildContract(contract); });
  if (auto linear = mlir::dyn_cast<ssm::LinearOp>(op)) {
    if (linear.isQuantized())
      fail("integer weights in a kernel of several stages");
    Expr sum = staged(value, index, [&] { return buildLinear(linear); });
    return linear.getBias() ? add(sum, at(linear.getBias(), {index.back()}))
                            : sum;
  }
  fail("'" + op->getName().getStringRef() +
       "' has no expression at this place of a kernel");
}

Expr KernelBuilder::atRow(mlir::Value value, Expr row, Expr column) {
  std::vector<const void *> key{row.get(), column.get(), this};
  auto full = std::make_pair(value.getAsOpaquePointer(), std::move(key));
  auto it = memo.find(full);
  if (it != memo.end())
    return it->second.value;
  Expr result = computeRow(value, row, column);
  memo.emplace(std::move(full), Memo{{row, column}, result});
  return result;
}

Expr KernelBuilder::computeRow(mlir::Value value, Expr row, Expr column) {
  if (overrides.count(value) == 0 && materialized.count(value) == 0) {
    Shape shape = shapeOf(value);
    int64_t rows = elementsOf(shape) / shape.back();
    if (auto argument = mlir::dyn_cast<mlir::BlockArgument>(value)) {
      unsigned number = argument.getArgNumber();
      auto it = matrixArguments.find(number);
      if (it == matrixArguments.end()) {
        View view{{{0, shape.back(), 1}, {0, int(rows), shape.back()}}, 0};
        it = matrixArguments.try_emplace(number, inputView(number, view)).first;
      }
      return it->second(column, row);
    }
    mlir::Operation *op = value.getDefiningOp();
    if (isElementwise(op)) {
      std::vector<Expr> operands;
      for (mlir::Value operand : op->getOperands())
        operands.push_back(mlir::isa<mlir::RankedTensorType>(operand.getType())
                               ? atRow(operand, row, column)
                               : at(operand, {}));
      return scalarOp(op, operands);
    }
  }
  Shape shape = shapeOf(value);
  Shape lead(shape.begin(), shape.end() - 1);
  Index index = delinearize(row, lead);
  index.push_back(column);
  return at(value, index);
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void KernelBuilder::addOutput(Func func, llvm::ArrayRef<unsigned> results,
                              llvm::ArrayRef<View> views, bool opaqueLast) {
  unsigned arguments = function.getNumArguments();
  mlir::func::ReturnOp ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  std::vector<Halide::OutputImageParam> params = func.output_buffers();
  for (auto [i, result] : llvm::enumerate(results)) {
    const View &view = views[i];
    Halide::Type type = halideType(ret.getOperand(result).getType());
    // Only the first buffer of a Tuple may have its extents fixed; the others
    // follow.
    size_t fixed = view.dims.size() - (opaqueLast ? 1 : 0);
    for (auto [d, dim] :
         llvm::enumerate(llvm::ArrayRef(view.dims).take_front(fixed))) {
      if (i == 0)
        params[i].dim(d).set_bounds(dim.min, dim.extent);
      params[i].dim(d).set_stride(dim.stride);
    }
    outputBuffers.push_back(
        bufferOf(arguments + result, type, view.dims, view.offset));
  }
  outputs.push_back(func);
}

/// Where the results have to be cut, because their parts are computed in
/// different ways.
std::vector<KernelBuilder::Piece> KernelBuilder::piecesOf(mlir::Value value) {
  Shape shape = shapeOf(value);
  Piece whole{std::vector<int>(shape.size(), 0), shape};
  mlir::Operation *op = value.getDefiningOp();
  if (auto concat = mlir::dyn_cast_or_null<mlir::tensor::ConcatOp>(op)) {
    std::vector<Piece> pieces;
    int start = 0;
    for (mlir::Value operand : concat.getInputs()) {
      Piece piece = whole;
      piece.offsets[concat.getDim()] = start;
      piece.extents[concat.getDim()] = shapeOf(operand)[concat.getDim()];
      start += piece.extents[concat.getDim()];
      pieces.push_back(piece);
    }
    return pieces;
  }
  return {whole};
}

void KernelBuilder::emitPiece(llvm::ArrayRef<unsigned> results,
                              const Piece &piece) {
  auto ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  Shape shape = shapeOf(ret.getOperand(results[0]));
  std::vector<int64_t> strides = stridesOf(shape);
  View view;
  std::vector<Var> vars;
  Index index(shape.size(), Expr(0));
  for (int i = int(shape.size()) - 1; i >= 0; --i) {
    view.offset += piece.offsets[i] * strides[i];
    if (piece.extents[i] == 1) {
      index[i] = piece.offsets[i];
      continue;
    }
    vars.push_back(var("o"));
    index[i] =
        piece.offsets[i] ? vars.back() + piece.offsets[i] : Expr(vars.back());
    view.dims.push_back({0, piece.extents[i], int32_t(strides[i])});
  }
  if (vars.empty()) {
    vars.push_back(var("o"));
    view.dims.push_back({0, 1, 1});
  }
  std::vector<Expr> values;
  for (unsigned result : results)
    values.push_back(at(ret.getOperand(result), index));
  Func out = func("out");
  if (values.size() == 1)
    out(vars) = values[0];
  else
    out(vars) = Halide::Tuple(values);
  if (products.empty()) {
    vectorizeInner(out, vars[0], view.dims[0].extent,
                   TailStrategy::ShiftInwards);
  } else {
    std::vector<int> extents;
    for (const KernelBuffer::Dim &dim : view.dims)
      extents.push_back(dim.extent);
    scheduleProducts(out, vars, extents);
  }
  addOutput(out, results, std::vector<View>(results.size(), view));
}

void KernelBuilder::buildPieces() {
  auto ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  // Convolutions: the first K-1 frames read the past, the others do not.
  ssm::CausalConv1dOp conv;
  for (mlir::Operation &op : function.getBody().front())
    if (auto found = mlir::dyn_cast<ssm::CausalConv1dOp>(op))
      conv = found;

  // Results of the same shape are computed together.
  std::vector<std::vector<unsigned>> groups;
  for (unsigned i = 0; i < ret.getNumOperands(); ++i) {
    Shape shape = shapeOf(ret.getOperand(i));
    bool plain = !mlir::isa_and_nonnull<mlir::tensor::ConcatOp>(
        ret.getOperand(i).getDefiningOp());
    auto same = llvm::find_if(groups, [&](auto &group) {
      mlir::Value first = ret.getOperand(group[0]);
      return plain && shapeOf(first) == shape &&
             !mlir::isa_and_nonnull<mlir::tensor::ConcatOp>(
                 first.getDefiningOp());
    });
    if (same != groups.end())
      same->push_back(i);
    else
      groups.push_back({i});
  }
  for (auto &group : groups) {
    mlir::Value first = ret.getOperand(group[0]);
    for (Piece piece : piecesOf(first)) {
      if (!conv || shapeOf(first) != shapeOf(conv.getY())) {
        forget();
        convFrames.clear();
        emitPiece(group, piece);
        continue;
      }
      int frames = piece.extents[1], past = shapeOf(conv.getWeight())[1] - 1;
      int head = std::min(frames, past);
      // Few frames are cut one by one, so that each knows its taps.
      int step = head <= 8 ? 1 : head;
      for (int t = 0; t < frames;) {
        Piece part = piece;
        part.offsets[1] = t;
        part.extents[1] = t < head ? step : frames - t;
        forget();
        convFrames[conv] = {t, t + part.extents[1]};
        emitPiece(group, part);
        t += part.extents[1];
      }
    }
  }
}

void KernelBuilder::build() {
  if (!llvm::hasSingleElement(function.getBody()))
    fail("expected a function of one block");
  if (!claimScan() && !claimRecurrence() && !claimQuantizedLinear() &&
      !claimLinear() && !claimHadamard())
    buildPieces();
  buffers = inputBuffers;
  buffers.insert(buffers.end(), outputBuffers.begin(), outputBuffers.end());
}
