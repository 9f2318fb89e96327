// SPDX-License-Identifier: Apache-2.0
//
// A tokenizer's model: tokens for one piece of text.

#ifndef ITERA_LIB_RUN_TOKENIZER_MODEL_H
#define ITERA_LIB_RUN_TOKENIZER_MODEL_H

#include "JsonPlace.h"
#include "llvm/ADT/StringMap.h"
#include <memory>
#include <unordered_map>
#include <vector>

namespace itera {

/// Tokens by text and by id.
class Vocabulary {
public:
  void add(llvm::StringRef text, uint32_t id) {
    ids[text] = id;
    texts[id] = text.str();
  }
  std::optional<uint32_t> find(llvm::StringRef text) const {
    auto entry = ids.find(text);
    return entry == ids.end() ? std::nullopt
                              : std::optional<uint32_t>(entry->second);
  }
  /// Null if no token has this id.
  const std::string *findText(uint32_t id) const {
    auto entry = texts.find(id);
    return entry == texts.end() ? nullptr : &entry->second;
  }
  const llvm::StringMap<uint32_t> &getIds() const { return ids; }

private:
  llvm::StringMap<uint32_t> ids;
  std::unordered_map<uint32_t, std::string> texts;
};

class TokenModel {
public:
  virtual ~TokenModel() = default;
  /// Appends the tokens of a piece.
  virtual llvm::Error encode(llvm::StringRef piece,
                             std::vector<uint32_t> &ids) const = 0;

  Vocabulary vocabulary;

protected:
  llvm::Error readVocabulary(const JsonPlace &place);
  /// The token of "unk_token", if there is one.
  llvm::Error readUnknown(const JsonPlace &place);
  /// The tokens <0xHH> of a character's bytes; none if one of them is missing.
  std::optional<std::vector<uint32_t>> findBytes(llvm::StringRef text) const;

  std::optional<uint32_t> unknown;
};

/// An error: there is no token for `text`.
llvm::Error refuseText(llvm::StringRef text);

llvm::Expected<std::unique_ptr<TokenModel>> readBpe(const JsonPlace &place);
llvm::Expected<std::unique_ptr<TokenModel>> readUnigram(const JsonPlace &place);
llvm::Expected<std::unique_ptr<TokenModel>>
readWordLevel(const JsonPlace &place);
/// Any of them, by its type.
llvm::Expected<std::unique_ptr<TokenModel>> readModel(const JsonPlace &place);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_MODEL_H
