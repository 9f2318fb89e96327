// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TOOLS_ITERA_RUN_EVALUATETEXT_H
#define ITERA_TOOLS_ITERA_RUN_EVALUATETEXT_H

#include "Options.h"
#include "itera/Run/LoadedModel.h"

namespace itera {

/// Refuses options of --eval that make no sense, or that came without it.
llvm::Error checkEvaluateOptions(const Options &options);

/// Prints how well the model predicts the text of --eval.
llvm::Error evaluateText(const LoadedModel &model, const Options &options);

} // namespace itera

#endif // ITERA_TOOLS_ITERA_RUN_EVALUATETEXT_H
