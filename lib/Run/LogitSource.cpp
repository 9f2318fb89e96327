// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/LogitSource.h"
#include "itera/Run/Tensors.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>
#include <cstring>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

/// The tokens as the input `info` takes them: little-endian, like everything
/// that the interface takes.
static std::vector<char> packIds(const itera_tensor_info &info, uint64_t length,
                                 ArrayRef<uint32_t> tokens) {
  unsigned width = info.bytes / length;
  std::vector<char> buffer(tokens.size() * width);
  for (auto [i, token] : enumerate(tokens))
    for (unsigned byte = 0; byte < std::min(width, 4u); ++byte)
      buffer[i * width + byte] = char(token >> (8 * byte));
  return buffer;
}

/// Row `index` of logits of the type of `info`, which was checked to be real.
static void readRow(const itera_tensor_info &info,
                    const std::vector<char> &buffer, size_t index,
                    MutableArrayRef<double> row) {
  if (info.dtype == ITERA_FLOAT32) {
    const char *data = buffer.data() + index * row.size() * sizeof(float);
    for (size_t i = 0; i < row.size(); ++i) {
      float value;
      memcpy(&value, data + i * sizeof(float), sizeof(float));
      row[i] = value;
    }
    return;
  }
  unsigned width = info.dtype == ITERA_FLOAT64 ? 8 : 2;
  auto begin = buffer.begin() + index * row.size() * width;
  NpyArray array = cantFail(toArray(
      info, std::vector<char>(begin, begin + row.size() * width)));
  for (size_t i = 0; i < row.size(); ++i)
    row[i] = double(getElement(array, i));
}

//===----------------------------------------------------------------------===//
// StreamLogits
//===----------------------------------------------------------------------===//

StreamLogits::StreamLogits(const LoadedModel &model,
                           const LanguageModel &tensors,
                           ArrayRef<std::vector<char>> staticInputs)
    : model(model), tensors(tensors), staticInputs(staticInputs),
      inputPointers(model.getInputs().size()),
      inputBytes(model.getInputs().size()) {
  for (const itera_tensor_info *info : model.getOutputs())
    outputs.emplace_back(info->role == ITERA_ROLE_STREAM ? 0 : info->bytes);
  outputPointers.resize(outputs.size());
  outputBytes.resize(outputs.size());
  frames.resize(outputs.size());
}

Error StreamLogits::restart() {
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

Expected<size_t> StreamLogits::feed(ArrayRef<uint32_t> tokens) {
  // Where the positions end is not known: halves find the place.
  size_t done = 0, count = tokens.size();
  while (done < tokens.size()) {
    count = std::min(count, tokens.size() - done);
    Expected<bool> fed = feedAtOnce(tokens.slice(done, count), done);
    if (!fed)
      return fed.takeError();
    if (*fed)
      done += count;
    else if (count == 1)
      break;
    else
      count /= 2;
  }
  return done;
}

Expected<bool> StreamLogits::feedAtOnce(ArrayRef<uint32_t> tokens,
                                        size_t first) {
  const itera_model_api &api = model.getApi();
  itera_session *session = model.getSession();
  idBuffer = packIds(*model.getInputs()[tensors.ids], tensors.length, tokens);
  inputPointers[tensors.ids] = idBuffer.data();
  inputBytes[tensors.ids] = idBuffer.size();
  for (auto [i, info] : enumerate(model.getOutputs())) {
    size_t before = 0;
    if (info->role == ITERA_ROLE_STREAM) {
      uint64_t frame = getFrameBytes(*info);
      before = i == tensors.logits ? first * frame : 0;
      size_t bytes =
          before + api.frames_after(session, tokens.size(), i) * frame;
      if (outputs[i].size() < bytes)
        outputs[i].resize(bytes);
    }
    outputPointers[i] = outputs[i].data() + before;
    outputBytes[i] = outputs[i].size() - before;
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
  return true;
}

void StreamLogits::getRow(size_t index, MutableArrayRef<double> row) const {
  readRow(*model.getOutputs()[tensors.logits], outputs[tensors.logits], index,
          row);
}

//===----------------------------------------------------------------------===//
// WindowLogits
//===----------------------------------------------------------------------===//

WindowLogits::WindowLogits(const LoadedModel &model,
                           const LanguageModel &tensors,
                           ArrayRef<std::vector<char>> staticInputs,
                           uint64_t window)
    : model(model), tensors(tensors), window(window),
      inputs(staticInputs.begin(), staticInputs.end()),
      checked(model.canStream()) {
  for (auto [info, buffer] : zip(model.getInputs(), inputs))
    if (info->role == ITERA_ROLE_INITIAL_STATE && buffer.empty())
      buffer.resize(info->bytes);
  for (auto [i, info] : enumerate(model.getOutputs()))
    outputs.emplace_back(info->role == ITERA_ROLE_STREAM
                             ? model.getApi().frames_total(window, i) *
                                   getFrameBytes(*info)
                             : info->bytes);
}

Error WindowLogits::restart() {
  used = false;
  return Error::success();
}

Error WindowLogits::forward(ArrayRef<uint32_t> tokens) {
  std::vector<uint32_t> filled(tokens.begin(), tokens.end());
  filled.resize(window, tokens.back());
  inputs[tensors.ids] =
      packIds(*model.getInputs()[tensors.ids], tensors.length, filled);
  return model.forward(ModelCall(inputs, outputs));
}

Error WindowLogits::checkCausal(ArrayRef<uint32_t> tokens) {
  std::vector<uint32_t> other(tokens.begin(), tokens.end());
  other.resize(window, tokens.back());
  other.back() = (other.back() + 1) % tensors.vocabulary;
  if (Error error = forward(other))
    return error;
  std::vector<char> changed = outputs[tensors.logits];
  if (Error error = forward(tokens))
    return error;
  const itera_tensor_info &info = *model.getOutputs()[tensors.logits];
  std::vector<double> a(tensors.vocabulary), b(tensors.vocabulary);
  double largest = 0, difference = 0;
  for (size_t i = 0; i + 1 < window; ++i) {
    readRow(info, outputs[tensors.logits], i, a);
    readRow(info, changed, i, b);
    for (auto [x, y] : zip(a, b)) {
      largest = std::max(largest, std::abs(x));
      difference = std::max(difference, std::abs(x - y));
    }
  }
  // Rounding may depend on anything.
  if (difference > 1e-3 * largest)
    return failure("output '" + Twine(info.name) + "' depends on later tokens, "
                   "which are what it would predict");
  checked = true;
  return Error::success();
}

Expected<size_t> WindowLogits::feed(ArrayRef<uint32_t> tokens) {
  if (used || tokens.empty())
    return 0;
  tokens = tokens.take_front(window);
  if (Error error = checked ? forward(tokens) : checkCausal(tokens))
    return std::move(error);
  used = true;
  return tokens.size();
}

void WindowLogits::getRow(size_t index, MutableArrayRef<double> row) const {
  readRow(*model.getOutputs()[tensors.logits], outputs[tensors.logits], index,
          row);
}
