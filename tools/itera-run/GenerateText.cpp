// SPDX-License-Identifier: Apache-2.0

#include "GenerateText.h"
#include "TextInputs.h"
#include "itera/Run/Generate.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include <chrono>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

Error itera::checkGenerateOptions(const Options &options) {
  if (!options.generate.getNumOccurrences()) {
    for (const cl::Option *option :
         {static_cast<const cl::Option *>(&options.prompt),
          static_cast<const cl::Option *>(&options.promptFile),
          static_cast<const cl::Option *>(&options.temperature),
          static_cast<const cl::Option *>(&options.topK),
          static_cast<const cl::Option *>(&options.topP),
          static_cast<const cl::Option *>(&options.seed)})
      if (option->getNumOccurrences())
        return failure("--" + option->ArgStr + " needs --generate");
    return Error::success();
  }
  if (options.bench || options.mode.getNumOccurrences() ||
      !options.output.empty() || !options.compare.empty())
    return failure("--generate goes without --bench, --mode, --output and "
                   "--compare");
  if (options.prompt.getNumOccurrences() && !options.promptFile.empty())
    return failure("expected --prompt or --prompt-file, but got both");
  if (!(options.temperature >= 0) || !(options.temperature < 1e300))
    return failure("expected --temperature of at least 0");
  if (!(options.topP > 0) || !(options.topP <= 1))
    return failure("expected --top-p above 0 and at most 1");
  return Error::success();
}

static Expected<std::string> readPrompt(const Options &options) {
  if (options.promptFile.empty())
    return options.prompt;
  return readText(options.promptFile);
}

static Expected<std::vector<uint32_t>>
encodePrompt(const Tokenizer &tokenizer, StringRef text, uint64_t vocabulary) {
  Expected<std::vector<uint32_t>> ids = tokenizer.encode(text);
  if (!ids)
    return failure("the prompt: " + toString(ids.takeError()));
  std::vector<uint32_t> prefix = tokenizer.getPrefix();
  ids->insert(ids->begin(), prefix.begin(), prefix.end());
  if (ids->empty())
    if (std::optional<uint32_t> begin = tokenizer.getBegin())
      ids->push_back(*begin);
  if (ids->empty())
    return failure("there is nothing to continue: give a text by --prompt or "
                   "--prompt-file");
  if (Error error = checkIds(*ids, vocabulary))
    return std::move(error);
  return ids;
}

namespace {

/// What was made, and in what time.
struct Result {
  std::vector<uint32_t> prompt, tokens;
  std::string text;
  StringRef stopped = "length";
  double prefillSeconds = 0, decodeSeconds = 0;

  double getPrefillSpeed() const { return prompt.size() / prefillSeconds; }
  /// Of the steps: the first token comes of the prompt.
  double getDecodeSpeed() const {
    return tokens.size() > 1 ? (tokens.size() - 1) / decodeSeconds : 0;
  }
};

} // namespace

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Makes the tokens, and gives each piece of text to `show`.
static Error makeTokens(Generation &generation, const Tokenizer &tokenizer,
                        const Options &options, Result &result,
                        function_ref<void(StringRef)> show) {
  Sampler sampler({options.temperature, options.topK, options.topP,
                   options.seed});
  std::unique_ptr<TokenDecoder> decoder = tokenizer.makeDecoder();
  Utf8Assembler assembler;
  // The text goes on: with the space that parts it from the prompt, or within a
  // character.
  for (uint32_t id : result.prompt)
    assembler.add(decoder->decode(id));
  auto add = [&](std::string piece) {
    show(piece);
    result.text += piece;
  };

  double start = now();
  Expected<bool> fed = generation.feed(result.prompt);
  if (!fed)
    return fed.takeError();
  if (!*fed)
    return failure("the prompt's " + Twine(result.prompt.size()) +
                   " tokens go beyond the positions of the model");
  result.prefillSeconds = now() - start;
  if (generation.getLogits().empty())
    return failure("expected a prompt of at least " + Twine(options.ahead) +
                   " tokens for --ahead=" + Twine(options.ahead) +
                   ", but got " + Twine(result.prompt.size()));
  start = now();
  while (result.tokens.size() < options.generate) {
    if (!result.tokens.empty()) {
      fed = generation.feed(result.tokens.back());
      if (!fed)
        return fed.takeError();
      if (!*fed) {
        result.stopped = "end of positions";
        break;
      }
    }
    Expected<uint32_t> id = sampler.pick(
        generation.getLogits(),
        [&](uint32_t id) { return tokenizer.contains(id); });
    if (!id)
      return id.takeError();
    if (tokenizer.isEnd(*id)) {
      result.stopped = "end of text";
      break;
    }
    result.tokens.push_back(*id);
    add(assembler.add(decoder->decode(*id)));
  }
  result.decodeSeconds = now() - start;
  add(assembler.finish());
  return Error::success();
}

static void printJson(const LoadedModel &model, const Result &result) {
  auto list = [](ArrayRef<uint32_t> ids) {
    json::Array array;
    for (uint32_t id : ids)
      array.push_back(int64_t(id));
    return array;
  };
  outs() << json::Value(json::Object{
                {"model", json::fixUTF8(model.getName())},
                {"prompt_tokens", list(result.prompt)},
                {"tokens", list(result.tokens)},
                {"text", result.text},
                {"stopped", result.stopped},
                {"prefill_tokens_per_s", result.getPrefillSpeed()},
                {"decode_tokens_per_s", result.getDecodeSpeed()}})
         << '\n';
}

Error itera::generateText(const LoadedModel &model, const Options &options) {
  if (!model.canStream()) {
    StringRef why = model.getApi().stream_problem();
    return failure("--generate needs a stream, but the model cannot" +
                   (why.empty() ? "" : ": " + why));
  }
  Expected<std::string> text = readPrompt(options);
  if (!text)
    return text.takeError();
  Expected<std::vector<std::vector<char>>> inputs =
      readStaticInputs(model, options);
  if (!inputs)
    return inputs.takeError();
  Expected<LanguageModel> tensors = findLanguageModel(model, *inputs);
  if (!tensors)
    return tensors.takeError();
  Expected<std::unique_ptr<Tokenizer>> tokenizer =
      chooseTokenizer(options, tensors->vocabulary);
  if (!tokenizer)
    return tokenizer.takeError();
  Result result;
  Expected<std::vector<uint32_t>> prompt =
      encodePrompt(**tokenizer, *text, tensors->vocabulary);
  if (!prompt)
    return prompt.takeError();
  result.prompt = std::move(*prompt);

  Generation generation(model, *tensors, *inputs, options.ahead);
  if (Error error = generation.begin())
    return error;
  Error error = makeTokens(generation, **tokenizer, options, result,
                           [&](StringRef piece) {
                             if (options.json || piece.empty())
                               return;
                             outs() << piece;
                             outs().flush();
                           });
  if (!options.json && !result.text.empty())
    outs() << '\n';
  outs().flush();
  if (error)
    return error;
  if (options.json)
    printJson(model, result);
  outs().flush();
  if (result.stopped != "length")
    errs() << "note: stopped after " << result.tokens.size()
           << " tokens: " << result.stopped << '\n';
  errs() << format("prefill %zu tokens, %.1f tokens/s; decode %zu tokens, "
                   "%.1f tokens/s\n",
                   result.prompt.size(), result.getPrefillSpeed(),
                   result.tokens.size(), result.getDecodeSpeed());
  return Error::success();
}
