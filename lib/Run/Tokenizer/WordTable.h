// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_RUN_TOKENIZER_WORDTABLE_H
#define ITERA_LIB_RUN_TOKENIZER_WORDTABLE_H

#include "JsonPlace.h"
#include "itera/Run/Tokenizer.h"

namespace itera {

/// A tokenizer out of {"token_to_id": {...}}: words with spaces between them.
llvm::Expected<std::unique_ptr<Tokenizer>> readWordTable(const JsonPlace &root);

} // namespace itera

#endif // ITERA_LIB_RUN_TOKENIZER_WORDTABLE_H
