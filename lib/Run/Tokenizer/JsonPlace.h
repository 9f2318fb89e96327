// SPDX-License-Identifier: Apache-2.0
//
// Reads JSON from anyone: every access says what it expects and where.

#ifndef ITERA_LIB_RUN_TOKENIZER_JSONPLACE_H
#define ITERA_LIB_RUN_TOKENIZER_JSONPLACE_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include <optional>
#include <string>

namespace itera {

/// A value in a JSON file and the way to it, such as "model.merges[3]".
class JsonPlace {
public:
  JsonPlace(const llvm::json::Value &value, std::string path)
      : value(&value), path(std::move(path)) {}

  /// An error that begins with the place.
  llvm::Error refuse(const llvm::Twine &problem) const;

  llvm::Expected<const llvm::json::Object *> object() const;
  llvm::Expected<const llvm::json::Array *> array() const;
  llvm::Expected<std::string> string() const;
  /// A number that can be the id of a token.
  llvm::Expected<uint32_t> id() const;
  llvm::Expected<double> number() const;

  /// The field KEY of an object; none if it is absent or null, or if this is no
  /// object.
  std::optional<JsonPlace> find(llvm::StringRef key) const;
  llvm::Expected<JsonPlace> get(llvm::StringRef key) const;
  llvm::Expected<std::string> getString(llvm::StringRef key) const;
  /// The field's value, or `other` if there is none.
  llvm::Expected<std::string> getString(llvm::StringRef key,
                                        llvm::StringRef other) const;
  llvm::Expected<bool> getBool(llvm::StringRef key, bool other) const;
  JsonPlace at(size_t index) const;
  /// Calls `read` with each element of the array that is the field KEY, up to
  /// the first error.
  llvm::Error
  forEachOf(llvm::StringRef key,
            llvm::function_ref<llvm::Error(const JsonPlace &)> read) const;

  const llvm::json::Value &get() const { return *value; }

private:
  const llvm::json::Value *value;
  std::string path;
};

/// Parses a text of which nothing is believed: neither the encoding nor that it
/// ends nesting somewhere.
llvm::Expected<llvm::json::Value> parseJson(llvm::StringRef text);

/// Tokens have ids up to here.
constexpr uint32_t maxTokenId = (1 << 24) - 1;

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_JSONPLACE_H
