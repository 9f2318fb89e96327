// SPDX-License-Identifier: Apache-2.0
// Translates one kernel function into a Halide pipeline.
//
// Every SSA value is a function from an index to an expression, evaluated on
// demand by at(): elementwise ops and movements are expressions of their
// operands at other indices, so a whole prologue or epilogue is inlined where
// it is used. Ops that cannot be an expression (reductions, matrix products)
// are stages: Funcs with storage. The kernel's results are written as pieces:
// each a box of one result tensor with its own Func and its own buffer
// parameter, which is how remainders of a tile, the parts of a concatenation
// and the first frames of a convolution get code of their own without a
// branch.
//
// Anchors with an algorithm of their own (linear, scan, recurrence) do not go
// through the generic pieces: they claim the results (see build()).

#ifndef ITERA_LIB_CODEGEN_HALIDE_BUILDER_H
#define ITERA_LIB_CODEGEN_HALIDE_BUILDER_H

#include "Arithmetic.h"
#include "itera/CodeGen/Halide/Kernels.h"
#include "itera/Dialect/SSM/SSM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>
#include <map>
#include <stdexcept>

namespace itera::halide {

using Halide::Func;
using Halide::ImageParam;
using Halide::RDom;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;
using Halide::VarOrRVar;

/// A kernel that cannot be expressed. Caught at the library's boundary.
struct KernelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[noreturn]] void fail(const llvm::Twine &message);

/// One expression per dimension of the value, outermost first.
using Index = std::vector<Expr>;
using Shape = std::vector<int>;

/// How products of bytes are added up: see IntegerProducts.cpp.
enum class Products {
  dotUnsigned,
  dotSigned,
  matrices,
  pairsOfBytes,
  pairs,
  lanes
};

/// What schedules depend on.
struct Machine {
  explicit Machine(const TargetSpec &target);
  Halide::Target target;
  /// float32 lanes of a vector register, and how many registers there are.
  int lanes, registers;
  /// For one token, and for many.
  Products products, manyProducts;
};

/// Storage for temporaries of one kernel.
inline constexpr int64_t kStackBytes = 256 * 1024;

/// Where temporaries live. MemoryType::Stack would be the name for it, but
/// Halide moves what is larger than 16 KB from there to the heap.
inline constexpr auto kOnStack = Halide::MemoryType::Register;

struct Tile;

class KernelBuilder {
public:
  KernelBuilder(mlir::func::FuncOp function, const Machine &machine);
  ~KernelBuilder();

  /// Builds and schedules the pipeline; throws KernelError.
  void build();

  /// The pipeline, its parameters in order and the buffers they take.
  std::vector<Halide::Argument> arguments;
  std::vector<Func> outputs;
  std::vector<KernelBuffer> buffers;
  /// Whose products of bytes the kernel has: dotUnsigned, matrices or others.
  std::optional<Products> byteProducts;

private:
  /// A box of a result, and the Func dimensions that run over it.
  struct Piece {
    std::vector<int> offsets, extents; // outermost first
  };
  /// A view of a tensor: its dimensions, innermost first, in elements.
  struct View {
    std::vector<KernelBuffer::Dim> dims;
    int64_t offset = 0;
  };

  // Builder.cpp: arguments, results, dispatch.
  Expr at(mlir::Value value, const Index &index);
  Expr compute(mlir::Value value, const Index &index);
  Expr readArgument(mlir::BlockArgument argument, const Index &index);
  /// Element (row, column) of a value seen as a matrix whose rows are all
  /// dimensions but the last.
  Expr atRow(mlir::Value value, Expr row, Expr column);
  Expr computeRow(mlir::Value value, Expr row, Expr column);
  ImageParam inputView(unsigned argument, const View &view);
  /// The argument's bytes as elements of another type.
  ImageParam inputView(unsigned argument, const View &view, Halide::Type type);
  /// Adds an output Func (or Tuple Func) whose dimensions are those of the
  /// views, one view per value. With `opaqueLast` nothing is said to Halide
  /// about the last dimension.
  void addOutput(Func func, llvm::ArrayRef<unsigned> results,
                 llvm::ArrayRef<View> views, bool opaqueLast = false);
  void buildPieces();
  std::vector<Piece> piecesOf(mlir::Value value);
  void emitPiece(llvm::ArrayRef<unsigned> results, const Piece &piece);
  /// Forgets expressions: the meaning of an index or of a value has changed.
  void forget() { memo.clear(); }

  // Elementwise.cpp
  bool isElementwise(mlir::Operation *op);
  Expr scalarOp(mlir::Operation *op, const std::vector<Expr> &operands);
  Expr constant(mlir::Attribute value, mlir::Type type, const Index &index);

  // Movement.cpp: undefined when `op` is not one.
  Expr movement(mlir::Operation *op, const Index &index);

  // Stages.cpp
  /// The value as a Func with storage, once computed.
  Expr staged(mlir::Value value, const Index &index,
              const std::function<Func()> &make);
  Func materialize(mlir::Value value);
  /// True when computing an element again is much dearer than loading it.
  bool isExpensive(mlir::Value value);
  /// The value itself, or its elements from storage when they are expensive
  /// and there is room.
  std::function<Expr(const Index &)> reader(mlir::Value value);
  bool reserveStack(int64_t bytes);
  void vectorizeInner(Halide::Stage stage, Var inner, int extent,
                      TailStrategy tail);

  // Reduce.cpp
  using Combine = std::function<Expr(Expr, Expr)>;
  /// Combines element(rows, 0 .. count-1), by lanes and then by halves: an
  /// order that depends on count alone. Computed for all rows first, or, if
  /// `isPlaced` is false, where the caller says.
  Func reduceLanes(
      const std::vector<Var> &rows, const Shape &rowExtents, int count,
      Expr init, const Combine &combine,
      const std::function<Expr(const std::vector<Expr> &, Expr)> &element,
      bool isPlaced = true);
  Func buildReduce(mlir::linalg::ReduceOp op, unsigned result);
  Expr normAt(ssm::NormOp op, const Index &index);
  Expr softmaxAt(mlir::linalg::SoftmaxOp op, const Index &index);

  // Contract.cpp: sums of products.
  struct Product;
  Func buildContract(mlir::linalg::ContractOp op);
  Func buildLinear(ssm::LinearOp op);
  Func buildProduct(Product product);
  void tileProduct(Product &product, Func host, const std::vector<Var> &vars,
                   const std::vector<int> &extents);
  bool isDirect(mlir::Operation *product);
  /// Tiles the product that a result consists of.
  void scheduleProducts(Func out, const std::vector<Var> &vars,
                        const std::vector<int> &extents);
  std::function<Expr(const std::vector<Expr> &)>
  contiguousIn(mlir::Value operand, int dim);
  std::vector<Product> products;

  // Linear.cpp
  bool claimLinear();
  /// Element (k, token) of a linear's input: computed once if it has to be.
  std::function<Expr(Expr k, Expr token)> linearInput(ssm::LinearOp op,
                                                      int tokens);
  /// What the kernel makes of y = sum + bias, element (row, token): its results
  /// as a Func of `vars`.
  Func linearResults(ssm::LinearOp op, llvm::ArrayRef<unsigned> results,
                     Expr sum, Expr row, Expr token,
                     const std::vector<Var> &vars);
  struct LinearPlan;
  void emitLinearBlocks(const LinearPlan &plan, int firstRow, int blocks,
                        int rowsPerBlock);

  // QuantizedLinear.cpp: packed integer weights.
  bool claimQuantizedLinear();
  struct QuantizedPlan;
  struct RoundedInput;
  struct TiledSums;
  /// The input of all tokens, or of `tokens` of them at a time.
  RoundedInput roundInput(const QuantizedPlan &plan, int tokens);
  struct Section;
  TiledSums integerSums(const QuantizedPlan &plan, const RoundedInput &input,
                        const Section &section, Var r, Var t, Var block);
  TiledSums floatSums(const QuantizedPlan &plan, const Section &section, Var r,
                      Var t, Var block);
  static Tile largestTile(const QuantizedPlan &plan, const Machine &machine,
                          int tokens);
  void emitQuantizedSection(const QuantizedPlan &plan,
                            const RoundedInput &input, const Section &section);

  // IntegerProducts.cpp
  struct Factors;
  /// Adds to dot(row, token, group, block) the products of the group. Returns
  /// how to schedule that.
  struct ProductsPlace;
  std::function<void(const ProductsPlace &)>
  addProducts(Func dot, const QuantizedPlan &plan, const Factors &factors);
  // MatrixProducts.cpp
  std::function<void(const ProductsPlace &)>
  addMatrixProducts(Func dot, const QuantizedPlan &plan,
                    const Factors &factors);
  Func pairTokens(const QuantizedPlan &plan, const RoundedInput &input);

  // Hadamard.cpp
  bool claimHadamard();

  // Scan.cpp
  bool claimScan();
  bool claimRecurrence();

  // Conv.cpp
  Expr convAt(ssm::CausalConv1dOp op, const Index &index);
  /// The frames that the current piece computes: [first, second).
  llvm::DenseMap<mlir::Operation *, std::pair<int, int>> convFrames;

  Var var(const char *name) { return Var(name + std::to_string(counter++)); }
  Func func(const char *name) { return Func(name + std::to_string(counter++)); }

  mlir::func::FuncOp function;
  const Machine &machine;
  int counter = 0;
  int64_t stackBytes = 0;
  std::vector<KernelBuffer> inputBuffers, outputBuffers;
  llvm::DenseMap<unsigned, ImageParam> wholeArguments;
  llvm::DenseMap<unsigned, ImageParam> matrixArguments;
  /// Replaces the meaning of a value, for the result of an anchor.
  llvm::DenseMap<mlir::Value, std::function<Expr(const Index &)>> overrides;
  std::map<mlir::Operation *, std::vector<Func>> stageCache;
  llvm::DenseMap<mlir::Value, Func> materialized;
  struct Memo {
    Index index;
    Expr value;
  };
  std::map<std::pair<void *, std::vector<const void *>>, Memo> memo;
};

/// The object of a kernel's pipeline, by Halide, or by this project's LLVM if
/// Halide cannot make the target's instructions.
std::vector<char> machineCode(const KernelBuilder &kernel,
                              const std::string &symbol,
                              const Machine &machine, const TargetSpec &target);

// Helpers on types and shapes.
Halide::Type halideType(mlir::Type type);
Shape shapeOf(mlir::Value value);
int64_t elementsOf(const Shape &shape);
/// Row-major strides.
std::vector<int64_t> stridesOf(const Shape &shape);
/// Splits a row-major offset into an index of `shape`; joins one.
Index delinearize(Expr offset, const Shape &shape);
Expr linearize(const Index &index, const Shape &shape);
int powerOfTwoBelow(int value);
/// How many of `tokens` a tile takes: at most `most`, with the least work.
int tileOf(int tokens, int most);

} // namespace itera::halide

#endif // ITERA_LIB_CODEGEN_HALIDE_BUILDER_H
