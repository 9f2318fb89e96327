// SPDX-License-Identifier: Apache-2.0
//
// From objects in memory to a finished artefact: the shared object and its C
// header. Needs LLVM and LLD only; nothing here knows MLIR.

#ifndef ITERA_CODEGEN_LINK_LINK_H
#define ITERA_CODEGEN_LINK_LINK_H

#include "itera/CodeGen/Link/WeightObject.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/TargetParser/Triple.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace itera {

/// Everything that goes into one shared object.
struct LinkRequest {
  /// x86_64 or aarch64, Linux.
  llvm::Triple target;
  /// The model's name as the user wrote it; sanitised for symbols.
  std::string modelName;
  /// The compiler's relocatable objects; one of them defines the hidden symbol
  /// `itera_program`. The identifier of each names it in error messages. The
  /// runtime and the weight object are added by the linker step.
  std::vector<llvm::MemoryBufferRef> objects;
  /// The packed weights, `itera_weights`; absent if the model has none.
  std::optional<WeightImage> weights;
};

/// `name` with every character outside [A-Za-z0-9_] replaced by '_', and never
/// empty: the <name> of `itera_model_query_<name>`.
std::string sanitizeModelName(llvm::StringRef name);

/// The symbols that the shared object of this model exports, sorted.
std::vector<std::string> getQuerySymbols(llvm::StringRef modelName);

/// Links a shared object into memory. The same request gives the same bytes.
/// Thread-safe; links are serialised inside, as lld is not re-entrant. The
/// result has passed checkSharedObject.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>>
linkShared(const LinkRequest &request);

/// As linkShared, but writes the file `path`, atomically: on failure neither it
/// nor a temporary file is left behind (an old file of that name stays). Keeps
/// no copy of the result in memory, which matters for large weights.
llvm::Error linkSharedToFile(const LinkRequest &request, llvm::StringRef path);

/// One relocatable object of the request's objects and weights, without the
/// runtime, to which it leaves the public names.
llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>>
linkObject(const LinkRequest &request);

/// The promises of an artefact, checked on the finished file: no DT_NEEDED, no
/// text relocations, no executable stack, no writable code or data, no TLS, no
/// constructors or indirect functions, nothing undefined beyond the weak
/// malloc, free and getauxval, and exactly `exports` exported. A violation is a
/// fault of the compiler.
llvm::Error checkSharedObject(llvm::MemoryBufferRef file,
                              llvm::ArrayRef<std::string> exports);

/// One input or output in the generated header.
struct HeaderTensor {
  std::string name;
  /// An itera_dtype of abi.h.
  uint32_t dtype = 0;
  std::vector<int64_t> dims;
  uint64_t bytes = 0;
};

/// What the generated header says about the model.
struct HeaderSpec {
  std::string modelName;
  std::string compilerVersion;
  std::string target;
  std::string sourceHash;
  std::vector<HeaderTensor> inputs;
  std::vector<HeaderTensor> outputs;
  uint64_t scratchBytes = 0;
};

/// The text of the model's C99 header. Names from the model appear only inside
/// escaped string literals and as sanitised macro names, so that no model can
/// inject code.
std::string writeHeader(const HeaderSpec &spec);

} // namespace itera

#endif // ITERA_CODEGEN_LINK_LINK_H
