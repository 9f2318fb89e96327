// SPDX-License-Identifier: Apache-2.0
// Builds the tensor ops that importers write, each in its one agreed form.

#ifndef ITERA_IMPORT_TENSORBUILDER_H
#define ITERA_IMPORT_TENSORBUILDER_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace itera {

using Dims = llvm::ArrayRef<int64_t>;
using Shape = llvm::SmallVector<int64_t>;

/// The most dimensions and elements of a tensor in a model.
inline constexpr int64_t kMaxRank = 8;
inline constexpr int64_t kMaxElements = int64_t(1) << 40;

/// The number of elements, or nothing if a size is negative, there are more
/// than `kMaxRank` dimensions, or the product exceeds `kMaxElements`.
std::optional<int64_t> countElements(Dims shape);

/// The numbers begin, begin + 1, ..., end - 1.
Shape numbersFrom(int64_t begin, int64_t end);

/// The shape that both broadcast to by ONNX's (NumPy's) rule, or nothing.
std::optional<Shape> broadcastShapes(Dims a, Dims b);

/// How `TensorBuilder::reduce` combines elements.
enum class Reduction { Sum, Prod, Max, Min, And, Or };

/// Preconditions: shapes are valid (`countElements`) and fit each other; the
/// importer has reported what a file gets wrong before it builds.
class TensorBuilder {
public:
  TensorBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  mlir::OpBuilder &builder;
  mlir::Location loc;

  static mlir::RankedTensorType typeOf(mlir::Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }
  static Dims shapeOf(mlir::Value value) { return typeOf(value).getShape(); }
  static int64_t rankOf(mlir::Value value) { return typeOf(value).getRank(); }
  static mlir::Type elementOf(mlir::Value value) {
    return typeOf(value).getElementType();
  }
  static bool isFloat(mlir::Value value) {
    return llvm::isa<mlir::FloatType>(elementOf(value));
  }

  /// Builds an op, or what it folds to.
  template <typename Op, typename... Args>
  mlir::Value make(Args &&...args) {
    return builder.createOrFold<Op>(loc, std::forward<Args>(args)...);
  }

  mlir::Value constant(mlir::DenseElementsAttr value);
  /// A tensor of one repeated value; rounded to the element type.
  mlir::Value splat(Dims shape, mlir::Type element, double value);
  /// A splat shaped and typed like `like`.
  mlir::Value splatLike(mlir::Value like, double value) {
    return splat(shapeOf(like), elementOf(like), value);
  }
  mlir::Value intSplat(Dims shape, mlir::Type element, int64_t value);
  mlir::Value attributeSplat(Dims shape, mlir::TypedAttr value);
  /// A vector of i64, or a scalar of it.
  mlir::Value vector(llvm::ArrayRef<int64_t> values);
  mlir::Value scalar(int64_t value) {
    return intSplat({}, builder.getI64Type(), value);
  }

  /// A tensor that an op overwrites, and one filled with a scalar.
  mlir::Value empty(Dims shape, mlir::Type element);
  mlir::Value filled(Dims shape, mlir::TypedAttr value);
  mlir::Value zeros(Dims shape, mlir::Type element);

  /// The same elements in row-major order; the result may be any earlier value
  /// that has the wanted shape already.
  mlir::Value reshape(mlir::Value value, Dims shape);
  mlir::Value unsqueeze(mlir::Value value, Dims dims);
  mlir::Value squeeze(mlir::Value value, Dims dims);
  /// Broadcasts by ONNX's rule; the shapes must be compatible.
  mlir::Value broadcast(mlir::Value value, Dims shape);
  /// Broadcasts along new dimensions only: `dims` of the result are added.
  mlir::Value broadcastInto(mlir::Value value, Dims shape, Dims dims);
  mlir::Value transpose(mlir::Value value, Dims permutation);
  mlir::Value slice(mlir::Value value, Dims offsets, Dims sizes, Dims strides);
  /// Notes what `slice`, if it has steps, leaves out at the end of each
  /// dimension; negative: unknown.
  void setCut(mlir::Value slice, Dims strides, Dims cut);
  /// `value[begin:begin+size]` along one dimension.
  mlir::Value sliceDim(mlir::Value value, int64_t dim, int64_t begin,
                       int64_t size);
  /// `value[index]` along one dimension, which disappears.
  mlir::Value selectDim(mlir::Value value, int64_t dim, int64_t index);
  mlir::Value reverse(mlir::Value value, Dims dims);
  mlir::Value concat(llvm::ArrayRef<mlir::Value> values, int64_t dim);
  mlir::Value pad(mlir::Value value, Dims low, Dims high,
                  mlir::TypedAttr padding);

  /// Sums of products over labelled dimensions: a dimension of `lhs`, `rhs` and
  /// the result is the same loop where its label is; labels that the result
  /// lacks must be in both operands. The result has lhs' element type or
  /// `element`; signed integers are widened to it first.
  mlir::Value contract(mlir::Value lhs, llvm::ArrayRef<int64_t> lhsLabels,
                       mlir::Value rhs, llvm::ArrayRef<int64_t> rhsLabels,
                       llvm::ArrayRef<int64_t> resultLabels,
                       mlir::Type element = {});
  /// `lhs @ rhs` by NumPy's rule; ranks 1 or more, batch dims broadcast.
  mlir::Value matmul(mlir::Value lhs, mlir::Value rhs, mlir::Type element = {});
  /// Reduces `dims` away, or keeps them with size 1.
  mlir::Value reduce(mlir::Value value, Dims dims, Reduction how,
                     bool keepDims, bool isUnsigned = false);
  mlir::Value mean(mlir::Value value, Dims dims, bool keepDims);
  mlir::Value softmax(mlir::Value value, int64_t dim);

  /// Elementwise, same types.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b, bool isUnsigned = false);
  /// ONNX Cast: floats to integers truncate, to bool is != 0.
  mlir::Value cast(mlir::Value value, mlir::Type to, bool fromUnsigned = false,
                   bool toUnsigned = false);

  /// The dense constant behind `value`, if `arith.constant` defines it.
  static mlir::DenseElementsAttr getConstant(mlir::Value value);
};

} // namespace itera

#endif // ITERA_IMPORT_TENSORBUILDER_H
