// SPDX-License-Identifier: Apache-2.0
// ssm.scan -> scf.for: the states and the stacked results are carried.

#include "Patterns.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

namespace {

struct LowerScan : OpRewritePattern<ScanOp> {
  using OpRewritePattern::OpRewritePattern;
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
          // Everything that reads the old states comes before what overwrites
          // them: a state keeps its buffer from step to step.
          for (size_t j = 0; j < op.getStackDims().size(); ++j)
            next[states + j] = w.insert(next[states + j], values[states + j],
                                        op.getStackDims()[j], t);
          for (size_t j = 0; j < states; ++j)
            if (isViewOfOther(next[j], values.take_front(states), j))
              next[j] = copyInto(
                  w, next[j],
                  w.empty(TensorWriter::shape(next[j]), TensorWriter::element(next[j])));
          for (size_t j = 0; j < states; ++j)
            next[j] = copyInto(w, next[j], values[j]);
          return next;
        });
    rewriter.replaceOp(op, results);
    return success();
  }

  static Value copyInto(TensorWriter &w, Value source, Value target) {
    return linalg::CopyOp::create(w, source, target).getResult(0);
  }

  /// Whether `value` looks into the old value of another state than `index`.
  static bool isViewOfOther(Value value, ValueRange old, size_t index) {
    while (Operation *op = value.getDefiningOp()) {
      if (!isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
               tensor::CollapseShapeOp, tensor::CastOp>(op))
        return false;
      value = op->getOperand(0);
    }
    return llvm::is_contained(old, value) && value != old[index];
  }
};

} // namespace

void itera::populateScanPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerScan>(patterns.getContext());
}
