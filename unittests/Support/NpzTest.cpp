// SPDX-License-Identifier: Apache-2.0

#include "itera/Support/Npz.h"
#include "TempFolder.h"
#include "llvm/Support/Endian.h"
#include "gtest/gtest.h"
#include <cstring>
#include <zip.h>

using namespace llvm;
using namespace itera;

/// A .npy file of version 1 with any text in its head.
static std::string makeNpy(StringRef head, StringRef data) {
  std::string text = head.str() + "\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  char length[2];
  support::endian::write16le(length, text.size());
  return file + std::string(length, 2) + text + data.str();
}

static std::string errorOf(StringRef head, StringRef data = "") {
  Expected<NpyArray> array = parseNpy(makeNpy(head, data), "a");
  return array ? "no error" : toString(array.takeError());
}

static NpyArray makeArray(NpyType type, std::vector<int64_t> shape) {
  NpyArray array{type, std::move(shape), {}};
  size_t bytes = getNpyTypeSize(type);
  for (int64_t size : array.shape)
    bytes *= size;
  for (size_t i = 0; i < bytes; ++i)
    array.data.push_back(char(i * 7 + 1));
  return array;
}

static void expectEqual(const NpyArray &a, const NpyArray &b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.data, b.data);
}

TEST(Npy, ParsesWhatNumPyWrites) {
  // numpy.save of array([[1, 2, 3]], dtype=int16)
  Expected<NpyArray> array = parseNpy(
      makeNpy("{'descr': '<i2', 'fortran_order': False, 'shape': (1, 3), }   ",
              StringRef("\1\0\2\0\3\0", 6)),
      "a");
  ASSERT_TRUE(bool(array)) << toString(array.takeError());
  EXPECT_EQ(array->type, NpyType::Int16);
  EXPECT_EQ(array->shape, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(std::string(array->data.begin(), array->data.end()),
            std::string("\1\0\2\0\3\0", 6));
}

TEST(Npy, RoundTripsEveryTypeAndRank) {
  for (unsigned type = 0; type <= unsigned(NpyType::Float64); ++type)
    for (std::vector<int64_t> shape : std::vector<std::vector<int64_t>>{
             {}, {1}, {5}, {0}, {2, 3}, {2, 0, 3}, {1, 2, 3, 4}}) {
      NpyArray array = makeArray(NpyType(type), shape);
      std::string bytes = formatNpy(array);
      EXPECT_EQ((bytes.size() - array.data.size()) % 64, 0u);
      Expected<NpyArray> back = parseNpy(bytes, "a");
      ASSERT_TRUE(bool(back)) << toString(back.takeError());
      expectEqual(array, *back);
    }
}

TEST(Npy, RefusesWhatItCannotRead) {
  auto typed = [](const char *descr) {
    return std::string("{'descr': '") + descr +
           "', 'fortran_order': False, 'shape': (1,), }";
  };
  EXPECT_EQ(errorOf(typed("|O")),
            "array 'a': expected numbers, but got pickled objects");
  EXPECT_EQ(errorOf(typed(">f4")),
            "array 'a': expected little-endian data, but got big-endian");
  EXPECT_EQ(errorOf(typed("<c8")), "array 'a': unsupported element type '<c8'");
  EXPECT_EQ(errorOf(typed("<U3")), "array 'a': unsupported element type '<U3'");
  EXPECT_EQ(errorOf(typed("|f4")), "array 'a': unsupported element type '|f4'");
}

TEST(Npy, BringsFortranOrderIntoCOrder) {
  auto read = [](const char *shape, StringRef data) {
    Expected<NpyArray> array = parseNpy(
        makeNpy(std::string("{'descr': '|i1', 'fortran_order': True, "
                            "'shape': ") +
                    shape + "}",
                data),
        "a");
    return array ? std::string(array->data.begin(), array->data.end())
                 : toString(array.takeError());
  };
  // numpy.save of asfortranarray(arange(24).reshape(2, 3, 4)), as letters.
  EXPECT_EQ(read("(2, 3, 4)", "ameqiubnfrjvcogskwdphtlx"), "abcdefghijklmnopqrstuvwx");
  EXPECT_EQ(read("(2, 3)", "adbecf"), "abcdef");
  EXPECT_EQ(read("(3,)", "abc"), "abc");
  EXPECT_EQ(read("()", "a"), "a");
  EXPECT_EQ(read("(2, 0, 3)", ""), "");
}

TEST(Npy, RefusesLyingSizes) {
  auto shaped = [](const char *shape) {
    return std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (") +
           shape + "), }";
  };
  EXPECT_EQ(errorOf(shaped("2,"), "abcd"),
            "array 'a': expected 8 bytes of data, but got 4");
  EXPECT_EQ(errorOf(shaped("1,"), "abcdefgh"),
            "array 'a': expected 4 bytes of data, but got 8");
  EXPECT_EQ(errorOf(shaped("-1,"), "abcd"), "array 'a': negative dimension -1");
  EXPECT_EQ(errorOf(shaped("4294967296, 4294967296"), ""),
            "array 'a': an array of shape 4294967296x4294967296 is too large");
  EXPECT_EQ(errorOf(shaped("9223372036854775807, 2, 2"), ""),
            "array 'a': an array of shape 9223372036854775807x2x2 is too "
            "large");
  EXPECT_EQ(errorOf(shaped("9223372036854775807, 9223372036854775807, 0"), ""),
            "no error");
  EXPECT_EQ(errorOf(shaped("99999999999999999999,"), ""),
            "array 'a': malformed .npy head");
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += "1, ";
  EXPECT_EQ(errorOf(shaped(many.c_str()), "abcd"),
            "array 'a': expected at most 64 dimensions, but got 65");
}

TEST(Npy, RefusesMalformedHeads) {
  const char *good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}";
  ASSERT_EQ(errorOf(good, "abcd"), "no error");
  for (const char *head :
       {"", "{", "}", "{}", "[]", "{'descr'}", "{'descr': }", "{'descr': '<f4",
        "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': "
        "(1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + exit()"})
    EXPECT_EQ(errorOf(head, "abcd"), "array 'a': malformed .npy head") << head;

  // Every prefix of a good file is an error, never a crash.
  std::string file = makeNpy(good, "abcd");
  for (size_t size = 0; size < file.size(); ++size) {
    Expected<NpyArray> array = parseNpy(StringRef(file).take_front(size), "a");
    EXPECT_FALSE(bool(array)) << size;
    consumeError(array.takeError());
  }
  // A head that is longer than the file.
  file[8] = '\xff', file[9] = '\xff';
  Expected<NpyArray> array = parseNpy(file, "a");
  EXPECT_EQ(toString(array.takeError()),
            "array 'a': the file ends within its head");
}

TEST(Npz, RoundTrips) {
  TempFolder folder;
  NpyArray a = makeArray(NpyType::Float32, {2, 3});
  NpyArray b = makeArray(NpyType::Int64, {});
  NpyArray c = makeArray(NpyType::Float32, {4, 0});
  std::string path = folder.path("f.npz");
  ASSERT_FALSE(errorToBool(
      writeNpz(path, {{"a", &a}, {"b@f64@case1", &b}, {"c.0", &c}})));
  Expected<NpzReader> file = NpzReader::open(path);
  ASSERT_TRUE(bool(file)) << toString(file.takeError());
  EXPECT_EQ(file->getNames().vec(),
            (std::vector<std::string>{"a", "b@f64@case1", "c.0"}));
  EXPECT_TRUE(file->contains("a"));
  EXPECT_FALSE(file->contains("b"));
  expectEqual(cantFail(file->read("a")), a);
  expectEqual(cantFail(file->read("b@f64@case1")), b);
  expectEqual(cantFail(file->read("c.0")), c);
  expectEqual(cantFail(file->read("a")), a); // in any order, as often as wanted
  EXPECT_EQ(toString(file->read("d").takeError()),
            "'" + path + "': no array 'd'");
}

TEST(Npz, SameArraysGiveSameBytes) {
  TempFolder folder;
  NpyArray a = makeArray(NpyType::Float32, {100});
  ASSERT_FALSE(errorToBool(writeNpz(folder.path("1"), {{"a", &a}})));
  ASSERT_FALSE(errorToBool(writeNpz(folder.path("2"), {{"a", &a}})));
  EXPECT_EQ(folder.read("1"), folder.read("2"));
}

/// An archive made of any files, compressed or not.
static std::string
makeZip(TempFolder &folder,
        std::vector<std::pair<std::string, std::string>> files,
        int method = ZIP_CM_DEFLATE) {
  std::string path = folder.path("made.npz");
  zip_t *zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (auto &[name, bytes] : files) {
    zip_int64_t index =
        zip_file_add(zip, name.c_str(),
                     zip_source_buffer(zip, bytes.data(), bytes.size(), 0), 0);
    zip_set_file_compression(zip, index, method, 0);
  }
  EXPECT_EQ(zip_close(zip), 0);
  return path;
}

TEST(Npz, ReadsCompressedArraysLargerThanAStep) {
  TempFolder folder;
  NpyArray big = makeArray(NpyType::UInt8, {(1 << 22) * 2 + 12345});
  std::string path = makeZip(folder, {{"big.npy", formatNpy(big)}});
  expectEqual(cantFail(cantFail(NpzReader::open(path)).read("big")), big);
}

TEST(Npz, OneBadArrayDoesNoHarmToOthers) {
  TempFolder folder;
  NpyArray a = makeArray(NpyType::Bool, {3});
  std::string path = makeZip(
      folder,
      {{"readme.txt", "hello"}, {"bad.npy", "x"}, {"a.npy", formatNpy(a)}});
  NpzReader file = cantFail(NpzReader::open(path));
  EXPECT_EQ(file.getNames().vec(), (std::vector<std::string>{"bad", "a"}));
  expectEqual(cantFail(file.read("a")), a);
  EXPECT_EQ(toString(file.read("bad").takeError()),
            "'" + path + "': array 'bad': not a .npy file");
}

TEST(Npz, RefusesFilesThatAreNoArchives) {
  TempFolder folder;
  std::string path = folder.write("text.npz", "not a zip file at all");
  EXPECT_EQ(toString(NpzReader::open(path).takeError()),
            "'" + path + "': cannot read the archive: Not a zip archive");
  path = folder.path("missing.npz");
  EXPECT_EQ(toString(NpzReader::open(path).takeError()),
            "'" + path + "': cannot read the archive: No such file");
}

TEST(Npz, RefusesTwoArraysOfOneName) {
  TempFolder folder;
  std::string bytes = formatNpy(makeArray(NpyType::Bool, {3}));
  makeZip(folder, {{"a.npy", bytes}, {"b.npy", bytes}});
  std::string file = folder.read("made.npz");
  for (size_t at = 0; (at = file.find("b.npy", at)) != std::string::npos;)
    file[at] = 'a';
  std::string path = folder.write("twice.npz", file);
  EXPECT_EQ(toString(NpzReader::open(path).takeError()),
            "'" + path + "': array 'a' occurs twice");
}

TEST(Npz, EveryDamagedByteIsAnErrorOrHarmless) {
  TempFolder folder;
  NpyArray a = makeArray(NpyType::Float32, {20});
  for (int method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    makeZip(folder, {{"a.npy", formatNpy(a)}}, method);
    std::string good = folder.read("made.npz");
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] ^= 0x41;
      std::string path = folder.write("bad.npz", bad);
      Expected<NpzReader> file = NpzReader::open(path);
      if (!file) {
        consumeError(file.takeError());
        continue;
      }
      if (!file->contains("a"))
        continue;
      Expected<NpyArray> array = file->read("a");
      if (array)
        expectEqual(*array, a); // a byte that carries nothing, e.g. the date
      else
        consumeError(array.takeError());
    }
    for (size_t size = 0; size < good.size(); ++size) {
      std::string path =
          folder.write("short.npz", StringRef(good).take_front(size));
      Expected<NpzReader> file = NpzReader::open(path);
      EXPECT_FALSE(bool(file)) << size;
      consumeError(file.takeError());
    }
  }
}
