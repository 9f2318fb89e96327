// SPDX-License-Identifier: Apache-2.0
// Removes transposes that only undo each other.
//
// Problem: a model in [B, D, T] layout, raised to ops in [B, T, D] layout, has
// a transpose at every border, with elementwise ops, slices and matmuls in
// between. Idea: a transpose is absorbed if all that leads to it can be
// computed in the other order of dimensions for free: a transpose (it cancels
// or merges), a constant or a broadcast (it is built in that order), a matmul
// (its result map changes), and elementwise ops and slices over such. Only ops
// that nothing outside of the absorbed tree reads are rebuilt, so that no work
// is done twice and the number of transposes only falls.

#include "itera/Transforms/Raise/Passes.h"

#include "TensorUtils.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/TypeSwitch.h"

namespace itera {
#define GEN_PASS_DEF_SIMPLIFYTRANSPOSESPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

using namespace mlir;
using namespace itera;
using namespace itera::raise;

static SmallVector<int64_t> inverse(ArrayRef<int64_t> perm) {
  SmallVector<int64_t> result(perm.size());
  for (auto [i, p] : llvm::enumerate(perm))
    result[p] = i;
  return result;
}

template <typename T>
static SmallVector<T> applied(ArrayRef<T> list, ArrayRef<int64_t> perm) {
  SmallVector<T> result;
  for (int64_t p : perm)
    result.push_back(list[p]);
  return result;
}

/// An elementwise op of one result whose operands all have the result's shape.
static bool isElementwise(Operation *op) {
  if (op->getNumResults() != 1 || op->getNumRegions() != 0 ||
      !op->hasTrait<OpTrait::Elementwise>())
    return false;
  return llvm::all_of(op->getOperandTypes(), [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.getShape() == typeOf(op->getResult(0)).getShape();
  });
}

//===----------------------------------------------------------------------===//
// Local patterns
//===----------------------------------------------------------------------===//

namespace {

struct ComposeTransposes : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<linalg::TransposeOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "no transpose of a transpose");
    rewriter.replaceOp(
        op, permute(rewriter, op.getLoc(), inner.getInput(),
                    applied(inner.getPermutation(), op.getPermutation())));
    return success();
  }
};

/// A transpose that moves only dimensions of size one is a reshape.
struct ReshapeInsteadOfTranspose : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType type = typeOf(op.getInput());
    SmallVector<int64_t> order, squeezed;
    for (int64_t d : op.getPermutation())
      if (type.getDimSize(d) != 1)
        order.push_back(d);
    if (!llvm::is_sorted(order))
      return rewriter.notifyMatchFailure(op, "it moves dimensions");
    for (int64_t size : type.getShape())
      if (size != 1)
        squeezed.push_back(size);
    Value value = reshape(rewriter, op.getLoc(), op.getInput(), squeezed);
    rewriter.replaceOp(op, reshape(rewriter, op.getLoc(), value,
                                   typeOf(op->getResult(0)).getShape()));
    return success();
  }
};

/// A scan whose results are stacked along a dimension of size one, and then
/// transposed, stacks them where they belong: a reshape would not tell any more
/// which of several such dimensions is time.
struct StackInsteadOfTranspose : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp op,
                                PatternRewriter &rewriter) const override {
    auto scan = op.getInput().getDefiningOp<ssm::ScanOp>();
    if (!scan || scan.getLength() != 1 || !op.getInput().hasOneUse())
      return rewriter.notifyMatchFailure(op, "no scan of one step");
    unsigned states = scan.getInits().size(),
             number = cast<OpResult>(op.getInput()).getResultNumber();
    if (number < states)
      return rewriter.notifyMatchFailure(op, "a last state");
    SmallVector<int64_t> dims(scan.getStackDims()), rest;
    int64_t &dim = dims[number - states];
    for (int64_t from : op.getPermutation())
      if (from != dim)
        rest.push_back(from);
    if (!llvm::is_sorted(rest))
      return rewriter.notifyMatchFailure(op, "it moves other dimensions");
    dim = llvm::find(op.getPermutation(), dim) - op.getPermutation().begin();
    rewriter.modifyOpInPlace(scan, [&] {
      scan.setStackDims(dims);
      scan.getResult(number).setType(typeOf(op->getResult(0)));
    });
    rewriter.replaceOp(op, scan.getResult(number));
    return success();
  }
};

/// A slice that takes all but drops dimensions of size one is a reshape.
struct ReshapeInsteadOfSlice : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExtractSliceOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getStaticSizes() != op.getSourceType().getShape() ||
        !op.hasUnitStride() || op->getNumOperands() != 1)
      return rewriter.notifyMatchFailure(op, "it takes a part");
    rewriter.replaceOp(op, reshape(rewriter, op.getLoc(), op.getSource(),
                                   op.getType().getShape()));
    return success();
  }
};

/// A matmul reads a transposed operand in place.
struct FoldTransposeIntoContract : OpRewritePattern<linalg::ContractOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::ContractOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    bool changed = false;
    for (unsigned k = 0; k < op.getInputs().size(); ++k) {
      auto transpose = op->getOperand(k).getDefiningOp<linalg::TransposeOp>();
      if (!transpose)
        continue;
      // Dimension d of the operand is dimension perm[d] of the source.
      SmallVector<AffineExpr> exprs = applied<AffineExpr>(
          maps[k].getResults(), inverse(transpose.getPermutation()));
      maps[k] = AffineMap::get(maps[k].getNumDims(), 0, exprs, op.getContext());
      rewriter.modifyOpInPlace(
          op, [&] { op->setOperand(k, transpose.getInput()); });
      changed = true;
    }
    if (!changed)
      return rewriter.notifyMatchFailure(op, "no operand is transposed");
    rewriter.modifyOpInPlace(op, [&] {
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Absorption
//===----------------------------------------------------------------------===//

/// Rebuilds what leads to a transpose in the transposed order.
class Absorber {
public:
  explicit Absorber(linalg::TransposeOp root) : root(root), builder(root) {}

  /// True if the transpose is gone.
  bool run();

private:
  static constexpr unsigned kMaxOps = 64;

  /// Adds what must be rebuilt to have `value` in another order.
  bool collect(Value value);
  /// `value` with its dimensions in the order `perm`.
  Value build(Value value, ArrayRef<int64_t> perm);
  Value buildBroadcast(linalg::BroadcastOp op, ArrayRef<int64_t> perm);
  Value buildSlice(tensor::ExtractSliceOp op, ArrayRef<int64_t> perm);
  Value buildContract(linalg::ContractOp op, ArrayRef<int64_t> perm);

  linalg::TransposeOp root;
  OpBuilder builder;
  llvm::SetVector<Operation *> tree;
  DenseMap<Value, Value> built;
};

struct SimplifyTransposesPass
    : itera::impl::SimplifyTransposesPassBase<SimplifyTransposesPass> {
  void runOnOperation() override;
};

} // namespace

bool Absorber::collect(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != root->getBlock() || tree.size() > kMaxOps)
    return false;
  DenseElementsAttr splat;
  if (isa<linalg::TransposeOp, tensor::EmptyOp, linalg::FillOp>(op) ||
      (matchPattern(value, m_Constant(&splat)) && splat.isSplat()))
    return true; // free, and nothing changes for other readers
  if (auto broadcast = dyn_cast<linalg::BroadcastOp>(op))
    return typeOf(broadcast.getInput()).getRank() <= 1;
  if (tree.contains(op))
    return true;
  if (isElementwise(op)) {
    tree.insert(op);
    return llvm::all_of(op->getOperands(), [&](Value v) { return collect(v); });
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    tree.insert(op);
    return slice->getNumOperands() == 1 &&
           slice.getType().getRank() == slice.getSourceType().getRank() &&
           collect(slice.getSource());
  }
  if (auto contract = dyn_cast<linalg::ContractOp>(op)) {
    tree.insert(op);
    return isKnownZero(contract.getDpsInits()[0]);
  }
  return false;
}

Value Absorber::buildBroadcast(linalg::BroadcastOp op, ArrayRef<int64_t> perm) {
  SmallVector<int64_t> dims;
  for (auto [d, from] : llvm::enumerate(perm))
    if (llvm::is_contained(op.getDimensions(), from))
      dims.push_back(d);
  RankedTensorType type = typeOf(op->getResult(0));
  Value empty = tensor::EmptyOp::create(
      builder, op.getLoc(), applied(type.getShape(), perm), type.getElementType());
  return linalg::BroadcastOp::create(builder, op.getLoc(), op.getInput(), empty,
                                     dims)
      ->getResult(0);
}

Value Absorber::buildSlice(tensor::ExtractSliceOp op, ArrayRef<int64_t> perm) {
  Value source = build(op.getSource(), perm);
  auto type = RankedTensorType::get(applied(op.getType().getShape(), perm),
                                    op.getType().getElementType());
  return tensor::ExtractSliceOp::create(
      builder, op.getLoc(), type, source,
      applied<OpFoldResult>(op.getMixedOffsets(), perm),
      applied<OpFoldResult>(op.getMixedSizes(), perm),
      applied<OpFoldResult>(op.getMixedStrides(), perm));
}

Value Absorber::buildContract(linalg::ContractOp op, ArrayRef<int64_t> perm) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps[2] = AffineMap::get(maps[2].getNumDims(), 0,
                           applied<AffineExpr>(maps[2].getResults(), perm),
                           op.getContext());
  Value init = build(op.getDpsInits()[0], perm);
  auto copy = cast<linalg::ContractOp>(builder.clone(*op));
  copy->setOperand(2, init);
  copy->getResult(0).setType(cast<RankedTensorType>(init.getType()));
  copy.setIndexingMapsAttr(builder.getAffineMapArrayAttr(maps));
  return copy->getResult(0);
}

Value Absorber::build(Value value, ArrayRef<int64_t> perm) {
  if (Value known = built.lookup(value))
    return known;
  Operation *op = value.getDefiningOp();
  RankedTensorType type = typeOf(value);
  SmallVector<int64_t> shape = applied(type.getShape(), perm);
  Value result =
      llvm::TypeSwitch<Operation *, Value>(op)
          .Case([&](linalg::TransposeOp op) {
            return permute(builder, op.getLoc(), op.getInput(),
                           applied(op.getPermutation(), perm));
          })
          .Case([&](tensor::EmptyOp op) {
            return tensor::EmptyOp::create(builder, op.getLoc(), shape,
                                           type.getElementType());
          })
          .Case([&](linalg::FillOp op) {
            Value empty = tensor::EmptyOp::create(builder, op.getLoc(), shape,
                                                  type.getElementType());
            return linalg::FillOp::create(builder, op.getLoc(), op.getInputs(), empty)
                ->getResult(0);
          })
          .Case([&](arith::ConstantOp op) {
            auto splat = cast<DenseElementsAttr>(op.getValue());
            return arith::ConstantOp::create(
                builder, op.getLoc(),
                splat.resizeSplat(RankedTensorType::get(shape, type.getElementType())));
          })
          .Case([&](linalg::BroadcastOp op) { return buildBroadcast(op, perm); })
          .Case([&](tensor::ExtractSliceOp op) { return buildSlice(op, perm); })
          .Case([&](linalg::ContractOp op) { return buildContract(op, perm); })
          .Default([&](Operation *op) {
            SmallVector<Value> operands;
            for (Value operand : op->getOperands())
              operands.push_back(build(operand, perm));
            Operation *copy = builder.clone(*op);
            copy->setOperands(operands);
            copy->getResult(0).setType(
                RankedTensorType::get(shape, type.getElementType()));
            return copy->getResult(0);
          });
  built[value] = result;
  return result;
}

bool Absorber::run() {
  if (!collect(root.getInput()))
    return false;
  // Nothing but the tree and the transpose may read what is rebuilt.
  for (Operation *op : tree)
    for (Operation *user : op->getUsers())
      if (user != root && !tree.contains(user))
        return false;
  // The rebuilt ops stand at the root: all that they read is there.
  Value value = build(root.getInput(), root.getPermutation());
  root->getResult(0).replaceAllUsesWith(value);
  root->erase();
  return true;
}

void SimplifyTransposesPass::runOnOperation() {
  RewritePatternSet patterns(&getContext());
  // A stack is moved while the transpose is still one.
  patterns.add<StackInsteadOfTranspose>(patterns.getContext(), /*benefit=*/2);
  patterns.add<ComposeTransposes, ReshapeInsteadOfTranspose,
               ReshapeInsteadOfSlice, FoldTransposeIntoContract>(&getContext());
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
  tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, &getContext());
  FrozenRewritePatternSet frozen(std::move(patterns));
  IRRewriter rewriter(&getContext());
  DominanceInfo dominance(getOperation());
  bool changed = true;
  while (changed) {
    if (failed(applyPatternsGreedily(getOperation(), frozen)))
      return signalPassFailure();
    eliminateCommonSubExpressions(rewriter, dominance, getOperation());
    changed = false;
    SmallVector<linalg::TransposeOp> transposes;
    getOperation().walk([&](linalg::TransposeOp op) { transposes.push_back(op); });
    for (linalg::TransposeOp op : llvm::reverse(transposes))
      if (Absorber(op).run()) {
        ++numAbsorbed;
        changed = true;
      }
    for (Block &block : getOperation().getBody())
      eraseDeadOps(block);
  }
}
