// SPDX-License-Identifier: Apache-2.0

#include "Split.h"
#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include <algorithm>

using namespace llvm;
using namespace itera;

/// Replaces every piece by what `cut` makes of it.
static PreTokenizer
cutPieces(std::function<std::vector<Span>(StringRef)> cut) {
  return [cut](std::vector<Piece> &pieces) {
    std::vector<Piece> result;
    for (const Piece &piece : pieces)
      for (Span span : cut(piece.text))
        if (span.begin < span.end)
          result.push_back({piece.text.substr(span.begin, span.end - span.begin),
                            piece.first && span.begin == 0});
    pieces = std::move(result);
  };
}

//===----------------------------------------------------------------------===//
// What happens to the matches of a pattern
//===----------------------------------------------------------------------===//

using Arrange = std::vector<Span> (*)(std::vector<Span>);

static std::vector<Span> isolate(std::vector<Span> spans) { return spans; }

static std::vector<Span> remove(std::vector<Span> spans) {
  erase_if(spans, [](Span span) { return span.match; });
  return spans;
}

static std::vector<Span> joinEqual(std::vector<Span> spans) {
  std::vector<Span> result;
  for (Span span : spans)
    if (!result.empty() && result.back().match == span.match)
      result.back().end = span.end;
    else
      result.push_back(span);
  return result;
}

/// A match ends the piece before it; of several in a row, the first one does.
static std::vector<Span> joinBefore(std::vector<Span> spans) {
  std::vector<Span> result;
  bool afterMatch = false;
  for (Span span : spans) {
    if (span.match && !afterMatch && !result.empty())
      result.back().end = span.end;
    else
      result.push_back(span);
    afterMatch = span.match;
  }
  return result;
}

/// A match begins the piece after it; of several in a row, the last one does.
static std::vector<Span> joinAfter(std::vector<Span> spans) {
  std::vector<Span> result;
  bool beforeMatch = false;
  for (Span span : reverse(spans)) {
    if (span.match && !beforeMatch && !result.empty())
      result.back().begin = span.begin;
    else
      result.push_back(span);
    beforeMatch = span.match;
  }
  std::reverse(result.begin(), result.end());
  return result;
}

static Expected<Arrange> readBehavior(const JsonPlace &place) {
  Expected<std::string> name = place.getString("behavior");
  if (!name)
    return name.takeError();
  Arrange arrange = StringSwitch<Arrange>(*name)
                        .Case("Isolated", isolate)
                        .Case("Removed", remove)
                        .Case("Contiguous", joinEqual)
                        .Case("MergedWithPrevious", joinBefore)
                        .Case("MergedWithNext", joinAfter)
                        .Default(nullptr);
  if (!arrange)
    return place.refuse("unsupported behavior '" + *name + "'");
  return arrange;
}

//===----------------------------------------------------------------------===//
// The steps
//===----------------------------------------------------------------------===//

static Error readSplit(const JsonPlace &place,
                       std::vector<PreTokenizer> &steps) {
  Expected<JsonPlace> where = place.get("pattern");
  if (!where)
    return where.takeError();
  Pattern pattern;
  if (where->find("String")) {
    Expected<std::string> text = where->getString("String");
    if (!text)
      return text.takeError();
    pattern = makeStringPattern(*text);
  } else {
    Expected<std::string> regex = where->getString("Regex");
    if (!regex)
      return regex.takeError();
    pattern = findRegexPattern(*regex);
    if (!pattern)
      return where->refuse("unsupported regular expression '" +
                           StringRef(*regex).take_front(200) + "'");
  }
  Expected<Arrange> arrange = readBehavior(place);
  if (!arrange)
    return arrange.takeError();
  Expected<bool> invert = place.getBool("invert", false);
  if (!invert)
    return invert.takeError();
  steps.push_back(cutPieces([pattern, arrange = *arrange,
                             invert = *invert](StringRef text) {
    std::vector<Span> spans = pattern(text);
    for (Span &span : spans)
      span.match ^= invert;
    return arrange(std::move(spans));
  }));
  return Error::success();
}

/// What the pattern \w+|[^\w\s]+ finds.
static std::vector<Span> cutWords(StringRef text) {
  std::vector<Span> spans;
  auto kind = [&](Char c) {
    return isWordChar(c.code) ? 1 : isWhiteSpace(c.code) ? 0 : 2;
  };
  for (size_t at = 0; at < text.size();) {
    Char c = readChar(text, at);
    size_t end = at + c.bytes;
    for (Char next = readChar(text, end); next.bytes && kind(next) == kind(c);
         next = readChar(text, end))
      end += next.bytes;
    if (kind(c))
      spans.push_back({at, end, true});
    at = end;
  }
  return spans;
}

static std::vector<Span> cutAtSpace(StringRef text) {
  return remove(makeClassPattern(isWhiteSpace, false)(text));
}

static Error readByteLevel(const JsonPlace &place,
                           std::vector<PreTokenizer> &steps) {
  Expected<bool> prefix = place.getBool("add_prefix_space", true);
  if (!prefix)
    return prefix.takeError();
  Expected<bool> regex = place.getBool("use_regex", true);
  if (!regex)
    return regex.takeError();
  if (*prefix)
    steps.push_back([](std::vector<Piece> &pieces) {
      for (Piece &piece : pieces)
        if (!StringRef(piece.text).starts_with(" "))
          piece.text.insert(0, " ");
    });
  if (*regex)
    steps.push_back(cutPieces(findGpt2Spans));
  steps.push_back([](std::vector<Piece> &pieces) {
    for (Piece &piece : pieces) {
      std::string text;
      for (unsigned char byte : piece.text)
        appendByteChar(text, byte);
      piece.text = std::move(text);
    }
  });
  return Error::success();
}

static Error readMetaspace(const JsonPlace &place,
                           std::vector<PreTokenizer> &steps) {
  Expected<std::string> mark = place.getString("replacement");
  if (!mark)
    return mark.takeError();
  Expected<bool> older = place.getBool("add_prefix_space", true);
  if (!older)
    return older.takeError();
  Expected<std::string> scheme =
      place.getString("prepend_scheme", *older ? "always" : "never");
  if (!scheme)
    return scheme.takeError();
  if (*scheme != "always" && *scheme != "first" && *scheme != "never")
    return place.refuse("unsupported prepend_scheme '" + *scheme + "'");
  Expected<bool> split = place.getBool("split", true);
  if (!split)
    return split.takeError();
  steps.push_back([mark = *mark, scheme = *scheme](std::vector<Piece> &pieces) {
    for (Piece &piece : pieces) {
      std::string text;
      for (char c : piece.text)
        c == ' ' ? text += mark : text += c;
      if (!StringRef(text).starts_with(mark) &&
          (scheme == "always" || (scheme == "first" && piece.first)))
        text = mark + text;
      piece.text = std::move(text);
    }
  });
  if (*split)
    steps.push_back(cutPieces([pattern = makeStringPattern(*mark)](
                                  StringRef text) {
      return joinAfter(pattern(text));
    }));
  return Error::success();
}

Error itera::readPreTokenizer(const JsonPlace &place,
                              std::vector<PreTokenizer> &steps) {
  Expected<std::string> type = place.getString("type");
  if (!type)
    return type.takeError();
  if (*type == "Sequence")
    return place.forEachOf("pretokenizers", [&](const JsonPlace &step) {
      return readPreTokenizer(step, steps);
    });
  if (*type == "ByteLevel")
    return readByteLevel(place, steps);
  if (*type == "Metaspace")
    return readMetaspace(place, steps);
  if (*type == "Split")
    return readSplit(place, steps);
  if (*type == "Digits") {
    Expected<bool> single = place.getBool("individual_digits", false);
    if (!single)
      return single.takeError();
    steps.push_back(cutPieces(makeClassPattern(isNumber, *single)));
    return Error::success();
  }
  if (*type == "Punctuation") {
    Expected<Arrange> arrange = readBehavior(place);
    if (!arrange)
      return arrange.takeError();
    steps.push_back(cutPieces([arrange = *arrange](StringRef text) {
      return arrange(makeClassPattern(isPunctuation, true)(text));
    }));
    return Error::success();
  }
  if (*type != "Whitespace" && *type != "WhitespaceSplit")
    return place.refuse("unsupported pre-tokenizer '" + *type + "'");
  steps.push_back(cutPieces(*type == "Whitespace" ? cutWords : cutAtSpace));
  return Error::success();
}
