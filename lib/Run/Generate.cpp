// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Generate.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace itera;

/// Tokens of a prompt that are fed at once: their logits need memory.
static constexpr size_t maxChunk = 512;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

/// Bytes of an integer; 0 for other types.
static unsigned getIntegerBytes(itera_dtype type) {
  switch (type) {
  case ITERA_INT8:
  case ITERA_UINT8:
    return 1;
  case ITERA_INT16:
  case ITERA_UINT16:
    return 2;
  case ITERA_INT32:
  case ITERA_UINT32:
    return 4;
  case ITERA_INT64:
  case ITERA_UINT64:
    return 8;
  default:
    return 0;
  }
}

/// Bytes of a real number; 0 for other types.
static unsigned getRealBytes(itera_dtype type) {
  return type == ITERA_FLOAT64                             ? 8
         : type == ITERA_FLOAT32                           ? 4
         : type == ITERA_FLOAT16 || type == ITERA_BFLOAT16 ? 2
                                                           : 0;
}

static Expected<uint32_t> findIds(const LoadedModel &model,
                                  ArrayRef<std::vector<char>> staticInputs) {
  std::optional<uint32_t> found;
  for (auto [i, info] : enumerate(model.getInputs())) {
    StringRef name(info->name);
    if (info->role == ITERA_ROLE_STATIC && staticInputs[i].empty())
      return failure("input '" + name + "' has no data: give it by --input");
    if (info->role != ITERA_ROLE_STREAM)
      continue;
    unsigned bytes = getIntegerBytes(info->dtype);
    if (!bytes)
      return failure("input '" + name +
                     "' is fed frame by frame and takes no ids of tokens");
    if (getFrameBytes(*info) != bytes)
      return failure("input '" + name + "': expected one id per frame, but it "
                     "takes " + Twine(getFrameBytes(*info) / bytes));
    if (found)
      return failure("expected one input of ids, but the model has '" +
                     Twine(model.getInputs()[*found]->name) + "' and '" + name +
                     "'");
    found = i;
  }
  if (!found)
    return failure("the model has no input of ids");
  return *found;
}

static Expected<uint32_t> findLogits(const LoadedModel &model) {
  std::vector<uint32_t> found;
  std::vector<const itera_tensor_info *> outputs = model.getOutputs();
  for (auto [i, info] : enumerate(outputs)) {
    // All of a frame stands in the last dimension.
    unsigned bytes = getRealBytes(info->dtype);
    if (info->role == ITERA_ROLE_STREAM && bytes && info->rank > 1 &&
        info->time_dim != int32_t(info->rank) - 1 && info->frames == 1 &&
        info->period == 1 &&
        getFrameBytes(*info) == bytes * uint64_t(info->dims[info->rank - 1]))
      found.push_back(i);
  }
  if (found.empty())
    return failure("the model has no output of logits for every frame");
  std::vector<uint32_t> named;
  for (uint32_t i : found)
    if (StringRef(outputs[i]->name).contains_insensitive("logits"))
      named.push_back(i);
  if (found.size() > 1 && named.size() != 1)
    return failure("expected one output of logits, but '" +
                   Twine(outputs[found[0]]->name) + "' and '" +
                   outputs[found[1]]->name + "' could be it");
  uint32_t index = named.size() == 1 ? named[0] : found[0];
  if (outputs[index]->latency > 0)
    return failure("output '" + Twine(outputs[index]->name) + "' needs " +
                   Twine(outputs[index]->latency) +
                   " frames ahead, which are what it would predict");
  return index;
}

Expected<LanguageModel>
itera::findLanguageModel(const LoadedModel &model,
                         ArrayRef<std::vector<char>> staticInputs) {
  Expected<uint32_t> ids = findIds(model, staticInputs);
  if (!ids)
    return ids.takeError();
  Expected<uint32_t> logits = findLogits(model);
  if (!logits)
    return logits.takeError();
  const itera_tensor_info &info = *model.getOutputs()[*logits];
  return LanguageModel{*ids, *logits, uint64_t(info.dims[info.rank - 1])};
}

Generation::Generation(const LoadedModel &model, const LanguageModel &tensors,
                       ArrayRef<std::vector<char>> staticInputs,
                       unsigned ahead)
    : model(model), tensors(tensors), staticInputs(staticInputs),
      inputPointers(model.getInputs().size()),
      inputBytes(model.getInputs().size()), ahead(ahead) {
  for (const itera_tensor_info *info : model.getOutputs())
    outputs.emplace_back(info->role == ITERA_ROLE_STREAM ? 0 : info->bytes);
  outputPointers.resize(outputs.size());
  outputBytes.resize(outputs.size());
  frames.resize(outputs.size());
}

Error Generation::begin() {
  for (auto [i, buffer] : enumerate(staticInputs)) {
    inputPointers[i] = buffer.empty() ? nullptr : buffer.data();
    inputBytes[i] = buffer.size();
  }
  const itera_model_api &api = model.getApi();
  if (api.begin(model.getSession(), inputPointers.data(), inputBytes.data(),
                inputBytes.size()) != ITERA_OK)
    return failure(api.last_error(model.getSession()));
  return Error::success();
}

Expected<bool> Generation::feed(ArrayRef<uint32_t> tokens) {
  while (!tokens.empty()) {
    size_t count = std::min(tokens.size(), maxChunk);
    Expected<bool> fed = feedChunk(tokens.take_front(count));
    if (!fed || !*fed)
      return fed;
    tokens = tokens.drop_front(count);
  }
  return true;
}

Expected<bool> Generation::feedChunk(ArrayRef<uint32_t> tokens) {
  const itera_model_api &api = model.getApi();
  itera_session *session = model.getSession();
  std::vector<const itera_tensor_info *> infos = model.getOutputs();
  // Little-endian, like everything that the interface takes.
  unsigned width = getFrameBytes(*model.getInputs()[tensors.ids]);
  idBuffer.assign(tokens.size() * width, 0);
  for (auto [i, token] : enumerate(tokens))
    for (unsigned byte = 0; byte < std::min(width, 4u); ++byte)
      idBuffer[i * width + byte] = char(token >> (8 * byte));
  inputPointers[tensors.ids] = idBuffer.data();
  inputBytes[tensors.ids] = idBuffer.size();
  for (auto [i, info] : enumerate(infos)) {
    if (info->role == ITERA_ROLE_STREAM) {
      size_t bytes = api.frames_after(session, tokens.size(), i) *
                     getFrameBytes(*info);
      if (outputs[i].size() < bytes)
        outputs[i].resize(bytes);
    }
    outputPointers[i] = outputs[i].data();
    outputBytes[i] = outputs[i].size();
  }
  itera_status status =
      tokens.size() == 1
          ? api.step(session, inputPointers.data(), inputBytes.data(),
                     inputBytes.size(), outputPointers.data(),
                     outputBytes.data(), outputBytes.size(), frames.data())
          : api.prefill(session, tokens.size(), inputPointers.data(),
                        inputBytes.data(), inputBytes.size(),
                        outputPointers.data(), outputBytes.data(),
                        outputBytes.size(), frames.data());
  if (status == ITERA_ERROR_END_OF_POSITIONS)
    return false;
  if (status != ITERA_OK)
    return failure(api.last_error(session));
  if (frames[tensors.logits] != tokens.size())
    return failure("expected logits for every token");
  if (Error error = keepLogits(tokens.size()))
    return std::move(error);
  return true;
}

/// Of the `count` tokens that were fed, as far as they will be asked for.
Error Generation::keepLogits(size_t count) {
  const itera_tensor_info &info = *model.getOutputs()[tensors.logits];
  ResizedInfo one(info, 1);
  size_t bytes = getFrameBytes(info);
  for (size_t i = count - std::min<size_t>(count, ahead); i < count; ++i) {
    const char *data = outputs[tensors.logits].data() + i * bytes;
    Expected<NpyArray> array =
        toArray(one.get(), std::vector<char>(data, data + bytes));
    if (!array)
      return array.takeError();
    std::vector<double> row(tensors.vocabulary);
    for (size_t k = 0; k < row.size(); ++k)
      row[k] = double(getElement(*array, k));
    logits.push_back(std::move(row));
  }
  while (logits.size() > ahead)
    logits.pop_front();
  return Error::success();
}
