// SPDX-License-Identifier: Apache-2.0
// Gathers and scatters. Reads are clamped into the data, writes outside of it
// are skipped: no index that a model or a user gives reaches other memory.

#include "Patterns.h"

using namespace mlir;
using namespace itera;
using namespace itera::ssm;

using Shape = ArrayRef<int64_t>;

static Value combine(ImplicitLocOpBuilder &b, ScatterKind kind, Value old,
                     Value update) {
  bool isFloat = isa<FloatType>(getElementTypeOrSelf(old.getType()));
  switch (kind) {
  case ScatterKind::replace:
    return update;
  case ScatterKind::add:
    return isFloat ? arith::AddFOp::create(b, old, update).getResult()
                   : arith::AddIOp::create(b, old, update).getResult();
  case ScatterKind::mul:
    return isFloat ? arith::MulFOp::create(b, old, update).getResult()
                   : arith::MulIOp::create(b, old, update).getResult();
  case ScatterKind::max:
    return isFloat ? arith::MaximumFOp::create(b, old, update).getResult()
                   : arith::MaxSIOp::create(b, old, update).getResult();
  case ScatterKind::min:
    return isFloat ? arith::MinimumFOp::create(b, old, update).getResult()
                   : arith::MinSIOp::create(b, old, update).getResult();
  }
  llvm_unreachable("a scatter kind without a case");
}

/// i in [0, size), as i1.
static Value inRange(TensorWriter &w, Value i, int64_t size) {
  return arith::CmpIOp::create(w, arith::CmpIPredicate::ult, i, w.index(size));
}

/// `write(target)` if `condition`, else `target`.
static Value
writeIf(TensorWriter &w, Value condition, Value target,
        function_ref<Value(TensorWriter &, Value)> write) {
  auto choice = scf::IfOp::create(w, target.getType(), condition, true);
  {
    OpBuilder::InsertionGuard guard(w);
    w.setInsertionPointToStart(choice.thenBlock());
    scf::YieldOp::create(w, write(w, target));
    w.setInsertionPointToStart(choice.elseBlock());
    scf::YieldOp::create(w, target);
  }
  return choice.getResult(0);
}

namespace {

struct LowerGather : OpRewritePattern<GatherOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape data = TensorWriter::shape(op.getData());
    int64_t dim = op.getDim();
    int64_t rank = TensorWriter::shape(op.getIndices()).size();
    Value y = w.generate(
        TensorWriter::shape(op.getY()), TensorWriter::element(op.getData()),
        [&](TensorWriter &b, ValueRange at) -> Value {
          Value id = tensor::ExtractOp::create(b, op.getIndices(),
                                               at.slice(dim, rank));
          SmallVector<Value> from(at.take_front(dim));
          from.push_back(b.wrapIndex(
              id, data[dim], /*clamped=*/true));
          llvm::append_range(from, at.drop_front(dim + rank));
          return tensor::ExtractOp::create(b, op.getData(), from);
        });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct LowerGatherElements : OpRewritePattern<GatherElementsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherElementsOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape data = TensorWriter::shape(op.getData());
    Value y = w.generate(
        TensorWriter::shape(op.getY()), TensorWriter::element(op.getData()),
        [&](TensorWriter &b, ValueRange at) -> Value {
          Value id = tensor::ExtractOp::create(b, op.getIndices(), at);
          SmallVector<Value> from(at);
          from[op.getDim()] = b.wrapIndex(
              id, data[op.getDim()], /*clamped=*/true);
          return tensor::ExtractOp::create(b, op.getData(), from);
        });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct LowerGatherNd : OpRewritePattern<GatherNdOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherNdOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape data = TensorWriter::shape(op.getData()),
          indices = TensorWriter::shape(op.getIndices());
    int64_t batch = op.getBatchDims(), tuple = indices.back();
    Value y = w.generate(
        TensorWriter::shape(op.getY()), TensorWriter::element(op.getData()),
        [&](TensorWriter &b, ValueRange at) -> Value {
          SmallVector<Value> from(at.take_front(batch));
          for (int64_t i = 0; i < tuple; ++i) {
            SmallVector<Value> position(at.take_front(indices.size() - 1));
            position.push_back(b.index(i));
            Value id = tensor::ExtractOp::create(b, op.getIndices(), position);
            from.push_back(
                b.wrapIndex(id, data[batch + i], /*clamped=*/true));
          }
          llvm::append_range(from, at.drop_front(indices.size() - 1));
          return tensor::ExtractOp::create(b, op.getData(), from);
        });
    rewriter.replaceOp(op, y);
    return success();
  }
};

struct LowerScatterNd : OpRewritePattern<ScatterNdOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ScatterNdOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape data = TensorWriter::shape(op.getData()),
          indices = TensorWriter::shape(op.getIndices());
    int64_t tuple = indices.back();
    Value valid;
    if (op.getValid()) {
      Value count = tensor::ExtractOp::create(w, op.getValid(), ValueRange{});
      valid = arith::IndexCastOp::create(w, w.getIndexType(), count);
    }
    SmallVector<Value> results = w.loops(
        indices.drop_back(), {op.getData()},
        [&](TensorWriter &w, ValueRange at, ValueRange carried) {
          SmallVector<Value> target;
          Value legal = w.scalar(w.getI1Type(), 1);
          if (valid && !at.empty())
            legal = arith::CmpIOp::create(w, arith::CmpIPredicate::slt,
                                          at.front(), valid);
          for (int64_t i = 0; i < tuple; ++i) {
            SmallVector<Value> position(at);
            position.push_back(w.index(i));
            Value id = tensor::ExtractOp::create(w, op.getIndices(), position);
            Value wrapped = w.wrapIndex(id, data[i], /*clamped=*/false);
            legal = arith::AndIOp::create(w, legal, inRange(w, wrapped, data[i]));
            target.push_back(wrapped);
          }
          Value next = writeIf(
              w, legal, carried[0], [&](TensorWriter &b, Value into) {
                return write(b, op, at, target, into);
              });
          return SmallVector<Value>{next};
        });
    rewriter.replaceOp(op, results);
    return success();
  }

  /// `into` with the update at `from` combined into the slice at `to`.
  static Value write(TensorWriter &w, ScatterNdOp op, ValueRange from,
                     ValueRange to, Value into) {
    Shape data = TensorWriter::shape(op.getData());
    SmallVector<int64_t> rest(data.drop_front(to.size()));
    auto type = RankedTensorType::get(rest, TensorWriter::element(into));
    auto parameters = [&](ValueRange at, SmallVector<OpFoldResult> &offsets,
                          SmallVector<OpFoldResult> &sizes,
                          SmallVector<OpFoldResult> &strides) {
      for (Value position : at)
        offsets.push_back(position);
      offsets.append(rest.size(), w.getIndexAttr(0));
      sizes.assign(at.size(), w.getIndexAttr(1));
      for (int64_t size : rest)
        sizes.push_back(w.getIndexAttr(size));
      strides.assign(sizes.size(), w.getIndexAttr(1));
    };
    SmallVector<OpFoldResult> fromOffsets, fromSizes, fromStrides, toOffsets,
        toSizes, toStrides;
    parameters(from, fromOffsets, fromSizes, fromStrides);
    parameters(to, toOffsets, toSizes, toStrides);
    Value update = tensor::ExtractSliceOp::create(
        w, type, op.getUpdates(), fromOffsets, fromSizes, fromStrides);
    if (op.getKind() != ScatterKind::replace) {
      Value old = tensor::ExtractSliceOp::create(w, type, into, toOffsets,
                                                 toSizes, toStrides);
      update = combine(w, op.getKind(), old, update);
    }
    return tensor::InsertSliceOp::create(w, update, into, toOffsets, toSizes,
                                         toStrides);
  }
};

struct LowerScatterElements : OpRewritePattern<ScatterElementsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ScatterElementsOp op,
                                PatternRewriter &rewriter) const override {
    TensorWriter w(op, rewriter);
    Shape data = TensorWriter::shape(op.getData());
    int64_t dim = op.getDim();
    SmallVector<Value> results = w.loops(
        TensorWriter::shape(op.getIndices()), {op.getData()},
        [&](TensorWriter &w, ValueRange at, ValueRange carried) {
          Value id = tensor::ExtractOp::create(w, op.getIndices(), at);
          SmallVector<Value> target(at);
          target[dim] = w.wrapIndex(id, data[dim], /*clamped=*/false);
          Value next = writeIf(
              w, inRange(w, target[dim], data[dim]), carried[0],
              [&](TensorWriter &b, Value into) -> Value {
                Value update = tensor::ExtractOp::create(b, op.getUpdates(), at);
                Value old = tensor::ExtractOp::create(b, into, target);
                return tensor::InsertOp::create(
                    b, combine(b, op.getKind(), old, update), into, target);
              });
          return SmallVector<Value>{next};
        });
    rewriter.replaceOp(op, results);
    return success();
  }
};

} // namespace

void itera::populateGatherScatterPatterns(RewritePatternSet &patterns) {
  patterns.add<LowerGather, LowerGatherElements, LowerGatherNd,
               LowerScatterElements, LowerScatterNd>(patterns.getContext());
}
