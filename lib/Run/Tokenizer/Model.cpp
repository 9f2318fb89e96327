// SPDX-License-Identifier: Apache-2.0

#include "Model.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace itera;

Error itera::refuseText(StringRef text) {
  std::string shown = json::fixUTF8(text.take_front(40));
  return createStringError(inconvertibleErrorCode(),
                           "the tokenizer has no token for '" + shown + "'");
}

Error TokenModel::readVocabulary(const JsonPlace &place) {
  Expected<JsonPlace> vocab = place.get("vocab");
  if (!vocab)
    return vocab.takeError();
  Expected<const json::Object *> object = vocab->object();
  if (!object)
    return object.takeError();
  for (const auto &[text, value] : **object) {
    Expected<uint32_t> id = JsonPlace(value, "").id();
    if (!id) {
      consumeError(id.takeError());
      return vocab->refuse("expected an id of token '" + text.str() +
                           "' from 0 to " + Twine(maxTokenId));
    }
    vocabulary.add(text, *id);
  }
  return Error::success();
}

Error TokenModel::readUnknown(const JsonPlace &place) {
  std::optional<JsonPlace> field = place.find("unk_token");
  if (!field)
    return Error::success();
  Expected<std::string> text = field->string();
  if (!text)
    return text.takeError();
  // Some files name one that they do not have.
  unknown = vocabulary.find(*text);
  return Error::success();
}

std::optional<std::vector<uint32_t>>
TokenModel::findBytes(StringRef text) const {
  std::vector<uint32_t> ids;
  for (unsigned char byte : text) {
    std::optional<uint32_t> id =
        vocabulary.find("<0x" + utohexstr(byte, false, 2) + ">");
    if (!id)
      return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

namespace {

/// A token for each piece.
class WordLevel : public TokenModel {
public:
  Error read(const JsonPlace &place) {
    if (Error error = readVocabulary(place))
      return error;
    return readUnknown(place);
  }

  Error encode(StringRef piece, std::vector<uint32_t> &ids) const override {
    std::optional<uint32_t> id = vocabulary.find(piece);
    if (!id)
      id = unknown;
    if (!id)
      return refuseText(piece);
    ids.push_back(*id);
    return Error::success();
  }
};

} // namespace

Expected<std::unique_ptr<TokenModel>>
itera::readWordLevel(const JsonPlace &place) {
  auto model = std::make_unique<WordLevel>();
  if (Error error = model->read(place))
    return std::move(error);
  return std::move(model);
}

Expected<std::unique_ptr<TokenModel>> itera::readModel(const JsonPlace &place) {
  // Old files do not say what they are.
  StringRef guess = place.find("merges") ? "BPE" : "WordLevel";
  if (std::optional<JsonPlace> vocab = place.find("vocab"))
    if (vocab->get().getAsArray())
      guess = "Unigram";
  Expected<std::string> type = place.getString("type", guess);
  if (!type)
    return type.takeError();
  if (*type == "BPE")
    return readBpe(place);
  if (*type == "Unigram")
    return readUnigram(place);
  if (*type == "WordLevel")
    return readWordLevel(place);
  return place.refuse("unsupported model '" + *type + "'");
}
