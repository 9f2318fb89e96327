// SPDX-License-Identifier: Apache-2.0

#include "ReportRuns.h"

#include "itera/Run/Likelihood.h"
#include <cstring>

using namespace llvm;
using namespace itera;

static std::vector<uint32_t> readIds(const std::vector<char> &buffer,
                                     size_t width) {
  std::vector<uint32_t> ids(buffer.size() / width);
  for (auto [i, id] : enumerate(ids))
    std::memcpy(&id, &buffer[i * width], std::min<size_t>(width, 4));
  return ids;
}

static std::unique_ptr<LogitSource>
makeSource(const LoadedModel &model, const LanguageModel &tensors,
           ArrayRef<std::vector<char>> statics) {
  if (model.canStream())
    return std::make_unique<StreamLogits>(model, tensors, statics);
  return std::make_unique<WindowLogits>(model, tensors, statics,
                                        tensors.length);
}

namespace {

/// A text with the inputs that stay the same along it.
struct ReportText {
  std::vector<uint32_t> ids;
  std::vector<std::vector<char>> statics;
};

} // namespace

/// Windows of a model that does not stream are one text.
static std::vector<ReportText> makeTexts(const LoadedModel &model,
                                         const LanguageModel &tensors,
                                         const ReportData &data) {
  std::vector<ReportText> texts;
  size_t width = model.getInputs()[tensors.ids]->bytes / tensors.length;
  for (const Sample &sample : data.samples) {
    std::vector<uint32_t> ids = readIds(sample.inputs[tensors.ids], width);
    if (data.kind == "text" && !texts.empty()) {
      append_range(texts.front().ids, ids);
      continue;
    }
    texts.push_back({std::move(ids), sample.inputs});
    texts.back().statics[tensors.ids].clear();
  }
  return texts;
}

/// A curve: ten points, or twenty to fifty where each then has 512 tokens.
static uint64_t countParts(uint64_t tokens) {
  constexpr uint64_t kTen = 10, kTokens = 512;
  uint64_t tens = std::clamp<uint64_t>(tokens / (kTen * kTokens), 1, 5);
  return std::min(tokens, kTen * tens);
}

/// Where part `part` of `count` begins.
static size_t beginOfPart(size_t tokens, size_t count, size_t part) {
  return tokens * part / count;
}

static std::vector<double> meansOfParts(ArrayRef<double> values) {
  size_t count = countParts(values.size());
  std::vector<double> means;
  for (size_t i = 0; i < count; ++i) {
    size_t begin = beginOfPart(values.size(), count, i),
           end = beginOfPart(values.size(), count, i + 1);
    double sum = 0;
    for (double value : values.slice(begin, end - begin))
      sum += value;
    means.push_back(sum / (end - begin));
  }
  return means;
}

/// The tokens fed when the last of each part is known.
static std::vector<uint64_t> endsOfParts(ArrayRef<size_t> places) {
  size_t count = countParts(places.size());
  std::vector<uint64_t> ends;
  for (size_t i = 1; i <= count; ++i)
    ends.push_back(places[beginOfPart(places.size(), count, i) - 1] + 1);
  return ends;
}

static Expected<LanguageReport> measureTexts(const LoadedModel &before,
                                             const LoadedModel &after,
                                             const LanguageModel &tensors,
                                             const ReportData &data) {
  LanguageReport report;
  double nllBefore = 0, nllAfter = 0, sameTop = 0;
  size_t longest = 0;
  std::vector<double> kl; // of each scored token of a text
  auto visit = [&](size_t, ArrayRef<std::vector<double>> rows) {
    RowDifference difference = compareRows(rows[0], rows[1]);
    report.kl += difference.kl;
    kl.push_back(difference.kl);
    report.cosine += difference.cosine;
    report.maxAbs = std::max(report.maxAbs, difference.maxAbs);
    sameTop += difference.sameTop;
    return Error::success();
  };
  for (const ReportText &text : makeTexts(before, tensors, data)) {
    for (uint32_t id : text.ids)
      if (id >= tensors.vocabulary)
        return createStringError("there is no token %u", id);
    std::unique_ptr<LogitSource> first =
        makeSource(before, tensors, text.statics);
    std::unique_ptr<LogitSource> second =
        makeSource(after, tensors, text.statics);
    kl.clear();
    Expected<TextLikelihood> likelihood =
        measureLikelihood({first.get(), second.get()}, text.ids, {}, visit);
    if (!likelihood)
      return likelihood.takeError();
    report.tokens += text.ids.size();
    report.scored += likelihood->places.size();
    report.windows += likelihood->windows;
    for (double nll : likelihood->nll[0])
      nllBefore += nll;
    for (double nll : likelihood->nll[1])
      nllAfter += nll;
    if (likelihood->places.size() <= longest)
      continue;
    longest = likelihood->places.size();
    report.hasWindows = likelihood->windows > 1;
    report.partEnds = endsOfParts(likelihood->places);
    report.partsKl = meansOfParts(kl);
    if (data.kind == "random")
      continue;
    report.partsBefore = meansOfParts(likelihood->nll[0]);
    report.partsAfter = meansOfParts(likelihood->nll[1]);
  }
  report.kl /= report.scored;
  report.cosine /= report.scored;
  report.sameTop = sameTop / report.scored;
  if (data.kind != "random") {
    report.nllBefore = nllBefore / report.scored;
    report.nllAfter = nllAfter / report.scored;
  }
  return report;
}

Error itera::compareLanguage(const LoadedModel &before,
                             const LoadedModel &after, const ReportData &data,
                             QuantizationReport &report) {
  std::vector<std::vector<char>> statics = data.samples.front().inputs;
  for (auto [info, buffer] : zip_equal(before.getInputs(), statics))
    if (info->role == ITERA_ROLE_STREAM)
      buffer.clear();
  Expected<LanguageModel> tensors = findLanguageModel(before, statics);
  if (!tensors) {
    report.languageProblem = toString(tensors.takeError());
    return Error::success();
  }
  Expected<LanguageReport> language =
      measureTexts(before, after, *tensors, data);
  if (!language)
    report.languageProblem = toString(language.takeError());
  else
    report.language = std::move(*language);
  return Error::success();
}
