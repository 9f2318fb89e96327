// SPDX-License-Identifier: Apache-2.0
//
// The weights as an object file, written by hand.
//
// Weights are far too many to be constants of LLVM IR: a gigabyte of them would
// take tens of gigabytes to compile. An object file that holds one section and
// one symbol is a header, the bytes, and a few tables after them, so it can be
// streamed from wherever the weights are, straight to the linker.
//
//   header | data | symbols | symbol names | section names | section headers

#include "itera/CodeGen/Link/WeightObject.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFTypes.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace llvm;
using namespace llvm::ELF;
using ELFT = object::ELF64LE;

namespace {

enum Section {
  Null,
  Weights,
  Symbols,
  SymbolNames,
  SectionNames,
  Stack,
  Count
};

// Offsets of the names in these tables are found by searching for them.
constexpr StringLiteral symbolNames =
    StringLiteral::withInnerNUL("\0itera_weights\0");
constexpr StringLiteral sectionNames = StringLiteral::withInnerNUL(
    "\0.lrodata\0.rodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack\0");

template <typename T> void writeRecord(raw_ostream &os, const T &record) {
  os.write(reinterpret_cast<const char *>(&record), sizeof(record));
}

void writeZeros(raw_ostream &os, uint64_t count) {
  while (count) {
    unsigned now = std::min<uint64_t>(count, 1 << 20);
    os.write_zeros(now);
    count -= now;
  }
}

} // namespace

static Error fault(const Twine &text) {
  return createStringError(inconvertibleErrorCode(),
                           "internal error: weight object: " + text);
}

static Error checkImage(const itera::WeightImage &image) {
  uint64_t end = 0;
  for (const itera::WeightChunk &chunk : image.chunks) {
    if (chunk.offset < end)
      return fault("expected sorted chunks, but got one at " +
                   Twine(chunk.offset) + " before " + Twine(end));
    if (chunk.bytes.size() > image.size ||
        chunk.offset > image.size - chunk.bytes.size())
      return fault("expected chunks within " + Twine(image.size) +
                   " bytes, but got one of " + Twine(chunk.bytes.size()) +
                   " at " + Twine(chunk.offset));
    end = chunk.offset + chunk.bytes.size();
  }
  return Error::success();
}

static void writeData(const itera::WeightImage &image, raw_ostream &os) {
  uint64_t position = 0;
  for (const itera::WeightChunk &chunk : image.chunks) {
    writeZeros(os, chunk.offset - position);
    os.write(chunk.bytes.data(), chunk.bytes.size());
    position = chunk.offset + chunk.bytes.size();
  }
  writeZeros(os, image.size - position);
}

Error itera::writeWeightObject(const WeightImage &image, const Triple &target,
                               raw_ostream &os) {
  if (Error error = checkImage(image))
    return error;
  bool isX86 = target.getArch() == Triple::x86_64;
  if (!isX86 && target.getArch() != Triple::aarch64)
    return fault("expected x86_64 or aarch64, but got " +
                 Twine(target.getArchName()));

  // x86-64 code reaches 2 GiB around itself. Large-model sections are placed
  // outside that window, so that the rest stays within it; only the pointer in
  // itera_program, 64 bits wide, refers to them.
  bool large = isX86 && image.size >= (uint64_t(1) << 30);

  const uint64_t dataOffset = sizeof(ELFT::Ehdr);
  const uint64_t symbolsOffset = alignTo(dataOffset + image.size, 8);
  const uint64_t symbolNamesOffset = symbolsOffset + 2 * sizeof(ELFT::Sym);
  const uint64_t sectionNamesOffset = symbolNamesOffset + symbolNames.size();
  const uint64_t endOfNames = sectionNamesOffset + sectionNames.size();
  const uint64_t headersOffset = alignTo(endOfNames, 8);

  ELFT::Ehdr header = {};
  memcpy(header.e_ident, ElfMagic, 4);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = isX86 ? EM_X86_64 : EM_AARCH64;
  header.e_version = EV_CURRENT;
  header.e_shoff = headersOffset;
  header.e_ehsize = sizeof(ELFT::Ehdr);
  header.e_shentsize = sizeof(ELFT::Shdr);
  header.e_shnum = Section::Count;
  header.e_shstrndx = Section::SectionNames;
  writeRecord(os, header);

  writeData(image, os);
  writeZeros(os, symbolsOffset - (dataOffset + image.size));

  ELFT::Sym symbol = {};
  writeRecord(os, symbol); // index 0 is the null symbol
  symbol.st_name = symbolNames.find("itera_weights");
  symbol.setBindingAndType(STB_GLOBAL, STT_OBJECT);
  symbol.setVisibility(STV_HIDDEN);
  symbol.st_shndx = Section::Weights;
  symbol.st_size = image.size;
  writeRecord(os, symbol);
  os << symbolNames << sectionNames;
  writeZeros(os, headersOffset - endOfNames);

  auto writeHeader = [&](StringRef name, uint32_t type, uint64_t flags,
                         uint64_t offset, uint64_t size, uint64_t align,
                         uint32_t link = 0, uint32_t info = 0,
                         uint64_t entry = 0) {
    ELFT::Shdr section = {};
    // The final null belongs to the name: ".strtab" is not in ".shstrtab".
    std::string terminated = (name + StringRef("\0", 1)).str();
    section.sh_name = name.empty() ? 0 : sectionNames.find(terminated);
    section.sh_type = type;
    section.sh_flags = flags;
    section.sh_offset = offset;
    section.sh_size = size;
    section.sh_link = link;
    section.sh_info = info;
    section.sh_addralign = align;
    section.sh_entsize = entry;
    writeRecord(os, section);
  };
  writeHeader("", SHT_NULL, 0, 0, 0, 0);
  writeHeader(large ? ".lrodata" : ".rodata", SHT_PROGBITS,
              SHF_ALLOC | (large ? uint64_t(SHF_X86_64_LARGE) : 0), dataOffset,
              image.size, image.size >= 4096 ? 4096 : 64);
  // info: the index of the first symbol that is not local.
  writeHeader(".symtab", SHT_SYMTAB, 0, symbolsOffset, 2 * sizeof(ELFT::Sym), 8,
              Section::SymbolNames, /*info=*/1, sizeof(ELFT::Sym));
  writeHeader(".strtab", SHT_STRTAB, 0, symbolNamesOffset, symbolNames.size(),
              1);
  writeHeader(".shstrtab", SHT_STRTAB, 0, sectionNamesOffset,
              sectionNames.size(), 1);
  // Says to any linker that this object needs no executable stack.
  writeHeader(".note.GNU-stack", SHT_PROGBITS, 0, endOfNames, 0, 1);
  return Error::success();
}
