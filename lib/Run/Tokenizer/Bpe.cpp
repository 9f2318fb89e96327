// SPDX-License-Identifier: Apache-2.0
//
// Byte pair encoding: a piece begins as its characters, and of all neighbours
// that the file lets merge, those that come first in its list merge first.

#include "Model.h"
#include "Unicode.h"
#include "llvm/ADT/DenseMap.h"
#include <queue>

using namespace llvm;
using namespace itera;

namespace {

struct Merge {
  unsigned rank;
  uint32_t id;
};

/// A symbol of the piece, in a list by indices.
struct Symbol {
  uint32_t id;
  int previous, next; // -1 at the ends
  bool merged = false;
};

/// Two neighbours that may merge, as they were when they were found.
struct Candidate {
  Merge merge;
  int left;
  uint32_t leftId, rightId;

  /// For a queue that gives the largest: of equal ranks, the leftmost first.
  bool operator<(const Candidate &other) const {
    return std::pair(merge.rank, left) > std::pair(other.merge.rank, other.left);
  }
};

class Bpe : public TokenModel {
public:
  Error read(const JsonPlace &place);
  Error encode(StringRef piece, std::vector<uint32_t> &ids) const override;

private:
  Error readMerges(const JsonPlace &place);
  Error addMerge(const JsonPlace &place, StringRef left, StringRef right,
                 unsigned rank);
  Expected<std::vector<uint32_t>> getCharIds(StringRef piece) const;
  void merge(std::vector<Symbol> &symbols) const;

  DenseMap<std::pair<uint32_t, uint32_t>, Merge> merges;
  bool ignoreMerges = false, byteFallback = false, fuseUnknown = false;
};

} // namespace

Error Bpe::addMerge(const JsonPlace &place, StringRef left, StringRef right,
                    unsigned rank) {
  std::optional<uint32_t> a = vocabulary.find(left), b = vocabulary.find(right),
                          both = vocabulary.find((left + right).str());
  if (!a || !b || !both)
    return place.refuse("the vocabulary lacks '" +
                        (!a ? left : !b ? right : (left + right).str()) + "'");
  merges.insert({{*a, *b}, {rank, *both}});
  return Error::success();
}

Error Bpe::readMerges(const JsonPlace &place) {
  Expected<JsonPlace> list = place.get("merges");
  if (!list)
    return list.takeError();
  Expected<const json::Array *> array = list->array();
  if (!array)
    return array.takeError();
  for (size_t i = 0; i < (*array)->size(); ++i) {
    JsonPlace entry = list->at(i);
    // "left right", or ["left", "right"], which may contain spaces.
    if (std::optional<StringRef> text = entry.get().getAsString()) {
      auto [left, right] = text->split(' ');
      if (left.empty() || right.empty() || right.contains(' '))
        return entry.refuse("expected two tokens with a space between");
      if (Error error = addMerge(entry, left, right, i))
        return error;
      continue;
    }
    const json::Array *pair = entry.get().getAsArray();
    std::optional<StringRef> left, right;
    if (pair && pair->size() == 2) {
      left = (*pair)[0].getAsString();
      right = (*pair)[1].getAsString();
    }
    if (!left || !right)
      return entry.refuse("expected two tokens");
    if (Error error = addMerge(entry, *left, *right, i))
      return error;
  }
  return Error::success();
}

Error Bpe::read(const JsonPlace &place) {
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    Expected<std::string> text = place.getString(key, "");
    if (!text)
      return text.takeError();
    if (!text->empty())
      return place.refuse(key + " '" + *text + "' is not supported");
  }
  for (auto [key, flag] : {std::pair<StringRef, bool *>("ignore_merges", &ignoreMerges),
                           {"byte_fallback", &byteFallback},
                           {"fuse_unk", &fuseUnknown}}) {
    Expected<bool> value = place.getBool(key, false);
    if (!value)
      return value.takeError();
    *flag = *value;
  }
  if (Error error = readVocabulary(place))
    return error;
  if (Error error = readUnknown(place))
    return error;
  return readMerges(place);
}

Expected<std::vector<uint32_t>> Bpe::getCharIds(StringRef piece) const {
  std::vector<uint32_t> ids;
  bool afterUnknown = false;
  for (size_t at = 0; at < piece.size();) {
    StringRef c = piece.substr(at, readChar(piece, at).bytes);
    at += c.size();
    bool unknownBefore = std::exchange(afterUnknown, false);
    if (std::optional<uint32_t> id = vocabulary.find(c)) {
      ids.push_back(*id);
      continue;
    }
    if (byteFallback)
      if (std::optional<std::vector<uint32_t>> bytes = findBytes(c)) {
        ids.insert(ids.end(), bytes->begin(), bytes->end());
        continue;
      }
    if (!unknown)
      return refuseText(c);
    afterUnknown = true;
    if (!unknownBefore || !fuseUnknown)
      ids.push_back(*unknown);
  }
  return ids;
}

void Bpe::merge(std::vector<Symbol> &symbols) const {
  std::priority_queue<Candidate> queue;
  auto offer = [&](int left) {
    int right = left < 0 ? -1 : symbols[left].next;
    if (right < 0)
      return;
    uint32_t a = symbols[left].id, b = symbols[right].id;
    auto found = merges.find({a, b});
    if (found != merges.end())
      queue.push({found->second, left, a, b});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    offer(i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbols[best.left];
    if (left.merged || left.id != best.leftId || left.next < 0 ||
        symbols[left.next].id != best.rightId)
      continue; // one of them has merged with another since
    Symbol &right = symbols[left.next];
    right.merged = true;
    left.id = best.merge.id;
    left.next = right.next;
    if (left.next >= 0)
      symbols[left.next].previous = best.left;
    offer(left.previous);
    offer(best.left);
  }
}

Error Bpe::encode(StringRef piece, std::vector<uint32_t> &ids) const {
  if (ignoreMerges)
    if (std::optional<uint32_t> whole = vocabulary.find(piece)) {
      ids.push_back(*whole);
      return Error::success();
    }
  Expected<std::vector<uint32_t>> chars = getCharIds(piece);
  if (!chars)
    return chars.takeError();
  std::vector<Symbol> symbols;
  int count = chars->size();
  for (int i = 0; i < count; ++i)
    symbols.push_back({(*chars)[i], i - 1, i + 1 < count ? i + 1 : -1});
  merge(symbols);
  for (const Symbol &symbol : symbols)
    if (!symbol.merged)
      ids.push_back(symbol.id);
  return Error::success();
}

Expected<std::unique_ptr<TokenModel>> itera::readBpe(const JsonPlace &place) {
  auto model = std::make_unique<Bpe>();
  if (Error error = model->read(place))
    return std::move(error);
  return std::move(model);
}
