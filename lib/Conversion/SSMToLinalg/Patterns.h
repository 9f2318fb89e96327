// SPDX-License-Identifier: Apache-2.0
// What the pattern files of the plain lowering share.

#ifndef ITERA_LIB_CONVERSION_SSMTOLINALG_PATTERNS_H
#define ITERA_LIB_CONVERSION_SSMTOLINALG_PATTERNS_H

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/PatternMatch.h"

namespace itera {

void populateActivationPatterns(mlir::RewritePatternSet &patterns);
void populateGatherScatterPatterns(mlir::RewritePatternSet &patterns);
void populateIntegerProductPatterns(mlir::RewritePatternSet &patterns);
void populateLayerPatterns(mlir::RewritePatternSet &patterns);
void populateQuantizedLayerPatterns(mlir::RewritePatternSet &patterns);
void populateRecurrencePatterns(mlir::RewritePatternSet &patterns);
void populateScanPatterns(mlir::RewritePatternSet &patterns);
void populateSelectionPatterns(mlir::RewritePatternSet &patterns);
void populateTensorPatterns(mlir::RewritePatternSet &patterns);

/// Whether op sums products of i8 or i16 into i32 over one loop.
bool isIntegerProduct(mlir::linalg::ContractOp op);

/// Writes tensor code: an op builder with the few constructs that the plain
/// lowering is made of.
class TensorWriter : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using Body = llvm::function_ref<Value(TensorWriter &, mlir::ValueRange)>;

  TensorWriter(mlir::Operation *op, mlir::PatternRewriter &rewriter)
      : ImplicitLocOpBuilder(op->getLoc(), rewriter) {
    setInsertionPoint(op);
    setListener(rewriter.getListener());
  }
  TensorWriter(mlir::Location loc, mlir::OpBuilder &builder)
      : ImplicitLocOpBuilder(loc, builder) {}

  static llvm::ArrayRef<int64_t> shape(Value value) {
    return mlir::cast<mlir::RankedTensorType>(value.getType()).getShape();
  }
  static mlir::Type element(Value value) {
    return mlir::getElementTypeOrSelf(value.getType());
  }

  Value index(int64_t value);
  /// A scalar of the given int, index or float type.
  Value scalar(mlir::Type type, double value);
  Value empty(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  Value filled(llvm::ArrayRef<int64_t> shape, Value scalar);
  Value zeros(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// linalg.generic over the index space of `init`, then `reductions` further
  /// loops. `maps` are those of the inputs; init's is the identity on its
  /// dims. The body gets one scalar per input, then init's.
  Value generic(mlir::ValueRange inputs, llvm::ArrayRef<mlir::AffineMap> maps,
                Value init, unsigned reductions, Body body);
  /// generic over inputs whose dimensions are the listed dims of init.
  Value zip(mlir::ValueRange inputs,
            llvm::ArrayRef<llvm::SmallVector<int64_t>> dims, Value init,
            Body body);
  /// A tensor whose element at `indices` is what the body returns.
  Value generate(llvm::ArrayRef<int64_t> shape, mlir::Type element, Body body);

  /// The slice of `source` at `position` along `dim`, without that dimension.
  Value slice(Value source, int64_t dim, Value position);
  /// `target` with `source` written at `position` along `dim`.
  Value insert(Value source, Value target, int64_t dim, Value position);

  /// for i in [0, count): carried = body(i, carried).
  llvm::SmallVector<Value>
  loop(int64_t count, mlir::ValueRange carried,
       llvm::function_ref<llvm::SmallVector<Value>(TensorWriter &, Value,
                                                   mlir::ValueRange)>
           body);
  /// A loop nest over `shape`; the body gets all induction variables.
  llvm::SmallVector<Value>
  loops(llvm::ArrayRef<int64_t> shape, mlir::ValueRange carried,
        llvm::function_ref<llvm::SmallVector<Value>(
            TensorWriter &, mlir::ValueRange, mlir::ValueRange)>
            body);

  /// An integer of any width as an index into a dimension of `size`: negative
  /// values count from the end. `clamped` results lie in [0, size).
  Value wrapIndex(Value integer, int64_t size, bool clamped);
};

} // namespace itera

#endif // ITERA_LIB_CONVERSION_SSMTOLINALG_PATTERNS_H
