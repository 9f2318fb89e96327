// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_CODEGEN_LINK_WEIGHTOBJECT_H
#define ITERA_CODEGEN_LINK_WEIGHTOBJECT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"
#include <cstdint>
#include <vector>

namespace itera {

/// Some bytes of the packed weights and where they go.
struct WeightChunk {
  uint64_t offset = 0;
  llvm::ArrayRef<char> bytes;
};

/// The packed weights: `size` bytes, zero where no chunk says otherwise. Chunks
/// are sorted by offset and do not overlap. Refers to the bytes, never owns
/// them.
struct WeightImage {
  uint64_t size = 0;
  std::vector<WeightChunk> chunks;
};

/// Writes an ELF relocatable object that defines the hidden symbol
/// `itera_weights` in one read-only section: aligned to 64 bytes, from 4096
/// bytes on to a page. The image is streamed: nothing is copied.
llvm::Error writeWeightObject(const WeightImage &image,
                              const llvm::Triple &target,
                              llvm::raw_ostream &os);

} // namespace itera

#endif // ITERA_CODEGEN_LINK_WEIGHTOBJECT_H
