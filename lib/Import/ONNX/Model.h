// SPDX-License-Identifier: Apache-2.0
// A model file in memory: the parsed message, and the data of its tensors
// without copies.

#ifndef ITERA_LIB_IMPORT_ONNX_MODEL_H
#define ITERA_LIB_IMPORT_ONNX_MODEL_H

#include "itera/Dialect/SSM/Evaluate.h"
#include "onnx-ml.pb.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>

namespace itera::onnx_import {

/// A file mapped read-only.
class MappedFile {
public:
  ~MappedFile();
  llvm::ArrayRef<char> bytes() const { return {data, size}; }

  /// Maps the regular file behind an open descriptor, which it closes.
  static llvm::Expected<std::shared_ptr<MappedFile>> map(int descriptor,
                                                         llvm::StringRef name);

private:
  const char *data = nullptr;
  size_t size = 0;
};

/// Where a tensor's bytes came from, if unchanged from an external file.
struct FileRange {
  std::string file;
  int64_t offset = 0;
};

struct Model {
  std::string path;
  /// The folder external data must lie in, and the file's own name.
  std::string folder;
  std::string fileName;
  onnx::ModelProto proto;
  /// Hash of the file's bytes.
  std::string hash;
  bool allowLinks = false;
  llvm::StringMap<std::shared_ptr<MappedFile>> externals;
  /// Resource attributes made so far: importing again makes no second copy.
  llvm::DenseMap<const onnx::TensorProto *, mlir::TypedAttr> weights;
};

/// Reads and parses a file. Errors are one line without the file's name.
llvm::Expected<std::shared_ptr<Model>> loadModel(llvm::StringRef path,
                                                 bool allowLinks);

/// The signless MLIR type of an ONNX element type; null if there is none.
mlir::Type getElementType(int onnxType, mlir::MLIRContext *context);
bool isUnsignedType(int onnxType);
/// The name of an ONNX element type, for messages.
std::string describeType(int onnxType);

/// A tensor's data: a view of the message or of a mapped file where the bytes
/// are there as they are used. `range` is set for external data.
llvm::Expected<ssm::HostTensor> readTensor(const std::shared_ptr<Model> &model,
                                           const onnx::TensorProto &tensor,
                                           mlir::MLIRContext *context,
                                           FileRange *range = nullptr);

} // namespace itera::onnx_import

#endif // ITERA_LIB_IMPORT_ONNX_MODEL_H
