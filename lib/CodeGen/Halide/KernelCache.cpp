// SPDX-License-Identifier: Apache-2.0

#include "KernelCache.h"

#include "KernelVersion.inc"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

using namespace itera;
using namespace itera::halide;
using namespace llvm;

void ByteWriter::number(uint64_t value) {
  char raw[8];
  support::endian::write64le(raw, value);
  bytes.append(raw, 8);
}

void ByteWriter::string(StringRef value) {
  number(value.size());
  bytes.append(value.data(), value.size());
}

uint64_t ByteReader::number() {
  failed |= bytes.size() < 8;
  if (failed)
    return 0;
  uint64_t value = support::endian::read64le(bytes.data());
  bytes = bytes.drop_front(8);
  return value;
}

StringRef ByteReader::string() {
  uint64_t size = number();
  failed |= bytes.size() < size;
  if (failed)
    return {};
  StringRef value = bytes.take_front(size);
  bytes = bytes.drop_front(size);
  return value;
}

void halide::writeKernel(ByteWriter &writer, const CompiledKernel &kernel) {
  writer.string(StringRef(kernel.object.data(), kernel.object.size()));
  writer.number(kernel.buffers.size());
  for (const KernelBuffer &buffer : kernel.buffers) {
    writer.number(buffer.argument);
    writer.number(buffer.byteOffset);
    writer.number(buffer.typeCode);
    writer.number(buffer.bits);
    writer.number(buffer.dims.size());
    for (const KernelBuffer::Dim &dim : buffer.dims) {
      writer.number(uint32_t(dim.min));
      writer.number(uint32_t(dim.extent));
      writer.number(uint32_t(dim.stride));
    }
  }
}

std::optional<CompiledKernel> halide::readKernel(ByteReader &reader) {
  CompiledKernel kernel;
  StringRef object = reader.string();
  kernel.object.assign(object.begin(), object.end());
  for (uint64_t i = reader.number(); i > 0 && !reader.failed; --i) {
    KernelBuffer buffer;
    buffer.argument = reader.number();
    buffer.byteOffset = reader.number();
    buffer.typeCode = reader.number();
    buffer.bits = reader.number();
    for (uint64_t d = reader.number(); d > 0 && !reader.failed; --d) {
      KernelBuffer::Dim dim;
      dim.min = reader.number();
      dim.extent = reader.number();
      dim.stride = reader.number();
      buffer.dims.push_back(dim);
    }
    kernel.buffers.push_back(std::move(buffer));
  }
  if (reader.failed)
    return std::nullopt;
  return kernel;
}

KernelCache::KernelCache(std::string folder, const TargetSpec &target)
    : folder(std::move(folder)),
      targetText(target.triple + " " + target.cpu + " " +
                 target.featureString() + " " + halideTargetString(target)) {}

static std::string digest(ArrayRef<StringRef> parts) {
  SHA256 hash;
  for (StringRef part : parts) {
    // With its length, so that no two lists of parts look alike.
    char size[8];
    support::endian::write64le(size, part.size());
    hash.update(StringRef(size, 8));
    hash.update(part);
  }
  return toHex(hash.final(), /*LowerCase=*/true);
}

std::string KernelCache::pathOf(const KernelRequest &request) const {
  SmallString<256> path(folder);
  sys::path::append(
      path, digest({kKernelVersion, targetText, request.symbol, request.text}) +
                ".kernel");
  return std::string(path);
}

std::optional<CompiledKernel>
KernelCache::find(const KernelRequest &request) const {
  if (folder.empty())
    return std::nullopt;
  auto file = MemoryBuffer::getFile(pathOf(request), /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return std::nullopt;
  // The file is the digest of the rest, then the kernel.
  StringRef bytes = (*file)->getBuffer();
  if (bytes.size() < 64 ||
      digest({bytes.drop_front(64)}) != bytes.take_front(64))
    return std::nullopt;
  ByteReader reader{bytes.drop_front(64)};
  return readKernel(reader);
}

void KernelCache::insert(const KernelRequest &request,
                         const CompiledKernel &kernel) const {
  if (folder.empty() || sys::fs::create_directories(folder))
    return;
  ByteWriter writer;
  writeKernel(writer, kernel);
  std::string path = pathOf(request);
  // Renamed into place whole, so that a reader never sees a part.
  consumeError(writeToOutput(path, [&](raw_ostream &out) {
    out << digest({writer.bytes}) << writer.bytes;
    return Error::success();
  }));
}
