// SPDX-License-Identifier: Apache-2.0
// Reads a model file and the data of its tensors.
//
// A model is untrusted. External data must lie in the model's own folder: the
// path is taken apart and opened component by component, each without
// following links, so neither `..` nor a symbolic link leads elsewhere. A hard
// link could make a foreign file look like one of the folder's, so the link
// count must be one. Offsets and lengths must lie within the real file and
// equal the bytes of the tensor's declared type and shape.

#include "Model.h"

#include "itera/Import/TensorBuilder.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
using namespace itera;
using namespace itera::onnx_import;

/// Messages nest by graphs in attributes of nodes, three levels a graph.
static constexpr int kMaxNesting = 256;
static constexpr int64_t kMaxMessage = INT32_MAX;

static Error fail(const Twine &message) {
  return createStringError(message);
}

MappedFile::~MappedFile() {
  if (size)
    munmap(const_cast<char *>(data), size);
}

Expected<std::shared_ptr<MappedFile>> MappedFile::map(int descriptor,
                                                      StringRef name) {
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor);
    return fail("expected '" + name + "' to be a regular file");
  }
  auto result = std::make_shared<MappedFile>();
  if (info.st_size > 0) {
    void *data =
        mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
      std::string reason = strerror(errno);
      close(descriptor);
      return fail("cannot map '" + name + "': " + reason);
    }
    result->data = static_cast<const char *>(data);
    result->size = info.st_size;
  }
  close(descriptor);
  return result;
}

namespace {
/// Feeds the parser from mapped memory, piece by piece, and gives back the
/// pages it has passed: the file and its parsed copy are never both resident.
class ReleasingStream final : public google::protobuf::io::ZeroCopyInputStream {
public:
  explicit ReleasingStream(ArrayRef<char> bytes) : bytes(bytes) {}

  bool Next(const void **data, int *size) override {
    release();
    if (next == bytes.size())
      return false;
    size_t count = std::min(kPiece, bytes.size() - next);
    *data = bytes.data() + next;
    *size = static_cast<int>(count);
    next += count;
    return true;
  }
  void BackUp(int count) override { next -= count; }
  bool Skip(int count) override {
    size_t wanted = count;
    if (wanted > bytes.size() - next) {
      next = bytes.size();
      return false;
    }
    next += wanted;
    return true;
  }
  int64_t ByteCount() const override { return next; }

private:
  static constexpr size_t kPiece = size_t(1) << 24;

  void release() {
    // The mapping begins on a page; so do all whole pieces.
    size_t done = next / kPiece * kPiece;
    if (done > released)
      madvise(const_cast<char *>(bytes.data()) + released, done - released,
              MADV_DONTNEED);
    released = std::max(released, done);
  }

  ArrayRef<char> bytes;
  size_t next = 0, released = 0;
};
} // namespace

Expected<std::shared_ptr<Model>> onnx_import::loadModel(StringRef path,
                                                        bool allowLinks) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  int descriptor =
      open(path.str().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return fail(Twine("cannot open the file: ") + strerror(errno));
  Expected<std::shared_ptr<MappedFile>> file =
      MappedFile::map(descriptor, sys::path::filename(path));
  if (!file)
    return file.takeError();
  ArrayRef<char> bytes = (*file)->bytes();
  if (static_cast<int64_t>(bytes.size()) > kMaxMessage)
    return fail("expected a message of less than 2 GiB, but got " +
                Twine(bytes.size()) +
                " bytes; keep the weights as external data");
  auto model = std::make_shared<Model>();
  model->path = path.str();
  model->folder = sys::path::parent_path(path).str();
  if (model->folder.empty())
    model->folder = ".";
  model->fileName = sys::path::filename(path).str();
  model->allowLinks = allowLinks;
  XXH128_hash_t hash = xxh3_128bits(ArrayRef<uint8_t>(
      reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
  model->hash =
      utohexstr(hash.high64, true, 16) + utohexstr(hash.low64, true, 16);
  if (!bytes.empty())
    madvise(const_cast<char *>(bytes.data()), bytes.size(), MADV_DONTNEED);
  ReleasingStream pieces(bytes);
  google::protobuf::io::CodedInputStream stream(&pieces);
  stream.SetTotalBytesLimit(kMaxMessage);
  stream.SetRecursionLimit(kMaxNesting);
  if (!model->proto.ParsePartialFromCodedStream(&stream) ||
      !stream.ConsumedEntireMessage())
    return fail("expected an ONNX model, but the file is damaged, cut off or "
                "of another format");
  if (!model->proto.has_graph())
    return fail("expected an ONNX model, but the file holds no graph");
  return model;
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

mlir::Type onnx_import::getElementType(int type, mlir::MLIRContext *context) {
  mlir::Builder b(context);
  switch (type) {
  case onnx::TensorProto::FLOAT:
    return b.getF32Type();
  case onnx::TensorProto::DOUBLE:
    return b.getF64Type();
  case onnx::TensorProto::FLOAT16:
    return b.getF16Type();
  case onnx::TensorProto::BFLOAT16:
    return b.getBF16Type();
  case onnx::TensorProto::BOOL:
    return b.getI1Type();
  case onnx::TensorProto::INT4:
  case onnx::TensorProto::UINT4:
  case onnx::TensorProto::INT8:
  case onnx::TensorProto::UINT8:
    return b.getI8Type();
  case onnx::TensorProto::INT16:
  case onnx::TensorProto::UINT16:
    return b.getI16Type();
  case onnx::TensorProto::INT32:
  case onnx::TensorProto::UINT32:
    return b.getI32Type();
  case onnx::TensorProto::INT64:
  case onnx::TensorProto::UINT64:
    return b.getI64Type();
  default:
    return {};
  }
}

bool onnx_import::isUnsignedType(int type) {
  return type == onnx::TensorProto::UINT4 ||
         type == onnx::TensorProto::UINT8 || type == onnx::TensorProto::UINT16 ||
         type == onnx::TensorProto::UINT32 || type == onnx::TensorProto::UINT64;
}

std::string onnx_import::describeType(int type) {
  static constexpr const char *kNames[] = {
      "undefined", "float32",    "uint8",      "int8",         "uint16",
      "int16",     "int32",      "int64",      "string",       "bool",
      "float16",   "float64",    "uint32",     "uint64",       "complex64",
      "complex128", "bfloat16",  "float8e4m3fn", "float8e4m3fnuz",
      "float8e5m2", "float8e5m2fnuz", "uint4", "int4",         "float4e2m1",
      "float8e8m0", "uint2",     "int2"};
  if (type >= 0 && type < static_cast<int>(std::size(kNames)))
    return kNames[type];
  return ("element type " + Twine(type)).str();
}

//===----------------------------------------------------------------------===//
// External data
//===----------------------------------------------------------------------===//

/// Opens `location` below the folder `base`, link by link; -1 and a reason.
static int openBelow(const std::string &base, StringRef location,
                     bool allowLinks, std::string &reason) {
  SmallVector<StringRef> parts;
  location.split(parts, '/');
  if (location.empty() || location.contains('\0') || location.contains('\\')) {
    reason = "is not a relative path";
    return -1;
  }
  for (StringRef part : parts)
    if (part.empty() || part == "." || part == "..") {
      reason = "is not a plain relative path below the model's folder";
      return -1;
    }
  int follow = allowLinks ? 0 : O_NOFOLLOW;
  int folder = open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (StringRef part : parts) {
    if (folder < 0)
      break;
    bool isLast = part.data() == parts.back().data();
    int next = openat(folder, part.str().c_str(),
                      O_RDONLY | O_CLOEXEC | O_NONBLOCK | follow |
                          (isLast ? 0 : O_DIRECTORY));
    int error = errno;
    close(folder);
    folder = next;
    errno = error;
  }
  if (folder < 0) {
    reason = errno == ELOOP
                 ? std::string("is a symbolic link")
                 : ("cannot be opened: " + Twine(strerror(errno))).str();
    return -1;
  }
  struct stat info;
  if (fstat(folder, &info) != 0 || !S_ISREG(info.st_mode)) {
    reason = "is not a regular file";
    close(folder);
    return -1;
  }
  if (!allowLinks && info.st_nlink != 1) {
    reason = "has several hard links";
    close(folder);
    return -1;
  }
  return folder;
}

static Expected<std::shared_ptr<MappedFile>>
getExternal(Model &model, const std::string &location) {
  std::shared_ptr<MappedFile> &entry = model.externals[location];
  if (entry)
    return entry;
  std::string reason;
  int descriptor =
      openBelow(model.folder, location, model.allowLinks, reason);
  if (descriptor < 0)
    return fail("expected external data in the model's folder, but '" +
                Twine(StringRef(location).take_front(200)) + "' " + reason);
  Expected<std::shared_ptr<MappedFile>> file =
      MappedFile::map(descriptor, location);
  if (!file)
    return file.takeError();
  return entry = *file;
}

static Error readExternal(const std::shared_ptr<Model> &model,
                          const onnx::TensorProto &tensor, int64_t bytes,
                          ssm::HostTensor &result, FileRange *range) {
  std::string location;
  int64_t offset = 0, length = bytes;
  for (const onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef key = entry.key();
    if (key == "location")
      location = entry.value();
    else if (key == "offset" || key == "length") {
      int64_t &number = key == "offset" ? offset : length;
      if (StringRef(entry.value()).getAsInteger(10, number) || number < 0)
        return fail("expected external data with a natural number as '" + key +
                    "'");
    } else if (key != "checksum" && key != "basepath") {
      return fail("expected external data keys location, offset, length and "
                  "checksum, but got '" +
                  key.take_front(100) + "'");
    }
  }
  if (length != bytes)
    return fail("expected " + Twine(bytes) +
                " bytes of external data by type and shape, but got " +
                Twine(length));
  Expected<std::shared_ptr<MappedFile>> file = getExternal(*model, location);
  if (!file)
    return file.takeError();
  int64_t size = (*file)->bytes().size();
  if (offset > size || length > size - offset)
    return fail("expected external data within the " + Twine(size) +
                " bytes of '" + location + "', but got offset " + Twine(offset) +
                " and length " + Twine(length));
  result.bytes = (*file)->bytes().slice(offset, length);
  result.owner = *file;
  if (range)
    *range = {location, offset};
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// Copies a typed field of the message, which must have one entry per element.
template <typename S, typename Field>
static Error readField(const Field &field, ssm::HostTensor &result) {
  int64_t count = result.size();
  if (field.size() != count)
    return fail("expected " + Twine(count) + " elements by shape, but got " +
                Twine(field.size()));
  char *data;
  ssm::HostTensor copy =
      ssm::HostTensor::allocate(result.type, result.kind, data);
  for (int64_t i = 0; i < count; ++i) {
    S value = static_cast<S>(field.Get(i));
    std::memcpy(data + i * sizeof(S), &value, sizeof(S));
  }
  result = std::move(copy);
  return Error::success();
}

static Error readTyped(const onnx::TensorProto &t, ssm::HostTensor &result) {
  using T = onnx::TensorProto;
  switch (t.data_type()) {
  case T::FLOAT:
    return readField<float>(t.float_data(), result);
  case T::DOUBLE:
    return readField<double>(t.double_data(), result);
  case T::INT64:
    return readField<int64_t>(t.int64_data(), result);
  case T::UINT64:
    return readField<uint64_t>(t.uint64_data(), result);
  case T::UINT32:
    return readField<uint32_t>(t.uint64_data(), result);
  case T::INT32:
    return readField<int32_t>(t.int32_data(), result);
  case T::INT16:
  case T::UINT16:
  case T::FLOAT16:
  case T::BFLOAT16:
    return readField<uint16_t>(t.int32_data(), result);
  default:
    return readField<uint8_t>(t.int32_data(), result);
  }
}

/// Spreads two 4-bit integers a byte, low nibble first, to a byte each.
static ssm::HostTensor spreadNibbles(ArrayRef<char> packed, bool isSigned,
                                     const ssm::HostTensor &like) {
  char *data;
  ssm::HostTensor result =
      ssm::HostTensor::allocate(like.type, like.kind, data);
  for (int64_t i = 0, n = result.size(); i < n; ++i) {
    int value = (static_cast<uint8_t>(packed[i / 2]) >> (i % 2 * 4)) & 15;
    data[i] = isSigned && value > 7 ? value - 16 : value;
  }
  return result;
}

Expected<ssm::HostTensor>
onnx_import::readTensor(const std::shared_ptr<Model> &model,
                        const onnx::TensorProto &tensor,
                        mlir::MLIRContext *context, FileRange *range) {
  mlir::Type element = getElementType(tensor.data_type(), context);
  if (!element)
    return fail("expected a tensor of floats, integers or bool, but got " +
                describeType(tensor.data_type()));
  if (tensor.has_segment())
    return fail("expected a whole tensor, but got a segment of one");
  Shape shape(tensor.dims().begin(), tensor.dims().end());
  std::optional<int64_t> count = countElements(shape);
  if (!count)
    return fail("expected a shape of at most " + Twine(kMaxRank) +
                " dimensions and a sane size, but got [" +
                join(map_range(shape, [](int64_t s) { return std::to_string(s); }),
                     ", ") +
                "]");
  ssm::HostTensor result;
  result.type = mlir::RankedTensorType::get(shape, element);
  result.kind = *ssm::getElementKind(element);
  int64_t bytes = *count * ssm::getElementBytes(result.kind);
  bool isSigned = tensor.data_type() == onnx::TensorProto::INT4;
  bool hasNibbles =
      isSigned || tensor.data_type() == onnx::TensorProto::UINT4;
  if (hasNibbles)
    bytes = (*count + 1) / 2;
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    if (Error error = readExternal(model, tensor, bytes, result, range))
      return std::move(error);
    if (hasNibbles) {
      if (range)
        *range = {};
      return spreadNibbles(result.bytes, isSigned, result);
    }
    return result;
  }
  if (!tensor.has_raw_data()) {
    if (hasNibbles) {
      std::string packed;
      for (int32_t byte : tensor.int32_data())
        packed.push_back(static_cast<char>(byte));
      if (static_cast<int64_t>(packed.size()) != bytes)
        return fail("expected " + Twine(bytes) +
                    " bytes by type and shape, but got " +
                    Twine(packed.size()));
      return spreadNibbles(ArrayRef<char>(packed.data(), packed.size()),
                           isSigned, result);
    }
    if (Error error = readTyped(tensor, result))
      return std::move(error);
    return result;
  }
  const std::string &raw = tensor.raw_data();
  if (static_cast<int64_t>(raw.size()) != bytes)
    return fail("expected " + Twine(bytes) + " bytes by type and shape, but got " +
                Twine(raw.size()));
  result.bytes = ArrayRef<char>(raw.data(), raw.size());
  if (hasNibbles)
    return spreadNibbles(result.bytes, isSigned, result);
  result.owner = model;
  return result;
}
