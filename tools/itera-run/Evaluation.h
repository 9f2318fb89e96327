// SPDX-License-Identifier: Apache-2.0
//
// What --eval found, and how it is told.

#ifndef ITERA_TOOLS_ITERA_RUN_EVALUATION_H
#define ITERA_TOOLS_ITERA_RUN_EVALUATION_H

#include "itera/Run/Likelihood.h"
#include <optional>
#include <string>

namespace itera {

struct Text {
  std::vector<uint32_t> ids;
  size_t prefix = 0; // ids that stand before the text
  size_t bytes = 0;
  std::vector<double> bytesOfIds; // `bytes` in all
};

/// Of the model with the one of --eval-against.
struct Agreement {
  double kl = 0, cosine = 0; // sums over tokens
  double maxAbs = 0;
  size_t sameTop = 0;
  std::vector<float> klOfTokens;
};

struct Evaluation {
  std::string model;
  std::optional<std::string> other; // of --eval-against
  Text text;
  TextLikelihood likelihood;
  Agreement agreement; // if there is another model
  size_t chunk = 0;    // tokens in a call
  bool wholeWindows = false; // by forward, not as a stream
};

void printAsText(const Evaluation &evaluation);
/// One line.
void printAsJson(const Evaluation &evaluation);

/// Arrays of all scored tokens: nll (float32, nats) and place (int64); with
/// another model its nll_against, and kl.
llvm::Error writeTrace(llvm::StringRef path, const Evaluation &evaluation);

} // namespace itera

#endif // ITERA_TOOLS_ITERA_RUN_EVALUATION_H
