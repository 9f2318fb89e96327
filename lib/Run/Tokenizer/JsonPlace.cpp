// SPDX-License-Identifier: Apache-2.0

#include "JsonPlace.h"

using namespace llvm;
using namespace itera;

Error JsonPlace::refuse(const Twine &problem) const {
  return createStringError(inconvertibleErrorCode(),
                           (path.empty() ? "" : path + ": ") + problem);
}

Expected<const json::Object *> JsonPlace::object() const {
  if (const json::Object *object = value->getAsObject())
    return object;
  return refuse("expected an object");
}

Expected<const json::Array *> JsonPlace::array() const {
  if (const json::Array *array = value->getAsArray())
    return array;
  return refuse("expected an array");
}

Expected<std::string> JsonPlace::string() const {
  if (std::optional<StringRef> text = value->getAsString())
    return text->str();
  return refuse("expected a string");
}

Expected<uint32_t> JsonPlace::id() const {
  std::optional<int64_t> id = value->getAsInteger();
  if (id && *id >= 0 && *id <= maxTokenId)
    return uint32_t(*id);
  return refuse("expected an id from 0 to " + Twine(maxTokenId));
}

Expected<double> JsonPlace::number() const {
  if (std::optional<double> number = value->getAsNumber())
    return *number;
  return refuse("expected a number");
}

std::optional<JsonPlace> JsonPlace::find(StringRef key) const {
  const json::Object *object = value->getAsObject();
  const json::Value *field = object ? object->get(key) : nullptr;
  if (!field || field->kind() == json::Value::Null)
    return std::nullopt;
  return JsonPlace(*field, (path.empty() ? "" : path + ".") + key.str());
}

Expected<JsonPlace> JsonPlace::get(StringRef key) const {
  if (std::optional<JsonPlace> field = find(key))
    return *field;
  return refuse("expected a field '" + key + "'");
}

Expected<std::string> JsonPlace::getString(StringRef key) const {
  Expected<JsonPlace> field = get(key);
  return field ? field->string() : field.takeError();
}

Expected<std::string> JsonPlace::getString(StringRef key,
                                           StringRef other) const {
  std::optional<JsonPlace> field = find(key);
  return field ? field->string() : other.str();
}

Expected<bool> JsonPlace::getBool(StringRef key, bool other) const {
  std::optional<JsonPlace> field = find(key);
  if (!field)
    return other;
  if (std::optional<bool> flag = field->value->getAsBoolean())
    return *flag;
  return field->refuse("expected true or false");
}

JsonPlace JsonPlace::at(size_t index) const {
  return JsonPlace((*value->getAsArray())[index],
                   path + "[" + std::to_string(index) + "]");
}

Expected<json::Value> itera::parseJson(StringRef text) {
  // The parser calls itself for every level.
  constexpr unsigned maxDepth = 64;
  unsigned depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{') && ++depth > maxDepth)
      return createStringError(inconvertibleErrorCode(),
                               "nested deeper than " + Twine(maxDepth));
    else if (!quoted && (c == ']' || c == '}') && depth)
      --depth;
  }
  Expected<json::Value> value = json::parse(text);
  if (value)
    return value;
  std::string problem = toString(value.takeError());
  // The parser's text is "[line:column, byte=n]: problem".
  return createStringError(inconvertibleErrorCode(), "not JSON: " + problem);
}

Error JsonPlace::forEachOf(StringRef key,
                           function_ref<Error(const JsonPlace &)> read) const {
  Expected<JsonPlace> list = get(key);
  if (!list)
    return list.takeError();
  Expected<const json::Array *> elements = list->array();
  if (!elements)
    return elements.takeError();
  for (size_t i = 0; i < (*elements)->size(); ++i)
    if (Error error = read(list->at(i)))
      return error;
  return Error::success();
}
