// SPDX-License-Identifier: Apache-2.0

#include "Options.h"

#include "itera/Import/ONNX.h"
#include "itera/Version.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Threading.h"

using namespace itera;
using namespace llvm;

namespace {

/// The flags. Made by parseCommandLine() and not by static initialisation,
/// because LLVM's code generator has registered a flag of the same name.
struct Flags {
  cl::OptionCategory category{"itera-compile options"};

  cl::opt<std::string> input{cl::Positional,
                             cl::desc("MODEL (.onnx, or .mlir of a stage)"),
                             cl::cat(category)};
  cl::opt<std::string> output{
      "o",
      cl::desc("Output file; default: MODEL with the "
               "ending of what is emitted; - for stdout"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> target{
      "target",
      cl::desc(
          "x86_64, aarch64, rpi3, rpi4, rpi5 or a triple; default: this host"),
      cl::value_desc("target"), cl::cat(category)};
  cl::opt<std::string> cpu{
      "mcpu",
      cl::desc("CPU that the code may assume, or native; default: x86-64-v3, "
               "generic aarch64, or the board's"),
      cl::value_desc("cpu"), cl::cat(category)};
  cl::opt<unsigned> bits{"bits",
                         cl::desc("Bits of the weights: 4 (int4 in groups, "
                                  "int8 where that costs too much), 8, 16, or "
                                  "32 (default: no quantisation)"),
                         cl::init(32), cl::cat(category)};
  cl::opt<int64_t> group{
      "group",
      cl::desc("Elements of a row that share a scale of 4 bits: 16, 32 "
               "(default), 64 or 128"),
      cl::init(32), cl::cat(category)};
  cl::opt<std::string> calibration{
      "calibrate",
      cl::desc("Choose the integers of --bits=4 by what the model does with "
               "this data: .npz with its inputs, or a text"),
      cl::value_desc("file.npz|text"), cl::cat(category)};
  cl::opt<std::string> tokenizer{
      "tokenizer",
      cl::desc("The tokenizer.json of the text; default: bytes"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<uint64_t> calibrationFrames{
      "calibrate-frames",
      cl::desc("The most frames, or tokens, to calibrate with; default: 32768"),
      cl::init(32768), cl::value_desc("frames"), cl::cat(category)};
  cl::list<std::string> precisions{
      "precision", cl::CommaSeparated,
      cl::desc("Store this weight so, whatever --bits says; * stands for any "
               "characters of its name"),
      cl::value_desc("NAME=f32|f16|i8|i4"), cl::cat(category)};
  cl::opt<std::string> budget{
      "budget",
      cl::desc("With --bits=4: the most bytes that all weights together may "
               "take, as 450k, 2.5M (k: 1000) or 450000, or as a part of what "
               "they take in f32, as 0.2; weights that matter most for the "
               "outputs, by the data of --calibrate, get int8 or f16"),
      cl::value_desc("SIZE|RATIO"), cl::cat(category)};
  cl::opt<bool> explainPrecision{
      "explain-precision",
      cl::desc("Print how each weight is stored, its class and bytes, and with "
               "--budget how much it matters, on stderr"),
      cl::cat(category)};
  cl::opt<bool> rotate{
      "rotate",
      cl::desc("With --bits=4 or 8: spread the outliers of recurrences over "
               "all channels, by a Hadamard rotation, before their outputs are "
               "rounded to int8; default: no"),
      cl::init(false), cl::cat(category)};
  cl::opt<double> prune{
      "prune",
      cl::desc("The part of the channels of selective scans to remove, the "
               "least important first; default: 0"),
      cl::init(0), cl::value_desc("0.25"), cl::cat(category)};
  cl::opt<std::string> name{
      "name",
      cl::desc("The model's name, as in itera_model_query_NAME; default: that "
               "of the file"),
      cl::value_desc("name"), cl::cat(category)};
  cl::list<std::string> shapes{
      "shape", cl::desc("Shape of an input that the file leaves open"),
      cl::value_desc("NAME=1x128"), cl::cat(category)};
  cl::opt<EmitKind> emit{
      "emit", cl::desc("What to write"), cl::init(EmitKind::shared),
      cl::values(
          clEnumValN(EmitKind::shared, "shared",
                     "shared object, and its C header (default)"),
          clEnumValN(EmitKind::object, "object",
                     "relocatable object: code and weights, without the "
                     "runtime"),
          clEnumValN(EmitKind::header, "header", "the C header alone"),
          clEnumValN(EmitKind::mlir, "mlir",
                     "MLIR after the last stage before emit"),
          clEnumValN(EmitKind::llvm, "llvm", "LLVM IR of the model's code"),
          clEnumValN(EmitKind::assembly, "asm",
                     "assembly of the model's code")),
      cl::cat(category)};
  cl::opt<std::string> stopAfter{
      "stop-after",
      cl::desc("Write the MLIR after this stage: import, raise, "
               "quantize, stream, fuse or plan"),
      cl::value_desc("stage"), cl::cat(category)};
  cl::opt<StreamKind> stream{
      "stream",
      cl::desc("Whether the artefact has step, prefill and states"),
      cl::init(StreamKind::whereKnown),
      cl::values(clEnumValN(StreamKind::none, "none", "no: forward alone"),
                 clEnumValN(StreamKind::whereKnown, "auto",
                            "where the model can stream (default)"),
                 clEnumValN(StreamKind::required, "required",
                            "yes: a model that cannot is an error")),
      cl::cat(category)};
  cl::list<std::string> timeDims{
      "time-dim",
      cl::desc("Which dimension of an input is time; default: inferred"),
      cl::value_desc("NAME=DIM"), cl::cat(category)};
  cl::list<std::string> states{
      "state",
      cl::desc("An input and the output that is its next value; default: by "
               "their names"),
      cl::value_desc("IN=OUT"), cl::cat(category)};
  cl::opt<int64_t> chunk{
      "chunk",
      cl::desc("Frames that prefill computes at once; default: chosen for the "
               "model"),
      cl::init(0), cl::value_desc("frames"), cl::cat(category)};
  cl::opt<int64_t> maxLookahead{
      "max-lookahead",
      cl::desc("Do not stream a model that needs more frames ahead"),
      cl::init(-1), cl::value_desc("frames"), cl::cat(category)};
  cl::opt<int64_t> rollback{
      "rollback",
      cl::desc("How many of its last frames a stream can take back; default: "
               "none"),
      cl::init(0), cl::value_desc("frames"), cl::cat(category)};
  cl::list<std::string> taps{
      "taps", cl::CommaSeparated,
      cl::desc("Make the results of these nodes further outputs, for "
               "itera-run --compare-stream; all: of every node"),
      cl::value_desc("all|NODE,..."), cl::cat(category)};
  cl::opt<bool> explainStreaming{
      "explain-streaming",
      cl::desc("Print rate, latency and states of the stream, with the nodes "
               "that they come from; or the node that prevents it"),
      cl::cat(category)};
  cl::opt<unsigned> optLevel{"opt-level",
                             cl::desc("0: no raising and no kernels, the plain "
                                      "lowering alone; 2: all (default)"),
                             cl::init(2), cl::cat(category)};
  cl::opt<unsigned> jobs{
      "jobs",
      cl::desc("Kernels compiled at a time; default: the number of CPUs"),
      cl::init(0), cl::cat(category)};
  cl::opt<std::string> cacheDir{
      "cache-dir",
      cl::desc("Where compiled kernels are kept; empty for nowhere; default: "
               "itera in the user's cache folder"),
      cl::value_desc("dir"), cl::cat(category)};
  cl::opt<bool> verify{
      "verify",
      cl::desc("Compile the model plainly too, run both here on random inputs, "
               "and print the largest difference of each output"),
      cl::cat(category)};
  cl::opt<std::string> report{
      "report",
      cl::desc("Measure what quantisation does (bytes, errors of layers, "
               "outputs and states, speed) and write it down: a page or JSON"),
      cl::value_desc("file.html|file.json"), cl::cat(category)};
  cl::opt<std::string> reportData{
      "report-data",
      cl::desc("What to measure with: .npz with the model's inputs, or a text; "
               "default: the data of --calibrate, or else random inputs"),
      cl::value_desc("file.npz|text"), cl::cat(category)};
  cl::opt<uint64_t> reportFrames{
      "report-frames",
      cl::desc("The most frames, or tokens, that --report streams for outputs, "
               "states and texts; default: 4096"),
      cl::init(4096), cl::value_desc("frames"), cl::cat(category)};
  cl::opt<bool> listOps{
      "list-supported-ops",
      cl::desc("Print the operators that models may use, as Markdown"),
      cl::cat(category)};
};

} // namespace

static Error parseShape(StringRef text, CompileOptions &options) {
  auto [name, list] = text.rsplit('=');
  SmallVector<StringRef> parts;
  list.split(parts, 'x');
  std::vector<int64_t> dims;
  if (list.empty() && text.contains('='))
    parts.clear(); // a scalar
  for (StringRef part : parts) {
    int64_t dim;
    if (part.getAsInteger(10, dim) || dim < 0)
      return createStringError("--shape=%s: expected NAME=1x128",
                               text.str().c_str());
    dims.push_back(dim);
  }
  if (name.empty() || !text.contains('='))
    return createStringError("--shape=%s: expected NAME=1x128",
                             text.str().c_str());
  options.shapes.push_back({name.str(), dims});
  return Error::success();
}

static StringRef endingOf(const CompileOptions &options) {
  if (options.stopAfter != Stage::emit)
    return "mlir";
  switch (options.emit) {
  case EmitKind::shared:
    return "so";
  case EmitKind::object:
    return "o";
  case EmitKind::header:
    return "h";
  case EmitKind::mlir:
    return "mlir";
  case EmitKind::llvm:
    return "ll";
  case EmitKind::assembly:
    return "s";
  }
  llvm_unreachable("an output kind without an ending");
}

static Error checkReportFlags(const CompileOptions &options) {
  StringRef report = options.report;
  if (report.empty()) {
    if (!options.reportData.empty())
      return createStringError("--report-data: needs --report");
    if (options.reportFrames)
      return createStringError("--report-frames: needs --report");
    return Error::success();
  }
  if (!report.ends_with(".html") && !report.ends_with(".json"))
    return createStringError("--report=%s: expected a file .html or .json",
                             options.report.c_str());
  if (options.report == options.input || options.report == options.output)
    return createStringError("--report=%s: would overwrite the %s",
                             options.report.c_str(),
                             options.report == options.input ? "model"
                                                             : "artefact");
  if (options.optLevel == 0)
    return createStringError("--report: needs --opt-level=2");
  if (options.stopAfter != Stage::emit || (options.emit != EmitKind::shared &&
                                           options.emit != EmitKind::object))
    return createStringError(
        "--report: needs a shared object or an object as output");
  if (!options.taps.empty())
    return createStringError("--report: goes without --taps");
  return Error::success();
}

/// The arguments, quoted where a shell would part them.
static std::string quoteCommandLine(int argc, char **argv) {
  std::string line = sys::path::filename(argv[0]).str();
  for (int i = 1; i < argc; ++i) {
    std::string argument;
    raw_string_ostream stream(argument);
    sys::printArg(stream, argv[i], /*Quote=*/StringRef(argv[i]).contains(' '));
    line += " " + argument;
  }
  return line;
}

Expected<CompileOptions> itera::parseCommandLine(int argc, char **argv) {
  if (cl::Option *taken = cl::getRegisteredOptions().lookup("stop-after"))
    taken->removeArgument();
  static Flags flags;
  mlir::registerPassManagerCLOptions();
  mlir::registerDefaultTimingManagerCLOptions();
  cl::HideUnrelatedOptions(flags.category);
  cl::SetVersionPrinter([](raw_ostream &os) {
    os << "itera-compile " << kVersion << " (LLVM " << LLVM_VERSION_STRING
       << ", targets x86_64 aarch64)\n";
  });
  std::string errors;
  raw_string_ostream stream(errors);
  if (!cl::ParseCommandLineOptions(
          argc, argv,
          "Compiles a state space model to one shared object with no "
          "dependencies.\n\nExit codes: 0 done, 1 the model or the command "
          "line is at fault, 2 internal error.\n",
          &stream)) {
    StringRef first = StringRef(errors).split('\n').first;
    return createStringError("%s", first.str().c_str());
  }
  if (flags.listOps) {
    printSupportedOps(outs());
    outs().flush();
    exit(0);
  }
  if (flags.input.empty())
    return createStringError("no model given; try itera-compile --help");
  if (flags.bits != 4 && flags.bits != 8 && flags.bits != 16 &&
      flags.bits != 32)
    return createStringError("--bits=%u: expected 4, 8, 16 or 32",
                             flags.bits.getValue());
  if (!is_contained({16, 32, 64, 128}, flags.group.getValue()))
    return createStringError("--group=%lld: expected 16, 32, 64 or 128",
                             static_cast<long long>(flags.group));
  for (const std::string &entry : flags.precisions) {
    auto [name, type] = StringRef(entry).rsplit('=');
    if (name.empty() || !is_contained({"f32", "f16", "i8", "i4"}, type))
      return createStringError(
          "--precision=%s: expected NAME=f32, f16, i8 or i4", entry.c_str());
  }
  if (!flags.calibration.empty() && flags.bits != 4)
    return createStringError("--calibrate: needs --bits=4");
  WeightBudget budget;
  if (flags.budget.getNumOccurrences()) {
    Expected<WeightBudget> parsed = parseWeightBudget(flags.budget);
    if (!parsed)
      return createStringError("--budget: %s",
                               toString(parsed.takeError()).c_str());
    if (flags.bits != 4)
      return createStringError("--budget: needs --bits=4, but got %u",
                               flags.bits.getValue());
    budget = *parsed;
  }
  if (flags.explainPrecision && flags.optLevel == 0)
    return createStringError("--explain-precision: needs --opt-level=2");
  if (flags.calibrationFrames < 1 || flags.calibrationFrames > (1 << 26))
    return createStringError(
        "--calibrate-frames=%llu: expected 1 to 67108864",
        static_cast<unsigned long long>(flags.calibrationFrames));
  if (flags.reportFrames < 1 || flags.reportFrames > (1 << 26))
    return createStringError(
        "--report-frames=%llu: expected 1 to 67108864",
        static_cast<unsigned long long>(flags.reportFrames));
  if (!flags.tokenizer.empty() && flags.calibration.empty() &&
      flags.reportData.empty())
    return createStringError("--tokenizer: needs --calibrate or --report-data");
  if (flags.optLevel == 0 && (flags.bits != 32 || !flags.precisions.empty()))
    return createStringError("%s: needs --opt-level=2",
                             flags.bits != 32 ? "--bits" : "--precision");

  if (flags.rotate && flags.bits != 4 && flags.bits != 8)
    return createStringError("--rotate: needs --bits=4 or 8, but got %u",
                             flags.bits.getValue());

  if (flags.optLevel != 0 && flags.optLevel != 2)
    return createStringError("--opt-level=%u: expected 0 or 2",
                             flags.optLevel.getValue());

  if (!(flags.prune >= 0 && flags.prune < 1))
    return createStringError(
        "--prune=%g: expected a part from 0 to less than 1",
        flags.prune.getValue());

  CompileOptions options;
  options.rotate = flags.rotate;
  options.prune = flags.prune;
  options.input = flags.input;
  options.name = flags.name;
  options.emit = flags.emit;
  options.optLevel = flags.optLevel;
  options.verify = flags.verify;
  options.report = flags.report;
  options.reportData = flags.reportData;
  if (flags.reportFrames.getNumOccurrences())
    options.reportFrames = flags.reportFrames;
  options.stream = flags.stream;
  options.bits = flags.bits;
  options.group = flags.group;
  options.budget = budget;
  options.explainPrecision = flags.explainPrecision;
  options.calibration = flags.calibration;
  options.tokenizer = flags.tokenizer;
  options.calibrationFrames = flags.calibrationFrames;
  options.precisions.assign(flags.precisions.begin(), flags.precisions.end());
  options.explainStreaming = flags.explainStreaming;
  options.timeDims.assign(flags.timeDims.begin(), flags.timeDims.end());
  options.states.assign(flags.states.begin(), flags.states.end());
  options.taps.assign(flags.taps.begin(), flags.taps.end());
  options.chunk = flags.chunk;
  options.maxLookahead = flags.maxLookahead;
  options.rollback = flags.rollback;
  // What is kept for it is moved at every step.
  constexpr int64_t kMostRollback = 4096;
  if (flags.rollback < 0 || flags.rollback > kMostRollback)
    return createStringError("--rollback=%lld: expected 0 to %lld frames",
                             static_cast<long long>(flags.rollback),
                             static_cast<long long>(kMostRollback));
  if (flags.rollback > 0 && (flags.optLevel == 0 || flags.stream == StreamKind::none))
    return createStringError("--rollback: needs a stream, but got %s",
                             flags.optLevel == 0 ? "--opt-level=0"
                                                 : "--stream=none");
  if (flags.optLevel == 0 && flags.stream == StreamKind::required)
    return createStringError("--stream=required: needs --opt-level=2");
  if (flags.chunk.getNumOccurrences() &&
      (flags.chunk < 1 || flags.chunk > (1 << 20)))
    return createStringError("--chunk=%lld: expected 1 to 1048576 frames",
                             static_cast<long long>(flags.chunk));
  options.jobs =
      flags.jobs ? flags.jobs : hardware_concurrency().compute_thread_count();
  if (!flags.stopAfter.empty()) {
    std::optional<Stage> stage = stageFromName(flags.stopAfter);
    if (!stage || *stage == Stage::emit)
      return createStringError("--stop-after=%s: expected import, raise, "
                               "quantize, stream, fuse or plan",
                               flags.stopAfter.c_str());
    options.stopAfter = *stage;
  } else if (flags.emit == EmitKind::mlir) {
    options.stopAfter = Stage::plan;
  }
  Expected<TargetSpec> spec = resolveTarget(flags.target, flags.cpu);
  if (!spec)
    return spec.takeError();
  options.target = *spec;
  for (const std::string &shape : flags.shapes)
    if (Error error = parseShape(shape, options))
      return error;

  SmallString<128> path(flags.output);
  if (path.empty()) {
    path = flags.input;
    sys::path::replace_extension(path, endingOf(options));
  }
  if (path == flags.input)
    return createStringError("the output would overwrite the model '%s'",
                             flags.input.c_str());
  if (path == "-" && options.stopAfter == Stage::emit &&
      options.emit == EmitKind::shared)
    return createStringError(
        "a shared object does not go to stdout; give -o FILE");
  options.output = path.str().str();
  if (options.verify &&
      (options.stopAfter != Stage::emit || options.emit != EmitKind::shared))
    return createStringError("--verify needs a shared object as output");

  if (Error error = checkReportFlags(options))
    return error;

  SmallString<128> cache(flags.cacheDir);
  if (flags.cacheDir.getNumOccurrences() == 0 &&
      sys::path::cache_directory(cache))
    sys::path::append(cache, "itera");
  options.cacheDir = cache.str().str();
  options.program = sys::fs::getMainExecutable(
      argv[0], reinterpret_cast<void *>(&itera::parseCommandLine));
  // What the artefact records must not depend on where it was made.
  options.flags = "--bits=" + utostr(flags.bits) +
                  " --opt-level=" + utostr(flags.optLevel) +
                  " --mcpu=" + options.target.cpu;
  if (budget.isGiven())
    options.flags += " --budget=" + flags.budget;
  if (options.rotate)
    options.flags += " --rotate";
  options.commandLine = quoteCommandLine(argc, argv);
  if (options.prune > 0)
    options.flags += formatv(" --prune={0}", options.prune).str();
  if (!options.taps.empty())
    options.flags += " --taps=" + join(options.taps, ",");
  return options;
}
