// SPDX-License-Identifier: Apache-2.0

#include "TextInputs.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

Expected<std::string> itera::readText(StringRef path) {
  ErrorOr<std::unique_ptr<MemoryBuffer>> file =
      MemoryBuffer::getFileOrSTDIN(path);
  if (!file)
    return failure("cannot read '" + path + "': " + file.getError().message());
  return (*file)->getBuffer().str();
}

Expected<std::vector<std::vector<char>>>
itera::readStaticInputs(const LoadedModel &model, const Options &options) {
  std::vector<std::vector<char>> buffers(model.getInputs().size());
  if (options.input.empty())
    return buffers;
  Expected<NpzReader> file = NpzReader::open(options.input);
  if (!file)
    return file.takeError();
  for (auto [info, buffer] : zip(model.getInputs(), buffers)) {
    std::string key = getCaseName(info->name, options.caseIndex);
    if (info->role == ITERA_ROLE_STREAM || !file->contains(key))
      continue;
    Expected<NpyArray> array = file->read(key);
    if (!array)
      return array.takeError();
    Expected<std::vector<char>> data = toBuffer(*info, std::move(*array));
    if (!data)
      return data.takeError();
    buffer = std::move(*data);
  }
  return buffers;
}

Expected<std::unique_ptr<Tokenizer>>
itera::chooseTokenizer(const Options &options, uint64_t vocabulary) {
  if (!options.tokenizer.empty())
    return readTokenizer(options.tokenizer);
  if (vocabulary == 256)
    return makeByteTokenizer();
  return failure("the model has " + Twine(vocabulary) +
                 " tokens, so they are not bytes: give its tokenizer.json by "
                 "--tokenizer");
}

Error itera::checkIds(ArrayRef<uint32_t> ids, uint64_t vocabulary) {
  for (uint32_t id : ids)
    if (id >= vocabulary)
      return failure("the tokenizer gives token " + Twine(id) +
                     ", but the model has only " + Twine(vocabulary));
  return Error::success();
}
