// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/Link/WeightObject.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace itera;

static std::string write(const WeightImage &image,
                         const char *triple = "x86_64-unknown-linux-gnu") {
  std::string bytes;
  raw_string_ostream os(bytes);
  Error error = writeWeightObject(image, Triple(triple), os);
  return error ? "error: " + toString(std::move(error)) : bytes;
}

namespace {

/// The one section and the one symbol that count.
struct Parsed {
  StringRef sectionName;
  uint64_t align = 0, flags = 0;
  StringRef data;
  uint64_t symbolSize = 0;
  uint8_t visibility = 0, binding = 0;
  uint16_t machine = 0;
};

} // namespace

static Parsed parse(const std::string &bytes) {
  Parsed result;
  auto file =
      cantFail(object::ObjectFile::createELFObjectFile({bytes, "weights"}));
  auto &elf = cast<object::ELFObjectFile<object::ELF64LE>>(*file);
  result.machine = elf.getELFFile().getHeader().e_machine;
  unsigned symbols = 0;
  for (object::ELFSymbolRef symbol : elf.symbols()) {
    ++symbols;
    EXPECT_EQ(cantFail(symbol.getName()), "itera_weights");
    result.symbolSize = symbol.getSize();
    result.visibility = symbol.getOther() & 3;
    result.binding = symbol.getBinding();
    EXPECT_EQ(cantFail(symbol.getAddress()), 0u);
    object::ELFSectionRef section(*cantFail(symbol.getSection()));
    result.sectionName = cantFail(section.getName());
    result.align = section.getAlignment().value();
    result.flags = section.getFlags();
    result.data = cantFail(section.getContents());
  }
  EXPECT_EQ(symbols, 1u);
  return result;
}

TEST(WeightObject, HoldsTheBytesAtTheirOffsets) {
  std::string a = "abc", b = "defg";
  WeightImage image{12,
                    {{1, ArrayRef(a.data(), 3)}, {6, ArrayRef(b.data(), 4)}}};
  for (auto [triple, machine] :
       {std::pair("x86_64-unknown-linux-gnu", ELF::EM_X86_64),
        {"aarch64-unknown-linux-gnu", ELF::EM_AARCH64}}) {
    std::string bytes = write(image, triple);
    Parsed parsed = parse(bytes);
    EXPECT_EQ(parsed.machine, machine);
    EXPECT_EQ(parsed.data, StringRef("\0abc\0\0defg\0\0", 12));
    EXPECT_EQ(parsed.sectionName, ".rodata");
    EXPECT_EQ(parsed.flags, uint64_t(ELF::SHF_ALLOC));
    EXPECT_EQ(parsed.symbolSize, 12u);
    EXPECT_EQ(parsed.visibility, ELF::STV_HIDDEN);
    EXPECT_EQ(parsed.binding, ELF::STB_GLOBAL);
  }
}

TEST(WeightObject, AlignsToAPageFromOnePageOn) {
  EXPECT_EQ(parse(write({1, {}})).align, 64u);
  EXPECT_EQ(parse(write({4095, {}})).align, 64u);
  EXPECT_EQ(parse(write({4096, {}})).align, 4096u);
}

TEST(WeightObject, MayBeEmpty) {
  Parsed parsed = parse(write({0, {}}));
  EXPECT_EQ(parsed.data, "");
  EXPECT_EQ(parsed.symbolSize, 0u);
}

TEST(WeightObject, RefusesInconsistentImages) {
  std::string a = "abcd";
  ArrayRef<char> bytes(a.data(), 4);
  EXPECT_EQ(write({8, {{5, bytes}}}),
            "error: internal error: weight object: expected chunks within 8 "
            "bytes, but got one of 4 at 5");
  EXPECT_EQ(write({3, {{0, bytes}}}),
            "error: internal error: weight object: expected chunks within 3 "
            "bytes, but got one of 4 at 0");
  EXPECT_EQ(write({8, {{UINT64_MAX - 1, bytes}}}),
            "error: internal error: weight object: expected chunks within 8 "
            "bytes, but got one of 4 at 18446744073709551614");
  EXPECT_EQ(write({8, {{0, bytes}, {3, bytes}}}),
            "error: internal error: weight object: expected sorted chunks, but "
            "got one at 3 before 4");
  EXPECT_EQ(write({8, {}}, "riscv64-unknown-linux-gnu"),
            "error: internal error: weight object: expected x86_64 or aarch64, "
            "but got riscv64");
}

/// Counts and forgets, but keeps the start and the end.
namespace {
class EndsOnly : public raw_ostream {
public:
  ~EndsOnly() override { flush(); }
  std::string start, end;

private:
  void write_impl(const char *data, size_t size) override {
    if (position < 64)
      start.append(data, std::min<size_t>(size, 64));
    end.append(data + size - std::min<size_t>(size, 2048),
               std::min<size_t>(size, 2048));
    if (end.size() > 4096)
      end.erase(0, end.size() - 4096);
    position += size;
  }
  uint64_t current_pos() const override { return position; }
  uint64_t position = 0;
};
} // namespace

TEST(WeightObject, LargeOnesGoOutOfTheWayOnX86) {
  for (auto [triple, size, large] :
       {std::tuple("x86_64-linux-gnu", (uint64_t(1) << 30) - 1, false),
        {"x86_64-linux-gnu", uint64_t(1) << 30, true},
        {"aarch64-linux-gnu", uint64_t(1) << 30, false}}) {
    EndsOnly os;
    ASSERT_FALSE(
        errorToBool(writeWeightObject({size, {}}, Triple(triple), os)));
    os.flush();
    // The section headers are the last six records; the second is the data's.
    ASSERT_GE(os.end.size(), 6 * sizeof(object::ELF64LE::Shdr));
    object::ELF64LE::Shdr header;
    memcpy(&header, os.end.data() + os.end.size() - 5 * sizeof(header),
           sizeof(header));
    EXPECT_EQ(header.sh_size, size);
    EXPECT_EQ(bool(header.sh_flags & uint64_t(ELF::SHF_X86_64_LARGE)), large);
  }
}
