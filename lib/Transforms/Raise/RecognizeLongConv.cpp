// SPDX-License-Identifier: Apache-2.0
//
// Problem: S4 and Hyena convolve a sequence with a kernel of its own length by
// way of Fourier transforms, which exporters write as products with matrices of
// cosines and sines. That costs more than the convolution itself, and nothing
// in it says that no frame needs a later one.
//
// Idea: as with closed forms (RecognizeSsd.cpp), the algebra is not matched op
// by op. From a slice at the front of a dimension, which cuts off the second
// half of a product of twice the length, all ops are followed up through two
// transforms to what is transformed, the sequence and the kernel; or the
// sequence alone, if the file has the kernel transformed, and then the kernel is
// what becomes of a one and zeros. The region between is evaluated on random numbers. It is linear in either
// value by the ops that it is made of, so agreement with the convolution at
// random points is equality: transforms that are too short, padding that is not
// zero or a slice that is not the front would all show.
//
// A kernel that is a sum of powers is a recurrence: see KernelPowers.h.

#include "KernelPowers.h"
#include "Match.h"
#include "SmallCopy.h"

#include "itera/Dialect/SSM/SSM.h"
#include "itera/Transforms/Raise/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>
#include <random>

namespace itera {
#define GEN_PASS_DEF_RECOGNIZELONGCONVPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

/// Bounds on what is tried.
static constexpr size_t kMostOps = 256, kMostAbove = 4096;
static constexpr int64_t kMostElements = int64_t(1) << 24;

namespace {

/// y = x * kernel, by the dimensions of the three.
struct LongConv {
  Value root, x;
  /// The kernel; null if the file only has what it was transformed to. Then its
  /// numbers, [channels, frames].
  Value kernel;
  std::vector<double> numbers;
  /// Of x and of root: dimensions in the order batch, channels, time.
  SmallVector<int64_t> orderOfX, orderOfRoot;
  int64_t batch = 1, channels = 1, frames = 1;
};

/// The region above a slice, down to what two transforms read.
class TransformSearch {
public:
  explicit TransformSearch(ssm::Evaluator &evaluator) : evaluator(evaluator) {}
  std::optional<LongConv> find(tensor::ExtractSliceOp root);

private:
  bool cut(Value root, CutRegion &region);
  std::optional<LongConv> makeForm(const CutRegion &region, RegionAxes &axes);
  bool isConvolution(const CutRegion &region, RegionAxes &axes,
                     LongConv &form);

  ssm::Evaluator &evaluator;
};

struct RecognizeLongConv
    : itera::impl::RecognizeLongConvPassBase<RecognizeLongConv> {
  void runOnOperation() override;
};

} // namespace

/// Whether a value is made of constants alone.
static bool isConstantMade(Value value) {
  llvm::SetVector<Value> above;
  above.insert(value);
  for (size_t i = 0; i < above.size(); ++i) {
    Operation *op = above[i].getDefiningOp();
    if (!op || above.size() > kMostAbove)
      return false;
    above.insert(op->operand_begin(), op->operand_end());
  }
  return true;
}

/// A constant as the file has it, or one that a few ops make.
static bool isPlainConstant(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (op->hasTrait<OpTrait::ConstantLike>() || isa<ssm::WeightOp>(op) ||
                matchSplat(value));
}

/// Whether the op is linear in each of those of its operands that are no plain
/// constants, or in both together.
static bool isLinear(Operation *op) {
  auto isMade = [](Value value) { return !isPlainConstant(value); };
  if (isa<arith::MulFOp, arith::AddFOp, arith::SubFOp>(op)) {
    // A constant that is added must be none.
    return isa<arith::MulFOp>(op) || llvm::all_of(op->getOperands(), [&](Value v) {
             return isMade(v) || isZero(v);
           });
  }
  if (isa<arith::DivFOp>(op))
    return isPlainConstant(op->getOperand(1));
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    std::optional<double> value =
        pad.getConstantPaddingValue() ? matchSplat(pad.getConstantPaddingValue())
                                      : std::nullopt;
    return value && *value == 0.0;
  }
  return isa<arith::NegFOp, linalg::ContractOp, linalg::BroadcastOp,
             linalg::TransposeOp, linalg::ReduceOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::ExtractSliceOp, tensor::ConcatOp>(
      op);
}

/// Follows ops up to what is transformed twice, without the zeros behind it.
bool TransformSearch::cut(Value root, CutRegion &region) {
  region.root = root;
  llvm::DenseMap<Value, unsigned> seen; // transforms below it
  SmallVector<std::pair<Value, unsigned>> work{{root, 0}};
  Block *block = root.getParentBlock();
  while (!work.empty()) {
    auto [value, transforms] = work.pop_back_val();
    auto [it, isNew] = seen.try_emplace(value, transforms);
    if (!isNew) {
      if (it->second != transforms)
        return false;
      continue;
    }
    Operation *op = value.getDefiningOp();
    bool isMove = isa_and_nonnull<tensor::PadOp, tensor::ExpandShapeOp,
                                  tensor::CollapseShapeOp>(op);
    if (transforms == 2 && !isMove) {
      region.leaves.push_back(value);
      continue;
    }
    if (!op || op->getBlock() != block || !isRegionOp(op) || !isLinear(op) ||
        region.ops.size() > kMostOps)
      return false;
    region.ops.push_back(op);
    bool transforms1 = false;
    if (isa<linalg::ContractOp>(op))
      for (OpOperand *operand : getRegionOperands(op))
        transforms1 |= isPlainConstant(operand->get());
    for (OpOperand *operand : getRegionOperands(op)) {
      // What is transformed may be a constant.
      if (transforms < 2 && isPlainConstant(operand->get()))
        region.constants.push_back(operand);
      else
        work.push_back({operand->get(), transforms + transforms1});
    }
  }
  region.sort();
  return region.leaves.size() == 1 || region.leaves.size() == 2;
}

/// The one dimension of a value that has axes which `others` has not.
static std::optional<int64_t> ownDimOf(ArrayRef<AxisList> dims,
                                       ArrayRef<int> others) {
  std::optional<int64_t> own;
  for (auto [d, list] : llvm::enumerate(dims)) {
    if (llvm::all_of(list, [&](int a) { return llvm::is_contained(others, a); }))
      continue;
    if (own)
      return std::nullopt;
    own = d;
  }
  return own;
}

/// The result has the axes of the two values, but for time, which it has anew.
std::optional<LongConv> TransformSearch::makeForm(const CutRegion &region,
                                                  RegionAxes &axes) {
  LongConv form;
  form.root = region.root;
  form.x = region.leaves.front();
  if (region.leaves.size() == 2)
    form.kernel = region.leaves.back();
  if (isConstantMade(form.x))
    std::swap(form.x, form.kernel);
  if (!form.x || isConstantMade(form.x) ||
      (form.kernel && !isConstantMade(form.kernel)))
    return std::nullopt;
  SmallVector<AxisList> ofX = axes.of(form.x), ofRoot = axes.of(form.root);
  AxisList inRoot = axes.flat(form.root);
  std::optional<int64_t> x = ownDimOf(ofX, inRoot),
                         root = ownDimOf(ofRoot, axes.flat(form.x));
  if (!x || !root)
    return std::nullopt;
  form.frames = shapeOf(form.root)[*root];
  if (shapeOf(form.x)[*x] != form.frames || form.frames < 2)
    return std::nullopt;
  // Channels are what the kernel has, or what its transform differs in.
  AxisList channels;
  if (form.kernel) {
    SmallVector<AxisList> ofKernel = axes.of(form.kernel);
    std::optional<int64_t> time = ownDimOf(ofKernel, inRoot);
    if (!time || *time != rankOf(form.kernel) - 1 ||
        shapeOf(form.kernel)[*time] != form.frames)
      return std::nullopt;
    for (const AxisList &list : ArrayRef(ofKernel).drop_back())
      llvm::append_range(channels, list);
  } else {
    for (auto [d, list] : llvm::enumerate(ofX))
      for (int axis : list)
        if (int64_t(d) != *x && axes.table.isPinned(axis))
          channels.push_back(axis);
  }
  form.channels = axes.table.sizeOf(channels);
  auto orderOf = [&](Value value, ArrayRef<AxisList> dims, int64_t time,
                     AxisList &batch,
                     SmallVector<int64_t> &order) -> bool {
    AxisList found;
    SmallVector<int64_t> inside;
    for (auto [d, list] : llvm::enumerate(dims)) {
      if (int64_t(d) == time)
        continue;
      bool isChannel = !list.empty() && llvm::is_contained(channels, list[0]);
      for (int axis : list)
        if (llvm::is_contained(channels, axis) != isChannel)
          return false;
      llvm::append_range(isChannel ? found : batch, list);
      (isChannel ? inside : order).push_back(d);
    }
    llvm::append_range(order, inside);
    order.push_back(time);
    return found == channels;
  };
  AxisList batchOfX, batchOfRoot;
  if (!orderOf(form.x, ofX, *x, batchOfX, form.orderOfX) ||
      !orderOf(form.root, ofRoot, *root, batchOfRoot, form.orderOfRoot) ||
      batchOfX != batchOfRoot)
    return std::nullopt;
  form.batch = axes.table.sizeOf(batchOfX);
  return form;
}

/// Row-major numbers in the order of `dims`, out of those in the order 0, 1, ...
static std::vector<double> reorder(const std::vector<double> &numbers,
                                   ArrayRef<int64_t> shape,
                                   ArrayRef<int64_t> order) {
  SmallVector<int64_t> strides = ssm::getRowMajorStrides(shape);
  std::vector<double> result(numbers.size());
  for (size_t i = 0; i < result.size(); ++i) {
    int64_t rest = i, from = 0;
    for (int64_t d : llvm::reverse(order)) {
      from += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    result[i] = numbers[from];
  }
  return result;
}

bool TransformSearch::isConvolution(const CutRegion &region, RegionAxes &axes,
                                    LongConv &form) {
  constexpr int64_t kEntries = 2; // along free axes
  SmallCopy copy(region, axes, kEntries, evaluator);
  if (copy.getLargest() > kMostElements)
    return false;
  SmallSizes sizes{axes.table, kEntries};
  auto shapeFor = [&](Value value) {
    SmallVector<int64_t> shape;
    for (const AxisList &list : axes.of(value)) {
      shape.push_back(1);
      for (int axis : list)
        shape.back() *= sizes.of(axis);
    }
    return shape;
  };
  int64_t frames = form.frames;
  // Rows of frames, channels inside of the batch.
  auto rowsOf = [&](Value value, const std::vector<double> &numbers,
                    ArrayRef<int64_t> order) {
    return reorder(numbers, shapeFor(value), order);
  };
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> number(-1.0, 1.0);
  std::vector<std::vector<double>> leaves;
  for (Value leaf : region.leaves) {
    int64_t count = 1;
    for (int64_t size : shapeFor(leaf))
      count *= size;
    leaves.emplace_back(count);
    for (double &value : leaves.back())
      value = number(random);
  }
  size_t atX = llvm::find(region.leaves, form.x) - region.leaves.begin();
  std::vector<double> kernel;
  if (form.kernel) {
    kernel = leaves[1 - atX];
  } else {
    // What becomes of a single one in front.
    int64_t inner = 1;
    SmallVector<int64_t> shape = shapeFor(form.x);
    for (int64_t d = form.orderOfX.back() + 1; d < int64_t(shape.size()); ++d)
      inner *= shape[d];
    std::vector<double> ones(leaves[atX].size());
    for (size_t i = 0; i < ones.size(); ++i)
      ones[i] = i / inner % frames == 0;
    std::optional<std::vector<double>> response = copy.run({ones});
    if (!response)
      return false;
    kernel = rowsOf(form.root, *response, form.orderOfRoot);
    kernel.resize(form.channels * frames);
    form.numbers = kernel;
  }
  std::optional<std::vector<double>> result = copy.run(leaves);
  if (!result)
    return false;
  std::vector<double> x = rowsOf(form.x, leaves[atX], form.orderOfX),
                      y = rowsOf(form.root, *result, form.orderOfRoot);
  int64_t rows = y.size() / frames, channels = kernel.size() / frames;
  double largest = 0, difference = 0;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t t = 0; t < frames; ++t) {
      double sum = 0;
      for (int64_t s = 0; s <= t; ++s)
        sum += kernel[row % channels * frames + s] * x[row * frames + t - s];
      largest = std::max(largest, std::abs(sum));
      difference = std::max(difference, std::abs(sum - y[row * frames + t]));
    }
  // The cosines are as exact as the file's floats.
  return difference <= 1e-4 * largest;
}

std::optional<LongConv> TransformSearch::find(tensor::ExtractSliceOp root) {
  RankedTensorType from = root.getSourceType();
  if (!isRegionOp(root) || !isa<FloatType>(from.getElementType()))
    return std::nullopt;
  // The front of a dimension, half of it or about that.
  bool halves = false;
  for (int64_t d = 0; d < from.getRank(); ++d) {
    int64_t size = root.getStaticSize(d), whole = from.getDimSize(d);
    halves |= root.getStaticOffset(d) == 0 && root.getStaticStride(d) == 1 &&
              size > 1 && 2 * size - 1 <= whole;
  }
  CutRegion region;
  RegionAxes axes;
  if (!halves || !cut(root.getResult(), region) ||
      !relateRegion(region, axes, evaluator))
    return std::nullopt;
  std::optional<LongConv> form = makeForm(region, axes);
  if (!form || !isConvolution(region, axes, *form))
    return std::nullopt;
  return form;
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

static bool isOrdered(ArrayRef<int64_t> order) {
  return llvm::is_sorted(order);
}

/// The kernel, [channels, frames].
static Value kernelOf(OpBuilder &b, const LongConv &form) {
  Location loc = form.root.getLoc();
  if (form.kernel)
    return reshape(b, loc, form.kernel, {form.channels, form.frames});
  Type element = typeOf(form.root).getElementType();
  char *data;
  auto host = ssm::HostTensor::allocate(
      RankedTensorType::get({form.channels, form.frames}, element),
      *ssm::getElementKind(element), data);
  ssm::storeFloats(host.kind, data, 0, form.numbers.size(),
                   form.numbers.data());
  return ssm::buildConstant(b, loc, host, "kernel");
}

/// The convolution, as a recurrence where the kernel is a sum of powers.
static Value build(OpBuilder &b, const LongConv &form,
                   ssm::Evaluator &evaluator) {
  Location loc = form.root.getLoc();
  Value x = form.x;
  if (!isOrdered(form.orderOfX))
    x = permute(b, loc, x, form.orderOfX);
  x = reshape(b, loc, x, {form.batch, form.channels, form.frames});
  std::optional<KernelPowers> powers;
  if (form.kernel)
    powers = findPowers(form.kernel, form.channels, form.frames, evaluator);
  Value y = powers ? buildPowers(b, loc, x, *powers)
                   : ssm::LongConvOp::create(b, loc, x.getType(), x,
                                             kernelOf(b, form));
  SmallVector<int64_t> shape, back(form.orderOfRoot.size());
  for (auto [i, d] : llvm::enumerate(form.orderOfRoot)) {
    shape.push_back(shapeOf(form.root)[d]);
    back[d] = i;
  }
  y = reshape(b, loc, y, shape);
  return isOrdered(back) ? y : permute(b, loc, y, back);
}

void RecognizeLongConv::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  Block &block = function.front();
  SmallVector<tensor::ExtractSliceOp> slices(
      block.getOps<tensor::ExtractSliceOp>());
  bool changed = false;
  ssm::Evaluator evaluator;
  for (tensor::ExtractSliceOp slice : slices) {
    TransformSearch search(evaluator);
    std::optional<LongConv> form = search.find(slice);
    if (!form)
      continue;
    OpBuilder b(slice);
    slice.getResult().replaceAllUsesWith(build(b, *form, evaluator));
    ++raised;
    changed = true;
  }
  if (changed)
    eraseDeadOps(block);
}
