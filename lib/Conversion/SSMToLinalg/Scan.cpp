// SPDX-License-Identifier: Apache-2.0
// ssm.scan -> scf.for: the states and the stacked results are carried.

#include "Patterns.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

/// What `value` is a view of.
static Value source(Value value) {
  while (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp,
                         tensor::ExtractSliceOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

namespace {

struct LowerScan : OpRewritePattern<ScanOp> {
  using OpRewritePattern::OpRewritePattern;
  /// A body may hold a scan; it holds fewer than its own.
  void initialize() { setHasBoundedRewriteRecursion(); }
  LogicalResult matchAndRewrite(ScanOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    int64_t length = op.getLength();
    SmallVector<Value> carried(op.getInits());
    for (Value stacked : op.getStacked())
      carried.push_back(
          w.empty(TensorWriter::shape(stacked), TensorWriter::element(stacked)));

    Block &body = op.getBody().front();
    SmallVector<Value> results = w.loop(
        length, carried, [&](TensorWriter &w, Value i, ValueRange values) {
          size_t states = op.getInits().size();
          Value t = i;
          if (op.getReverse())
            t = arith::SubIOp::create(w, w.index(length - 1), i);
          IRMapping mapping;
          mapping.map(op.getStateArguments(), values.take_front(states));
          for (auto [argument, sequence, dim] :
               llvm::zip(op.getSliceArguments(), op.getSequences(),
                         op.getSequenceDims()))
            mapping.map(argument, w.slice(sequence, dim, t));
          for (Operation &inner : body.without_terminator())
            w.clone(inner, mapping);

          SmallVector<Value> next;
          for (Value value : body.getTerminator()->getOperands())
            next.push_back(mapping.lookupOrDefault(value));
          for (size_t j = 0; j < op.getStackDims().size(); ++j)
            next[states + j] = w.insert(next[states + j], values[states + j],
                                        op.getStackDims()[j], t);
          // A state keeps its buffer from step to step, wherever the body
          // computed the next one. The old states are read no more once the
          // first is overwritten: one that becomes another is put aside.
          ValueRange olds = values.take_front(states);
          for (size_t j = 0; j < states; ++j)
            if (next[j] != olds[j] && llvm::is_contained(olds, source(next[j])))
              next[j] = linalg::CopyOp::create(
                            w, next[j],
                            w.empty(TensorWriter::shape(next[j]),
                                    TensorWriter::element(next[j])))
                            .getResult(0);
          for (size_t j = 0; j < states; ++j)
            if (next[j] != olds[j])
              next[j] =
                  linalg::CopyOp::create(w, next[j], olds[j]).getResult(0);
          return next;
        });
    rewriter.replaceOp(op, results);
    return success();
  }
};

} // namespace

void itera::populateScanPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerScan>(patterns.getContext());
}
