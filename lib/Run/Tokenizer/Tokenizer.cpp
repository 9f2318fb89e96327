// SPDX-License-Identifier: Apache-2.0
//
// A tokenizer.json is a chain: added tokens cut the text, what is left is
// normalised and split into pieces, and the model makes tokens of each piece.

#include "AddedTokens.h"
#include "Decoders.h"
#include "Model.h"
#include "Split.h"
#include "Unicode.h"
#include "WordTable.h"
#include "itera/Run/Tokenizer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include <set>

using namespace llvm;
using namespace itera;

namespace {

class JsonTokenizer : public Tokenizer {
public:
  Error read(const JsonPlace &root);
  Expected<std::vector<uint32_t>> encode(StringRef text) const override;
  std::vector<uint32_t> getPrefix() const override { return prefix; }
  std::optional<uint32_t> getBegin() const override;
  bool isEnd(uint32_t id) const override;
  bool contains(uint32_t id) const override { return findText(id); }
  std::unique_ptr<TokenDecoder> makeDecoder() const override;

  /// Null if there is no such token.
  const std::string *findText(uint32_t id) const;
  bool isSpecial(uint32_t id) const { return special.count(id); }
  const DecoderSteps &getDecoderSteps() const { return decoder; }

private:
  Error readPostProcessor(const JsonPlace &place);
  Error normalize(std::string &text) const;
  std::optional<uint32_t> find(StringRef text) const;

  std::vector<AddedToken> added;
  std::vector<const AddedToken *> raw, normalized;
  std::unordered_map<uint32_t, std::string> addedTexts;
  std::set<uint32_t> special;
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> preTokenizers;
  std::unique_ptr<TokenModel> model;
  std::vector<uint32_t> prefix;
  DecoderSteps decoder;
};

class JsonDecoder : public TokenDecoder {
public:
  explicit JsonDecoder(const JsonTokenizer &tokenizer)
      : tokenizer(tokenizer),
        stripLeft(tokenizer.getDecoderSteps().stripCount) {}

  std::string decode(uint32_t id) override {
    const std::string *known = tokenizer.findText(id);
    if (!known || tokenizer.isSpecial(id))
      return "";
    const DecoderSteps &steps = tokenizer.getDecoderSteps();
    std::string token = *known;
    for (const DecoderSteps::Change &change : steps.changes)
      token = change(token, first);
    if (!first)
      token = steps.separator + token;
    first = false;
    StringRef rest(token);
    while (stripLeft && rest.consume_front(steps.stripped))
      --stripLeft;
    if (!rest.empty())
      stripLeft = 0;
    return rest.str();
  }

private:
  const JsonTokenizer &tokenizer;
  uint64_t stripLeft;
  bool first = true;
};

} // namespace

/// Tokenizer files do not say which token begins or ends a text. These are the
/// names that they have.
static constexpr StringLiteral beginNames[] = {
    "<s>", "<BOS>", "<bos>", "[BOS]", "<|begin_of_text|>", "<|startoftext|>",
    "<|endoftext|>"};
static constexpr StringLiteral endNames[] = {
    "</s>",          "<EOS>",       "<eos>",     "[EOS]",
    "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>"};

const std::string *JsonTokenizer::findText(uint32_t id) const {
  auto entry = addedTexts.find(id);
  return entry == addedTexts.end() ? model->vocabulary.findText(id)
                                   : &entry->second;
}

std::optional<uint32_t> JsonTokenizer::find(StringRef text) const {
  for (const AddedToken &token : added)
    if (token.content == text)
      return token.id;
  return model->vocabulary.find(text);
}

std::optional<uint32_t> JsonTokenizer::getBegin() const {
  for (StringRef name : beginNames)
    if (std::optional<uint32_t> id = find(name))
      return id;
  return std::nullopt;
}

bool JsonTokenizer::isEnd(uint32_t id) const {
  const std::string *text = findText(id);
  return text && is_contained(endNames, StringRef(*text));
}

std::unique_ptr<TokenDecoder> JsonTokenizer::makeDecoder() const {
  return std::make_unique<JsonDecoder>(*this);
}

Error JsonTokenizer::normalize(std::string &text) const {
  for (const Normalizer &step : normalizers)
    if (Error error = step(text))
      return error;
  return Error::success();
}

Expected<std::vector<uint32_t>> JsonTokenizer::encode(StringRef text) const {
  if (!isUtf8(text))
    return createStringError(inconvertibleErrorCode(),
                             "the text is not valid UTF-8");
  std::vector<Part> parts = cutAtTokens({Piece{text.str(), true}}, raw);
  for (Part &part : parts)
    if (auto *piece = std::get_if<Piece>(&part))
      if (Error error = normalize(piece->text))
        return std::move(error);
  std::vector<uint32_t> ids;
  for (Part &part : cutAtTokens(std::move(parts), normalized)) {
    if (auto *id = std::get_if<uint32_t>(&part)) {
      ids.push_back(*id);
      continue;
    }
    std::vector<Piece> pieces{std::get<Piece>(part)};
    for (const PreTokenizer &split : preTokenizers)
      split(pieces);
    for (const Piece &piece : pieces)
      if (Error error = model->encode(piece.text, ids))
        return std::move(error);
  }
  return ids;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// Only what comes before a text counts: a text that goes on has no end.
Error JsonTokenizer::readPostProcessor(const JsonPlace &place) {
  Expected<std::string> type = place.getString("type");
  if (!type)
    return type.takeError();
  auto add = [&](StringRef name) -> Error {
    std::optional<uint32_t> id = find(name);
    if (!id)
      return place.refuse("unknown token '" + name + "'");
    prefix.push_back(*id);
    return Error::success();
  };
  if (*type == "ByteLevel")
    return Error::success();
  if (*type == "Sequence")
    return place.forEachOf("processors", [&](const JsonPlace &step) {
      return readPostProcessor(step);
    });
  if (*type == "BertProcessing" || *type == "RobertaProcessing") {
    // ["<s>", 0]
    Expected<JsonPlace> token = place.get("cls");
    if (!token)
      return token.takeError();
    const json::Array *pair = token->get().getAsArray();
    std::optional<StringRef> name;
    if (pair && !pair->empty())
      name = pair->front().getAsString();
    return name ? add(*name) : token->refuse("expected a token and its id");
  }
  if (*type != "TemplateProcessing")
    return place.refuse("unsupported post-processor '" + *type + "'");
  Expected<JsonPlace> list = place.get("single");
  if (!list)
    return list.takeError();
  Expected<const json::Array *> array = list->array();
  if (!array)
    return array.takeError();
  for (size_t i = 0; i < (*array)->size(); ++i) {
    std::optional<JsonPlace> token = list->at(i).find("SpecialToken");
    if (!token)
      break; // the text itself
    Expected<std::string> name = token->getString("id");
    if (!name)
      return name.takeError();
    if (Error error = add(*name))
      return error;
  }
  return Error::success();
}

Error JsonTokenizer::read(const JsonPlace &root) {
  Expected<JsonPlace> place = root.get("model");
  if (!place)
    return place.takeError();
  Expected<std::unique_ptr<TokenModel>> read = readModel(*place);
  if (!read)
    return read.takeError();
  model = std::move(*read);
  Expected<std::vector<AddedToken>> tokens = readAddedTokens(root);
  if (!tokens)
    return tokens.takeError();
  added = std::move(*tokens);
  if (std::optional<JsonPlace> field = root.find("normalizer"))
    if (Error error = readNormalizer(*field, normalizers))
      return error;
  for (AddedToken &token : added) {
    addedTexts[token.id] = token.content;
    if (token.special)
      special.insert(token.id);
    (token.normalized ? normalized : raw).push_back(&token);
    if (token.normalized)
      if (Error error = normalize(token.content))
        return error;
  }
  if (std::optional<JsonPlace> field = root.find("pre_tokenizer"))
    if (Error error = readPreTokenizer(*field, preTokenizers))
      return error;
  if (std::optional<JsonPlace> field = root.find("post_processor"))
    if (Error error = readPostProcessor(*field))
      return error;
  std::optional<JsonPlace> field = root.find("decoder");
  if (!field) {
    decoder.separator = " ";
    return Error::success();
  }
  return readDecoder(*field, decoder);
}

Expected<std::unique_ptr<Tokenizer>> itera::parseTokenizer(StringRef text) {
  Expected<json::Value> value = parseJson(text);
  if (!value)
    return value.takeError();
  JsonPlace root(*value, "");
  if (Expected<const json::Object *> object = root.object(); !object)
    return object.takeError();
  if (root.find("token_to_id"))
    return readWordTable(root);
  if (!root.find("model"))
    return root.refuse("expected a field 'model', or 'token_to_id'");
  auto tokenizer = std::make_unique<JsonTokenizer>();
  if (Error error = tokenizer->read(root))
    return std::move(error);
  return std::move(tokenizer);
}

Expected<std::unique_ptr<Tokenizer>> itera::readTokenizer(StringRef path) {
  ErrorOr<std::unique_ptr<MemoryBuffer>> file = MemoryBuffer::getFile(path);
  if (!file)
    return createStringError(file.getError(), "cannot read '" + path + "': " +
                                                  file.getError().message());
  Expected<std::unique_ptr<Tokenizer>> tokenizer =
      parseTokenizer((*file)->getBuffer());
  if (tokenizer)
    return tokenizer;
  return createStringError(inconvertibleErrorCode(),
                           "'" + path + "': " + toString(tokenizer.takeError()));
}
