// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/SampleData.h"

#include "itera/Run/LanguageModel.h"
#include "itera/Run/StreamRun.h"
#include "itera/Run/Tensors.h"
#include "itera/Run/Tokenizer.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cstring>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

static bool isStreamed(const itera_tensor_info &info) {
  return info.role == ITERA_ROLE_STREAM;
}

/// The arrays of one case; nothing if the file has none of them.
static Expected<std::optional<Sample>> readCase(const LoadedModel &model,
                                                const NpzReader &file,
                                                unsigned caseIndex) {
  Sample sample;
  std::string missing;
  bool stream = model.canStream(), any = false;
  for (const itera_tensor_info *info : model.getInputs()) {
    std::string key = getCaseName(info->name, caseIndex);
    std::vector<char> &buffer = sample.inputs.emplace_back();
    if (!file.contains(key)) {
      // A first state that is not given is zeros.
      if (info->role != ITERA_ROLE_STATE &&
          info->role != ITERA_ROLE_INITIAL_STATE && missing.empty())
        missing = key;
      continue;
    }
    any = true;
    Expected<NpyArray> array = file.read(key);
    if (!array)
      return array.takeError();
    Expected<std::vector<char>> data = std::vector<char>();
    if (stream && isStreamed(*info)) {
      Expected<uint64_t> frames = getFrameCount(*info, *array);
      if (!frames)
        return frames.takeError();
      if (sample.frames && sample.frames != *frames)
        return failure("array '" + key + "' has " + Twine(*frames) +
                       " frames, but another input " + Twine(sample.frames));
      sample.frames = *frames;
      data = toBuffer(ResizedInfo(*info, *frames).get(), std::move(*array));
    } else {
      data = toBuffer(*info, std::move(*array));
    }
    if (!data)
      return data.takeError();
    buffer = std::move(*data);
  }
  if (!any && caseIndex > 0)
    return std::nullopt;
  if (!missing.empty())
    return failure("there is no array '" + missing + "'");
  if (stream && sample.frames == 0)
    return failure("there is no frame in it");
  return sample;
}

static Expected<std::vector<Sample>> readArrays(const LoadedModel &model,
                                                const SampleOptions &options) {
  Expected<NpzReader> file = NpzReader::open(options.path);
  if (!file)
    return file.takeError();
  std::vector<Sample> samples;
  uint64_t frames = 0;
  for (unsigned index = 0; frames < options.frames; ++index) {
    Expected<std::optional<Sample>> sample =
        readCase(model, *file, index);
    if (!sample)
      return failure("'" + options.path + "': " + toString(sample.takeError()));
    if (!*sample)
      break;
    frames += std::max<uint64_t>((*sample)->frames, 1);
    samples.push_back(std::move(**sample));
  }
  return samples;
}

static void putId(std::vector<char> &buffer, size_t index, uint32_t id,
                  size_t bytes) {
  int64_t wide = id;
  std::memcpy(buffer.data() + index * bytes, &wide, bytes);
}

static Expected<std::vector<Sample>> readTokens(const LoadedModel &model,
                                                const SampleOptions &options) {
  std::vector<std::vector<char>> none(model.getInputs().size());
  Expected<LanguageModel> tensors = findLanguageModel(model, none);
  if (!tensors)
    return failure("'" + options.path +
                   "' is a text, but the model takes none: " +
                   toString(tensors.takeError()));
  ErrorOr<std::unique_ptr<MemoryBuffer>> file =
      MemoryBuffer::getFile(options.path);
  if (!file)
    return failure("cannot read '" + options.path +
                   "': " + file.getError().message());
  StringRef text = (*file)->getBuffer();
  if (text.empty())
    return failure("'" + options.path + "' is empty");
  std::unique_ptr<Tokenizer> tokenizer;
  if (!options.tokenizer.empty()) {
    Expected<std::unique_ptr<Tokenizer>> read =
        readTokenizer(options.tokenizer);
    if (!read)
      return read.takeError();
    tokenizer = std::move(*read);
  } else if (tensors->vocabulary == 256) {
    tokenizer = makeByteTokenizer();
  } else {
    return failure("the model has " + Twine(tensors->vocabulary) +
                   " tokens, so they are not bytes: give its tokenizer.json by "
                   "--tokenizer");
  }
  // A token has a byte at least, and hardly more than 16 of them.
  text = text.take_front(options.frames * (options.tokenizer.empty() ? 1 : 16));
  // Not within a character.
  while (!options.tokenizer.empty() && !text.empty() &&
         text.size() < (*file)->getBufferSize() && (text.back() & 0x80))
    text = text.drop_back();
  Expected<std::vector<uint32_t>> encoded = tokenizer->encode(text);
  if (!encoded)
    return encoded.takeError();
  std::vector<uint32_t> ids = std::move(*encoded);
  if (ids.size() > options.frames)
    ids.resize(options.frames);
  const itera_tensor_info &info = *model.getInputs()[tensors->ids];
  constexpr uint64_t kPiece = 1024;
  bool stream = model.canStream();
  uint64_t piece = stream ? kPiece : tensors->length;
  size_t bytes = info.bytes / std::max<uint64_t>(tensors->length, 1);
  std::vector<Sample> samples;
  for (size_t start = 0; start < ids.size(); start += piece) {
    size_t count = std::min<size_t>(piece, ids.size() - start);
    if (!stream && count < piece)
      break;
    Sample sample{none, stream ? count : 0};
    std::vector<char> &buffer = sample.inputs[tensors->ids];
    buffer.resize(count * bytes);
    for (size_t i = 0; i < count; ++i) {
      uint32_t id = ids[start + i];
      if (id >= tensors->vocabulary)
        return failure("the tokenizer gives token " + Twine(id) +
                       ", but the model has only " +
                       Twine(tensors->vocabulary));
      putId(buffer, i, id, bytes);
    }
    samples.push_back(std::move(sample));
  }
  if (samples.empty())
    return failure("'" + options.path + "' has " + Twine(ids.size()) +
                   " tokens, but the model needs " + Twine(piece));
  return samples;
}

Expected<std::vector<Sample>>
itera::readSamples(const LoadedModel &model, const SampleOptions &options) {
  if (StringRef(options.path).ends_with(".npz"))
    return readArrays(model, options);
  return readTokens(model, options);
}

Expected<std::vector<std::vector<char>>>
itera::runSample(const LoadedModel &model, const Sample &sample) {
  if (model.canStream()) {
    constexpr uint64_t kCall = 512;
    StreamRun run(model, sample.inputs, sample.frames, kCall);
    if (Error error = run.begin())
      return std::move(error);
    if (Error error = run.feed())
      return std::move(error);
    if (Error error = run.finish())
      return std::move(error);
    return run.takeOutputs();
  }
  std::vector<std::vector<char>> inputs = sample.inputs, outputs;
  // An initial state that was not given is zeros.
  for (auto [info, buffer] : zip(model.getInputs(), inputs))
    buffer.resize(info->bytes);
  for (const itera_tensor_info *info : model.getOutputs())
    outputs.emplace_back(info->bytes);
  if (Error error = model.forward(ModelCall(inputs, outputs)))
    return std::move(error);
  return outputs;
}
