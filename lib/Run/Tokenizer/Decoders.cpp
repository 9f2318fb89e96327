// SPDX-License-Identifier: Apache-2.0

#include "Decoders.h"
#include "Unicode.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace itera;

static std::string replaceAll(StringRef text, StringRef from, StringRef to) {
  std::string result;
  for (size_t at; !from.empty() && (at = text.find(from)) != StringRef::npos;
       text = text.drop_front(at + from.size()))
    result += (text.take_front(at) + to).str();
  return result += text;
}

/// Characters back to bytes; a token with any other character is text already.
static std::string decodeByteLevel(std::string token, bool) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    Char c = readChar(token, at);
    std::optional<unsigned char> byte = getByteOfChar(c.code);
    if (!byte)
      return token;
    bytes += char(*byte);
    at += c.bytes;
  }
  return bytes;
}

/// "<0xE2>" is a byte.
static std::string decodeByteToken(std::string token, bool) {
  StringRef digits(token);
  uint8_t byte;
  if (token.size() != 6 || !digits.consume_front("<0x") ||
      !digits.consume_back(">") || !isHexDigit(digits[0]) ||
      digits.getAsInteger(16, byte))
    return token;
  return std::string(1, char(byte));
}

static Error readMetaspace(const JsonPlace &place, DecoderSteps &steps) {
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
  bool prepended = *scheme != "never";
  steps.changes.push_back(
      [mark = *mark, prepended](std::string token, bool first) {
        return replaceAll(token, mark, first && prepended ? "" : " ");
      });
  return Error::success();
}

static Error readReplace(const JsonPlace &place, DecoderSteps &steps) {
  Expected<JsonPlace> pattern = place.get("pattern");
  if (!pattern)
    return pattern.takeError();
  Expected<std::string> from = pattern->getString("String");
  if (!from)
    return from.takeError();
  Expected<std::string> to = place.getString("content");
  if (!to)
    return to.takeError();
  steps.changes.push_back([from = *from, to = *to](std::string token, bool) {
    return replaceAll(token, from, to);
  });
  return Error::success();
}

static Expected<uint64_t> readCount(const JsonPlace &place, StringRef key) {
  std::optional<JsonPlace> field = place.find(key);
  if (!field)
    return 0;
  Expected<uint32_t> count = field->id();
  return count ? Expected<uint64_t>(*count) : count.takeError();
}

/// `fused`: the tokens are one text from here on.
static Error readStrip(const JsonPlace &place, DecoderSteps &steps,
                       bool fused) {
  Expected<std::string> content = place.getString("content");
  if (!content)
    return content.takeError();
  Expected<uint64_t> start = readCount(place, "start");
  if (!start)
    return start.takeError();
  Expected<uint64_t> stop = readCount(place, "stop");
  if (!stop)
    return stop.takeError();
  if (fused) {
    // A text that is shown while it grows has no end yet.
    if (*stop || steps.stripCount)
      return place.refuse("unsupported decoder 'Strip' at the end of the text");
    steps.stripped = *content;
    steps.stripCount = content->empty() ? 0 : *start;
    return Error::success();
  }
  steps.changes.push_back([content = *content, start = *start,
                           stop = *stop](std::string token, bool) {
    StringRef rest(token);
    for (uint64_t i = 0; i < start && rest.consume_front(content); ++i)
      ;
    for (uint64_t i = 0; i < stop && rest.consume_back(content); ++i)
      ;
    return rest.str();
  });
  return Error::success();
}

static Error readStep(const JsonPlace &place, DecoderSteps &steps,
                      bool &fused) {
  Expected<std::string> type = place.getString("type");
  if (!type)
    return type.takeError();
  if (*type == "Sequence")
    return place.forEachOf("decoders", [&](const JsonPlace &step) {
      return readStep(step, steps, fused);
    });
  if (*type == "Fuse") {
    fused = true;
    return Error::success();
  }
  if (*type == "Strip")
    return readStrip(place, steps, fused);
  if (fused)
    return place.refuse("unsupported decoder '" + *type + "' after 'Fuse'");
  if (*type == "Metaspace")
    return readMetaspace(place, steps);
  if (*type == "Replace")
    return readReplace(place, steps);
  if (*type == "ByteLevel")
    steps.changes.push_back(decodeByteLevel);
  else if (*type == "ByteFallback")
    steps.changes.push_back(decodeByteToken);
  else
    return place.refuse("unsupported decoder '" + *type + "'");
  return Error::success();
}

Error itera::readDecoder(const JsonPlace &place, DecoderSteps &steps) {
  bool fused = false;
  return readStep(place, steps, fused);
}
