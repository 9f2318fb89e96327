// SPDX-License-Identifier: Apache-2.0
//
// Bits per byte need the bytes of each token. A tokenizer may lose some, as one
// that lowers its letters or that has a token for all words that it does not
// know: the bytes of the text are shared out among the tokens in proportion to
// what they decode to, which is exact where nothing is lost.

#include "EvaluateText.h"
#include "TextInputs.h"
#include "itera/Run/Likelihood.h"
#include "itera/Support/Npz.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include <cmath>
#include <cstring>
#include <numeric>

using namespace llvm;
using namespace itera;

/// Parts of the text whose bits per byte are printed, to show a drift.
static constexpr size_t maxParts = 10;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

Error itera::checkEvaluateOptions(const Options &options) {
  if (!options.eval.getNumOccurrences()) {
    for (const cl::Option *option :
         {static_cast<const cl::Option *>(&options.evalBytes),
          static_cast<const cl::Option *>(&options.evalTrace),
          static_cast<const cl::Option *>(&options.evalAgainst)})
      if (option->getNumOccurrences())
        return failure("--" + option->ArgStr + " needs --eval");
    return Error::success();
  }
  if (options.bench || options.generate.getNumOccurrences() ||
      options.compareStream || !options.output.empty() ||
      !options.compare.empty())
    return failure("--eval goes without --bench, --generate, --compare-stream, "
                   "--output and --compare");
  if (options.evalBytes.getNumOccurrences() && !options.evalBytes)
    return failure("expected --eval-bytes of at least 1, but got 0");
  return Error::success();
}

namespace {

/// A model and what gives its logits.
struct Predictor {
  std::vector<std::vector<char>> inputs;
  LanguageModel tensors;
  std::unique_ptr<LogitSource> source;
};

struct Text {
  std::vector<uint32_t> ids;
  size_t prefix = 0; // ids that stand before the text
  size_t bytes = 0;
  std::vector<double> bytesOfIds; // `bytes` in all
};

/// Sums over scored tokens.
struct Score {
  size_t tokens = 0;
  double nll = 0; // nats
  double bytes = 0;

  double getBitsPerByte() const { return nll / std::log(2.0) / bytes; }
};

struct Agreement {
  double kl = 0, cosine = 0; // sums over tokens
  double maxAbs = 0;
  size_t sameTop = 0;
  std::vector<float> klOfTokens;
};

} // namespace

static Error makePredictor(const LoadedModel &model, const Options &options,
                           Predictor &predictor) {
  // The default of --mode says nothing here.
  bool windows =
      options.mode.getNumOccurrences() && options.mode == Mode::Forward;
  if (!model.canStream() && options.mode != Mode::Forward) {
    StringRef why = model.getApi().stream_problem();
    return failure("mode '" + getModeName(options.mode) +
                   "' is not available: the model cannot stream" +
                   (why.empty() ? "" : ": ") + why);
  }
  Expected<std::vector<std::vector<char>>> inputs =
      readStaticInputs(model, options);
  if (!inputs)
    return inputs.takeError();
  predictor.inputs = std::move(*inputs);
  Expected<LanguageModel> tensors = findLanguageModel(model, predictor.inputs);
  if (!tensors)
    return tensors.takeError();
  predictor.tensors = *tensors;
  if (model.canStream() && !windows)
    predictor.source =
        std::make_unique<StreamLogits>(model, *tensors, predictor.inputs);
  else
    predictor.source = std::make_unique<WindowLogits>(
        model, *tensors, predictor.inputs, tensors->length);
  return Error::success();
}

/// The first bytes of the text; of one that is not bytes to the model, whole
/// characters.
static StringRef cut(StringRef text, const Options &options) {
  if (!options.evalBytes.getNumOccurrences() || options.evalBytes >= text.size())
    return text;
  size_t end = options.evalBytes;
  if (!options.tokenizer.empty())
    while (end && (text[end] & 0xc0) == 0x80)
      --end;
  return text.take_front(end);
}

static Expected<Text> makeText(const Options &options, uint64_t vocabulary) {
  Expected<std::unique_ptr<Tokenizer>> tokenizer =
      chooseTokenizer(options, vocabulary);
  if (!tokenizer)
    return tokenizer.takeError();
  Expected<std::string> whole = readText(options.eval);
  if (!whole)
    return whole.takeError();
  StringRef bytes = cut(*whole, options);
  if (bytes.empty())
    return failure("'" + Twine(options.eval) + "': the text is empty");
  Expected<std::vector<uint32_t>> ids = (*tokenizer)->encode(bytes);
  if (!ids)
    return failure("'" + Twine(options.eval) +
                   "': " + toString(ids.takeError()));
  Text text;
  text.ids = (*tokenizer)->getPrefix();
  text.prefix = text.ids.size();
  text.ids.insert(text.ids.end(), ids->begin(), ids->end());
  text.bytes = bytes.size();
  if (Error error = checkIds(text.ids, vocabulary))
    return std::move(error);

  std::unique_ptr<TokenDecoder> decoder = (*tokenizer)->makeDecoder();
  for (uint32_t id : text.ids)
    text.bytesOfIds.push_back(decoder->decode(id).size());
  double decoded =
      std::accumulate(text.bytesOfIds.begin(), text.bytesOfIds.end(), 0.0);
  for (auto [i, count] : enumerate(text.bytesOfIds))
    count = decoded ? count * (text.bytes / decoded)
                    : double(text.bytes) / text.ids.size();
  return text;
}

/// Of the scored tokens from `begin` to `end`.
static Score addUp(const TextLikelihood &likelihood, const Text &text,
                   size_t source, size_t begin, size_t end) {
  Score score;
  score.tokens = end - begin;
  for (size_t i = begin; i < end; ++i) {
    score.nll += likelihood.nll[source][i];
    score.bytes += text.bytesOfIds[likelihood.places[i]];
  }
  return score;
}

static std::vector<double> getParts(const TextLikelihood &likelihood,
                                    const Text &text) {
  size_t total = likelihood.places.size();
  size_t count = std::min(total, maxParts);
  std::vector<double> parts;
  for (size_t i = 0; i < count; ++i)
    parts.push_back(addUp(likelihood, text, 0, total * i / count,
                          total * (i + 1) / count)
                        .getBitsPerByte());
  return parts;
}

static Error writeTrace(const Options &options,
                        const TextLikelihood &likelihood,
                        const Agreement *agreement) {
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
  if (agreement) {
    arrays.push_back(makeFloats(likelihood.nll[1]));
    names.push_back("nll_against");
    arrays.push_back(makeArray(NpyType::Float32, agreement->klOfTokens));
    names.push_back("kl");
  }
  std::vector<std::pair<std::string, const NpyArray *>> named;
  for (auto [name, array] : zip(names, arrays))
    named.emplace_back(name, &array);
  return writeNpz(options.evalTrace, named);
}

//===----------------------------------------------------------------------===//
// What is printed
//===----------------------------------------------------------------------===//

namespace {

/// Names and values in their order, for both ways to print them.
struct Figure {
  StringRef name;
  double value;
  const char *format;
};

} // namespace

static const char *const integer = "%.0f", *const fine = "%.6f",
                         *const coarse = "%.3f", *const tiny = "%.6g";

static std::vector<Figure> getFigures(const Score &score, double seconds,
                                      const Text &text) {
  double bits = score.getBitsPerByte(), nll = score.nll / score.tokens;
  return {{"tokens", double(text.ids.size()), integer},
          {"scored_tokens", double(score.tokens), integer},
          {"bytes", double(text.bytes), integer},
          {"scored_bytes", score.bytes, integer},
          {"seconds", seconds, coarse},
          {"tokens_per_s", text.ids.size() / seconds, "%.1f"},
          {"nll_per_token", nll, fine},
          {"bits_per_byte", bits, fine},
          {"perplexity_per_token", std::exp(nll), fine},
          {"perplexity_per_byte", std::exp2(bits), fine}};
}

static std::vector<Figure> getFigures(const Agreement &agreement,
                                      size_t tokens) {
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
    outs() << before << figure.name << ' ' << format(figure.format, figure.value)
           << '\n';
}

static void printHow(const Options &options, const LogitSource &source,
                     const TextLikelihood &likelihood, size_t chunk,
                     size_t tokens) {
  if (likelihood.windows > 1)
    outs() << likelihood.windows << " windows of " << likelihood.window
           << " tokens, " << (source.getWindow() ? "the model's length" :
              "where its positions end")
           << ", each from the first state";
  else if (source.getWindow())
    outs() << "one window";
  else
    outs() << "one stream, in calls of " << chunk << " token"
           << (chunk == 1 ? "" : "s");
  outs() << ": " << likelihood.places.size() << " of " << tokens
         << " tokens scored\n";
}

Error itera::evaluateText(const LoadedModel &model, const Options &options) {
  Predictor predictor, other;
  if (Error error = makePredictor(model, options, predictor))
    return error;
  uint64_t vocabulary = predictor.tensors.vocabulary;
  std::vector<LogitSource *> sources{predictor.source.get()};
  std::optional<LoadedModel> otherModel;
  if (!options.evalAgainst.empty()) {
    Expected<LoadedModel> loaded = LoadedModel::load(options.evalAgainst);
    if (!loaded)
      return loaded.takeError();
    otherModel.emplace(std::move(*loaded));
    if (Error error = makePredictor(*otherModel, options, other))
      return failure("'" + Twine(options.evalAgainst) +
                     "': " + toString(std::move(error)));
    if (other.tensors.vocabulary != vocabulary)
      return failure("expected models of the same tokens, but they have " +
                     Twine(vocabulary) + " and " +
                     Twine(other.tensors.vocabulary));
    sources.push_back(other.source.get());
  }
  Expected<Text> text = makeText(options, vocabulary);
  if (!text)
    return text.takeError();

  LikelihoodOptions how;
  how.chunk = options.mode == Mode::Stream        ? 1
              : options.chunk.getNumOccurrences() ? options.chunk
                                                  : how.chunk;
  how.ahead = options.ahead;
  how.prefix = text->prefix;
  Agreement agreement;
  auto compare = [&](size_t, ArrayRef<std::vector<double>> rows) {
    if (rows.size() < 2)
      return Error::success();
    RowDifference difference = compareRows(rows[1], rows[0]);
    agreement.kl += difference.kl;
    agreement.cosine += difference.cosine;
    agreement.maxAbs = std::max(agreement.maxAbs, difference.maxAbs);
    agreement.sameTop += difference.sameTop;
    agreement.klOfTokens.push_back(difference.kl);
    return Error::success();
  };
  Expected<TextLikelihood> likelihood =
      measureLikelihood(sources, text->ids, how, compare);
  if (!likelihood)
    return likelihood.takeError();
  if (!options.evalTrace.empty())
    if (Error error = writeTrace(options, *likelihood,
                                 otherModel ? &agreement : nullptr))
      return error;

  size_t count = likelihood->places.size();
  std::vector<double> parts = getParts(*likelihood, *text);
  std::vector<std::vector<Figure>> figures;
  for (size_t i = 0; i < sources.size(); ++i)
    figures.push_back(getFigures(addUp(*likelihood, *text, i, 0, count),
                                 likelihood->seconds[i], *text));
  const LogitSource &windowed =
      **max_element(sources, [](LogitSource *a, LogitSource *b) {
        return a->getWindow() < b->getWindow();
      });
  if (options.json) {
    json::Object object{{"model", json::fixUTF8(model.getName())},
                        {"mode", getModeName(windowed.getWindow() ? Mode::Forward
                                             : how.chunk == 1 ? Mode::Stream
                                                              : Mode::Prefill)},
                        {"windows", int64_t(likelihood->windows)},
                        {"window", likelihood->window
                                       ? json::Value(int64_t(likelihood->window))
                                       : json::Value(nullptr)}};
    addFigures(object, figures[0]);
    json::Array array;
    for (double part : parts)
      array.push_back(toJson(part));
    object["parts"] = std::move(array);
    if (otherModel) {
      json::Object against{{"model", json::fixUTF8(otherModel->getName())}};
      addFigures(against, figures[1]);
      addFigures(against, getFigures(agreement, count));
      object["against"] = std::move(against);
    }
    outs() << json::Value(std::move(object)) << '\n';
    return Error::success();
  }
  printHow(options, windowed, *likelihood, how.chunk, text->ids.size());
  printFigures(figures[0]);
  outs() << "bits_per_byte_of_parts";
  for (double part : parts)
    outs() << format(" %.4f", part);
  outs() << '\n';
  if (otherModel) {
    printFigures(ArrayRef(figures[1]).drop_front(4), "against_");
    printFigures(getFigures(agreement, count));
  }
  return Error::success();
}
