// SPDX-License-Identifier: Apache-2.0
// What the compiler and its kernel workers say to each other.

#ifndef ITERA_LIB_CODEGEN_HALIDE_WORKERPROTOCOL_H
#define ITERA_LIB_CODEGEN_HALIDE_WORKERPROTOCOL_H

#include "itera/CodeGen/Halide/Kernels.h"
#include <optional>

namespace itera::halide {

/// Sends a length and the bytes; false if the other side is gone.
bool sendFrame(int socket, llvm::StringRef payload);
/// Waits for a frame; nothing at the end of the input.
std::optional<std::string> receiveFrame(int socket);

std::string encodeTarget(const TargetSpec &target);
std::optional<TargetSpec> decodeTarget(llvm::StringRef bytes);
std::string encodeRequest(const KernelRequest &request);
std::optional<KernelRequest> decodeRequest(llvm::StringRef bytes);
std::string encodeReply(llvm::Expected<CompiledKernel> kernel);
llvm::Expected<CompiledKernel> decodeReply(llvm::StringRef bytes);

} // namespace itera::halide

#endif // ITERA_LIB_CODEGEN_HALIDE_WORKERPROTOCOL_H
