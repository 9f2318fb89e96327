// SPDX-License-Identifier: Apache-2.0
//
// What --generate and --eval are given.

#ifndef ITERA_TOOLS_ITERA_RUN_TEXTINPUTS_H
#define ITERA_TOOLS_ITERA_RUN_TEXTINPUTS_H

#include "Options.h"
#include "itera/Run/LoadedModel.h"
#include "itera/Run/Tokenizer.h"

namespace itera {

/// A whole file; - for stdin.
llvm::Expected<std::string> readText(llvm::StringRef path);

/// The arrays of --input for the inputs that have no time.
llvm::Expected<std::vector<std::vector<char>>>
readStaticInputs(const LoadedModel &model, const Options &options);

/// That of --tokenizer, or the one of bytes.
llvm::Expected<std::unique_ptr<Tokenizer>>
chooseTokenizer(const Options &options, uint64_t vocabulary);

/// Refuses tokens that the model does not have.
llvm::Error checkIds(llvm::ArrayRef<uint32_t> ids, uint64_t vocabulary);

} // namespace itera

#endif // ITERA_TOOLS_ITERA_RUN_TEXTINPUTS_H
