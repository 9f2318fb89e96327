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

/// Reads `options`, or makes random inputs if it has no path. The pieces of a
/// text are one sample if the model streams.
llvm::Expected<ReportData> readReportData(const LoadedModel &model,
                                          const SampleOptions &options);

/// `count` frames of a sample from `start` on.
Sample sliceSample(const LoadedModel &model, const Sample &sample,
                   uint64_t start, uint64_t count);

/// The first frames of all samples, at most `frames` (of a model that does not
/// stream: samples) and as many as have outputs of 256 MiB.
std::vector<Sample> limitSamples(const LoadedModel &model,
                                 llvm::ArrayRef<Sample> samples,
                                 uint64_t frames);
uint64_t countFrames(llvm::ArrayRef<Sample> samples);

/// All values of the outputs with `prefix`, over all samples, by the rest of
/// their names.
llvm::Expected<llvm::StringMap<std::vector<float>>>
collectOutputs(const LoadedModel &model, llvm::ArrayRef<Sample> samples,
               llvm::StringRef prefix);

llvm::Error compareOutputs(const LoadedModel &before, const LoadedModel &after,
                           llvm::ArrayRef<Sample> samples,
                           QuantizationReport &report);

/// If the model is one of language; else the report says why not.
llvm::Error compareLanguage(const LoadedModel &before,
                            const LoadedModel &after, const ReportData &data,
                            QuantizationReport &report);

/// Feeds the longest sample to both.
llvm::Error compareStates(const LoadedModel &before, const LoadedModel &after,
                          const ReportData &data, StatesReport &states);

/// Runs both by turns.
llvm::Error compareSpeed(const LoadedModel &before, const LoadedModel &after,
                         const Sample &sample, QuantizationReport &report);

/// The CPU of this machine, as it calls itself.
std::string getHostName();

} // namespace itera

#endif // ITERA_LIB_PIPELINES_REPORTRUNS_H
