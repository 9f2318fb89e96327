// SPDX-License-Identifier: Apache-2.0

#include "ResourceScope.h"

#include "mlir/IR/BuiltinDialect.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace itera;

using Entries = llvm::StringMap<DialectResourceBlobManager::BlobEntry>;

static DialectResourceBlobManager &managerOf(MLIRContext &context) {
  return DenseResourceElementsHandle::getManagerInterface(&context)
      .getBlobManager();
}

ResourceScope::ResourceScope(MLIRContext &context) : context(context) {
  managerOf(context).getBlobMap([&](const Entries &entries) {
    for (const auto &entry : entries)
      before.insert(entry.first());
  });
}

ResourceScope::~ResourceScope() {
  DialectResourceBlobManager &manager = managerOf(context);
  llvm::SmallVector<StringRef> made;
  manager.getBlobMap([&](const Entries &entries) {
    for (const auto &entry : entries)
      if (!before.contains(entry.first()) && entry.second.getBlob())
        made.push_back(entry.first());
  });
  for (StringRef name : made)
    manager.lookup(name)->setBlob(AsmResourceBlob());
}
