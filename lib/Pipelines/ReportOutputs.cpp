// SPDX-License-Identifier: Apache-2.0

#include "ReportRuns.h"

#include "itera/Report/Comparison.h"
#include "itera/Run/Likelihood.h"
#include "itera/Run/Tensors.h"
#include <cmath>
#include <cstring>

using namespace llvm;
using namespace itera;

static Expected<std::vector<float>> toFloats(const itera_tensor_info &info,
                                             std::vector<char> buffer) {
  std::vector<float> values;
  if (info.dtype == ITERA_FLOAT32) {
    values.resize(buffer.size() / sizeof(float));
    std::memcpy(values.data(), buffer.data(), buffer.size());
    return values;
  }
  size_t frame = info.role == ITERA_ROLE_STREAM ? getFrameBytes(info) : 0;
  ResizedInfo resized(info, frame ? buffer.size() / frame : 0);
  Expected<NpyArray> array =
      toArray(frame ? resized.get() : info, std::move(buffer));
  if (!array)
    return array.takeError();
  size_t count = array->data.size() / getNpyTypeSize(array->type);
  for (size_t i = 0; i < count; ++i)
    values.push_back(float(getElement(*array, i)));
  return values;
}

Expected<StringMap<std::vector<float>>>
itera::collectOutputs(const LoadedModel &model, ArrayRef<Sample> samples,
                      StringRef prefix) {
  StringMap<std::vector<float>> all;
  for (const Sample &sample : samples) {
    Expected<std::vector<std::vector<char>>> outputs = runSample(model, sample);
    if (!outputs)
      return outputs.takeError();
    for (auto [info, output] : zip_equal(model.getOutputs(), *outputs)) {
      StringRef name(info->name);
      if (!name.consume_front(prefix))
        continue;
      Expected<std::vector<float>> values = toFloats(*info, std::move(output));
      if (!values)
        return values.takeError();
      std::vector<float> &to = all[name];
      to.insert(to.end(), values->begin(), values->end());
    }
  }
  return all;
}

Error itera::compareOutputs(const LoadedModel &before, const LoadedModel &after,
                            ArrayRef<Sample> samples,
                            QuantizationReport &report) {
  std::vector<Comparison> sums(before.getOutputs().size());
  for (const Sample &sample : samples) {
    Expected<std::vector<std::vector<char>>> references =
        runSample(before, sample);
    if (!references)
      return references.takeError();
    Expected<std::vector<std::vector<char>>> values = runSample(after, sample);
    if (!values)
      return values.takeError();
    for (auto [info, sum, reference, value] :
         zip_equal(before.getOutputs(), sums, *references, *values)) {
      Expected<std::vector<float>> from = toFloats(*info, std::move(reference));
      if (!from)
        return from.takeError();
      Expected<std::vector<float>> to = toFloats(*info, std::move(value));
      if (!to)
        return to.takeError();
      sum.add(*from, *to);
    }
  }
  for (auto [info, sum] : zip_equal(before.getOutputs(), sums))
    report.outputs.push_back(
        {info->name, sum.getMaxAbs(), sum.getCosine(), sum.getDecibels()});
  return Error::success();
}

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

/// Means of ten parts.
static std::vector<double> meansOfParts(ArrayRef<double> values) {
  size_t count = std::min<size_t>(values.size(), 10);
  std::vector<double> means;
  for (size_t i = 0; i < count; ++i) {
    size_t begin = values.size() * i / count,
           end = values.size() * (i + 1) / count;
    double sum = 0;
    for (double value : values.slice(begin, end - begin))
      sum += value;
    means.push_back(sum / (end - begin));
  }
  return means;
}

static Expected<LanguageReport> measureTexts(const LoadedModel &before,
                                             const LoadedModel &after,
                                             const LanguageModel &tensors,
                                             const ReportData &data) {
  LanguageReport report;
  double nllBefore = 0, nllAfter = 0, sameTop = 0;
  size_t longest = 0;
  auto visit = [&](size_t, ArrayRef<std::vector<double>> rows) {
    RowDifference difference = compareRows(rows[0], rows[1]);
    report.kl += difference.kl;
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
    if (likelihood->places.size() <= longest || data.kind == "random")
      continue;
    longest = likelihood->places.size();
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
