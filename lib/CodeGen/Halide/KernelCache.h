// SPDX-License-Identifier: Apache-2.0
// Compiled kernels as bytes, and on disk.

#ifndef ITERA_LIB_CODEGEN_HALIDE_KERNELCACHE_H
#define ITERA_LIB_CODEGEN_HALIDE_KERNELCACHE_H

#include "itera/CodeGen/Halide/Kernels.h"
#include <optional>

namespace itera::halide {

/// Appends numbers and strings to a byte string; the reader fails, once and
/// for all that follows, on bytes that end too early.
struct ByteWriter {
  std::string bytes;
  void number(uint64_t value);
  void string(llvm::StringRef value);
};

struct ByteReader {
  llvm::StringRef bytes;
  bool failed = false;
  uint64_t number();
  llvm::StringRef string();
};

void writeKernel(ByteWriter &writer, const CompiledKernel &kernel);
/// Nothing if the bytes are not those of a kernel.
std::optional<CompiledKernel> readKernel(ByteReader &reader);

/// Compiled kernels in a folder, one file each, named by a hash of all that
/// they depend on. Failure to read or write is a miss, never an error: what
/// is damaged is compiled again.
class KernelCache {
public:
  KernelCache(std::string folder, const TargetSpec &target);
  std::optional<CompiledKernel> find(const KernelRequest &request) const;
  void insert(const KernelRequest &request, const CompiledKernel &kernel) const;

private:
  std::string pathOf(const KernelRequest &request) const;
  std::string folder, targetText;
};

} // namespace itera::halide

#endif // ITERA_LIB_CODEGEN_HALIDE_KERNELCACHE_H
