// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_SUPPORT_ATOMICFILE_H
#define ITERA_SUPPORT_ATOMICFILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace itera {

/// Writes `bytes` to the file `path`, completely or not at all: into a
/// temporary file beside it, which is renamed at the end. On failure, and on a
/// signal, nothing is left behind and an old file keeps its content. A path
/// that names something other than a regular file (/dev/null, a pipe) is
/// written to as it is.
llvm::Error writeFileAtomically(llvm::StringRef path, llvm::StringRef bytes);

} // namespace itera

#endif // ITERA_SUPPORT_ATOMICFILE_H
