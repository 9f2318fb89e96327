// SPDX-License-Identifier: Apache-2.0
// Ops that only move data: an element of the result is an element of an
// operand at another index.

#include "Builder.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace itera;
using namespace itera::halide;
namespace tensor = mlir::tensor;
namespace linalg = mlir::linalg;

/// Which groups of dimensions of the larger shape form one of the smaller.
static Index collapseIndex(llvm::ArrayRef<mlir::ReassociationIndices> groups,
                           const Index &index, const Shape &wide) {
  Index result;
  for (const mlir::ReassociationIndices &group : groups) {
    Index part;
    Shape shape;
    for (int64_t dim : group) {
      part.push_back(index[dim]);
      shape.push_back(wide[dim]);
    }
    result.push_back(linearize(part, shape));
  }
  return result;
}

static Index expandIndex(llvm::ArrayRef<mlir::ReassociationIndices> groups,
                         const Index &index, const Shape &wide) {
  Index result(wide.size(), Expr(0));
  for (auto [group, e] : llvm::zip(groups, index)) {
    Shape shape;
    for (int64_t dim : group)
      shape.push_back(wide[dim]);
    // A group of one real dimension needs no arithmetic.
    Index part = delinearize(e, shape);
    for (auto [dim, expr] : llvm::zip(group, part))
      result[dim] = expr;
  }
  return result;
}

static Index sliceIndex(tensor::ExtractSliceOp slice, const Index &index) {
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  Index result;
  size_t next = 0;
  for (auto [dim, offset, stride] :
       llvm::enumerate(slice.getStaticOffsets(), slice.getStaticStrides())) {
    if (mlir::ShapedType::isDynamic(offset) ||
        mlir::ShapedType::isDynamic(stride))
      fail("expected static slices");
    Expr e = dropped.test(dim) ? Expr(0) : index[next++];
    if (stride != 1)
      e = e * int(stride);
    result.push_back(offset ? e + int(offset) : e);
  }
  return result;
}

Expr KernelBuilder::movement(mlir::Operation *op, const Index &index) {
  return llvm::TypeSwitch<mlir::Operation *, Expr>(op)
      .Case([&](tensor::EmptyOp empty) {
        return Halide::Internal::make_zero(halideType(empty.getType()));
      })
      .Case([&](linalg::FillOp fill) { return at(fill.getInputs()[0], {}); })
      .Case([&](tensor::SplatOp splat) { return at(splat.getInput(), {}); })
      .Case([&](linalg::BroadcastOp broadcast) {
        Index source;
        for (auto [dim, e] : llvm::enumerate(index))
          if (!llvm::is_contained(broadcast.getDimensions(), int64_t(dim)))
            source.push_back(e);
        return at(broadcast.getInput(), source);
      })
      .Case([&](linalg::TransposeOp transpose) {
        Index source(index.size());
        for (auto [dim, from] : llvm::enumerate(transpose.getPermutation()))
          source[from] = index[dim];
        return at(transpose.getInput(), source);
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        return at(slice.getSource(), sliceIndex(slice, index));
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        return at(expand.getSrc(),
                  collapseIndex(expand.getReassociationIndices(), index,
                                shapeOf(expand.getResult())));
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        return at(collapse.getSrc(),
                  expandIndex(collapse.getReassociationIndices(), index,
                              shapeOf(collapse.getSrc())));
      })
      .Case([&](ssm::ReverseOp reverse) {
        Index source = index;
        Shape shape = shapeOf(reverse.getX());
        for (int64_t dim : reverse.getDims())
          source[dim] = shape[dim] - 1 - index[dim];
        return at(reverse.getX(), source);
      })
      .Case([&](tensor::ConcatOp concat) {
        // The clamps keep the reads of the part that is not chosen inside of
        // its tensor; at a piece's own index they fold away.
        int dim = concat.getDim(), start = 0;
        Expr result;
        for (mlir::Value operand : concat.getInputs()) {
          int extent = shapeOf(operand)[dim];
          Index source = index;
          source[dim] = Halide::clamp(index[dim] - start, 0, extent - 1);
          Expr part = at(operand, source);
          result = result.defined() ? select(index[dim] < start, result, part)
                                    : part;
          start += extent;
        }
        return result;
      })
      .Case([&](tensor::PadOp pad) {
        mlir::Value padding = pad.getConstantPaddingValue();
        if (!padding || !pad.getLow().empty() || !pad.getHigh().empty())
          fail("expected a constant, static padding");
        Shape shape = shapeOf(pad.getSource());
        Index source = index;
        Expr inside;
        for (auto [dim, low, high] :
             llvm::enumerate(pad.getStaticLow(), pad.getStaticHigh())) {
          if (low == 0 && high == 0)
            continue;
          Expr e = low ? index[dim] - int(low) : index[dim];
          source[dim] = Halide::clamp(e, 0, shape[dim] - 1);
          Expr here = e >= 0 && e < shape[dim];
          inside = inside.defined() ? inside && here : here;
        }
        Expr value = at(pad.getSource(), source);
        return inside.defined() ? select(inside, value, at(padding, {}))
                                : value;
      })
      .Default([](mlir::Operation *) { return Expr(); });
}
