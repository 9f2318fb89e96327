// SPDX-License-Identifier: Apache-2.0
//
// The link step: lld, in this process, on files in memory.
//
// An artefact must load everywhere, so it is linked against nothing: the inputs
// are the compiler's objects, the weights and the runtime, and whatever they
// leave undefined is an error. The public names are made here: the runtime is
// compiled once and cannot know the model's name, so the linker defines
// itera_model_query_<name> as another name of the runtime's query function.

#include "itera/CodeGen/Link/Link.h"
#include "MemoryFile.h"
#include "OptionsGuard.h"
#include "itera/CodeGen/Link/RuntimeObjects.h"
#include "itera/Support/AtomicFile.h"
#include "lld/Common/Driver.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace llvm;
using namespace itera;

std::string itera::sanitizeModelName(StringRef name) {
  std::string result = name.str();
  for (char &c : result)
    if (!isAlnum(c))
      c = '_';
  return result.empty() ? "_" : result;
}

std::vector<std::string> itera::getQuerySymbols(StringRef modelName) {
  return {"itera_model_query",
          "itera_model_query_" + sanitizeModelName(modelName)};
}

namespace {

/// The inputs of one link, and their names for a reader of error messages.
struct LinkInputs {
  std::vector<MemoryFile> files;
  std::vector<std::string> names;

  Error add(StringRef name, function_ref<Error(raw_ostream &)> write) {
    Expected<MemoryFile> file = MemoryFile::create(write);
    if (!file)
      return file.takeError();
    files.push_back(std::move(*file));
    names.push_back(name.str());
    return Error::success();
  }

  Error add(StringRef name, StringRef bytes) {
    return add(name, [&](raw_ostream &os) {
      os << bytes;
      return Error::success();
    });
  }
};

} // namespace

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

static Expected<LinkInputs> collectInputs(const LinkRequest &request,
                                          bool withRuntime = true) {
  LinkInputs inputs;
  std::optional<StringRef> runtime =
      getRuntimeObject(request.target.getArchName());
  if (!runtime)
    return failure("expected a target of architecture x86_64 or aarch64, but "
                   "got " +
                   request.target.str());
  for (MemoryBufferRef object : request.objects)
    if (Error error =
            inputs.add(object.getBufferIdentifier(), object.getBuffer()))
      return std::move(error);
  if (request.weights)
    if (Error error = inputs.add("weights", [&](raw_ostream &os) {
          return writeWeightObject(*request.weights, request.target, os);
        }))
      return std::move(error);
  if (withRuntime)
    if (Error error = inputs.add("runtime", *runtime))
      return std::move(error);
  return std::move(inputs);
}

static std::string makeVersionScript(ArrayRef<std::string> exports) {
  return "{ global: " + join(exports, "; ") + "; local: *; };\n";
}

/// Drops the list of compilers that .comment collects. INSERT makes this an
/// addition to lld's own layout rules; without it, it would replace them.
static const char *const discardScript =
    "SECTIONS { /DISCARD/ : { *(.comment) } } INSERT AFTER .text;\n";

/// lld's text with our names of the inputs instead of their paths, on one line.
static std::string cleanMessage(StringRef text, const LinkInputs &inputs) {
  std::string message;
  for (StringRef line : split(text.rtrim(), '\n')) {
    line.consume_front("ld.lld: ");
    line.consume_front("error: ");
    if (!message.empty())
      message += line.starts_with(">>>") ? " " : "; ";
    message += line.ltrim("> ");
  }
  // Backwards, so that .../fd/1 does not match the start of .../fd/12.
  for (size_t i = inputs.files.size(); i-- > 0;) {
    std::string path = inputs.files[i].getPath();
    for (size_t at = 0; (at = message.find(path, at)) != std::string::npos;) {
      size_t end = at + path.size();
      if (end < message.size() && isDigit(message[end])) {
        at = end;
        continue;
      }
      message.replace(at, path.size(), inputs.names[i]);
      at += inputs.names[i].size();
    }
  }
  return message;
}

/// Nothing undefined, everything bound and made read-only at load time, both
/// kinds of hash table for old and new loaders, the same bytes every time. One
/// thread: the work is a copy, and lld's thread pool would outlive it.
static constexpr StringLiteral linkFlags =
    "-shared -z defs -z now -z relro --hash-style=both --exclude-libs=ALL "
    "--build-id=none --gc-sections -s --fatal-warnings "
    "--color-diagnostics=never --threads=1";

/// How lld calls an architecture, and the largest page size of its systems: a
/// file aligned to less does not load there. 16 KiB is Android's rule for
/// x86-64; Arm kernels with 64 KiB pages exist.
static std::vector<std::string> getTargetArgs(const Triple &target) {
  if (target.getArch() == Triple::x86_64)
    return {"-m", "elf_x86_64", "-z", "max-page-size=16384"};
  return {"-m", "aarch64linux", "-z", "max-page-size=65536"};
}

/// Runs lld. It keeps global state, so only one link runs at a time.
static Error runLld(std::vector<std::string> args, const LinkInputs &inputs) {
  for (const MemoryFile &file : inputs.files)
    args.push_back(file.getPath());
  std::vector<const char *> argv;
  for (const std::string &arg : args)
    argv.push_back(arg.c_str());

  static std::mutex mutex;
  static bool broken = false; // guarded by it
  std::lock_guard<std::mutex> lock(mutex);
  if (broken)
    return failure("internal error: the linker has crashed before");
  std::string out, err;
  raw_string_ostream outStream(out), errStream(err);
  OptionsGuard options;
  lld::Result result =
      lld::lldMain(argv, outStream, errStream, {{lld::Gnu, &lld::elf::link}});
  broken = !result.canRunAgain;
  if (result.retCode)
    return failure("cannot link the model: " + cleanMessage(err, inputs));
  return Error::success();
}

static Error runLinker(const LinkRequest &request, const LinkInputs &inputs,
                       StringRef outputPath) {
  std::vector<std::string> exports = getQuerySymbols(request.modelName);
  LinkInputs scripts;
  if (Error error = scripts.add("exports", makeVersionScript(exports)))
    return error;
  if (Error error = scripts.add("discard", discardScript))
    return error;

  std::vector<std::string> args = {"ld.lld"};
  for (StringRef flag : split(linkFlags, ' '))
    args.push_back(flag.str());
  append_range(args, getTargetArgs(request.target));
  args.push_back("--version-script=" + scripts.files[0].getPath());
  args.push_back(scripts.files[1].getPath());
  args.push_back("--output=" + outputPath.str());
  for (const std::string &name : exports)
    args.push_back("--defsym=" + name + "=itera_runtime_query");
  return runLld(std::move(args), inputs);
}

Expected<std::unique_ptr<MemoryBuffer>>
itera::linkObject(const LinkRequest &request) {
  Expected<LinkInputs> inputs = collectInputs(request, /*withRuntime=*/false);
  if (!inputs)
    return inputs.takeError();
  Expected<std::unique_ptr<MemorySink>> sink = MemorySink::create();
  if (!sink)
    return sink.takeError();
  std::vector<std::string> args = {"ld.lld", "-r", "--threads=1",
                                   "--color-diagnostics=never",
                                   "--output=" + (*sink)->getPath()};
  append_range(args, getTargetArgs(request.target));
  if (Error error = runLld(std::move(args), *inputs))
    return std::move(error);
  return MemoryBuffer::getMemBufferCopy(
      (*sink)->take(), sanitizeModelName(request.modelName) + ".o");
}

Expected<std::unique_ptr<MemoryBuffer>>
itera::linkShared(const LinkRequest &request) {
  Expected<LinkInputs> inputs = collectInputs(request);
  if (!inputs)
    return inputs.takeError();
  Expected<std::unique_ptr<MemorySink>> sink = MemorySink::create();
  if (!sink)
    return sink.takeError();
  if (Error error = runLinker(request, *inputs, (*sink)->getPath()))
    return std::move(error);
  auto buffer = MemoryBuffer::getMemBufferCopy(
      (*sink)->take(), sanitizeModelName(request.modelName) + ".so");
  if (Error error =
          checkSharedObject(*buffer, getQuerySymbols(request.modelName)))
    return std::move(error);
  return std::move(buffer);
}

Error itera::linkSharedToFile(const LinkRequest &request, StringRef path) {
  // Only a regular file can be replaced; /dev/null and pipes are written to.
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path)) {
    Expected<std::unique_ptr<MemoryBuffer>> linked = linkShared(request);
    if (!linked)
      return linked.takeError();
    return writeFileAtomically(path, (*linked)->getBuffer());
  }
  Expected<LinkInputs> inputs = collectInputs(request);
  if (!inputs)
    return inputs.takeError();
  // Beside the final path, so that the rename at the end stays on one device.
  Expected<sys::fs::TempFile> temporary =
      sys::fs::TempFile::create(path + ".tmp-%%%%%%%%");
  if (!temporary)
    return failure("cannot write '" + path +
                   "': " + toString(temporary.takeError()));
  scope_exit discard([&] { consumeError(temporary->discard()); });
  if (Error error = runLinker(request, *inputs, temporary->TmpName))
    return error;
  ErrorOr<std::unique_ptr<MemoryBuffer>> linked =
      MemoryBuffer::getFile(temporary->TmpName, /*IsText=*/false,
                            /*RequiresNullTerminator=*/false);
  if (!linked)
    return failure("cannot read back '" + path +
                   "': " + linked.getError().message());
  if (Error error =
          checkSharedObject(**linked, getQuerySymbols(request.modelName)))
    return error;
  discard.release();
  if (Error error = temporary->keep(path))
    return failure("cannot write '" + path +
                   "': " + toString(std::move(error)));
  return Error::success();
}
