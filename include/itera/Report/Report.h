// SPDX-License-Identifier: Apache-2.0
//
// What quantisation has done to a model, and the two files that tell it.
//
// A number that is NaN was not measured; an infinite ratio of signal and noise
// means that nothing differs.

#ifndef ITERA_REPORT_REPORT_H
#define ITERA_REPORT_REPORT_H

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace itera {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

/// One weight. Ratios are in dB.
struct WeightReport {
  std::string name;
  std::string kind;    // of ssm-assign-precision, or "given": of the file
  std::string storage; // "i4", "f32", ...
  std::string input;   // how its linears round theirs: "", "token" or "group"
  int64_t n = 0, k = 0, group = 0;
  uint64_t bytesBefore = 0, bytesAfter = 0;
  /// Of the weight itself; of what its linears give for the same input; of what
  /// they give in the whole quantised model.
  double weightRatio = kNotMeasured, localRatio = kNotMeasured,
         cumulativeRatio = kNotMeasured;
};

/// One output over all data.
struct OutputReport {
  std::string name;
  double maxAbs = kNotMeasured, cosine = kNotMeasured, ratio = kNotMeasured;
};

/// The logits of a language model.
struct LanguageReport {
  uint64_t tokens = 0, scored = 0, windows = 0;
  double kl = 0, sameTop = 0, cosine = 0, maxAbs = 0; // per scored token
  /// In nats per token; not measured if the tokens mean nothing.
  double nllBefore = kNotMeasured, nllAfter = kNotMeasured;
  /// Of equal parts of the longest text: the tokens fed at their ends, and the
  /// means of KL divergence and, if measured, of the two losses.
  std::vector<uint64_t> partEnds;
  std::vector<double> partsKl, partsBefore, partsAfter;
  /// It was no single stream, but several windows, each from the first state:
  /// its parts show no drift.
  bool hasWindows = false;
};

/// |after - before| / |before| of a state, after each of StatesReport::frames.
struct StateReport {
  std::string name, node;
  std::vector<double> errors;
};

struct StatesReport {
  std::string problem; // why there are none
  std::vector<uint64_t> frames;
  std::vector<StateReport> states;
};

/// Medians, in microseconds per frame (of forward: per run).
struct SpeedReport {
  std::string what;
  uint64_t frames = 0; // in a measured run
  double before = 0, after = 0;
};

struct QuantizationReport {
  std::string model, file, sourceHash, compiler, commandLine, triple, cpu;
  /// Artefacts and their images of weights.
  uint64_t fileBefore = 0, fileAfter = 0, imageBefore = 0, imageAfter = 0;
  std::vector<WeightReport> weights; // in the order of the model

  /// "text", "arrays" or "random", its file, and how many frames were used for
  /// the ratios of linears, and for all else; runs if the model does not stream.
  std::string data, dataFile;
  bool streams = true;
  uint64_t frames = 0, layerFrames = 0;
  std::vector<OutputReport> outputs;
  std::optional<LanguageReport> language;
  std::string languageProblem;
  StatesReport states;
  std::vector<SpeedReport> speed;
  std::string speedProblem, host; // host: the CPU's name
  std::vector<std::string> notes;
};

/// Weights of one storage; of the rest (recurrences, norms, padding, further
/// forms of a weight) one entry without a number, so that the sums are those of
/// the images.
struct StorageReport {
  std::string storage;
  uint64_t weights = 0;
  int64_t bytesBefore = 0, bytesAfter = 0;
};
std::vector<StorageReport> sumByStorage(const QuantizationReport &report);

/// The ten with the worst local ratio, worst first: places in `weights`.
std::vector<size_t> findWorst(const QuantizationReport &report,
                              size_t count = 10);

/// Whether errors grow along time: ratios of a late error to an early one.
struct DriftReport {
  /// Mean KL divergence of the first and of the last tenth of the text.
  double klFirst = kNotMeasured, klLast = kNotMeasured;
  double getKlRatio() const { return klLast / klFirst; }
  /// Of each state: mean error in the last quarter of the points over that in
  /// the second. The first is left out, as a stream begins with equal states.
  std::vector<double> stateRatios;
  /// The place of the largest.
  std::optional<size_t> worstState;
};
DriftReport measureDrift(const QuantizationReport &report);

/// JSON has neither infinities nor NaN: a ratio without noise is "exact", and
/// what was not measured or is not finite null.
std::string formatJson(const QuantizationReport &report);
/// One page that needs nothing else.
std::string formatHtml(const QuantizationReport &report);

} // namespace itera

#endif // ITERA_REPORT_REPORT_H
