// SPDX-License-Identifier: Apache-2.0
// ssm.conv, ssm.cumsum, ssm.reverse, and linalg.softmax.

#include "Patterns.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

using Shape = ArrayRef<int64_t>;

namespace {

/// As a generic over [B, G, M/G, S'...] with reductions [C/G, K...].
struct LowerConv : OpRewritePattern<ConvOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ConvOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape shape = TensorWriter::shape(op.getY());
    Type element = TensorWriter::element(op.getX());
    int64_t groups = op.getGroups(), spatial = shape.size() - 2;

    Value x = splitChannels(w, padded(w, op), 1, groups);
    Value kernel = splitChannels(w, op.getWeight(), 0, groups);
    SmallVector<int64_t> split = {shape[0], groups, shape[1] / groups};
    llvm::append_range(split, shape.drop_front(2));
    Value init;
    if (op.getBias()) {
      Value bias = splitChannels(w, op.getBias(), 0, groups);
      init = w.zip({bias}, {{1, 2}}, w.empty(split, element),
                   [](ImplicitLocOpBuilder &, ValueRange v) { return v[0]; });
    } else {
      init = w.zeros(split, element);
    }

    // Loops: b, g, m, s'..., c, k...
    unsigned count = 3 + spatial + 1 + spatial;
    auto dim = [&](unsigned i) { return w.getAffineDimExpr(i); };
    SmallVector<AffineExpr> xs = {dim(0), dim(1), dim(3 + spatial)};
    SmallVector<AffineExpr> ks = {dim(1), dim(2), dim(3 + spatial)};
    for (int64_t i = 0; i < spatial; ++i) {
      AffineExpr tap = dim(4 + spatial + i);
      xs.push_back(dim(3 + i) * op.getStrides()[i] + tap * op.getDilations()[i]);
      ks.push_back(tap);
    }
    Value y = w.generic({x, kernel},
                        {AffineMap::get(count, 0, xs, w.getContext()),
                         AffineMap::get(count, 0, ks, w.getContext())},
                        init, 1 + spatial,
                        [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                          Value term = arith::MulFOp::create(b, v[0], v[1]);
                          return arith::AddFOp::create(b, v[2], term);
                        });
    // With few channels and many taps, positions are what vectors are made of.
    // The order of the terms of a sum stays.
    constexpr int64_t kManyTaps = 16;
    if (auto loops = y.getDefiningOp<linalg::GenericOp>();
        loops && spatial == 1 && op.getStrides()[0] == 1 &&
        TensorWriter::shape(op.getWeight())[1] == 1 &&
        TensorWriter::shape(op.getWeight())[2] >= kManyTaps)
      if (FailureOr<linalg::GenericOp> turned = linalg::interchangeGenericOp(
              rewriter, loops, {0, 1, 2, 4, 5, 3});
          succeeded(turned))
        y = turned->getResult(0);
    SmallVector<ReassociationIndices> merge = {{0}, {1, 2}};
    for (int64_t i = 0; i < spatial; ++i)
      merge.push_back({3 + i});
    rewriter.replaceOpWithNewOp<tensor::CollapseShapeOp>(op, op.getY().getType(),
                                                         y, merge);
    return success();
  }

  static Value padded(TensorWriter &w, ConvOp op) {
    Shape shape = TensorWriter::shape(op.getX());
    SmallVector<int64_t> result(shape);
    SmallVector<OpFoldResult> offsets(2, w.getIndexAttr(0)), sizes,
        strides(shape.size(), w.getIndexAttr(1));
    bool any = false;
    for (size_t i = 0; i + 2 < shape.size(); ++i) {
      result[i + 2] += op.getPadsLow()[i] + op.getPadsHigh()[i];
      offsets.push_back(w.getIndexAttr(op.getPadsLow()[i]));
      any |= result[i + 2] != shape[i + 2];
    }
    if (!any)
      return op.getX();
    for (int64_t size : shape)
      sizes.push_back(w.getIndexAttr(size));
    Value zeros = w.zeros(result, TensorWriter::element(op.getX()));
    return tensor::InsertSliceOp::create(w, op.getX(), zeros, offsets, sizes,
                                         strides);
  }

  /// Dimension `at` of size G*n as [G, n].
  static Value splitChannels(TensorWriter &w, Value value, int64_t at,
                             int64_t groups) {
    Shape shape = TensorWriter::shape(value);
    SmallVector<int64_t> result;
    SmallVector<ReassociationIndices> split;
    for (int64_t i = 0, next = 0; i < static_cast<int64_t>(shape.size()); ++i) {
      if (i == at) {
        result.append({groups, shape[i] / groups});
        split.push_back({next, next + 1});
        next += 2;
      } else {
        result.push_back(shape[i]);
        split.push_back({next++});
      }
    }
    return tensor::ExpandShapeOp::create(
        w, RankedTensorType::get(result, TensorWriter::element(value)), value,
        split);
  }
};

struct LowerCumsum : OpRewritePattern<CumsumOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CumsumOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape shape = TensorWriter::shape(op.getX());
    Type element = TensorWriter::element(op.getX());
    int64_t dim = op.getDim();
    SmallVector<int64_t> outer(shape);
    outer.erase(outer.begin() + dim);
    SmallVector<int64_t> identity =
        llvm::to_vector(llvm::seq<int64_t>(outer.size()));
    SmallVector<Value> results = w.loop(
        shape[dim], {w.zeros(outer, element), w.empty(shape, element)},
        [&](TensorWriter &w, Value i, ValueRange carried) {
          Value t = i;
          if (op.getReverse())
            t = arith::SubIOp::create(w, w.index(shape[dim] - 1), i);
          Value before = carried[1];
          if (op.getExclusive())
            before = w.insert(carried[0], before, dim, t);
          Value sum = w.zip({w.slice(op.getX(), dim, t)}, {identity}, carried[0],
                            [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                              if (isa<FloatType>(element))
                                return arith::AddFOp::create(b, v[1], v[0]);
                              return arith::AddIOp::create(b, v[1], v[0]);
                            });
          Value after =
              op.getExclusive() ? before : w.insert(sum, before, dim, t);
          return SmallVector<Value>{sum, after};
        });
    rewriter.replaceOp(op, results[1]);
    return success();
  }
};

struct LowerReverse : OpRewritePattern<ReverseOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReverseOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape shape = TensorWriter::shape(op.getX());
    Value y = w.generate(
        shape, TensorWriter::element(op.getX()),
        [&](ImplicitLocOpBuilder &b, ValueRange at) -> Value {
          SmallVector<Value> from(at);
          for (int64_t dim : op.getDims())
            from[dim] = arith::SubIOp::create(
                b, arith::ConstantIndexOp::create(b, shape[dim] - 1), at[dim]);
          return tensor::ExtractOp::create(b, op.getX(), from);
        });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct DecomposeSoftmax : OpRewritePattern<linalg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::SoftmaxOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> parts = op.decomposeOperation(rewriter);
    if (failed(parts))
      return rewriter.notifyMatchFailure(op, "softmax does not decompose");
    rewriter.replaceOp(op, *parts);
    return success();
  }
};

} // namespace

void itera::populateTensorPatterns(RewritePatternSet &patterns) {
  patterns.add<DecomposeSoftmax, LowerConv, LowerCumsum, LowerReverse>(
      patterns.getContext());
}
