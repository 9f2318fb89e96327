// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_CODEGEN_LINK_MEMORYFILE_H
#define ITERA_LIB_CODEGEN_LINK_MEMORYFILE_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <memory>
#include <string>
#include <thread>

namespace itera {

/// An anonymous file in memory that other code of this process can open by
/// path. Gone when the object dies.
class MemoryFile {
public:
  static llvm::Expected<MemoryFile>
  create(llvm::function_ref<llvm::Error(llvm::raw_ostream &)> write);
  MemoryFile(MemoryFile &&other);
  MemoryFile(const MemoryFile &) = delete;
  ~MemoryFile();

  std::string getPath() const;

private:
  explicit MemoryFile(int fd) : fd(fd) {}
  int fd;
};

/// The other direction: a path that code of this process writes to once, whose
/// bytes end up in memory. It is a pipe with a reader behind it, because lld
/// renames its output into place, which only a real directory allows, unless
/// the output is not a regular file.
class MemorySink {
public:
  static llvm::Expected<std::unique_ptr<MemorySink>> create();
  ~MemorySink();

  std::string getPath() const;
  /// What was written. Call it after the writer has closed the file.
  std::string take();

private:
  MemorySink() = default;
  int readEnd = -1, writeEnd = -1;
  std::thread reader;
  std::string bytes;
};

} // namespace itera

#endif // ITERA_LIB_CODEGEN_LINK_MEMORYFILE_H
