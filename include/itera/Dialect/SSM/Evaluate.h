// SPDX-License-Identifier: Apache-2.0
// A reference interpreter for pure ops on static tensors.

#ifndef ITERA_DIALECT_SSM_EVALUATE_H
#define ITERA_DIALECT_SSM_EVALUATE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include <memory>
#include <string>

namespace mlir {
class OpBuilder;
}

namespace itera::ssm {

class ScanOp;

/// How an element lies in host memory: floats and integers in their own width,
/// i1 and i4 in one byte each.
enum class ElementKind { I1, I8, I16, I32, I64, F16, BF16, F32, F64 };

/// The kind of `type`, or nothing if host data cannot hold it.
std::optional<ElementKind> getElementKind(mlir::Type type);
/// Bytes of one element.
int64_t getElementBytes(ElementKind kind);
inline bool isFloat(ElementKind kind) { return kind >= ElementKind::F16; }

/// The value of a tensor or a scalar (a tensor of rank 0): dense, row-major.
struct HostTensor {
  mlir::RankedTensorType type;
  ElementKind kind = ElementKind::F32;
  llvm::ArrayRef<char> bytes;
  /// Keeps `bytes` alive; null if the context's attributes do.
  std::shared_ptr<void> owner;

  /// A tensor with its own memory, uninitialised; `data` gets its address.
  static HostTensor allocate(mlir::RankedTensorType type, ElementKind kind,
                             char *&data);

  llvm::ArrayRef<int64_t> shape() const { return type.getShape(); }
  int64_t size() const { return type.getNumElements(); }
  /// Element `index` in row-major order. `getInt` truncates a float and sign
  /// extends an integer, except for i1, which is 0 or 1.
  int64_t getInt(int64_t index) const;
  double getFloat(int64_t index) const;
  llvm::SmallVector<int64_t> getInts() const;
};

/// Reads and writes runs of elements in one common type.
void loadInts(const HostTensor &from, int64_t begin, int64_t count, int64_t *to);
void loadFloats(const HostTensor &from, int64_t begin, int64_t count, double *to);
void storeInts(ElementKind kind, char *data, int64_t begin, int64_t count,
               const int64_t *from);
/// Rounds each value to the element type, to nearest even.
void storeFloats(ElementKind kind, char *data, int64_t begin, int64_t count,
                 const double *from);

/// Copies a strided box of `shape` elements of `bytes` bytes each; strides in
/// elements.
void copyStrided(char *to, llvm::ArrayRef<int64_t> toStrides, const char *from,
                 llvm::ArrayRef<int64_t> fromStrides,
                 llvm::ArrayRef<int64_t> shape, int64_t bytes);
/// Row-major strides in elements.
llvm::SmallVector<int64_t> getRowMajorStrides(llvm::ArrayRef<int64_t> shape);

/// The constant that a dense constant or a dense resource attribute holds.
std::optional<HostTensor> readAttribute(mlir::Attribute attribute);

/// Evaluates values whose whole backward slice is constant: `arith.constant`
/// and `ssm.weight` at its ends, ops that `canEvaluate` between. Floating-point
/// ops compute in double and round every result to its element type.
class Evaluator {
public:
  struct Limits {
    /// Most elements of any one value.
    int64_t elements = int64_t(1) << 28;
    /// Most elements computed in the evaluator's life.
    int64_t work = int64_t(1) << 32;
  };

  Evaluator() = default;
  explicit Evaluator(Limits limits) : limits(limits) {}

  /// The value's data, or nothing: then `getReason` says which op is in the
  /// way. Results are kept: do not erase evaluated ops before `forget`.
  std::optional<HostTensor> evaluate(mlir::Value value);
  /// Makes `value`, for example a function's argument, stand for `data`.
  void bind(mlir::Value value, HostTensor data) {
    known[value] = std::move(data);
  }
  /// Drops what is kept for `value`.
  void forget(mlir::Value value) { known.erase(value); }
  llvm::StringRef getReason() const { return reason; }

private:
  bool compute(mlir::Operation *op);
  bool computeScan(ScanOp scan);

  Limits limits;
  int64_t spent = 0;
  llvm::DenseMap<mlir::Value, HostTensor> known;
  std::string reason;
};

/// True if the evaluator knows `op`.
bool canEvaluate(mlir::Operation *op);

/// Most elements of a constant that stays an attribute in the IR.
inline constexpr int64_t kMaxInlineElements = 64;

/// `value` as a dense constant; for a splat one of one element.
mlir::DenseElementsAttr toDenseAttribute(const HostTensor &value);
/// True if all elements have the same bytes (and there is one).
bool isSplat(const HostTensor &value);
/// `value` as a resource named `name` that shares the owner's memory.
mlir::TypedAttr toResourceAttribute(const HostTensor &value, llvm::StringRef name);

/// Builds `arith.constant` for a splat or at most `kMaxInlineElements`
/// elements, otherwise `ssm.weight` with the given name. The dialects `arith`
/// and `ssm` must be loaded.
mlir::Value buildConstant(mlir::OpBuilder &builder, mlir::Location loc,
                          const HostTensor &value, llvm::StringRef name);

} // namespace itera::ssm

#endif // ITERA_DIALECT_SSM_EVALUATE_H
