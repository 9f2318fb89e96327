// SPDX-License-Identifier: Apache-2.0
//
// The last look at an artefact before a user gets it. What is promised about it
// follows from many places (compiler flags, generated code, the runtime, the
// linker's options), so it is checked where it can be seen: in the file.

#include "itera/CodeGen/Link/Link.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/ELF.h"
#include <algorithm>

using namespace llvm;
using namespace llvm::ELF;
using ELFT = object::ELF64LE;

static Error fault(const Twine &text) {
  return createStringError(inconvertibleErrorCode(),
                           "internal error: linked model: " + text);
}

/// Once the loader is done nothing may be writable: a variable would be state
/// outside the sessions, shared by all of them.
static Error checkConstant(ArrayRef<ELFT::Phdr> segments) {
  auto protect = find_if(segments, [](const ELFT::Phdr &segment) {
    return segment.p_type == PT_GNU_RELRO;
  });
  for (const ELFT::Phdr &segment : segments) {
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_W))
      continue;
    if (protect == segments.end() || segment.p_vaddr < protect->p_vaddr ||
        segment.p_vaddr + segment.p_memsz > protect->p_vaddr + protect->p_memsz)
      return fault("expected no writable data, but got some");
  }
  return Error::success();
}

/// What the kernel maps, and how.
static Error checkSegments(const object::ELFFile<ELFT> &elf) {
  auto headers = elf.program_headers();
  if (!headers)
    return headers.takeError();
  bool sawStack = false;
  for (const ELFT::Phdr &segment : *headers) {
    bool executable = segment.p_flags & PF_X;
    if (segment.p_type == PT_TLS)
      return fault("expected no thread-local storage, but got a TLS segment");
    if (segment.p_type == PT_INTERP)
      return fault("expected no program interpreter, but got one");
    if (segment.p_type == PT_LOAD && executable && (segment.p_flags & PF_W))
      return fault("expected no writable code, but got a segment with it");
    if (segment.p_type == PT_GNU_STACK) {
      sawStack = true;
      if (executable)
        return fault("expected a plain stack, but got an executable one");
    }
  }
  if (!sawStack)
    return fault("expected a statement about the stack, but got none");
  return checkConstant(*headers);
}

/// What the dynamic loader is asked to do.
static Error checkDynamicTable(const object::ELFFile<ELFT> &elf) {
  auto entries = elf.dynamicEntries();
  if (!entries)
    return entries.takeError();
  for (const ELFT::Dyn &entry : *entries) {
    switch (entry.d_tag) {
    case DT_NEEDED:
    case DT_TEXTREL:
    case DT_INIT:
    case DT_FINI:
    case DT_INIT_ARRAY:
    case DT_FINI_ARRAY:
    case DT_RPATH:
    case DT_RUNPATH:
      return fault("expected no entry of this kind, but got " +
                   elf.getDynamicTagAsString(entry.d_tag));
    case DT_FLAGS:
      if (entry.d_un.d_val & (DF_TEXTREL | DF_STATIC_TLS))
        return fault("expected no text relocations or static TLS, but got the "
                     "flag of one");
      break;
    default:
      break;
    }
  }
  return Error::success();
}

/// Imports and exports.
static Error checkSymbols(const object::ELFFile<ELFT> &elf,
                          const ELFT::Shdr &table,
                          ArrayRef<std::string> exports) {
  auto symbols = elf.symbols(&table);
  if (!symbols)
    return symbols.takeError();
  auto names = elf.getStringTableForSymtab(table);
  if (!names)
    return names.takeError();
  std::vector<std::string> found;
  for (const ELFT::Sym &symbol : drop_begin(*symbols)) {
    auto name = symbol.getName(*names);
    if (!name)
      return name.takeError();
    if (symbol.st_shndx != SHN_UNDEF) {
      found.push_back(name->str());
      continue;
    }
    bool allowed = is_contained({"malloc", "free", "getauxval"}, *name);
    if (!allowed || symbol.getBinding() != STB_WEAK)
      return fault("expected no import, but got " + *name);
  }
  llvm::sort(found);
  std::vector<std::string> wanted = exports.vec();
  llvm::sort(wanted);
  if (found != wanted)
    return fault("expected the exports " + join(wanted, " ") + ", but got " +
                 join(found, " "));
  return Error::success();
}

/// Relocations that run code: musl does not know them, and they would run
/// before the CPU check.
static Error checkRelocations(const object::ELFFile<ELFT> &elf,
                              const ELFT::Shdr &section) {
  auto relocations = elf.relas(section);
  if (!relocations)
    return relocations.takeError();
  uint32_t indirect = elf.getHeader().e_machine == EM_X86_64
                          ? unsigned(R_X86_64_IRELATIVE)
                          : unsigned(R_AARCH64_IRELATIVE);
  for (const ELFT::Rela &relocation : *relocations)
    if (relocation.getType(/*isMips64EL=*/false) == indirect)
      return fault("expected no indirect function, but got one");
  return Error::success();
}

Error itera::checkSharedObject(MemoryBufferRef file,
                               ArrayRef<std::string> exports) {
  auto elf = object::ELFFile<ELFT>::create(file.getBuffer());
  if (!elf)
    return elf.takeError();
  if (elf->getHeader().e_type != ET_DYN)
    return fault("expected a shared object, but got another type of file");
  if (Error error = checkSegments(*elf))
    return error;
  if (Error error = checkDynamicTable(*elf))
    return error;
  auto sections = elf->sections();
  if (!sections)
    return sections.takeError();
  bool sawSymbols = false;
  for (const ELFT::Shdr &section : *sections) {
    if (section.sh_type == SHT_DYNSYM) {
      sawSymbols = true;
      if (Error error = checkSymbols(*elf, section, exports))
        return error;
    } else if (section.sh_type == SHT_RELA) {
      if (Error error = checkRelocations(*elf, section))
        return error;
    } else if (section.sh_type == SHT_RELR) {
      continue; // relative by definition
    }
  }
  if (!sawSymbols)
    return fault("expected a table of exports, but got none");
  return Error::success();
}
