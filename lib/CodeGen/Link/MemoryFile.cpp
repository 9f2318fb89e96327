// SPDX-License-Identifier: Apache-2.0

#include "MemoryFile.h"
#include "llvm/Support/Errno.h"
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

using namespace llvm;
using namespace itera;

static Error systemError(const char *what) {
  return createStringError(std::error_code(errno, std::generic_category()),
                           "cannot create %s: %s", what,
                           sys::StrError(errno).c_str());
}

static std::string getDescriptorPath(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

Expected<MemoryFile>
MemoryFile::create(function_ref<Error(raw_ostream &)> write) {
  int fd = memfd_create("itera", MFD_CLOEXEC);
  if (fd < 0)
    return systemError("a file in memory");
  MemoryFile file(fd);
  raw_fd_ostream os(fd, /*shouldClose=*/false);
  if (Error error = write(os))
    return std::move(error);
  os.flush();
  if (std::error_code code = os.error()) {
    os.clear_error();
    return createStringError(code, "cannot write a file in memory: %s",
                             code.message().c_str());
  }
  return std::move(file);
}

MemoryFile::MemoryFile(MemoryFile &&other) : fd(std::exchange(other.fd, -1)) {}

MemoryFile::~MemoryFile() {
  if (fd >= 0)
    close(fd);
}

std::string MemoryFile::getPath() const { return getDescriptorPath(fd); }

Expected<std::unique_ptr<MemorySink>> MemorySink::create() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC))
    return systemError("a pipe");
  std::unique_ptr<MemorySink> sink(new MemorySink());
  sink->readEnd = ends[0];
  sink->writeEnd = ends[1];
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); // fewer switches; may be refused
  sink->reader = std::thread([&bytes = sink->bytes, fd = ends[0]] {
    std::string block(1 << 20, '\0');
    for (;;) {
      ssize_t count = read(fd, block.data(), block.size());
      if (count > 0)
        bytes.append(block.data(), count);
      else if (count == 0 || errno != EINTR)
        return;
    }
  });
  return std::move(sink);
}

MemorySink::~MemorySink() {
  take();
  close(readEnd);
}

std::string MemorySink::getPath() const { return getDescriptorPath(writeEnd); }

std::string MemorySink::take() {
  // The reader sees the end of the file once the last writer is gone, and this
  // end is the last.
  if (writeEnd >= 0)
    close(std::exchange(writeEnd, -1));
  if (reader.joinable())
    reader.join();
  return std::move(bytes);
}
