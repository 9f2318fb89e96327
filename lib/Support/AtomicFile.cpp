// SPDX-License-Identifier: Apache-2.0

#include "itera/Support/AtomicFile.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

static Error cannotWrite(StringRef path, std::error_code code) {
  return createStringError(code,
                           "cannot write '" + path + "': " + code.message());
}

/// Writes to an open file; leaves no error in the stream, which would abort.
static std::error_code writeAll(int fd, StringRef bytes) {
  raw_fd_ostream os(fd, /*shouldClose=*/false);
  os << bytes;
  os.flush();
  std::error_code code = os.error();
  os.clear_error();
  return code;
}

static Error writeInPlace(StringRef path, StringRef bytes) {
  int fd;
  if (std::error_code code = sys::fs::openFileForWrite(
          path, fd, sys::fs::CD_OpenExisting, sys::fs::OF_None))
    return cannotWrite(path, code);
  std::error_code code = writeAll(fd, bytes);
  sys::Process::SafelyCloseFileDescriptor(fd);
  return code ? cannotWrite(path, code) : Error::success();
}

Error itera::writeFileAtomically(StringRef path, StringRef bytes) {
  sys::fs::file_status status;
  SmallString<128> target(path);
  if (!sys::fs::status(path, status)) {
    if (sys::fs::is_directory(status))
      return cannotWrite(path, make_error_code(std::errc::is_a_directory));
    if (!sys::fs::is_regular_file(status))
      return writeInPlace(path, bytes);
    // Through a symbolic link to the file itself, which keeps the link.
    if (std::error_code code = sys::fs::real_path(path, target))
      return cannotWrite(path, code);
  }
  Expected<sys::fs::TempFile> file =
      sys::fs::TempFile::create(target + ".tmp-%%%%%%%%");
  if (!file)
    return cannotWrite(path, errorToErrorCode(file.takeError()));
  if (std::error_code code = writeAll(file->FD, bytes)) {
    consumeError(file->discard());
    return cannotWrite(path, code);
  }
  if (Error error = file->keep(target))
    return cannotWrite(path, errorToErrorCode(std::move(error)));
  return Error::success();
}
