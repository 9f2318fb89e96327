// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_CODEGEN_LINK_RUNTIMEOBJECTS_H
#define ITERA_CODEGEN_LINK_RUNTIMEOBJECTS_H

#include "llvm/ADT/StringRef.h"
#include <optional>

namespace itera {

/// The runtime as a relocatable object for "x86_64" or "aarch64", compiled when
/// Itera was built; nothing for another architecture.
std::optional<llvm::StringRef> getRuntimeObject(llvm::StringRef arch);

/// The text of itera/abi.h.
llvm::StringRef getAbiHeaderText();

} // namespace itera

#endif // ITERA_CODEGEN_LINK_RUNTIMEOBJECTS_H
