// SPDX-License-Identifier: Apache-2.0
//
// The two tokenizers without a chain: a table of words, and bytes.

#include "WordTable.h"
#include "Model.h"
#include "Split.h"
#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace itera;

namespace {

/// "<EOS>" and the like are no words.
static bool isSpecial(StringRef token) {
  return token.size() > 2 && token.front() == '<' && token.back() == '>';
}

class WordDecoder : public TokenDecoder {
public:
  explicit WordDecoder(const Vocabulary &words) : words(words) {}

  std::string decode(uint32_t id) override {
    const std::string *word = words.findText(id);
    if (!word || isSpecial(*word))
      return "";
    return (std::exchange(first, false) ? "" : " ") + *word;
  }

private:
  const Vocabulary &words;
  bool first = true;
};

class WordTable : public Tokenizer {
public:
  Error read(const JsonPlace &place) {
    Expected<const json::Object *> object = place.object();
    if (!object)
      return object.takeError();
    for (const auto &[word, value] : **object) {
      Expected<uint32_t> id = JsonPlace(value, "").id();
      if (!id) {
        consumeError(id.takeError());
        return place.refuse("expected an id of '" + word.str() +
                            "' from 0 to " + Twine(maxTokenId));
      }
      words.add(word, *id);
      if (!isSpecial(word) && word.str() != StringRef(word).lower())
        lowercase = false;
    }
    return Error::success();
  }

  Expected<std::vector<uint32_t>> encode(StringRef text) const override {
    if (!isUtf8(text))
      return createStringError(inconvertibleErrorCode(),
                               "the text is not valid UTF-8");
    std::vector<uint32_t> ids;
    for (Span span : makeClassPattern(isWhiteSpace, false)(text)) {
      StringRef word = text.slice(span.begin, span.end);
      if (span.match)
        continue;
      std::optional<uint32_t> id = words.find(word);
      if (!id && lowercase)
        id = words.find(word.lower());
      if (!id)
        id = find({"<UNK>", "<unk>"});
      if (!id)
        return refuseText(word);
      ids.push_back(*id);
    }
    return ids;
  }

  std::vector<uint32_t> getPrefix() const override {
    std::optional<uint32_t> begin = getBegin();
    return begin ? std::vector<uint32_t>{*begin} : std::vector<uint32_t>();
  }
  std::optional<uint32_t> getBegin() const override {
    return find({"<BOS>", "<bos>", "<s>"});
  }
  bool isEnd(uint32_t id) const override {
    return id == find({"<EOS>", "<eos>", "</s>"});
  }
  bool contains(uint32_t id) const override { return words.findText(id); }
  std::unique_ptr<TokenDecoder> makeDecoder() const override {
    return std::make_unique<WordDecoder>(words);
  }

private:
  std::optional<uint32_t> find(ArrayRef<StringRef> names) const {
    for (StringRef name : names)
      if (std::optional<uint32_t> id = words.find(name))
        return id;
    return std::nullopt;
  }

  Vocabulary words;
  bool lowercase = true; // no word has a capital letter
};

class ByteTokenizer : public Tokenizer, public TokenDecoder {
public:
  Expected<std::vector<uint32_t>> encode(StringRef text) const override {
    return std::vector<uint32_t>(text.bytes_begin(), text.bytes_end());
  }
  std::vector<uint32_t> getPrefix() const override { return {}; }
  std::optional<uint32_t> getBegin() const override { return std::nullopt; }
  bool isEnd(uint32_t) const override { return false; }
  bool contains(uint32_t id) const override { return id < 256; }
  std::unique_ptr<TokenDecoder> makeDecoder() const override {
    return std::make_unique<ByteTokenizer>();
  }
  std::string decode(uint32_t id) override {
    return id < 256 ? std::string(1, char(id)) : "";
  }
};

} // namespace

Expected<std::unique_ptr<Tokenizer>>
itera::readWordTable(const JsonPlace &root) {
  auto table = std::make_unique<WordTable>();
  if (Error error = table->read(*root.find("token_to_id")))
    return std::move(error);
  return std::move(table);
}

std::unique_ptr<Tokenizer> itera::makeByteTokenizer() {
  return std::make_unique<ByteTokenizer>();
}
