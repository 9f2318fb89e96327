// SPDX-License-Identifier: Apache-2.0
// The walk over a graph: names to values, nodes to builders.

#ifndef ITERA_LIB_IMPORT_ONNX_IMPORTER_H
#define ITERA_LIB_IMPORT_ONNX_IMPORTER_H

#include "Model.h"
#include "itera/Import/TensorBuilder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringSet.h"
#include <map>

namespace itera::onnx_import {

class Importer;
class Node;

/// A compile-time list of values: what ONNX calls a sequence.
using List = std::shared_ptr<const llvm::SmallVector<mlir::Value>>;

/// What a name stands for: a tensor, or a list of tensors, or nothing (an
/// optional input left out).
struct Entry {
  mlir::Value value;
  List list;
  /// A list whose element i is entry i of this tensor's first dimension.
  mlir::Value stacked;
  /// A list that a loop's body may only append to.
  bool isAppendOnly = false;

  bool isList() const { return list || stacked; }
  explicit operator bool() const { return value || isList(); }
};

/// Of dimension `dim` only the first `count` (a tensor<i64>) entries are real;
/// the others are padding, up to the static worst case.
struct Counted {
  int64_t dim;
  mlir::Value count;
};

/// The names of one graph or function body.
struct Scope {
  Scope *parent = nullptr;
  llvm::StringMap<Entry> entries;
  llvm::StringMap<const onnx::TensorProto *> initializers;
};

/// How an operator is imported, for a range of opset versions of its domain.
struct OpEntry {
  const char *domain;
  const char *name;
  int since, until;
  /// Inputs 0 .. minInputs-1 must be given; at most maxInputs may be.
  int minInputs, maxInputs;
  mlir::LogicalResult (*build)(Node &);
  /// The builder carries counted dimensions over to its results or refuses
  /// them; without this any counted input is refused.
  bool handlesCounted = false;
  /// What the documentation should say.
  const char *note = "";
};

constexpr int kNewestOpset = 27;
constexpr int kOldestOpset = 7;
constexpr int kUnlimited = INT32_MAX;

/// The operators by family, one file each.
llvm::ArrayRef<OpEntry> elementwiseOps();
llvm::ArrayRef<OpEntry> activationOps();
llvm::ArrayRef<OpEntry> shapeOps();
llvm::ArrayRef<OpEntry> sliceOps();
llvm::ArrayRef<OpEntry> indexOps();
llvm::ArrayRef<OpEntry> reductionOps();
llvm::ArrayRef<OpEntry> matrixOps();
llvm::ArrayRef<OpEntry> convolutionOps();
llvm::ArrayRef<OpEntry> normalizationOps();
llvm::ArrayRef<OpEntry> sequenceOps();
llvm::ArrayRef<OpEntry> controlOps();
llvm::ArrayRef<OpEntry> signalOps();
llvm::ArrayRef<OpEntry> recurrentOps();
llvm::ArrayRef<OpEntry> quantizedOps();
llvm::ArrayRef<OpEntry> blockQuantizedOps();
llvm::ArrayRef<OpEntry> resamplingOps();
llvm::SmallVector<OpEntry> allOps();

/// A name fit for a message or a location: bounded, printable.
std::string cleanName(llvm::StringRef name);

/// A matrix of integers as `ssm.linear` takes it.
struct StoredMatrix {
  mlir::Value integers, scales, zeroPoints;
};

/// One node while it is imported: inputs, attributes, outputs, errors.
class Node {
public:
  Node(Importer &importer, const onnx::NodeProto &proto, Scope &scope,
       mlir::Location loc, int opset);

  Importer &importer;
  const onnx::NodeProto &proto;
  Scope &scope;
  mlir::Location loc;
  /// Builds at the importer's insertion point.
  TensorBuilder b;
  int opset;
  llvm::SmallVector<Entry> inputs, outputs;

  mlir::InFlightDiagnostic error() const;
  /// Records sizes that should have been equal (see `Importer::mismatches`),
  /// then an error.
  mlir::InFlightDiagnostic mismatch(int64_t size, int64_t other) const;
  mlir::InFlightDiagnostic shapeMismatch(Dims shape, Dims other) const;

  size_t numInputs() const { return inputs.size(); }
  bool has(size_t i) const { return i < inputs.size() && inputs[i]; }
  mlir::Value in(size_t i) const { return inputs[i].value; }
  /// Adds the next output.
  void out(mlir::Value value) {
    outputs.emplace_back();
    outputs.back().value = value;
  }
  /// A constant vector of i64 of any length.
  mlir::Value indexVector(llvm::ArrayRef<int64_t> values) const;
  void outList(llvm::ArrayRef<mlir::Value> values);
  bool wantsOutput(int i) const {
    return i < proto.output_size() && !proto.output(i).empty();
  }

  const onnx::AttributeProto *attribute(llvm::StringRef name) const;
  int64_t intAttr(llvm::StringRef name, int64_t otherwise) const;
  double floatAttr(llvm::StringRef name, double otherwise) const;
  std::string stringAttr(llvm::StringRef name, llvm::StringRef otherwise) const;
  std::optional<Shape> intsAttr(llvm::StringRef name) const;

  /// The integers of input `i`, which must be constant; its role for errors.
  mlir::FailureOr<Shape> ints(size_t i, llvm::StringRef what) const;
  /// The data of a value, if it is constant.
  std::optional<ssm::HostTensor> constant(mlir::Value value) const;
  /// Input `i` or attribute `name`, whichever the opset has; nothing if neither.
  mlir::FailureOr<std::optional<Shape>> intsOrAttr(size_t i,
                                                   llvm::StringRef name) const;
  /// A dimension that may count from the end, made natural.
  mlir::FailureOr<int64_t> axis(int64_t value, int64_t rank) const;
  mlir::FailureOr<Shape> axes(Dims values, int64_t rank) const;
  /// Reports a shape that is too large or of too many dimensions.
  mlir::LogicalResult checkShape(Dims shape) const;
  mlir::LogicalResult expectFloat(size_t i) const;
  mlir::LogicalResult expectInteger(size_t i) const;
  mlir::LogicalResult expectSameElement(size_t i, size_t j) const;
  /// Reports what is not finite in input `i`, if that is a constant.
  mlir::LogicalResult expectFinite(size_t i, llvm::StringRef what) const;

  /// The data type of the file's tensor behind reshapes, or UNDEFINED.
  int fileType(mlir::Value value) const;
  bool isUnsigned(mlir::Value value) const;
  void setUnsigned(mlir::Value value) const;
  std::optional<Counted> counted(mlir::Value value) const;
  void setCounted(mlir::Value value, Counted counted) const;
  /// Refuses counted inputs, for a case of the op that would mix padding in.
  mlir::LogicalResult refuseCounted() const;
};

class Importer {
public:
  Importer(std::shared_ptr<Model> model, mlir::MLIRContext *context);

  /// Imports the whole model with the given shape per graph input.
  mlir::OwningOpRef<mlir::ModuleOp>
  importModel(const llvm::StringMap<Shape> &inputShapes);

  /// Imports the nodes of a graph into the insertion point. `arguments` are
  /// its inputs; `results` gets its outputs.
  mlir::LogicalResult importGraph(const onnx::GraphProto &graph, Scope *parent,
                                  llvm::ArrayRef<Entry> arguments,
                                  llvm::SmallVectorImpl<Entry> &results,
                                  mlir::Location loc);
  mlir::LogicalResult importFunction(Node &call,
                                     const onnx::FunctionProto &function);

  /// The value of a tensor of the file: `arith.constant` or `ssm.weight`.
  mlir::FailureOr<mlir::Value> getTensor(const onnx::TensorProto &tensor,
                                         mlir::Location loc,
                                         llvm::StringRef name);
  /// A weight made of the file's tensors; it stands beside them.
  mlir::Value buildWeight(const ssm::HostTensor &value, mlir::Location loc,
                          llvm::StringRef name);
  /// A constant made by folding.
  mlir::Value buildConstant(const ssm::HostTensor &value, mlir::Location loc);
  /// True for a value made by a constant op, not by a weight of the file.
  bool isFoldable(mlir::Value value) const;

  /// Ends what is known of the values of an op that is about to be erased:
  /// another may get their address.
  void forget(mlir::Operation *op);

  mlir::InFlightDiagnostic error(mlir::Location loc) const;

  std::shared_ptr<Model> model;
  mlir::MLIRContext *context;
  mlir::OpBuilder builder;
  llvm::DenseMap<mlir::Value, Counted> counted;
  /// Matrices that nodes share, by their tensors and attributes.
  std::map<std::vector<int64_t>, StoredMatrix> storedMatrices;
  llvm::DenseSet<mlir::Value> unsignedValues;

  /// Pairs of sizes that an error found to differ: hints for the resolution of
  /// open dimensions.
  mutable llvm::SmallVector<std::pair<int64_t, int64_t>> mismatches;
  /// Constant indices taken along dimensions, by the dimension's size.
  llvm::DenseMap<int64_t, llvm::DenseSet<int64_t>> takenIndices;

private:
  friend class Node;
  mlir::LogicalResult importNodes(
      const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
      Scope &scope, llvm::StringSet<> needed);
  mlir::LogicalResult importNode(const onnx::NodeProto &proto, Scope &scope,
                                 int64_t index);
  /// What a name stands for, or nothing if it is not known.
  mlir::FailureOr<std::optional<Entry>> lookup(Scope &scope,
                                               llvm::StringRef name);
  mlir::LogicalResult bindInitializers(const onnx::GraphProto &graph,
                                       Scope &scope, mlir::Location loc);
  mlir::LogicalResult readOpsets();
  void foldOutputs(Node &node);
  void eraseDeadOps(mlir::Block &block);
  mlir::Location nodeLoc(const onnx::NodeProto &proto, int64_t index) const;

  llvm::StringMap<llvm::SmallVector<OpEntry, 1>> table;
  llvm::StringMap<const onnx::FunctionProto *> functions;
  llvm::StringMap<int64_t> opsets;
  /// The attributes of the function call being inlined.
  const llvm::StringMap<const onnx::AttributeProto *> *callAttributes = nullptr;
  llvm::DenseMap<const onnx::TensorProto *, mlir::Value> tensors;
  llvm::DenseSet<mlir::Value> foldedWeights;
  mlir::Block *entry = nullptr;
  mlir::Operation *lastWeight = nullptr;
  int64_t foldedCount = 0;
  int depth = 0;
  int64_t nodeCount = 0;
};

} // namespace itera::onnx_import

#endif // ITERA_LIB_IMPORT_ONNX_IMPORTER_H
