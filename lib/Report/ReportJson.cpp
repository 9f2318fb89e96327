// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Report.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace llvm;
using namespace itera;

std::vector<StorageReport>
itera::sumByStorage(const QuantizationReport &report) {
  std::vector<StorageReport> sums;
  StorageReport rest{"rest", 0, int64_t(report.imageBefore),
                     int64_t(report.imageAfter)};
  for (const WeightReport &weight : report.weights) {
    auto found = find_if(sums, [&](const StorageReport &sum) {
      return sum.storage == weight.storage;
    });
    if (found == sums.end())
      found = sums.insert(sums.end(), {weight.storage, 0, 0, 0});
    ++found->weights;
    found->bytesBefore += weight.bytesBefore;
    found->bytesAfter += weight.bytesAfter;
    rest.bytesBefore -= weight.bytesBefore;
    rest.bytesAfter -= weight.bytesAfter;
  }
  sort(sums, [](const StorageReport &a, const StorageReport &b) {
    return std::tie(b.bytesAfter, a.storage) <
           std::tie(a.bytesAfter, b.storage);
  });
  sums.push_back(rest);
  return sums;
}

std::vector<size_t> itera::findWorst(const QuantizationReport &report,
                                     size_t count) {
  std::vector<size_t> places;
  for (auto [place, weight] : enumerate(report.weights))
    if (!std::isnan(weight.localRatio) && !std::isinf(weight.localRatio))
      places.push_back(place);
  sort(places, [&](size_t a, size_t b) {
    return std::pair(report.weights[a].localRatio, a) <
           std::pair(report.weights[b].localRatio, b);
  });
  places.resize(std::min(places.size(), count));
  return places;
}

static json::Value toJson(double value) {
  return std::isfinite(value) ? json::Value(value) : json::Value(nullptr);
}

static json::Value ratioToJson(double ratio) {
  return std::isinf(ratio) && ratio > 0 ? json::Value("exact") : toJson(ratio);
}

static json::Value toJson(uint64_t value) { return int64_t(value); }
static json::Value toJson(const std::string &text) {
  return json::fixUTF8(text);
}

static json::Array toJson(const std::vector<double> &values) {
  json::Array array;
  for (double value : values)
    array.push_back(toJson(value));
  return array;
}

static json::Array toJson(const std::vector<uint64_t> &values) {
  json::Array array;
  for (uint64_t value : values)
    array.push_back(toJson(value));
  return array;
}

static json::Object toJson(const WeightReport &weight) {
  return json::Object{{"name", toJson(weight.name)},
          {"class", toJson(weight.kind)},
          {"shape", json::Array{weight.n, weight.k}},
          {"storage", toJson(weight.storage)},
          {"group", weight.group},
          {"input", toJson(weight.input)},
          {"bytes_before", toJson(weight.bytesBefore)},
          {"bytes_after", toJson(weight.bytesAfter)},
          {"sqnr_weight_db", ratioToJson(weight.weightRatio)},
          {"sqnr_local_db", ratioToJson(weight.localRatio)},
          {"sqnr_cumulative_db", ratioToJson(weight.cumulativeRatio)}};
}

static json::Object toJson(const LanguageReport &language) {
  return json::Object{{"tokens", toJson(language.tokens)},
          {"scored_tokens", toJson(language.scored)},
          {"windows", toJson(language.windows)},
          {"kl_per_token", toJson(language.kl)},
          {"top1_agreement", toJson(language.sameTop)},
          {"cosine", toJson(language.cosine)},
          {"max_logit_difference", toJson(language.maxAbs)},
          {"nll_before", toJson(language.nllBefore)},
          {"nll_after", toJson(language.nllAfter)},
          {"perplexity_before", toJson(std::exp(language.nllBefore))},
          {"perplexity_after", toJson(std::exp(language.nllAfter))},
          {"ends_of_parts", toJson(language.partEnds)},
          {"kl_of_parts", toJson(language.partsKl)},
          {"nll_of_parts_before", toJson(language.partsBefore)},
          {"nll_of_parts_after", toJson(language.partsAfter)}};
}

static json::Value orNull(const std::string &text) {
  return text.empty() ? json::Value(nullptr) : toJson(text);
}

static json::Object driftToJson(const QuantizationReport &report) {
  DriftReport drift = measureDrift(report);
  json::Object object{{"kl_first_tenth", toJson(drift.klFirst)},
                      {"kl_last_tenth", toJson(drift.klLast)},
                      {"kl_last_over_first", toJson(drift.getKlRatio())},
                      {"state_last_over_second_quarter", nullptr},
                      {"worst_state", nullptr}};
  if (std::optional<size_t> worst = drift.worstState) {
    object["state_last_over_second_quarter"] =
        toJson(drift.stateRatios[*worst]);
    object["worst_state"] = toJson(report.states.states[*worst].name);
  }
  return object;
}

static json::Object statesToJson(const StatesReport &states) {
  json::Array curves;
  for (const StateReport &state : states.states)
    curves.push_back(json::Object{{"name", toJson(state.name)},
                                  {"node", toJson(state.node)},
                                  {"relative_errors", toJson(state.errors)}});
  return json::Object{{"problem", orNull(states.problem)},
          {"frames", toJson(states.frames)},
          {"curves", std::move(curves)}};
}

static json::Object sizesToJson(const QuantizationReport &report) {
  json::Array storages;
  for (const StorageReport &sum : sumByStorage(report))
    storages.push_back(json::Object{{"storage", sum.storage},
                                    {"weights", toJson(sum.weights)},
                                    {"bytes_before", sum.bytesBefore},
                                    {"bytes_after", sum.bytesAfter}});
  return json::Object{{"file_bytes_before", toJson(report.fileBefore)},
          {"file_bytes_after", toJson(report.fileAfter)},
          {"weight_bytes_before", toJson(report.imageBefore)},
          {"weight_bytes_after", toJson(report.imageAfter)},
          {"by_storage", std::move(storages)}};
}

std::string itera::formatJson(const QuantizationReport &report) {
  json::Array weights, worst, outputs, speed, notes;
  for (const WeightReport &weight : report.weights)
    weights.push_back(toJson(weight));
  for (size_t place : findWorst(report))
    worst.push_back(toJson(report.weights[place].name));
  for (const OutputReport &output : report.outputs)
    outputs.push_back(json::Object{{"name", toJson(output.name)},
                                   {"max_abs_diff", toJson(output.maxAbs)},
                                   {"cosine", toJson(output.cosine)},
                                   {"sqnr_db", ratioToJson(output.ratio)}});
  for (const SpeedReport &entry : report.speed)
    speed.push_back(json::Object{{"what", entry.what},
                                 {"frames", toJson(entry.frames)},
                                 {"microseconds_before", toJson(entry.before)},
                                 {"microseconds_after", toJson(entry.after)}});
  for (const std::string &note : report.notes)
    notes.push_back(toJson(note));
  json::Object object{
      {"model", toJson(report.model)},
      {"file", toJson(report.file)},
      {"source_hash", toJson(report.sourceHash)},
      {"compiler", toJson(report.compiler)},
      {"command_line", toJson(report.commandLine)},
      {"target", json::Object{{"triple", toJson(report.triple)},
                              {"cpu", toJson(report.cpu)}}},
      {"sizes", sizesToJson(report)},
      {"weights", std::move(weights)},
      {"worst", std::move(worst)},
      {"data", json::Object{{"kind", report.data},
                            {"file", orNull(report.dataFile)},
                            {"unit", report.streams ? "frames" : "runs"},
                            {"frames", toJson(report.frames)},
                            {"layer_frames", toJson(report.layerFrames)}}},
      {"outputs", std::move(outputs)},
      {"language", nullptr},
      {"language_problem", orNull(report.languageProblem)},
      {"states", statesToJson(report.states)},
      {"drift", driftToJson(report)},
      {"speed", json::Object{{"host", orNull(report.host)},
                             {"problem", orNull(report.speedProblem)},
                             {"runs", std::move(speed)}}},
      {"notes", std::move(notes)}};
  if (report.language)
    object["language"] = toJson(*report.language);
  std::string text;
  raw_string_ostream stream(text);
  stream << formatv("{0:2}", json::Value(std::move(object))) << "\n";
  return text;
}
