// SPDX-License-Identifier: Apache-2.0

#include "WorkerProtocol.h"

#include "KernelCache.h"
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

using namespace itera;
using namespace itera::halide;

bool halide::sendFrame(int socket, llvm::StringRef payload) {
  ByteWriter writer;
  writer.string(payload);
  llvm::StringRef rest = writer.bytes;
  while (!rest.empty()) {
    // No SIGPIPE when the other side has died.
    ssize_t count = send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    rest = rest.drop_front(count);
  }
  return true;
}

std::optional<std::string> halide::receiveFrame(int socket) {
  auto take = [&](char *to, size_t size) {
    while (size > 0) {
      ssize_t count = recv(socket, to, size, 0);
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        return false;
      to += count;
      size -= count;
    }
    return true;
  };
  char header[8];
  if (!take(header, sizeof header))
    return std::nullopt;
  ByteReader reader{llvm::StringRef(header, sizeof header)};
  std::string payload(reader.number(), '\0');
  if (!take(payload.data(), payload.size()))
    return std::nullopt;
  return payload;
}

std::string halide::encodeTarget(const TargetSpec &target) {
  ByteWriter writer;
  writer.string(target.arch);
  writer.string(target.triple);
  writer.string(target.cpu);
  writer.number(target.features.size());
  for (const std::string &feature : target.features)
    writer.string(feature);
  return writer.bytes;
}

std::optional<TargetSpec> halide::decodeTarget(llvm::StringRef bytes) {
  ByteReader reader{bytes};
  TargetSpec target;
  target.arch = reader.string().str();
  target.triple = reader.string().str();
  target.cpu = reader.string().str();
  for (uint64_t i = reader.number(); i > 0 && !reader.failed; --i)
    target.features.push_back(reader.string().str());
  if (reader.failed)
    return std::nullopt;
  return target;
}

std::string halide::encodeRequest(const KernelRequest &request) {
  ByteWriter writer;
  writer.string(request.symbol);
  writer.string(request.text);
  return writer.bytes;
}

std::optional<KernelRequest> halide::decodeRequest(llvm::StringRef bytes) {
  ByteReader reader{bytes};
  KernelRequest request;
  request.symbol = reader.string().str();
  request.text = reader.string().str();
  if (reader.failed)
    return std::nullopt;
  return request;
}

std::string halide::encodeReply(llvm::Expected<CompiledKernel> kernel) {
  ByteWriter writer;
  writer.number(bool(kernel));
  if (kernel)
    writeKernel(writer, *kernel);
  else
    writer.string(llvm::toString(kernel.takeError()));
  return writer.bytes;
}

llvm::Expected<CompiledKernel> halide::decodeReply(llvm::StringRef bytes) {
  ByteReader reader{bytes};
  if (reader.number() == 0) {
    std::string message = reader.string().str();
    return llvm::createStringError(
        reader.failed ? "garbled reply of a kernel worker" : message);
  }
  if (std::optional<CompiledKernel> kernel = readKernel(reader))
    return std::move(*kernel);
  return llvm::createStringError("garbled reply of a kernel worker");
}
