// SPDX-License-Identifier: Apache-2.0
// Two artefacts of one model, run side by side.

#ifndef ITERA_LIB_PIPELINES_REPORTRUNS_H
#define ITERA_LIB_PIPELINES_REPORTRUNS_H

#include "itera/Report/Report.h"
#include "itera/Run/SampleData.h"
#include "llvm/ADT/StringMap.h"

namespace itera {

/// What both are run over.
struct ReportData {
  std::string kind; // "text", "arrays" or "random"
  std::vector<Sample> samples;
};

/// Reads `options`, or makes random inputs if it has no path: of a model that
/// streams options.frames frames at most, of any other as many runs. The pieces
/// of a text are one sample if the model streams.
llvm::Expected<ReportData> readReportData(const LoadedModel &model,
                                          const SampleOptions &options);

/// `count` frames of a sample from `start` on.
Sample sliceSample(const LoadedModel &model, const Sample &sample,
                   uint64_t start, uint64_t count);

/// At most `frames`, and as many as have outputs of 256 MiB; at least 1.
uint64_t fitFrames(const LoadedModel &model, uint64_t frames);

/// The first frames of all samples, at most `frames` (of a model that does not
/// stream: samples).
std::vector<Sample> limitSamples(const LoadedModel &model,
                                 llvm::ArrayRef<Sample> samples,
                                 uint64_t frames);
uint64_t countFrames(llvm::ArrayRef<Sample> samples);

/// All values of the outputs with `prefix`, over all samples, by the rest of
/// their names.
llvm::Expected<llvm::StringMap<std::vector<float>>>
collectOutputs(const LoadedModel &model, llvm::ArrayRef<Sample> samples,
               llvm::StringRef prefix);

/// Outputs over all samples, and states along the longest. Of a stream no more
/// is kept than of one call.
llvm::Error compareRuns(const LoadedModel &before, const LoadedModel &after,
                        const ReportData &data, QuantizationReport &report);

/// Names the states; false if there are none, and `states` says why.
bool listStates(const LoadedModel &before, const LoadedModel &after,
                StatesReport &states);
/// The next point of every curve: now, after `frames` frames.
llvm::Error addStates(const LoadedModel &before, const LoadedModel &after,
                      uint64_t frames, StatesReport &states);

/// If the model is one of language; else the report says why not.
llvm::Error compareLanguage(const LoadedModel &before,
                            const LoadedModel &after, const ReportData &data,
                            QuantizationReport &report);

/// Runs both by turns.
llvm::Error compareSpeed(const LoadedModel &before, const LoadedModel &after,
                         const Sample &sample, QuantizationReport &report);

/// The CPU of this machine, as it calls itself.
std::string getHostName();

} // namespace itera

#endif // ITERA_LIB_PIPELINES_REPORTRUNS_H
