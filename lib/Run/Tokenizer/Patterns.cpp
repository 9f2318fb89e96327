// SPDX-License-Identifier: Apache-2.0
//
// The regular expressions that tokenizers are published with are few. They are
// written out here as what they match, which needs no engine and takes linear
// time on any text.

#include "Split.h"
#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace itera;

namespace {

/// How the two families differ.
struct WordRules {
  /// GPT-4's and its followers': contractions in any case, any character
  /// (instead of a space alone) before letters, line breaks on their own.
  bool modern;
  /// Digits in a piece; 0 for any number of them.
  unsigned digits;
};

/// Finds where a piece ends. The alternatives of the expression are tried in
/// its order.
class WordMatcher {
public:
  WordMatcher(StringRef text, size_t at, WordRules rules)
      : text(text), at(at), rules(rules) {}

  size_t end() const {
    for (auto alternative :
         {&WordMatcher::contraction, &WordMatcher::letters,
          &WordMatcher::numbers, &WordMatcher::others, &WordMatcher::space})
      if (size_t end = (this->*alternative)())
        return end;
    return at + read(at).bytes; // not reached: they cover every character
  }

private:
  Char read(size_t i) const { return readChar(text, i); }

  template <typename Predicate>
  size_t skip(size_t i, Predicate is, unsigned limit = 0) const {
    for (unsigned count = 0; !limit || count < limit; ++count) {
      Char c = read(i);
      if (!c.bytes || !is(c.code))
        break;
      i += c.bytes;
    }
    return i;
  }

  static bool isLineBreak(uint32_t code) { return code == '\r' || code == '\n'; }
  static bool isOther(uint32_t code) {
    return !isWhiteSpace(code) && !isLetter(code) && !isNumber(code);
  }

  /// 's|'t|'re|'ve|'m|'ll|'d
  size_t contraction() const {
    StringRef rest = text.substr(at);
    for (StringRef word : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
      if (rules.modern ? rest.starts_with_insensitive(word)
                       : rest.starts_with(word))
        return at + word.size();
    return 0;
  }

  /// " ?\p{L}+", or "[^\r\n\p{L}\p{N}]?\p{L}+"
  size_t letters() const {
    Char c = read(at);
    size_t start = at;
    if (rules.modern ? !isLineBreak(c.code) && !isLetter(c.code) &&
                           !isNumber(c.code)
                     : c.code == ' ')
      start += c.bytes;
    size_t end = skip(start, isLetter);
    return end > start ? end : 0;
  }

  /// " ?\p{N}+", or "\p{N}{1,3}"
  size_t numbers() const {
    size_t start = at + (!rules.modern && read(at).code == ' ');
    size_t end = skip(start, isNumber, rules.digits);
    return end > start ? end : 0;
  }

  /// " ?[^\s\p{L}\p{N}]+", and with "[\r\n]*" behind it
  size_t others() const {
    size_t start = at + (read(at).code == ' ');
    size_t end = skip(start, isOther);
    if (end == start)
      return 0;
    return rules.modern ? skip(end, isLineBreak) : end;
  }

  /// "\s+(?!\S)|\s+", and before them "\s*[\r\n]+"
  size_t space() const {
    size_t end = skip(at, isWhiteSpace);
    if (end == at)
      return 0;
    if (rules.modern) {
      size_t last = text.slice(at, end).find_last_of("\r\n");
      if (last != StringRef::npos)
        return at + last + 1;
    }
    // The last character goes with the word that follows, if it can.
    size_t before = end - readCharBefore(text, end).bytes;
    return end == text.size() || before == at ? end : before;
  }

  StringRef text;
  size_t at;
  WordRules rules;
};

} // namespace

static std::vector<Span> findWords(StringRef text, WordRules rules) {
  std::vector<Span> spans;
  for (size_t at = 0; at < text.size(); at = spans.back().end)
    spans.push_back({at, WordMatcher(text, at, rules).end(), true});
  return spans;
}

std::vector<Span> itera::findGpt2Spans(StringRef text) {
  return findWords(text, {false, 0});
}

/// Spans of `match(at)`, which gives the end of a match or 0, and of what lies
/// between them.
template <typename Match>
static std::vector<Span> findSpans(StringRef text, Match match) {
  std::vector<Span> spans;
  size_t between = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = match(at);
    if (!end) {
      at += readChar(text, at).bytes;
      continue;
    }
    if (between < at)
      spans.push_back({between, at, false});
    spans.push_back({at, end, true});
    at = between = end;
  }
  if (between < text.size())
    spans.push_back({between, text.size(), false});
  return spans;
}

Pattern itera::makeStringPattern(std::string what) {
  return [what](StringRef text) {
    return findSpans(text, [&](size_t at) {
      bool here = !what.empty() && text.substr(at).starts_with(what);
      return here ? at + what.size() : 0;
    });
  };
}

Pattern itera::makeClassPattern(bool (*has)(uint32_t), bool single) {
  return [has, single](StringRef text) {
    return findSpans(text, [&](size_t at) {
      size_t end = at;
      for (Char c = readChar(text, end); c.bytes && has(c.code);
           c = readChar(text, end)) {
        end += c.bytes;
        if (single)
          break;
      }
      return end > at ? end : 0;
    });
  };
}

/// [0-9][0-9][0-9]
static std::vector<Span> findThreeDigits(StringRef text) {
  return findSpans(text, [&](size_t at) {
    StringRef three = text.substr(at, 3);
    return three.size() == 3 && all_of(three, llvm::isDigit) ? at + 3 : 0;
  });
}

Pattern itera::findRegexPattern(StringRef regex) {
  constexpr StringLiteral modern =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
  constexpr StringLiteral modernTail =
      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  StringRef middle = regex;
  if (middle.consume_front(modern) && middle.consume_back(modernTail)) {
    std::optional<unsigned> digits =
        StringSwitch<std::optional<unsigned>>(middle)
            .Cases({"\\p{N}", "\\p{N}{1}"}, 1)
            .Case("\\p{N}{1,2}", 2)
            .Case("\\p{N}{1,3}", 3)
            .Case("\\p{N}+", 0)
            .Default(std::nullopt);
    if (digits)
      return [digits](StringRef text) {
        return findWords(text, {true, *digits});
      };
  }
  return StringSwitch<Pattern>(regex)
      .Case("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
            "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
            findGpt2Spans)
      .Case("[0-9][0-9][0-9]", findThreeDigits)
      .Case("\\s+", makeClassPattern(isWhiteSpace, false))
      .Case("\\s", makeClassPattern(isWhiteSpace, true))
      .Case("\\p{N}", makeClassPattern(isNumber, true))
      .Default(nullptr);
}
