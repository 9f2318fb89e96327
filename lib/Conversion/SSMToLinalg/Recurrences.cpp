// SPDX-License-Identifier: Apache-2.0
// The recurrences, one time step after the other, straight from the formulas
// in the ops' descriptions.

#include "Activations.h"
#include "Patterns.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

/// Step i of a loop over `length` steps in the given direction.
static Value timeOf(TensorWriter &w, Value i, int64_t length, bool reverse) {
  if (!reverse)
    return i;
  return arith::SubIOp::create(w, w.index(length - 1), i);
}

namespace {

struct LowerLinearRecurrence : OpRewritePattern<LinearRecurrenceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearRecurrenceOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    int64_t dim = op.getDim();
    ArrayRef<int64_t> shape = TensorWriter::shape(op.getU());
    auto identity = llvm::to_vector(llvm::seq<int64_t>(shape.size() - 1));
    Value states = w.empty(shape, TensorWriter::element(op.getU()));
    SmallVector<Value> results = w.loop(
        shape[dim], {op.getInit(), states},
        [&](TensorWriter &w, Value i, ValueRange carried) {
          Value t = timeOf(w, i, shape[dim], op.getReverse());
          Value a = w.slice(op.getA(), dim, t), u = w.slice(op.getU(), dim, t);
          Value h = w.zip({a, u}, {identity, identity}, carried[0],
                          [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                            Value decayed = arith::MulFOp::create(b, v[0], v[2]);
                            return arith::AddFOp::create(b, decayed, v[1]);
                          });
          return SmallVector<Value>{h, w.insert(h, carried[1], dim, t)};
        });
    rewriter.replaceOp(op, {results[1], results[0]});
    return success();
  }
};

struct LowerSelectiveScan : OpRewritePattern<SelectiveScanOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SelectiveScanOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    ArrayRef<int64_t> shape = TensorWriter::shape(op.getX()); // [B, T, D]
    Type element = TensorWriter::element(op.getX());
    Value y = w.empty(shape, element);
    SmallVector<Value> results = w.loop(
        shape[1], {op.getInit(), y},
        [&](TensorWriter &w, Value i, ValueRange carried) {
          Value t = timeOf(w, i, shape[1], op.getReverse());
          Value x = w.slice(op.getX(), 1, t), dt = w.slice(op.getDt(), 1, t);
          Value b = w.slice(op.getB(), 1, t), c = w.slice(op.getC(), 1, t);
          // State dims: 0 batch, 1 channel, 2 state.
          AffineExpr batch = w.getAffineDimExpr(0), channel = w.getAffineDimExpr(1),
                     state = w.getAffineDimExpr(2);
          auto map = [&](ArrayRef<AffineExpr> exprs) {
            return AffineMap::get(3, 0, exprs, w.getContext());
          };
          AffineMap perChannel = map({batch, channel}),
                    decay = map({channel, state}), whole = map({batch, channel, state}),
                    perState = map({batch, state});
          if (!op.hasDecayPerState())
            decay = map({channel});
          if (TensorWriter::shape(b).size() == 3)
            perState = map(
                {batch, channel.floorDiv(shape[2] / op.getNumGroups()), state});
          Value h = w.generic({x, dt, op.getA(), b},
                              {perChannel, perChannel, decay, perState}, carried[0], 0,
                              [](ImplicitLocOpBuilder &b, ValueRange v) {
                                return updateState(b, v);
                              });
          Value out = initialOutput(w, op, x, {shape[0], shape[2]});
          out = w.generic({h, c}, {whole, perState}, out, 1,
                          [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                            Value term = arith::MulFOp::create(b, v[0], v[1]);
                            return arith::AddFOp::create(b, v[2], term);
                          });
          if (op.getZ())
            out = w.zip({w.slice(op.getZ(), 1, t)}, {{0, 1}}, out,
                        [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                          return arith::MulFOp::create(b, v[1], silu(b, v[0]));
                        });
          return SmallVector<Value>{h, w.insert(out, carried[1], 1, t)};
        });
    rewriter.replaceOp(op, {results[1], results[0]});
    return success();
  }

  /// exp(dt*A)*h + dt*B*x of (x, dt, A, B, h).
  static Value updateState(ImplicitLocOpBuilder &b, ValueRange v) {
    Value decay = math::ExpOp::create(b, arith::MulFOp::create(b, v[1], v[2]));
    Value step = arith::MulFOp::create(b, v[1], v[0]);
    Value injected = arith::MulFOp::create(b, step, v[3]);
    Value decayed = arith::MulFOp::create(b, decay, v[4]);
    return arith::AddFOp::create(b, decayed, injected);
  }

  /// D*x, or zeros.
  static Value initialOutput(TensorWriter &w, SelectiveScanOp op, Value x,
                             ArrayRef<int64_t> shape) {
    Type element = TensorWriter::element(x);
    if (!op.getD())
      return w.zeros(shape, element);
    return w.zip({x, op.getD()}, {{0, 1}, {1}}, w.empty(shape, element),
                 [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                   return arith::MulFOp::create(b, v[0], v[1]);
                 });
  }
};

/// A convolution with as many zeros in front as the kernel has entries but one.
struct LowerLongConv : OpRewritePattern<LongConvOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LongConvOp op,
                                PatternRewriter &rewriter) const override {
    int64_t past = TensorWriter::shape(op.getKernel())[1] - 1;
    rewriter.replaceOp(op, LongConvOp::buildConv(rewriter, op.getLoc(),
                                                 op.getX(), op.getKernel(),
                                                 past));
    return success();
  }
};

struct LowerCausalConv1d : OpRewritePattern<CausalConv1dOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CausalConv1dOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    SmallVector<int64_t> shape(TensorWriter::shape(op.getX())); // [B, T, D]
    Type element = TensorWriter::element(op.getX());
    int64_t taps = TensorWriter::shape(op.getWeight())[1];
    Value history = op.getPast();
    if (!history)
      history = w.zeros({shape[0], taps - 1, shape[2]}, element);
    Value frames = op.getX();
    if (taps > 1)
      frames = tensor::ConcatOp::create(w, 1, ValueRange{history, frames});

    Value init;
    if (op.getBias())
      init = w.zip({op.getBias()}, {{2}}, w.empty(shape, element),
                   [](ImplicitLocOpBuilder &, ValueRange v) { return v[0]; });
    else
      init = w.zeros(shape, element);
    AffineExpr b = w.getAffineDimExpr(0), t = w.getAffineDimExpr(1),
               d = w.getAffineDimExpr(2), k = w.getAffineDimExpr(3);
    Value y = w.generic({frames, op.getWeight()},
                        {AffineMap::get(4, 0, {b, t + k, d}, w.getContext()),
                         AffineMap::get(4, 0, {d, k}, w.getContext())},
                        init, 1, [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                          Value term = arith::MulFOp::create(b, v[0], v[1]);
                          return arith::AddFOp::create(b, v[2], term);
                        });
    rewriter.replaceOp(op, activate(w, op.getActivation(), y));
    return success();
  }
};

} // namespace

void itera::populateRecurrencePatterns(RewritePatternSet &patterns) {
  patterns.add<LowerCausalConv1d, LowerLinearRecurrence, LowerLongConv,
               LowerSelectiveScan>(patterns.getContext());
}
