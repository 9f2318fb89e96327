// SPDX-License-Identifier: Apache-2.0
// One model file to one artefact.

#ifndef ITERA_PIPELINES_COMPILE_H
#define ITERA_PIPELINES_COMPILE_H

#include "itera/Pipelines/Pipelines.h"
#include "itera/Support/Target.h"
#include "itera/Transforms/Quantize/MixedPrecision.h"
#include "mlir/IR/MLIRContext.h"
#include <optional>
#include <string>
#include <vector>

namespace itera {

/// Whether the artefact gets step, prefill and the rest of a stream.
enum class StreamKind { none, whereKnown, required };

enum class EmitKind { shared, object, header, mlir, llvm, assembly };

struct CompileOptions {
  std::string input, output;
  /// The model's name in the artefact; empty: the stem of the input's name.
  std::string name;
  TargetSpec target;
  EmitKind emit = EmitKind::shared;
  /// The last stage to run; before `emit` the output is MLIR text.
  Stage stopAfter = Stage::emit;
  /// 0: no raising and no kernels, the oracle of everything else.
  unsigned optLevel = 2;
  /// Shapes of inputs that the file leaves open: (name, dims).
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  /// Bits of the weights: 4, 8, 16 or 32.
  unsigned bits = 32;
  /// Elements along K that share a scale of 4 bits.
  int64_t group = 32;
  /// Precisions of single weights, as NAME=f32, f16, i8 or i4.
  std::vector<std::string> precisions;
  /// The most bytes that all weights may take, of 4 bits and more; none given:
  /// as `bits` says.
  WeightBudget budget;
  /// Print which weight is stored how, on stderr.
  bool explainPrecision = false;
  /// Sample data to choose integers by, an .npz file or a text; empty: none.
  std::string calibration;
  /// A tokenizer.json for the text; empty: bytes.
  std::string tokenizer;
  /// The most frames of the sample data that are used.
  uint64_t calibrationFrames = 32768;
  /// Rotate what linears of integer weights read from recurrences.
  bool rotate = false;
  /// Part of the channels of the scans to remove.
  double prune = 0;
  StreamKind stream = StreamKind::whereKnown;
  /// Time dimensions of inputs, as NAME=DIM.
  std::vector<std::string> timeDims;
  /// Inputs and the outputs that are their next values, as IN=OUT.
  std::vector<std::string> states;
  /// Nodes whose results become outputs; "all": every one.
  std::vector<std::string> taps;
  /// Frames that prefill computes at once; 0: chosen for the model.
  int64_t chunk = 0;
  /// The most frames that an output may need ahead; -1: any number.
  int64_t maxLookahead = -1;
  /// How many frames the stream can take back.
  int64_t rollback = 0;
  /// Print what stage `stream` found.
  bool explainStreaming = false;
  /// Print no notes and warnings: for models that are compiled on the way.
  bool onlyErrors = false;
  unsigned jobs = 1;
  std::string cacheDir;
  /// Whether kernels are formed; without, all runs by the plain lowering.
  bool kernels = true;
  /// Compare with the plain lowering on random inputs, and print the result.
  bool verify = false;
  /// Where to write what quantisation has done, .html or .json; empty: nowhere.
  std::string report;
  /// Sample data to measure it with; empty: that of calibration, or random.
  std::string reportData;
  /// The most frames of these that outputs, states and texts are compared over;
  /// without, 4096.
  std::optional<uint64_t> reportFrames;
  /// This program, to run workers, and its command line for the artefact.
  std::string program, flags;
  /// As it was typed, for the report.
  std::string commandLine;
};

/// What a run ended with; the numbers are exit codes.
enum class CompileStatus { done = 0, badInput = 1, internalError = 2 };

/// Compiles. Diagnostics are lines on stderr; the output is complete or
/// absent. `context` must have what registerDialects() registers.
CompileStatus compile(const CompileOptions &options, mlir::MLIRContext &context);

} // namespace itera

#endif // ITERA_PIPELINES_COMPILE_H
