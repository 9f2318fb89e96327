// SPDX-License-Identifier: Apache-2.0
//
// Bits per byte need the bytes of each token. A tokenizer may lose some, as one
// that lowers its letters or that has a token for all words that it does not
// know: the bytes of the text are shared out among the tokens in proportion to
// what they decode to, which is exact where nothing is lost.

#include "EvaluateText.h"
#include "Evaluation.h"
#include "TextInputs.h"
#include <numeric>
#include <optional>

using namespace llvm;
using namespace itera;

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
  if (!options.evalBytes.getNumOccurrences() ||
      options.evalBytes >= text.size())
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

static Error compareModels(ArrayRef<std::vector<double>> rows,
                           Agreement &agreement) {
  RowDifference difference = compareRows(rows[1], rows[0]);
  agreement.kl += difference.kl;
  agreement.cosine += difference.cosine;
  agreement.maxAbs = std::max(agreement.maxAbs, difference.maxAbs);
  agreement.sameTop += difference.sameTop;
  agreement.klOfTokens.push_back(difference.kl);
  return Error::success();
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
  Evaluation evaluation;
  if (Error error = makeText(options, vocabulary).moveInto(evaluation.text))
    return error;

  LikelihoodOptions how;
  if (options.mode == Mode::Stream)
    how.chunk = 1;
  else if (options.chunk.getNumOccurrences())
    how.chunk = options.chunk;
  how.ahead = options.ahead;
  how.prefix = evaluation.text.prefix;
  auto compare = [&](size_t, ArrayRef<std::vector<double>> rows) {
    return rows.size() < 2 ? Error::success()
                           : compareModels(rows, evaluation.agreement);
  };
  if (Error error = measureLikelihood(sources, evaluation.text.ids, how, compare)
                        .moveInto(evaluation.likelihood))
    return error;
  evaluation.model = model.getName();
  if (otherModel)
    evaluation.other = otherModel->getName();
  evaluation.chunk = how.chunk;
  evaluation.wholeWindows =
      any_of(sources, [](LogitSource *source) { return source->getWindow(); });
  if (!options.evalTrace.empty())
    if (Error error = writeTrace(options.evalTrace, evaluation))
      return error;
  if (options.json)
    printAsJson(evaluation);
  else
    printAsText(evaluation);
  return Error::success();
}
