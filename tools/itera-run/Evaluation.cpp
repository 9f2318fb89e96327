// SPDX-License-Identifier: Apache-2.0

#include "Evaluation.h"
#include "Options.h"
#include "itera/Support/Npz.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include <cmath>
#include <cstring>

using namespace llvm;
using namespace itera;

/// Parts of the text whose bits per byte are printed, to show a drift.
static constexpr size_t maxParts = 10;

namespace {

/// Sums over scored tokens.
struct Score {
  size_t tokens = 0;
  double nll = 0; // nats
  double bytes = 0;

  double getBitsPerByte() const { return nll / std::log(2.0) / bytes; }
};

} // namespace

/// Of the scored tokens from `begin` to `end`.
static Score addUp(const Evaluation &evaluation, size_t source, size_t begin,
                   size_t end) {
  const TextLikelihood &likelihood = evaluation.likelihood;
  Score score;
  score.tokens = end - begin;
  for (size_t i = begin; i < end; ++i) {
    score.nll += likelihood.nll[source][i];
    score.bytes += evaluation.text.bytesOfIds[likelihood.places[i]];
  }
  return score;
}

static std::vector<double> getParts(const Evaluation &evaluation) {
  size_t total = evaluation.likelihood.places.size();
  size_t count = std::min(total, maxParts);
  std::vector<double> parts;
  for (size_t i = 0; i < count; ++i)
    parts.push_back(addUp(evaluation, 0, total * i / count,
                          total * (i + 1) / count)
                        .getBitsPerByte());
  return parts;
}

namespace {

/// Names and values in their order, for both ways to print them.
struct Figure {
  StringRef name;
  double value;
  const char *format;
};

} // namespace

static const char *const integer = "%.0f", *const fine = "%.6f",
                         *const tiny = "%.6g";

/// Those of one of the models.
static std::vector<Figure> getFigures(const Evaluation &evaluation,
                                      size_t source) {
  const Text &text = evaluation.text;
  Score score =
      addUp(evaluation, source, 0, evaluation.likelihood.places.size());
  double bits = score.getBitsPerByte(), nll = score.nll / score.tokens;
  double seconds = evaluation.likelihood.seconds[source];
  return {{"tokens", double(text.ids.size()), integer},
          {"scored_tokens", double(score.tokens), integer},
          {"bytes", double(text.bytes), integer},
          {"scored_bytes", score.bytes, integer},
          {"seconds", seconds, "%.3f"},
          {"tokens_per_s", text.ids.size() / seconds, "%.1f"},
          {"nll_per_token", nll, fine},
          {"bits_per_byte", bits, fine},
          {"perplexity_per_token", std::exp(nll), fine},
          {"perplexity_per_byte", std::exp2(bits), fine}};
}

static std::vector<Figure> getAgreementFigures(const Evaluation &evaluation) {
  const Agreement &agreement = evaluation.agreement;
  size_t tokens = evaluation.likelihood.places.size();
  return {{"kl_per_token", agreement.kl / tokens, tiny},
          {"top1_agreement", double(agreement.sameTop) / tokens, fine},
          {"max_logit_difference", agreement.maxAbs, tiny},
          {"cosine", agreement.cosine / tokens, "%.8f"}};
}

/// JSON has no infinity: a token without probability makes a null.
static json::Value toJson(double value) {
  if (!std::isfinite(value))
    return nullptr;
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return int64_t(value);
  return value;
}

static void addFigures(json::Object &object, ArrayRef<Figure> figures) {
  for (const Figure &figure : figures)
    object[figure.name] = toJson(figure.value);
}

static void printFigures(ArrayRef<Figure> figures, StringRef before = "") {
  for (const Figure &figure : figures)
    outs() << before << figure.name << ' '
           << format(figure.format, figure.value) << '\n';
}

static void printHow(const Evaluation &evaluation) {
  const TextLikelihood &likelihood = evaluation.likelihood;
  if (likelihood.windows > 1)
    outs() << likelihood.windows << " windows of " << likelihood.window
           << " tokens, "
           << (evaluation.wholeWindows ? "the model's length"
                                       : "where its positions end")
           << ", each from the first state";
  else if (evaluation.wholeWindows)
    outs() << "one window";
  else
    outs() << "one stream, in calls of " << evaluation.chunk << " token"
           << (evaluation.chunk == 1 ? "" : "s");
  outs() << ": " << likelihood.places.size() << " of "
         << evaluation.text.ids.size() << " tokens scored\n";
}

void itera::printAsText(const Evaluation &evaluation) {
  printHow(evaluation);
  printFigures(getFigures(evaluation, 0));
  outs() << "bits_per_byte_of_parts";
  for (double part : getParts(evaluation))
    outs() << format(" %.4f", part);
  outs() << '\n';
  if (!evaluation.other)
    return;
  // The text's own figures are the same.
  printFigures(ArrayRef(getFigures(evaluation, 1)).drop_front(4), "against_");
  printFigures(getAgreementFigures(evaluation));
}

void itera::printAsJson(const Evaluation &evaluation) {
  const TextLikelihood &likelihood = evaluation.likelihood;
  Mode mode = evaluation.wholeWindows ? Mode::Forward
              : evaluation.chunk == 1 ? Mode::Stream
                                      : Mode::Prefill;
  json::Object object{{"model", json::fixUTF8(evaluation.model)},
                      {"mode", getModeName(mode)},
                      {"windows", int64_t(likelihood.windows)},
                      {"window", nullptr}};
  if (likelihood.window)
    object["window"] = int64_t(likelihood.window);
  addFigures(object, getFigures(evaluation, 0));
  json::Array parts;
  for (double part : getParts(evaluation))
    parts.push_back(toJson(part));
  object["parts"] = std::move(parts);
  if (evaluation.other) {
    json::Object against{{"model", json::fixUTF8(*evaluation.other)}};
    addFigures(against, getFigures(evaluation, 1));
    addFigures(against, getAgreementFigures(evaluation));
    object["against"] = std::move(against);
  }
  outs() << json::Value(std::move(object)) << '\n';
}

Error itera::writeTrace(StringRef path, const Evaluation &evaluation) {
  const TextLikelihood &likelihood = evaluation.likelihood;
  size_t count = likelihood.places.size();
  auto makeArray = [&](NpyType type, const auto &values) {
    NpyArray array{type, {int64_t(count)}, {}};
    array.data.resize(count * sizeof(values[0]));
    memcpy(array.data.data(), values.data(), array.data.size());
    return array;
  };
  auto makeFloats = [&](ArrayRef<double> values) {
    return makeArray(NpyType::Float32,
                     std::vector<float>(values.begin(), values.end()));
  };
  std::vector<NpyArray> arrays{
      makeFloats(likelihood.nll[0]),
      makeArray(NpyType::Int64, std::vector<int64_t>(likelihood.places.begin(),
                                                     likelihood.places.end()))};
  std::vector<std::string> names{"nll", "place"};
  if (evaluation.other) {
    arrays.push_back(makeFloats(likelihood.nll[1]));
    names.push_back("nll_against");
    arrays.push_back(makeArray(NpyType::Float32, evaluation.agreement.klOfTokens));
    names.push_back("kl");
  }
  std::vector<std::pair<std::string, const NpyArray *>> named;
  for (auto [name, array] : zip(names, arrays))
    named.emplace_back(name, &array);
  return writeNpz(path, named);
}
