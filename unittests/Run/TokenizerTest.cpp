// SPDX-License-Identifier: Apache-2.0
//
// The expected ids are those of Hugging Face's library, version 0.23, on the
// same files.

#include "itera/Run/Tokenizer.h"
#include "gtest/gtest.h"

using namespace llvm;
using namespace itera;

using Ids = std::vector<uint32_t>;

static std::unique_ptr<Tokenizer> parse(const std::string &json) {
  Expected<std::unique_ptr<Tokenizer>> tokenizer = parseTokenizer(json);
  if (tokenizer)
    return std::move(*tokenizer);
  ADD_FAILURE() << toString(tokenizer.takeError());
  return nullptr;
}

static Ids encode(const Tokenizer &tokenizer, StringRef text) {
  Expected<Ids> ids = tokenizer.encode(text);
  if (ids)
    return *ids;
  ADD_FAILURE() << toString(ids.takeError());
  return {};
}

static std::string decode(const Tokenizer &tokenizer, const Ids &ids) {
  std::unique_ptr<TokenDecoder> decoder = tokenizer.makeDecoder();
  Utf8Assembler assembler;
  std::string text;
  for (uint32_t id : ids)
    text += assembler.add(decoder->decode(id));
  return text + assembler.finish();
}

static std::string errorOf(const std::string &json) {
  Expected<std::unique_ptr<Tokenizer>> tokenizer = parseTokenizer(json);
  return tokenizer ? "no error" : toString(tokenizer.takeError());
}

TEST(Tokenizer, BytesOfGpt2) {
  auto tokenizer = parse(R"json({
    "added_tokens": [{"id": 36, "content": "<|endoftext|>", "special": true},
                     {"id": 37, "content": "ab", "lstrip": true}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE",
      "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "h": 5, "l": 6, "o": 7,
        "r": 8, "s": 9, "t": 10, "w": 11, "'": 12, "1": 13, "2": 14, "3": 15,
        "4": 16, "Ġ": 17, ",": 18, "!": 19, "Ã": 20, "Ł": 21, "â": 22,
        "Ĥ": 23, "¬": 24, "Ċ": 25, "he": 26, "ll": 27, "hell": 28,
        "hello": 29, "Ġw": 30, "Ġwo": 31, "'s": 32, "or": 33, "Ġwor": 34,
        "ld": 35},
      "merges": ["h e", "l l", "he ll", "hell o", "Ġ w", ["Ġw", "o"], "' s",
                 "o r", "l d"]}})json");
  EXPECT_EQ(encode(*tokenizer, "hello world's"), (Ids{29, 31, 8, 35, 32}));
  EXPECT_EQ(encode(*tokenizer, "hello  world"), (Ids{29, 17, 31, 8, 35}));
  EXPECT_EQ(encode(*tokenizer, "a<|endoftext|>b"), (Ids{0, 36, 1}));
  EXPECT_EQ(encode(*tokenizer, "a  ab"), (Ids{0, 37}));
  EXPECT_EQ(encode(*tokenizer, "ß€\n"), (Ids{20, 21, 22, 23, 24, 25}));
  EXPECT_EQ(decode(*tokenizer, {20, 21, 36, 22, 23, 24, 25, 34}), "ß€\n wor");
  EXPECT_TRUE(tokenizer->isEnd(36));
  EXPECT_EQ(tokenizer->getBegin(), 36u);
  EXPECT_TRUE(tokenizer->contains(37));
  EXPECT_FALSE(tokenizer->contains(38));
  EXPECT_EQ(toString(tokenizer->encode("a7").takeError()),
            "the tokenizer has no token for '7'");
  EXPECT_EQ(toString(tokenizer->encode("e\xCC\x81").takeError()),
            "the tokenizer's step NFC is not supported for the character "
            "U+0301");
  EXPECT_EQ(toString(tokenizer->encode("\xC3").takeError()),
            "the text is not valid UTF-8");
}

TEST(Tokenizer, CharactersAndBytesOfLlama) {
  auto tokenizer = parse(R"json({
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true},
                     {"id": 1, "content": "<s>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "post_processor": {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}]},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true,
      "byte_fallback": true,
      "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "b": 4, "c": 5, "▁a": 6,
        "ab": 7, "▁ab": 8, "<0xC3>": 9, "<0xA9>": 10, "<0xE2>": 11,
        "<0x82>": 12, "<0xAC>": 13},
      "merges": ["▁ a", "a b", "▁ ab"]}})json");
  EXPECT_EQ(tokenizer->getPrefix(), Ids{1});
  EXPECT_EQ(encode(*tokenizer, "ab c"), (Ids{6, 4, 2, 5}));
  EXPECT_EQ(encode(*tokenizer, "aab"), (Ids{6, 7}));
  EXPECT_EQ(encode(*tokenizer, "é€"), (Ids{2, 9, 10, 11, 12, 13}));
  EXPECT_EQ(encode(*tokenizer, "zzb"), (Ids{2, 0, 4}));
  EXPECT_EQ(decode(*tokenizer, {1, 2, 2, 6}), "  a");
  EXPECT_EQ(decode(*tokenizer, {2, 9, 10, 11, 12, 13}), "é€");
}

TEST(Tokenizer, Unigram) {
  auto tokenizer = parse(R"json({
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                      "prepend_scheme": "always", "split": true},
    "decoder": {"type": "Metaspace", "replacement": "▁",
                "prepend_scheme": "always", "split": true},
    "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0],
      ["▁", -2], ["a", -1.5], ["b", -1.6], ["ab", -2], ["▁ab", -4.5],
      ["abab", -6], ["▁a", -2.5]]}})json");
  EXPECT_EQ(encode(*tokenizer, "abab ab"), (Ids{1, 4, 4, 1, 4}));
  EXPECT_EQ(encode(*tokenizer, "a?!b"), (Ids{7, 0, 3}));
  EXPECT_EQ(encode(*tokenizer, ""), Ids{});
  EXPECT_EQ(decode(*tokenizer, {1, 4, 4, 1, 4}), "abab ab");
}

TEST(Tokenizer, WordLevel) {
  auto tokenizer = parse(R"json({
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "WordLevel", "unk_token": "?", "vocab":
      {"?": 0, "don": 1, "'": 2, "t": 3, "stop": 4, "!!": 5, "x_1": 6}}})json");
  EXPECT_EQ(encode(*tokenizer, "Don't stop !! x_1"), (Ids{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(encode(*tokenizer, "stop, Stop"), (Ids{4, 0, 4}));
  EXPECT_EQ(decode(*tokenizer, {1, 2, 3, 4}), "don ' t stop");
}

TEST(Tokenizer, SequencesOfSteps) {
  auto tokenizer = parse(R"json({
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": true},
      {"type": "Split", "pattern": {"String": "-"},
       "behavior": "MergedWithNext", "invert": false}]},
    "model": {"type": "WordLevel", "unk_token": "?", "vocab":
      {"?": 0, "a": 1, "1": 2, "2": 3, "-a": 4, "-": 5}}})json");
  EXPECT_EQ(encode(*tokenizer, "a12 a-a"), (Ids{1, 2, 3, 1, 4}));
  EXPECT_EQ(encode(*tokenizer, "a--a"), (Ids{1, 5, 4}));
}

TEST(Tokenizer, WordsOfGpt4) {
  // As words: one token for each, in the order of the text.
  const char *words[] = {"I",   "'M", " (", "here", ")", " ",
                         "123", "45", "  ok", " ok", "\\n\\n", " x"};
  std::string vocab;
  for (unsigned i = 0; i < std::size(words); ++i)
    vocab += (i ? ", \"" : "\"") + std::string(words[i]) +
             "\": " + std::to_string(i);
  auto tokenizer = parse(
      R"json({"pre_tokenizer": {"type": "Split", "behavior": "Isolated",
      "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
      "model": {"type": "WordLevel", "vocab": {)json" +
      vocab + "}}}");
  EXPECT_EQ(encode(*tokenizer, "I'M (here) 12345  ok\n\n  x"),
            (Ids{0, 1, 2, 3, 4, 5, 6, 7, 5, 9, 10, 5, 11}));
}

TEST(Tokenizer, TableOfWords) {
  auto tokenizer = parse(R"json({"vocab_size": 9, "token_to_id": {"<UNK>": 1,
      "<BOS>": 2, "<EOS>": 3, "day,": 4, "fox's": 5, "the": 6}})json");
  EXPECT_EQ(encode(*tokenizer, " The\n fox's  day, fox "), (Ids{6, 5, 4, 1}));
  EXPECT_EQ(tokenizer->getPrefix(), Ids{2});
  EXPECT_TRUE(tokenizer->isEnd(3));
  EXPECT_FALSE(tokenizer->contains(8));
  EXPECT_EQ(decode(*tokenizer, {2, 6, 5, 3}), "the fox's");
  auto cased = parse(R"json({"token_to_id": {"The": 0}})json");
  EXPECT_EQ(toString(cased->encode("the").takeError()),
            "the tokenizer has no token for 'the'");
  EXPECT_EQ(cased->getPrefix(), Ids{});
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  const std::string words = R"("model": {"type": "WordLevel", "vocab": {}})";
  EXPECT_EQ(errorOf("{" + words + R"(, "normalizer": {"type": "Nmt"}})"),
            "normalizer: unsupported normalizer 'Nmt'");
  EXPECT_EQ(errorOf("{" + words +
                    R"(, "pre_tokenizer": {"type": "Sequence", "pretokenizers":
                    [{"type": "Whitespace"}, {"type": "BertPreTokenizer"}]}})"),
            "pre_tokenizer.pretokenizers[1]: unsupported pre-tokenizer "
            "'BertPreTokenizer'");
  EXPECT_EQ(errorOf("{" + words +
                    R"(, "pre_tokenizer": {"type": "Split", "behavior":
                    "Isolated", "pattern": {"Regex": "[a-z]+"}}})"),
            "pre_tokenizer.pattern: unsupported regular expression '[a-z]+'");
  EXPECT_EQ(errorOf("{" + words + R"(, "decoder": {"type": "CTC"}})"),
            "decoder: unsupported decoder 'CTC'");
  EXPECT_EQ(errorOf("{" + words + R"(, "post_processor": {"type": "X"}})"),
            "post_processor: unsupported post-processor 'X'");
  EXPECT_EQ(errorOf(R"({"model": {"type": "WordPiece"}})"),
            "model: unsupported model 'WordPiece'");
  EXPECT_EQ(errorOf(R"({"model": {"type": "BPE", "vocab": {"a": 0},
                    "merges": ["a b"]}})"),
            "model.merges[0]: the vocabulary lacks 'b'");
  EXPECT_EQ(errorOf(R"({"model": {"type": "BPE", "vocab": {"a": 0},
                    "merges": [["a"]]}})"),
            "model.merges[0]: expected two tokens");
  EXPECT_EQ(errorOf(R"({"model": {"vocab": {"a": -1}}})"),
            "model.vocab: expected an id of token 'a' from 0 to 16777215");
  EXPECT_EQ(errorOf(R"({"model": {"vocab": [["a"]]}})"),
            "model.vocab[0]: expected a token and its score");
  EXPECT_EQ(errorOf("{}"), "expected a field 'model', or 'token_to_id'");
  EXPECT_EQ(errorOf("[]"), "expected an object");
  EXPECT_EQ(errorOf(std::string(100000, '[')), "nested deeper than 64");
  EXPECT_TRUE(StringRef(errorOf("{\"a\": ")).starts_with("not JSON: "));
}

TEST(Tokenizer, EveryDamagedByteIsAnErrorOrHarmless) {
  const std::string good = R"json({
    "added_tokens": [{"id": 4, "content": "ab", "lstrip": true}],
    "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "ba": 3},
              "merges": ["b a"]}})json";
  for (size_t i = 0; i < good.size(); ++i)
    for (char c : {'\0', '"', '9', '}', ',', 'x', '\xFF'}) {
      std::string bad = good;
      bad[i] = c;
      Expected<std::unique_ptr<Tokenizer>> tokenizer = parseTokenizer(bad);
      if (!tokenizer) {
        consumeError(tokenizer.takeError());
        continue;
      }
      Expected<Ids> ids = (*tokenizer)->encode("ba ab");
      if (ids)
        decode(**tokenizer, *ids);
      else
        consumeError(ids.takeError());
    }
}

TEST(Utf8Assembler, HoldsBackWhatIsIncomplete) {
  Utf8Assembler assembler;
  EXPECT_EQ(assembler.add("a\xE2"), "a");
  EXPECT_EQ(assembler.add("\x82"), "");
  EXPECT_EQ(assembler.add("\xAC"), "€");
  EXPECT_EQ(assembler.add("\xF0\x9F\x99"), "");
  EXPECT_EQ(assembler.add("\x82!"), "🙂!");
  EXPECT_EQ(assembler.add("\xC3"), "");
  EXPECT_EQ(assembler.finish(), "\uFFFD");
  EXPECT_EQ(assembler.finish(), "");
}

TEST(Utf8Assembler, ReplacesWhatNeverBecomesACharacter) {
  auto whole = [](StringRef bytes) {
    Utf8Assembler assembler;
    std::string text = assembler.add(bytes);
    return text + assembler.finish();
  };
  EXPECT_EQ(whole("a\xFF\xFE"), "a\uFFFD\uFFFD");
  EXPECT_EQ(whole("\x80z"), "\uFFFDz");
  EXPECT_EQ(whole("\xE2\x82z"), "\uFFFDz");       // cut short
  EXPECT_EQ(whole("\xC0\xAF"), "\uFFFD\uFFFD");   // a long form
  EXPECT_EQ(whole("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD"); // a surrogate
  EXPECT_EQ(whole("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  // Byte by byte gives the same.
  for (unsigned first = 0; first < 256; ++first)
    for (unsigned second = 0; second < 256; ++second) {
      std::string bytes{char(first), char(second), 'z'};
      Utf8Assembler assembler;
      std::string text;
      for (char c : bytes)
        text += assembler.add(StringRef(&c, 1));
      EXPECT_EQ(text + assembler.finish(), whole(bytes));
    }
}
