// SPDX-License-Identifier: Apache-2.0
// ssm.linear and ssm.embedding of integer weights, element by element in the
// order that their descriptions give. A weight is read where it lies: there is
// no buffer of unpacked numbers.

#include "Patterns.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

using Shape = ArrayRef<int64_t>;

namespace {

/// Access to the elements of a stored matrix.
struct IntegerMatrix {
  Value matrix, scales, zeroPoints;
  int64_t group;
  std::optional<Type> packed;

  /// W's integer at (n, k), less the zero point, as i32.
  Value number(TensorWriter &b, Value n, Value k) const;
  /// The scale of group g of row n, as f32.
  Value scale(TensorWriter &b, Value n, Value g) const {
    return widen(b, element(b, scales, n, g));
  }
  /// W(n, k) as f32.
  Value real(TensorWriter &b, Value n, Value k) const {
    Value integer =
        arith::SIToFPOp::create(b, b.getF32Type(), number(b, n, k));
    return arith::MulFOp::create(b, integer, scale(b, n, groupOf(b, k)));
  }
  Value groupOf(TensorWriter &b, Value k) const {
    return arith::DivUIOp::create(b, k, b.index(group));
  }

private:
  static Value widen(TensorWriter &b, Value value) {
    return value.getType().isF32()
               ? value
               : Value(arith::ExtFOp::create(b, b.getF32Type(), value));
  }
  /// Of scales or zero points: [N, G] or [N/R, G, R].
  Value element(TensorWriter &b, Value table, Value n, Value g) const {
    if (!packed)
      return tensor::ExtractOp::create(b, table, ValueRange{n, g});
    auto [block, lane] = split(b, n, TensorWriter::shape(table)[2]);
    return tensor::ExtractOp::create(b, table, ValueRange{block, g, lane});
  }
  static std::pair<Value, Value> split(TensorWriter &b, Value i, int64_t by) {
    Value divisor = b.index(by);
    return {arith::DivUIOp::create(b, i, divisor),
            arith::RemUIOp::create(b, i, divisor)};
  }
};

} // namespace

Value IntegerMatrix::number(TensorWriter &b, Value n, Value k) const {
  Type i32 = b.getI32Type();
  Value value;
  if (packed) {
    bool halves = packed->isInteger(4);
    auto [block, lane] = split(b, n, TensorWriter::shape(matrix)[2]);
    auto [step, place] = split(b, k, halves ? 8 : 4);
    Value half;
    if (halves)
      std::tie(half, place) = split(b, place, 4);
    Value byte = tensor::ExtractOp::create(
        b, matrix, ValueRange{block, step, lane, place});
    value = arith::ExtUIOp::create(b, i32, byte);
    if (halves) {
      half = arith::IndexCastOp::create(b, i32, half);
      Value shift = arith::ShLIOp::create(b, half, b.scalar(i32, 2));
      value = arith::ShRUIOp::create(b, value, shift);
      value = arith::AndIOp::create(b, value, b.scalar(i32, 15));
    }
    value = arith::SubIOp::create(b, value, b.scalar(i32, halves ? 8 : 128));
  } else {
    value = arith::ExtSIOp::create(
        b, i32, tensor::ExtractOp::create(b, matrix, ValueRange{n, k}));
  }
  if (!zeroPoints)
    return value;
  Value zero = element(b, zeroPoints, n, groupOf(b, k));
  return arith::SubIOp::create(b, value, arith::ExtSIOp::create(b, i32, zero));
}

/// for k in [begin, end): sum = body(k, sum).
static Value accumulate(TensorWriter &w, Value begin, Value end, Value init,
                        TensorWriter::Body body) {
  auto loop = scf::ForOp::create(
      w, begin, end, w.index(1), ValueRange(init),
      [&](OpBuilder &builder, Location loc, Value k, ValueRange carried) {
        TensorWriter inner(loc, builder);
        Value next = body(inner, {k, carried[0]});
        scf::YieldOp::create(builder, loc, next);
      });
  return loop.getResult(0);
}

namespace {

/// The input rounded to int8.
struct RoundedInput {
  Value integers; // [..., K]
  Value highest;  // [..., G]: the largest magnitude of each group
};

struct LowerQuantizedLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.isQuantized())
      return failure();
    if (!op.getX().getType().getElementType().isF32())
      return rewriter.notifyMatchFailure(op, "expected an input of f32");
    TensorWriter w(op, rewriter);
    IntegerMatrix weight{op.getWeight(), op.getScales(), op.getZeroPoints(),
                         op.getGroupSize(), op.getPacked()};
    Value y = op.getInt8Input() ? multiplyIntegers(w, op, weight)
                                : multiplyFloats(w, op, weight);
    rewriter.replaceOp(op, y);
    return success();
  }

private:
  static Value addBias(TensorWriter &b, LinearOp op, Value y, Value n) {
    if (!op.getBias())
      return y;
    Value bias = tensor::ExtractOp::create(b, op.getBias(), ValueRange{n});
    return arith::AddFOp::create(b, y, bias);
  }

  static Value multiplyFloats(TensorWriter &w, LinearOp op,
                              const IntegerMatrix &weight) {
    return w.generate(
        TensorWriter::shape(op.getY()), w.getF32Type(),
        [&](TensorWriter &b, ValueRange at) -> Value {
          Value sum = accumulate(
              b, b.index(0), b.index(op.getK()), b.scalar(b.getF32Type(), 0),
              [&](TensorWriter &b, ValueRange v) -> Value {
                SmallVector<Value> from(at.drop_back());
                from.push_back(v[0]);
                Value x = tensor::ExtractOp::create(b, op.getX(), from);
                Value product = arith::MulFOp::create(
                    b, x, weight.real(b, at.back(), v[0]));
                return arith::AddFOp::create(b, v[1], product);
              });
          return addBias(b, op, sum, at.back());
        });
  }

  /// The first element of group g, and the one past its last.
  static std::pair<Value, Value> rangeOf(TensorWriter &b, Value g, int64_t group,
                                         int64_t k) {
    Value size = b.index(group);
    Value begin = arith::MulIOp::create(b, g, size);
    Value end = arith::AddIOp::create(b, begin, size);
    return {begin, arith::MinUIOp::create(b, end, b.index(k))};
  }

  static RoundedInput roundInput(TensorWriter &w, LinearOp op, int64_t group) {
    Value x = op.getX();
    Shape shape = TensorWriter::shape(x);
    int64_t k = op.getK();
    Type i32 = w.getI32Type(), f32 = w.getF32Type();
    SmallVector<int64_t> groups(shape.drop_back());
    groups.push_back(llvm::divideCeilSigned(k, group));
    RoundedInput input;
    // As integers: NaN is the largest of all.
    input.highest = w.generate(
        groups, f32, [&](TensorWriter &b, ValueRange at) -> Value {
          auto [begin, end] = rangeOf(b, at.back(), group, k);
          Value bits = accumulate(
              b, begin, end, b.scalar(i32, 0),
              [&](TensorWriter &b, ValueRange v) -> Value {
                SmallVector<Value> from(at.drop_back());
                from.push_back(v[0]);
                Value value = tensor::ExtractOp::create(b, x, from);
                Value mask = arith::ConstantIntOp::create(b, i32, 0x7fffffff);
                Value magnitude = arith::AndIOp::create(
                    b, arith::BitcastOp::create(b, i32, value), mask);
                return arith::MaxSIOp::create(b, v[1], magnitude);
              });
          return arith::BitcastOp::create(b, f32, bits);
        });
    input.integers = w.generate(
        shape, w.getI8Type(), [&](TensorWriter &b, ValueRange at) -> Value {
          SmallVector<Value> from(at);
          from.back() =
              arith::DivUIOp::create(b, at.back(), b.index(group));
          Value m = tensor::ExtractOp::create(b, input.highest, from);
          Value factor = arith::DivFOp::create(b, b.scalar(f32, 127), m);
          Value tiny = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, m,
                                             b.scalar(f32, 1e-30f));
          Value zero = b.scalar(f32, 0);
          factor = arith::SelectOp::create(b, tiny, zero, factor);
          Value value = tensor::ExtractOp::create(b, x, at);
          value = math::RoundEvenOp::create(
              b, arith::MulFOp::create(b, value, factor));
          Value ordered = arith::CmpFOp::create(b, arith::CmpFPredicate::ORD,
                                                value, value);
          value = arith::SelectOp::create(b, ordered, value, zero);
          return arith::FPToSIOp::create(b, b.getI8Type(), value);
        });
    return input;
  }

  static Value multiplyIntegers(TensorWriter &w, LinearOp op,
                                const IntegerMatrix &weight) {
    int64_t k = op.getK();
    bool perGroup = *op.getInt8Input() == InputScales::group;
    Type f32 = w.getF32Type(), i32 = w.getI32Type();
    RoundedInput input = roundInput(w, op, perGroup ? weight.group : k);
    Value span = w.scalar(f32, 127);
    auto scaleOf = [&](TensorWriter &b, ValueRange at, Value g) -> Value {
      SmallVector<Value> from(at.drop_back());
      from.push_back(g);
      Value m = tensor::ExtractOp::create(b, input.highest, from);
      return arith::DivFOp::create(b, m, span);
    };
    return w.generate(
        TensorWriter::shape(op.getY()), f32,
        [&](TensorWriter &b, ValueRange at) -> Value {
          Value groups = b.index(llvm::divideCeilSigned(k, weight.group));
          Value sum = accumulate(
              b, b.index(0), groups, b.scalar(f32, 0),
              [&](TensorWriter &b, ValueRange v) -> Value {
                auto [begin, end] = rangeOf(b, v[0], weight.group, k);
                Value dot = accumulate(
                    b, begin, end, b.scalar(i32, 0),
                    [&](TensorWriter &b, ValueRange v) -> Value {
                      SmallVector<Value> from(at.drop_back());
                      from.push_back(v[0]);
                      Value q = arith::ExtSIOp::create(
                          b, i32,
                          tensor::ExtractOp::create(b, input.integers, from));
                      Value product = arith::MulIOp::create(
                          b, q, weight.number(b, at.back(), v[0]));
                      return arith::AddIOp::create(b, v[1], product);
                    });
                Value real = arith::SIToFPOp::create(b, f32, dot);
                if (perGroup)
                  real = arith::MulFOp::create(b, scaleOf(b, at, v[0]), real);
                Value product = arith::MulFOp::create(
                    b, weight.scale(b, at.back(), v[0]), real);
                return arith::AddFOp::create(b, v[1], product);
              });
          if (!perGroup)
            sum = arith::MulFOp::create(b, scaleOf(b, at, b.index(0)), sum);
          return addBias(b, op, sum, at.back());
        });
  }
};

struct LowerQuantizedEmbedding : OpRewritePattern<EmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(EmbeddingOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.isQuantized())
      return failure();
    TensorWriter w(op, rewriter);
    IntegerMatrix table{op.getTable(), op.getScales(), op.getZeroPoints(),
                        op.getGroupSize(), op.getPacked()};
    Shape stored = TensorWriter::shape(op.getTable());
    int64_t rows = op.getRows()      ? *op.getRows()
                   : op.getPacked() ? stored[0] * stored[2]
                                    : stored[0];
    Type element = TensorWriter::element(op.getY());
    rewriter.replaceOp(
        op, w.generate(TensorWriter::shape(op.getY()), element,
                       [&](TensorWriter &b, ValueRange at) -> Value {
                         Value id = tensor::ExtractOp::create(
                             b, op.getIndices(), at.drop_back());
                         Value row = b.wrapIndex(id, rows, /*clamped=*/true);
                         Value value = table.real(b, row, at.back());
                         if (element.isF32())
                           return value;
                         return arith::TruncFOp::create(b, element, value);
                       }));
    return success();
  }
};

} // namespace

void itera::populateQuantizedLayerPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerQuantizedEmbedding, LowerQuantizedLinear>(
      patterns.getContext());
}
