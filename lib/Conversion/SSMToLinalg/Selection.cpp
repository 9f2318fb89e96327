// SPDX-License-Identifier: Apache-2.0
// ssm.top_k and ssm.nonzero.

#include "Patterns.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

using Shape = ArrayRef<int64_t>;

namespace {

/// Slot j takes the best entry that comes after slot j-1's in the order
/// (value, then lower index first), so that no mask is needed: k passes over
/// the row, right for ties too.
struct LowerTopK : OpRewritePattern<TopKOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TopKOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape x = TensorWriter::shape(op.getX()),
          result = TensorWriter::shape(op.getValues());
    int64_t dim = op.getDim();
    SmallVector<int64_t> outer(x);
    outer.erase(outer.begin() + dim);
    Type element = TensorWriter::element(op.getX());
    Type indexType = TensorWriter::element(op.getIndices());
    Value values = w.empty(result, element), indices = w.empty(result, indexType);
    SmallVector<Value> results = w.loops(
        outer, {values, indices},
        [&](TensorWriter &w, ValueRange at, ValueRange carried) {
          auto position = [&](Value i) {
            SmallVector<Value> full(at);
            full.insert(full.begin() + dim, i);
            return full;
          };
          // The slot before the first: anything comes after index -1.
          Value none = w.index(-1);
          Value start = tensor::ExtractOp::create(w, op.getX(),
                                                  position(w.index(0)));
          SmallVector<Value> row = w.loop(
              result[dim], {carried[0], carried[1], start, none},
              [&](TensorWriter &w, Value slot, ValueRange v) {
                SmallVector<Value> best = w.loop(
                    x[dim], {v[2], none},
                    [&](TensorWriter &w, Value i, ValueRange b) {
                      Value candidate =
                          tensor::ExtractOp::create(w, op.getX(), position(i));
                      Value first = isNone(w, v[3]);
                      Value later = arith::OrIOp::create(
                          w, first, before(w, op, v[2], v[3], candidate, i));
                      Value better = arith::OrIOp::create(
                          w, isNone(w, b[1]),
                          before(w, op, candidate, i, b[0], b[1]));
                      Value take = arith::AndIOp::create(w, later, better);
                      return SmallVector<Value>{
                          arith::SelectOp::create(w, take, candidate, b[0]),
                          arith::SelectOp::create(w, take, i, b[1])};
                    });
                // Unordered entries (NaN) may leave nothing to take.
                Value zero = w.index(0);
                Value chosen = arith::MaxSIOp::create(w, best[1], zero);
                Value id = arith::IndexCastOp::create(w, indexType, chosen);
                return SmallVector<Value>{
                    tensor::InsertOp::create(w, best[0], v[0], position(slot)),
                    tensor::InsertOp::create(w, id, v[1], position(slot)),
                    best[0], best[1]};
              });
          return SmallVector<Value>{row[0], row[1]};
        });
    rewriter.replaceOp(op, results);
    return success();
  }

  static Value isNone(TensorWriter &w, Value i) {
    return arith::CmpIOp::create(w, arith::CmpIPredicate::slt, i, w.index(0));
  }

  /// Whether entry (a, i) comes before entry (b, j).
  static Value before(TensorWriter &w, TopKOp op, Value a, Value i, Value b,
                      Value j) {
    Value better, equal;
    if (isa<FloatType>(a.getType())) {
      auto predicate = op.getSmallest() ? arith::CmpFPredicate::OLT
                                        : arith::CmpFPredicate::OGT;
      better = arith::CmpFOp::create(w, predicate, a, b);
      equal = arith::CmpFOp::create(w, arith::CmpFPredicate::OEQ, a, b);
    } else {
      auto predicate = op.getSmallest() ? arith::CmpIPredicate::slt
                                        : arith::CmpIPredicate::sgt;
      better = arith::CmpIOp::create(w, predicate, a, b);
      equal = arith::CmpIOp::create(w, arith::CmpIPredicate::eq, a, b);
    }
    Value lower = arith::CmpIOp::create(w, arith::CmpIPredicate::slt, i, j);
    return arith::OrIOp::create(w, better,
                                arith::AndIOp::create(w, equal, lower));
  }
};

struct LowerNonzero : OpRewritePattern<NonzeroOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(NonzeroOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape shape = TensorWriter::shape(op.getX());
    Type element = TensorWriter::element(op.getX());
    Type indexType = TensorWriter::element(op.getIndices());
    Value indices = w.zeros(TensorWriter::shape(op.getIndices()), indexType);
    SmallVector<Value> results = w.loops(
        shape, {indices, w.index(0)},
        [&](TensorWriter &w, ValueRange at, ValueRange carried) {
          Value x = tensor::ExtractOp::create(w, op.getX(), at);
          Value zero = w.scalar(element, 0);
          Value isSet =
              isa<FloatType>(element)
                  ? arith::CmpFOp::create(w, arith::CmpFPredicate::UNE, x, zero)
                        .getResult()
                  : arith::CmpIOp::create(w, arith::CmpIPredicate::ne, x, zero)
                        .getResult();
          auto choice = scf::IfOp::create(w, TypeRange(carried.getTypes()),
                                          isSet, true);
          {
            OpBuilder::InsertionGuard guard(w);
            w.setInsertionPointToStart(choice.thenBlock());
            Value into = carried[0];
            for (size_t d = 0; d < at.size(); ++d) {
              Value id = arith::IndexCastOp::create(w, indexType, at[d]);
              into = tensor::InsertOp::create(
                  w, id, into, ValueRange{w.index(d), carried[1]});
            }
            Value next = arith::AddIOp::create(w, carried[1], w.index(1));
            scf::YieldOp::create(w, ValueRange{into, next});
            w.setInsertionPointToStart(choice.elseBlock());
            scf::YieldOp::create(w, carried);
          }
          return SmallVector<Value>(choice.getResults());
        });
    Value count = arith::IndexCastOp::create(
        w, TensorWriter::element(op.getCount()), results[1]);
    Value total = tensor::FromElementsOp::create(
        w, cast<RankedTensorType>(op.getCount().getType()), count);
    rewriter.replaceOp(op, {results[0], total});
    return success();
  }
};

} // namespace

void itera::populateSelectionPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerNonzero, LowerTopK>(patterns.getContext());
}
