// SPDX-License-Identifier: Apache-2.0
//
// Every token has a score, the logarithm of its probability. A piece becomes
// those tokens whose sum of scores is the largest.

#include "Model.h"
#include "Unicode.h"
#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace itera;

namespace {

class Unigram : public TokenModel {
public:
  Error read(const JsonPlace &place);
  Error encode(StringRef piece, std::vector<uint32_t> &ids) const override;

private:
  Error readEntry(const JsonPlace &entry, uint32_t id);
  Error append(StringRef text, std::optional<uint32_t> id,
               std::vector<uint32_t> &ids) const;

  std::vector<double> scores;
  double unknownScore = 0;
  size_t longest = 0; // bytes of a token
  bool byteFallback = false;
};

/// The best way to write the text up to some place.
struct Best {
  double score = -INFINITY;
  size_t start = 0;           // of its last token
  std::optional<uint32_t> id; // none: an unknown character
};

} // namespace

Error Unigram::readEntry(const JsonPlace &entry, uint32_t id) {
  const json::Array *pair = entry.get().getAsArray();
  if (!pair || pair->size() != 2)
    return entry.refuse("expected a token and its score");
  Expected<std::string> text = entry.at(0).string();
  if (!text)
    return text.takeError();
  Expected<double> score = entry.at(1).number();
  if (!score)
    return score.takeError();
  if (!std::isfinite(*score))
    return entry.at(1).refuse("expected a finite score");
  vocabulary.add(*text, id);
  scores.push_back(*score);
  longest = std::max(longest, text->size());
  return Error::success();
}

Error Unigram::read(const JsonPlace &place) {
  Expected<JsonPlace> list = place.get("vocab");
  if (!list)
    return list.takeError();
  Expected<const json::Array *> array = list->array();
  if (!array)
    return array.takeError();
  if ((*array)->size() > maxTokenId)
    return list->refuse("too many tokens");
  for (size_t i = 0; i < (*array)->size(); ++i)
    if (Error error = readEntry(list->at(i), i))
      return error;
  if (std::optional<JsonPlace> field = place.find("unk_id")) {
    Expected<uint32_t> id = field->id();
    if (!id)
      return id.takeError();
    if (*id >= scores.size())
      return field->refuse("expected an id of the vocabulary");
    unknown = *id;
  }
  Expected<bool> fallback = place.getBool("byte_fallback", false);
  if (!fallback)
    return fallback.takeError();
  byteFallback = *fallback;
  // Worse than any token.
  constexpr double penalty = 10;
  unknownScore = scores.empty()
                     ? 0
                     : *std::min_element(scores.begin(), scores.end()) - penalty;
  return Error::success();
}

/// Appends a token, or what stands for characters without one.
Error Unigram::append(StringRef text, std::optional<uint32_t> id,
                      std::vector<uint32_t> &ids) const {
  if (!id && byteFallback)
    if (std::optional<std::vector<uint32_t>> bytes = findBytes(text)) {
      ids.insert(ids.end(), bytes->begin(), bytes->end());
      return Error::success();
    }
  if (!id)
    id = unknown;
  if (!id)
    return refuseText(text);
  ids.push_back(*id);
  return Error::success();
}

Error Unigram::encode(StringRef piece, std::vector<uint32_t> &ids) const {
  std::vector<Best> best(piece.size() + 1);
  best[0].score = 0;
  for (size_t at = 0; at < piece.size(); at += readChar(piece, at).bytes) {
    size_t width = readChar(piece, at).bytes;
    double score = best[at].score;
    bool single = false; // the character alone is a token
    for (size_t end = at + width; end <= piece.size() && end - at <= longest;
         end += std::max(readChar(piece, end).bytes, 1u)) {
      std::optional<uint32_t> id = vocabulary.find(piece.slice(at, end));
      if (!id)
        continue;
      single |= end == at + width;
      if (score + scores[*id] > best[end].score)
        best[end] = {score + scores[*id], at, id};
    }
    Best &next = best[at + width];
    if (!single && score + unknownScore > next.score)
      next = {score + unknownScore, at, std::nullopt};
  }

  std::vector<std::pair<StringRef, std::optional<uint32_t>>> tokens;
  for (size_t end = piece.size(); end > 0; end = best[end].start)
    tokens.push_back({piece.slice(best[end].start, end), best[end].id});
  std::reverse(tokens.begin(), tokens.end());
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto [text, id] = tokens[i];
    // Unknown characters in a row are one token.
    if (!id)
      while (i + 1 < tokens.size() && !tokens[i + 1].second)
        text = StringRef(text.data(), text.size() + tokens[++i].first.size());
    if (Error error = append(text, id, ids))
      return error;
  }
  return Error::success();
}

Expected<std::unique_ptr<TokenModel>>
itera::readUnigram(const JsonPlace &place) {
  auto model = std::make_unique<Unigram>();
  if (Error error = model->read(place))
    return std::move(error);
  return std::move(model);
}
