// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_UNITTESTS_SUPPORT_TEMPFOLDER_H
#define ITERA_UNITTESTS_SUPPORT_TEMPFOLDER_H

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <string>

namespace itera {

/// A new folder that is removed with all its content.
class TempFolder {
public:
  TempFolder() {
    (void)llvm::sys::fs::createUniqueDirectory("itera-test", folder);
  }
  ~TempFolder() { (void)llvm::sys::fs::remove_directories(folder); }

  std::string path(llvm::StringRef name) const {
    llvm::SmallString<128> result(folder);
    llvm::sys::path::append(result, name);
    return result.str().str();
  }

  std::string write(llvm::StringRef name, llvm::StringRef bytes) const {
    std::error_code code;
    llvm::raw_fd_ostream(path(name), code) << bytes;
    return path(name);
  }

  /// The content of a file, or "<none>".
  std::string read(llvm::StringRef name) const {
    auto buffer = llvm::MemoryBuffer::getFile(path(name));
    return buffer ? (*buffer)->getBuffer().str() : "<none>";
  }

  /// How many files there are.
  unsigned count() const {
    std::error_code code;
    unsigned result = 0;
    for (llvm::sys::fs::directory_iterator it(folder, code), end; it != end;
         it.increment(code))
      ++result;
    return result;
  }

private:
  llvm::SmallString<128> folder;
};

} // namespace itera

#endif // ITERA_UNITTESTS_SUPPORT_TEMPFOLDER_H
