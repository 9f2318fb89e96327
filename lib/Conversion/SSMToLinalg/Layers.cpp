// SPDX-License-Identifier: Apache-2.0
// ssm.linear, ssm.hadamard, ssm.norm, ssm.embedding, ssm.moe.

#include "Activations.h"
#include "Patterns.h"
#include <cmath>

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

using Shape = ArrayRef<int64_t>;

static Value multiplyAdd(ImplicitLocOpBuilder &b, ValueRange v) {
  Value product = arith::MulFOp::create(b, v[0], v[1]);
  return arith::AddFOp::create(b, v[2], product);
}

/// A weight stored in fewer bits, in the type of the activations.
static Value widen(ImplicitLocOpBuilder &b, Type element, Value value) {
  return value.getType() == element
             ? value
             : Value(arith::ExtFOp::create(b, element, value));
}

static SmallVector<int64_t> range(int64_t count) {
  return llvm::to_vector(llvm::seq<int64_t>(count));
}

/// A packed matrix [ceil(N/R), K, R] as [N, K]; one of rank 2 as it is.
static Value unpackRows(TensorWriter &w, Value matrix, int64_t rows) {
  Shape shape = TensorWriter::shape(matrix);
  if (shape.size() == 2)
    return matrix;
  Type element = TensorWriter::element(matrix);
  Value init = w.empty({shape[0], shape[2], shape[1]}, element);
  Value transposed =
      linalg::TransposeOp::create(w, matrix, init, ArrayRef<int64_t>{0, 2, 1})
          ->getResult(0);
  SmallVector<ReassociationIndices> groups = {{0, 1}, {2}};
  Value flat = tensor::CollapseShapeOp::create(w, transposed, groups);
  SmallVector<OpFoldResult> offsets(2, w.getIndexAttr(0)),
      strides(2, w.getIndexAttr(1)),
      sizes = {w.getIndexAttr(rows), w.getIndexAttr(shape[1])};
  return tensor::ExtractSliceOp::create(w, flat, offsets, sizes, strides);
}

namespace {

struct LowerLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op,
                                PatternRewriter &rewriter) const override {
    if (op.isQuantized())
      return failure();
    TensorWriter w(op, rewriter);
    Shape shape = TensorWriter::shape(op.getY());
    Type element = TensorWriter::element(op.getY());
    int64_t last = shape.size() - 1;
    Value weight = unpackRows(w, op.getWeight(), shape[last]);
    if (TensorWriter::element(weight) != element)
      weight = w.zip({weight}, {{0, 1}},
                     w.empty(TensorWriter::shape(weight), element),
                     [&](ImplicitLocOpBuilder &b, ValueRange v) {
                       return widen(b, element, v[0]);
                     });
    Value init;
    if (op.getBias())
      init = w.zip({op.getBias()}, {{last}}, w.empty(shape, element),
                   [](ImplicitLocOpBuilder &, ValueRange v) { return v[0]; });
    else
      init = w.zeros(shape, element);
    unsigned loops = shape.size() + 1;
    SmallVector<AffineExpr> x;
    for (int64_t dim = 0; dim < last; ++dim)
      x.push_back(w.getAffineDimExpr(dim));
    x.push_back(w.getAffineDimExpr(last + 1));
    AffineMap rows = AffineMap::get(
        loops, 0, {w.getAffineDimExpr(last), w.getAffineDimExpr(last + 1)},
        w.getContext());
    rewriter.replaceOp(
        op, w.generic({op.getX(), weight},
                      {AffineMap::get(loops, 0, x, w.getContext()), rows}, init,
                      1, multiplyAdd));
    return success();
  }
};

/// A round of butterflies at a time.
struct LowerHadamard : OpRewritePattern<HadamardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(HadamardOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Value y = op.getX();
    Type element = TensorWriter::element(y);
    int64_t block = op.getBlock();
    for (int64_t half = 1; half < block; half *= 2)
      y = butterflies(w, y, half);
    Value factor = w.scalar(element, 1 / std::sqrt(double(block)));
    SmallVector<int64_t> all = range(TensorWriter::shape(y).size());
    y = w.zip({y}, {all}, w.empty(TensorWriter::shape(y), element),
              [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                return arith::MulFOp::create(b, v[0], factor);
              });
    rewriter.replaceOp(op, y);
    return success();
  }

  /// Of places that differ in the bit `half` alone: the sum at the one without
  /// it, the difference at the other.
  static Value butterflies(TensorWriter &w, Value x, int64_t half) {
    return w.generate(
        TensorWriter::shape(x), TensorWriter::element(x),
        [&](TensorWriter &b, ValueRange at) -> Value {
          SmallVector<Value> place(at);
          Value bit = b.index(half);
          auto element = [&](Value last) -> Value {
            place.back() = last;
            return tensor::ExtractOp::create(b, x, place);
          };
          Value high = element(arith::OrIOp::create(b, at.back(), bit));
          Value low = element(arith::AndIOp::create(b, at.back(), b.index(~half)));
          Value isSum = arith::CmpIOp::create(
              b, arith::CmpIPredicate::eq,
              arith::AndIOp::create(b, at.back(), bit), b.index(0));
          return arith::SelectOp::create(
              b, isSum, arith::AddFOp::create(b, low, high),
              arith::SubFOp::create(b, low, high));
        });
  }
};

struct LowerNorm : OpRewritePattern<NormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(NormOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Value x = op.getX();
    Shape shape = TensorWriter::shape(x);
    Type element = TensorWriter::element(x);
    SmallVector<int64_t> all = range(shape.size()), outer = range(shape.size() - 1);
    int64_t last = shape.size() - 1;
    AffineMap identity =
        AffineMap::getMultiDimIdentityMap(shape.size(), w.getContext());
    Value zero = w.zeros(shape.drop_back(), element);
    double size = shape.back();

    if (op.getKind() == NormKind::layer) {
      Value sum = w.generic({x}, {identity}, zero, 1,
                            [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                              return arith::AddFOp::create(b, v[1], v[0]);
                            });
      Value count = w.scalar(element, size);
      x = w.zip({x, sum}, {all, outer}, w.empty(shape, element),
                [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                  Value mean = arith::DivFOp::create(b, v[1], count);
                  return arith::SubFOp::create(b, v[0], mean);
                });
    }
    Value squares = w.generic({x}, {identity}, zero, 1,
                              [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                                Value square = arith::MulFOp::create(b, v[0], v[0]);
                                return arith::AddFOp::create(b, v[1], square);
                              });
    Value count = w.scalar(element, size);
    Value epsilon = w.scalar(element, op.getEpsilon().convertToFloat());
    SmallVector<Value> inputs = {x, squares};
    SmallVector<SmallVector<int64_t>> dims = {all, outer};
    for (Value parameter : {op.getScale(), op.getBias()})
      if (parameter) {
        inputs.push_back(parameter);
        dims.push_back({last});
      }
    bool scaled = static_cast<bool>(op.getScale());
    bool biased = static_cast<bool>(op.getBias());
    Value y = w.zip(inputs, dims, w.empty(shape, element),
                    [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                      Value mean = arith::DivFOp::create(b, v[1], count);
                      Value sum = arith::AddFOp::create(b, mean, epsilon);
                      Value root = math::SqrtOp::create(b, sum);
                      Value y = arith::DivFOp::create(b, v[0], root);
                      if (scaled)
                        y = arith::MulFOp::create(b, y, v[2]);
                      if (biased)
                        y = arith::AddFOp::create(b, y, v[2 + scaled]);
                      return y;
                    });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct LowerEmbedding : OpRewritePattern<EmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(EmbeddingOp op,
                                PatternRewriter &rewriter) const override {
    if (op.isQuantized())
      return failure();
    TensorWriter w(op, rewriter);
    Shape table = TensorWriter::shape(op.getTable());
    Type element = TensorWriter::element(op.getY());
    bool packed = table.size() == 3;
    int64_t rows = op.getRows() ? *op.getRows()
                   : packed     ? table[0] * table[2]
                                : table[0];
    Shape shape = TensorWriter::shape(op.getY());
    Value y = w.generate(
        shape, element,
        [&](TensorWriter &b, ValueRange at) -> Value {
          Value id = tensor::ExtractOp::create(b, op.getIndices(), at.drop_back());
          Value row = b.wrapIndex(id, rows, /*clamped=*/true);
          if (!packed)
            return widen(b, element,
                         tensor::ExtractOp::create(
                             b, op.getTable(), ValueRange{row, at.back()}));
          Value width = b.index(table[2]);
          Value block = arith::DivUIOp::create(b, row, width);
          Value lane = arith::RemUIOp::create(b, row, width);
          return widen(b, element,
                       tensor::ExtractOp::create(
                           b, op.getTable(),
                           ValueRange{block, at.back(), lane}));
        });
    rewriter.replaceOp(op, y);
    return success();
  }
};

/// For each token and slot: y[t] += gate * expert(x[t]).
struct LowerMoe : OpRewritePattern<MoeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MoeOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape up = TensorWriter::shape(op.getUp()); // [E, H, D]
    Shape selected = TensorWriter::shape(op.getSelected());
    Type element = TensorWriter::element(op.getX());
    Value y = w.zeros(TensorWriter::shape(op.getX()), element);
    SmallVector<Value> results = w.loop(
        selected[0], {y}, [&](TensorWriter &w, Value t, ValueRange outer) {
          Value x = w.slice(op.getX(), 0, t);
          SmallVector<Value> row = w.loop(
              selected[1], {w.zeros({up[2]}, element)},
              [&](TensorWriter &w, Value j, ValueRange carried) {
                Value id = tensor::ExtractOp::create(w, op.getSelected(),
                                                     ValueRange{t, j});
                Value expert = w.wrapIndex(id, up[0], /*clamped=*/true);
                Value gate =
                    tensor::ExtractOp::create(w, op.getGates(), ValueRange{t, j});
                Value hidden = project(w, x, op.getUp(), op.getUpBias(), expert);
                hidden = activate(w, op.getActivation(), hidden);
                Value out =
                    project(w, hidden, op.getDown(), op.getDownBias(), expert);
                Value sum =
                    w.zip({out}, {{0}}, carried[0],
                          [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                            Value gated = arith::MulFOp::create(b, v[0], gate);
                            return arith::AddFOp::create(b, v[1], gated);
                          });
                return SmallVector<Value>{sum};
              });
          return SmallVector<Value>{w.insert(row[0], outer[0], 0, t)};
        });
    rewriter.replaceOp(op, results);
    return success();
  }

  /// weights[expert] x + bias[expert] of a vector x.
  static Value project(TensorWriter &w, Value x, Value weights, Value bias,
                       Value expert) {
    Value matrix = w.slice(weights, 0, expert);
    Value init = bias ? w.slice(bias, 0, expert)
                      : w.zeros({TensorWriter::shape(matrix)[0]},
                                TensorWriter::element(x));
    AffineMap identity = AffineMap::getMultiDimIdentityMap(2, w.getContext());
    return w.generic({matrix, x}, {identity, identity.getMinorSubMap(1)}, init,
                     1, multiplyAdd);
  }
};

} // namespace

void itera::populateLayerPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerEmbedding, LowerHadamard, LowerLinear, LowerMoe, LowerNorm>(
      patterns.getContext());
}
