// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TOOLS_ITERA_RUN_GENERATETEXT_H
#define ITERA_TOOLS_ITERA_RUN_GENERATETEXT_H

#include "Options.h"
#include "itera/Run/LoadedModel.h"

namespace itera {

/// Refuses options of --generate that make no sense, or that came without it.
llvm::Error checkGenerateOptions(const Options &options);

/// Continues the prompt and prints what is made as it comes.
llvm::Error generateText(const LoadedModel &model, const Options &options);

} // namespace itera

#endif // ITERA_TOOLS_ITERA_RUN_GENERATETEXT_H
