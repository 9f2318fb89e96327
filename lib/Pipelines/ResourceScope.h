// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_RESOURCESCOPE_H
#define ITERA_LIB_PIPELINES_RESOURCESCOPE_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringSet.h"

namespace itera {

/// Lets go of the bytes of all resources that were made since this was: a
/// context keeps what attributes name until its end, and many modules of one
/// model would fill the memory. No module that is still used may have them.
class ResourceScope {
public:
  explicit ResourceScope(mlir::MLIRContext &context);
  ResourceScope(const ResourceScope &) = delete;
  ~ResourceScope();

private:
  mlir::MLIRContext &context;
  llvm::StringSet<> before;
};

} // namespace itera

#endif // ITERA_LIB_PIPELINES_RESOURCESCOPE_H
