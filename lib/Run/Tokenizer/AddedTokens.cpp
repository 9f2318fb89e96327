// SPDX-License-Identifier: Apache-2.0

#include "AddedTokens.h"
#include "Unicode.h"

using namespace llvm;
using namespace itera;

static Expected<AddedToken> readToken(const JsonPlace &place) {
  AddedToken token;
  Expected<std::string> content = place.getString("content");
  if (!content)
    return content.takeError();
  token.content = *content;
  Expected<JsonPlace> field = place.get("id");
  if (!field)
    return field.takeError();
  Expected<uint32_t> id = field->id();
  if (!id)
    return id.takeError();
  token.id = *id;
  for (auto [key, flag] : {std::pair<StringRef, bool *>("special", &token.special),
                           {"normalized", &token.normalized},
                           {"single_word", &token.singleWord},
                           {"lstrip", &token.stripLeft},
                           {"rstrip", &token.stripRight}}) {
    Expected<bool> value = place.getBool(key, false);
    if (!value)
      return value.takeError();
    *flag = *value;
  }
  return token;
}

Expected<std::vector<AddedToken>>
itera::readAddedTokens(const JsonPlace &place) {
  std::vector<AddedToken> tokens;
  std::optional<JsonPlace> list = place.find("added_tokens");
  if (!list)
    return tokens;
  Expected<const json::Array *> array = list->array();
  if (!array)
    return array.takeError();
  for (size_t i = 0; i < (*array)->size(); ++i) {
    Expected<AddedToken> token = readToken(list->at(i));
    if (!token)
      return token.takeError();
    tokens.push_back(std::move(*token));
  }
  return tokens;
}

static const AddedToken *findLongest(StringRef rest,
                                     ArrayRef<const AddedToken *> tokens) {
  const AddedToken *best = nullptr;
  for (const AddedToken *token : tokens)
    if (!token->content.empty() && rest.starts_with(token->content) &&
        (!best || token->content.size() > best->content.size()))
      best = token;
  return best;
}

static void cutPiece(const Piece &piece, ArrayRef<const AddedToken *> tokens,
                     std::vector<Part> &parts) {
  StringRef text(piece.text);
  size_t done = 0;
  auto keepText = [&](size_t end) {
    if (done < end)
      parts.push_back(
          Piece{text.slice(done, end).str(), piece.first && done == 0});
  };
  for (size_t at = 0; at < text.size();) {
    const AddedToken *token = findLongest(text.substr(at), tokens);
    if (!token) {
      at += readChar(text, at).bytes;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->singleWord &&
        ((begin && isWordChar(readCharBefore(text, begin).code)) ||
         (end < text.size() && isWordChar(readChar(text, end).code))))
      continue;
    while (token->stripLeft && begin > done &&
           isWhiteSpace(readCharBefore(text, begin).code))
      begin -= readCharBefore(text, begin).bytes;
    while (token->stripRight && end < text.size() &&
           isWhiteSpace(readChar(text, end).code))
      end += readChar(text, end).bytes;
    keepText(begin);
    parts.push_back(token->id);
    done = at = end;
  }
  keepText(text.size());
}

std::vector<Part> itera::cutAtTokens(std::vector<Part> parts,
                                     ArrayRef<const AddedToken *> tokens) {
  std::vector<Part> result;
  for (Part &part : parts)
    if (auto *piece = std::get_if<Piece>(&part))
      cutPiece(*piece, tokens, result);
    else
      result.push_back(part);
  return result;
}
