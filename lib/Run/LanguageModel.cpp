// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/LanguageModel.h"
#include "itera/Run/Tensors.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <optional>

using namespace llvm;
using namespace itera;

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

static Expected<uint32_t> findStreamedIds(const LoadedModel &model,
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

/// Of several outputs that could be the logits the one that is called so.
static Expected<uint32_t>
chooseLogits(ArrayRef<const itera_tensor_info *> outputs,
             ArrayRef<uint32_t> found) {
  std::vector<uint32_t> named;
  for (uint32_t i : found)
    if (StringRef(outputs[i]->name).contains_insensitive("logits"))
      named.push_back(i);
  if (found.size() > 1 && named.size() != 1)
    return failure("expected one output of logits, but '" +
                   Twine(outputs[found[0]]->name) + "' and '" +
                   outputs[found[1]]->name + "' could be it");
  return named.size() == 1 ? named[0] : found[0];
}

static Expected<uint32_t> findStreamedLogits(const LoadedModel &model) {
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
  Expected<uint32_t> index = chooseLogits(outputs, found);
  if (index && outputs[*index]->latency > 0)
    return failure("output '" + Twine(outputs[*index]->name) + "' needs " +
                   Twine(outputs[*index]->latency) +
                   " frames ahead, which are what it would predict");
  return index;
}

/// The input of a model that does not stream, or one that was given although
/// it is the only one that could be it.
static Expected<uint32_t> findWholeIds(const LoadedModel &model,
                                       ArrayRef<std::vector<char>> given) {
  std::vector<const itera_tensor_info *> inputs = model.getInputs();
  std::vector<uint32_t> integers, open;
  for (auto [i, info] : enumerate(inputs)) {
    if (!getIntegerBytes(info->dtype)) {
      if (given[i].empty())
        return failure("input '" + Twine(info->name) +
                       "' takes no ids of tokens: give it by --input");
      continue;
    }
    integers.push_back(i);
    if (given[i].empty())
      open.push_back(i);
  }
  if (open.size() > 1)
    return failure("expected one input of ids, but the model has '" +
                   Twine(inputs[open[0]]->name) + "' and '" +
                   inputs[open[1]]->name + "': give one by --input");
  if (open.empty() && integers.size() != 1)
    return failure("the model has no input of ids that is not given");
  return open.empty() ? integers[0] : open[0];
}

static Expected<uint32_t> findWholeLogits(const LoadedModel &model,
                                          uint64_t length) {
  std::vector<uint32_t> found;
  std::vector<const itera_tensor_info *> outputs = model.getOutputs();
  for (auto [i, info] : enumerate(outputs)) {
    uint64_t bytes = getRealBytes(info->dtype);
    if (bytes && info->rank > 1 && info->dims[info->rank - 1] > 0 &&
        info->bytes == length * bytes * info->dims[info->rank - 1])
      found.push_back(i);
  }
  if (found.empty())
    return failure("the model has no output of logits for each of its " +
                   Twine(length) + " tokens");
  return chooseLogits(outputs, found);
}

/// How many tokens an input of ids takes: all in one dimension.
static Expected<uint64_t> getIdCount(const itera_tensor_info &info) {
  uint64_t count = info.bytes / getIntegerBytes(info.dtype);
  if (count && is_contained(ArrayRef(info.dims, info.rank), int64_t(count)))
    return count;
  return failure("input '" + Twine(info.name) +
                 "': expected the ids of one text, but it is " +
                 formatShape(ArrayRef(info.dims, info.rank)));
}

Expected<LanguageModel>
itera::findLanguageModel(const LoadedModel &model,
                         ArrayRef<std::vector<char>> staticInputs) {
  bool streams = model.canStream();
  Expected<uint32_t> ids = streams ? findStreamedIds(model, staticInputs)
                                   : findWholeIds(model, staticInputs);
  if (!ids)
    return ids.takeError();
  Expected<uint64_t> length = getIdCount(*model.getInputs()[*ids]);
  if (!length)
    return length.takeError();
  Expected<uint32_t> logits =
      streams ? findStreamedLogits(model) : findWholeLogits(model, *length);
  if (!logits)
    return logits.takeError();
  const itera_tensor_info &info = *model.getOutputs()[*logits];
  return LanguageModel{*ids, *logits, uint64_t(info.dims[info.rank - 1]),
                       *length};
}
