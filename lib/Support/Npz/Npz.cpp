// SPDX-License-Identifier: Apache-2.0
//
// .npz: a zip archive with one NAME.npy per array, through libzip.

#include "itera/Support/Npz.h"
#include "NpyHead.h"
#include "itera/Support/AtomicFile.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringMap.h"
#include <algorithm>
#include <zip.h>

using namespace llvm;
using namespace itera;

struct NpzReader::Archive {
  std::string path;
  zip_t *zip = nullptr;
  std::vector<std::string> names;
  StringMap<zip_uint64_t> indices;

  ~Archive() { zip_discard(zip); }
};

static Error refuse(StringRef path, const Twine &problem) {
  return createStringError(inconvertibleErrorCode(),
                           "'" + path + "': " + problem);
}

static Error wrap(StringRef path, Error error) {
  return refuse(path, toString(std::move(error)));
}

NpzReader::NpzReader(std::unique_ptr<Archive> archive)
    : archive(std::move(archive)) {}
NpzReader::NpzReader(NpzReader &&) = default;
NpzReader::~NpzReader() = default;

ArrayRef<std::string> NpzReader::getNames() const { return archive->names; }

bool NpzReader::contains(StringRef name) const {
  return archive->indices.contains(name);
}

Expected<NpzReader> NpzReader::open(StringRef path) {
  auto archive = std::make_unique<Archive>();
  archive->path = path.str();
  int code = 0;
  archive->zip = zip_open(archive->path.c_str(), ZIP_RDONLY, &code);
  if (!archive->zip) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return refuse(path, "cannot read the archive: " + text);
  }
  zip_int64_t count = zip_get_num_entries(archive->zip, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char *entry = zip_get_name(archive->zip, i, ZIP_FL_ENC_GUESS);
    StringRef name = entry ? entry : "";
    if (!name.consume_back(".npy"))
      continue; // not an array
    // With two arrays of one name, readers disagree about which one counts.
    if (!archive->indices.try_emplace(name, i).second)
      return refuse(path, "array '" + name + "' occurs twice");
    archive->names.push_back(name.str());
  }
  return NpzReader(std::move(archive));
}

/// Reads exactly `count` bytes, in steps, so that memory grows with the data
/// that is there and not with the size that was declared.
static bool readExactly(zip_file_t *file, uint64_t count,
                        std::vector<char> &data) {
  constexpr uint64_t step = 1 << 22;
  while (count) {
    size_t now = std::min(count, step), start = data.size();
    data.resize(start + now);
    if (zip_fread(file, data.data() + start, now) != zip_int64_t(now))
      return false;
    count -= now;
  }
  return true;
}

Expected<NpyArray> NpzReader::read(StringRef name) const {
  StringRef path = archive->path;
  auto entry = archive->indices.find(name);
  if (entry == archive->indices.end())
    return refuse(path, "no array '" + name + "'");
  zip_uint64_t index = entry->second;
  auto damaged = [&] {
    return refuse(path, "array '" + name + "': the archive is damaged");
  };

  zip_stat_t stat;
  if (zip_stat_index(archive->zip, index, 0, &stat) ||
      !(stat.valid & ZIP_STAT_SIZE))
    return damaged();
  zip_file_t *file = zip_fopen_index(archive->zip, index, 0);
  if (!file)
    return refuse(path, "array '" + name + "': " + zip_strerror(archive->zip));
  scope_exit close([&] { zip_fclose(file); });

  // The head first: it decides whether the data is worth reading.
  std::vector<char> start;
  if (!readExactly(file, std::min<uint64_t>(stat.size, maxNpyHeadBytes + 12),
                   start))
    return damaged();
  Expected<NpyHead> head =
      parseNpyHead(StringRef(start.data(), start.size()), stat.size, name);
  if (!head)
    return wrap(path, head.takeError());
  std::vector<char> data(start.begin() + head->dataOffset, start.end());
  if (!readExactly(file, stat.size - start.size(), data))
    return damaged();
  // The checksum is compared when the end is reached, not before.
  char beyond;
  if (zip_fread(file, &beyond, 1) != 0)
    return damaged();
  return makeArray(std::move(*head), std::move(data));
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

Error itera::writeNpz(
    StringRef path, ArrayRef<std::pair<std::string, const NpyArray *>> arrays) {
  // Built in memory: libzip would otherwise do its own renaming.
  zip_source_t *memory = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  if (!memory)
    return refuse(path, "no memory for the archive");
  zip_source_keep(memory); // zip_close drops one of the two references
  scope_exit free([&] { zip_source_free(memory); });
  zip_t *zip = zip_open_from_source(memory, ZIP_TRUNCATE, nullptr);
  if (!zip) {
    zip_source_free(memory);
    return refuse(path, "no memory for the archive");
  }
  std::vector<std::string> files; // alive until zip_close has read them
  files.reserve(arrays.size());
  for (const auto &[name, array] : arrays) {
    files.push_back(formatNpy(*array));
    zip_source_t *source =
        zip_source_buffer(zip, files.back().data(), files.back().size(), 0);
    zip_int64_t index = source ? zip_file_add(zip, (name + ".npy").c_str(),
                                              source, ZIP_FL_ENC_UTF_8)
                               : -1;
    // A fixed date (the format's first), so that equal arrays give equal files.
    if (index < 0 || zip_set_file_compression(zip, index, ZIP_CM_STORE, 0) ||
        zip_file_set_dostime(zip, index, 0, 0x21, 0)) {
      Error error = refuse(path, "array '" + name + "': " + zip_strerror(zip));
      if (source && index < 0)
        zip_source_free(source);
      zip_discard(zip);
      return error;
    }
  }
  if (zip_close(zip)) {
    Error error = refuse(path, zip_strerror(zip));
    zip_discard(zip);
    return error;
  }

  zip_stat_t stat;
  if (zip_source_stat(memory, &stat) || zip_source_open(memory))
    return refuse(path, "cannot read back the archive");
  std::string bytes(stat.size, '\0');
  zip_int64_t count = zip_source_read(memory, bytes.data(), bytes.size());
  zip_source_close(memory);
  if (count != zip_int64_t(bytes.size()))
    return refuse(path, "cannot read back the archive");
  return writeFileAtomically(path, bytes);
}
