// SPDX-License-Identifier: Apache-2.0
//
// The .npy format: a magic string, a version, the length of a text, the text,
// and the data. The text is a Python dictionary with three known keys, padded
// with spaces and ended by a line break:
//
//   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//
// NumPy evaluates it as Python; here a parser for exactly this form suffices.

#include "NpyHead.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>
#include <optional>

using namespace llvm;
using namespace itera;

namespace {

struct TypeInfo {
  NpyType type;
  StringLiteral name;
  StringLiteral descr; // without the byte order
  unsigned size;
};

} // namespace

static constexpr TypeInfo typeInfos[] = {
    {NpyType::Bool, "bool", "b1", 1},
    {NpyType::Int8, "int8", "i1", 1},
    {NpyType::UInt8, "uint8", "u1", 1},
    {NpyType::Int16, "int16", "i2", 2},
    {NpyType::UInt16, "uint16", "u2", 2},
    {NpyType::Int32, "int32", "i4", 4},
    {NpyType::UInt32, "uint32", "u4", 4},
    {NpyType::Int64, "int64", "i8", 8},
    {NpyType::UInt64, "uint64", "u8", 8},
    {NpyType::Float16, "float16", "f2", 2},
    {NpyType::Float32, "float32", "f4", 4},
    {NpyType::Float64, "float64", "f8", 8},
};

StringRef itera::getNpyTypeName(NpyType type) {
  return typeInfos[unsigned(type)].name;
}

unsigned itera::getNpyTypeSize(NpyType type) {
  return typeInfos[unsigned(type)].size;
}

std::string itera::formatShape(ArrayRef<int64_t> shape) {
  if (shape.empty())
    return "scalar";
  return join(map_range(shape, [](int64_t size) { return itostr(size); }), "x");
}

static Error refuse(StringRef name, const Twine &problem) {
  return createStringError(inconvertibleErrorCode(),
                           "array '" + name + "': " + problem);
}

//===----------------------------------------------------------------------===//
// The dictionary
//===----------------------------------------------------------------------===//

namespace {

/// A cursor over the text. Each method takes one token, and leaves the text
/// alone if it is not there.
struct HeadText {
  StringRef rest;

  bool take(char c) {
    rest = rest.ltrim();
    return rest.consume_front(StringRef(&c, 1));
  }

  std::optional<StringRef> takeString() {
    rest = rest.ltrim();
    if (!rest.starts_with("'") && !rest.starts_with("\""))
      return std::nullopt;
    size_t end = rest.find(rest.front(), 1);
    if (end == StringRef::npos)
      return std::nullopt;
    StringRef text = rest.slice(1, end);
    rest = rest.drop_front(end + 1);
    return text;
  }

  std::optional<bool> takeBool() {
    rest = rest.ltrim();
    if (rest.consume_front("True"))
      return true;
    if (rest.consume_front("False"))
      return false;
    return std::nullopt;
  }

  /// (), (1,), (1, 2), ...
  std::optional<std::vector<int64_t>> takeShape() {
    std::vector<int64_t> shape;
    if (!take('('))
      return std::nullopt;
    while (!take(')')) {
      rest = rest.ltrim();
      int64_t size;
      if (rest.consumeInteger(10, size))
        return std::nullopt;
      rest.consume_front("L"); // written by Python 2
      shape.push_back(size);
      if (!take(',') && !StringRef(rest.ltrim()).starts_with(")"))
        return std::nullopt;
    }
    return shape;
  }
};

struct HeadFields {
  std::optional<StringRef> descr;
  std::optional<bool> fortranOrder;
  std::optional<std::vector<int64_t>> shape;
};

} // namespace

/// False if the text is not of the form in the file's head.
static bool parseFields(StringRef text, HeadFields &fields) {
  HeadText cursor{text};
  if (!cursor.take('{'))
    return false;
  while (!cursor.take('}')) {
    std::optional<StringRef> key = cursor.takeString();
    if (!key || !cursor.take(':'))
      return false;
    if (*key == "descr" && !fields.descr) {
      fields.descr = cursor.takeString();
      // A list of fields: a record array. Not one of ours.
      if (!fields.descr)
        return false;
    } else if (*key == "fortran_order" && !fields.fortranOrder) {
      if (!(fields.fortranOrder = cursor.takeBool()))
        return false;
    } else if (*key == "shape" && !fields.shape) {
      if (!(fields.shape = cursor.takeShape()))
        return false;
    } else {
      return false;
    }
    if (!cursor.take(',') && !StringRef(cursor.rest.ltrim()).starts_with("}"))
      return false;
  }
  return cursor.rest.trim().empty() && fields.descr && fields.fortranOrder &&
         fields.shape;
}

static Expected<NpyType> parseType(StringRef descr, StringRef name) {
  if (descr.starts_with("|O") || descr == "O")
    return refuse(name, "expected numbers, but got pickled objects");
  if (descr.starts_with(">"))
    return refuse(name, "expected little-endian data, but got big-endian");
  for (const TypeInfo &info : typeInfos)
    if (descr.size() == 3 && descr.drop_front() == info.descr &&
        (descr[0] == '<' || (descr[0] == '|' && info.size == 1)))
      return info.type;
  return refuse(name,
                "unsupported element type '" + descr.take_front(16) + "'");
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

Expected<NpyHead> itera::parseNpyHead(StringRef start, uint64_t fileBytes,
                                      StringRef name) {
  constexpr StringLiteral magic("\x93NUMPY");
  if (!start.starts_with(magic) || start.size() < 12)
    return refuse(name, "not a .npy file");
  // Version 1 has a 16-bit length, versions 2 and 3 a 32-bit one.
  unsigned version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3)
    return refuse(name,
                  "expected .npy version 1 to 3, but got " + Twine(version));
  uint64_t textOffset = version == 1 ? 10 : 12;
  uint64_t textBytes = version == 1
                           ? support::endian::read16le(start.data() + 8)
                           : support::endian::read32le(start.data() + 8);
  if (textBytes > maxNpyHeadBytes || textBytes > start.size() - textOffset)
    return refuse(name, "the file ends within its head");

  HeadFields fields;
  if (!parseFields(start.substr(textOffset, textBytes), fields))
    return refuse(name, "malformed .npy head");
  Expected<NpyType> type = parseType(*fields.descr, name);
  if (!type)
    return type.takeError();

  NpyHead head{*type, std::move(*fields.shape), textOffset + textBytes,
               getNpyTypeSize(*type), *fields.fortranOrder};
  if (head.shape.size() > 64)
    return refuse(name, "expected at most 64 dimensions, but got " +
                            Twine(head.shape.size()));
  bool empty = is_contained(head.shape, 0);
  for (int64_t size : head.shape) {
    if (size < 0)
      return refuse(name, "negative dimension " + Twine(size));
    if (empty)
      head.dataBytes = 0;
    else if (__builtin_mul_overflow(head.dataBytes, uint64_t(size),
                                    &head.dataBytes))
      head.dataBytes = UINT64_MAX;
    if (head.dataBytes > maxNpyDataBytes)
      return refuse(name, "an array of shape " + formatShape(head.shape) +
                              " is too large");
  }
  if (fileBytes - head.dataOffset != head.dataBytes)
    return refuse(name, "expected " + Twine(head.dataBytes) +
                            " bytes of data, but got " +
                            Twine(fileBytes - head.dataOffset));
  return std::move(head);
}

NpyArray itera::makeArray(NpyHead head, std::vector<char> data) {
  NpyArray array{head.type, std::move(head.shape), std::move(data)};
  if (!head.fortranOrder || array.shape.size() < 2 || array.data.empty())
    return array;
  // Walks the elements in C order. `index` counts with the last dimension
  // fastest; in the file the first one was.
  size_t rank = array.shape.size(), size = getNpyTypeSize(array.type);
  std::vector<size_t> stride(rank, size);
  for (size_t i = 1; i < rank; ++i)
    stride[i] = stride[i - 1] * array.shape[i - 1];
  std::vector<int64_t> index(rank, 0);
  std::vector<char> ordered(array.data.size());
  size_t from = 0;
  for (size_t to = 0; to < ordered.size(); to += size) {
    memcpy(&ordered[to], &array.data[from], size);
    for (size_t i = rank; i-- > 0;) {
      from += stride[i];
      if (++index[i] < array.shape[i])
        break;
      from -= stride[i] * array.shape[i];
      index[i] = 0;
    }
  }
  array.data = std::move(ordered);
  return array;
}

Expected<NpyArray> itera::parseNpy(StringRef bytes, StringRef name) {
  Expected<NpyHead> head = parseNpyHead(bytes, bytes.size(), name);
  if (!head)
    return head.takeError();
  StringRef data = bytes.drop_front(head->dataOffset);
  return makeArray(std::move(*head),
                   std::vector<char>(data.begin(), data.end()));
}

std::string itera::formatNpy(const NpyArray &array) {
  const TypeInfo &info = typeInfos[unsigned(array.type)];
  std::string text;
  raw_string_ostream os(text);
  os << "{'descr': '" << (info.size == 1 ? '|' : '<') << info.descr
     << "', 'fortran_order': False, 'shape': (";
  for (int64_t size : array.shape)
    os << size << (array.shape.size() == 1 ? "," : ", ");
  os << "), }";
  // The data starts at a multiple of 64, so that the file can be mapped.
  constexpr size_t prefix = 12;
  text.append(63 - (prefix + text.size()) % 64, ' ');
  text += '\n';
  std::string file("\x93NUMPY\x02\x00", 8);
  char length[4];
  support::endian::write32le(length, text.size());
  file.append(length, 4);
  file += text;
  file.append(array.data.begin(), array.data.end());
  return file;
}
