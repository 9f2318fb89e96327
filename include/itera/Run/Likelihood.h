// SPDX-License-Identifier: Apache-2.0
//
// How well a language model predicts a text, and how far two of them agree.
//
// A token is scored if enough of the tokens before it were fed since the model
// was last restarted. Sums are in double, logarithms natural.

#ifndef ITERA_RUN_LIKELIHOOD_H
#define ITERA_RUN_LIKELIHOOD_H

#include "itera/Run/LogitSource.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace itera {

/// -log softmax(row)[id], in nats. `row` has V logits. Infinite if the token
/// has no probability; NaN if a logit is NaN or positively infinite, or all are
/// negatively infinite.
double getNegativeLogLikelihood(llvm::ArrayRef<double> row, uint32_t id);

/// How the V logits of one prediction differ from those of a reference.
struct RowDifference {
  double kl = 0;      // KL(reference || row) of their softmax, in nats
  bool sameTop = true; // the likeliest token, of equal ones the first
  double maxAbs = 0;  // of all logits; equal infinities do not differ
  double cosine = 1;  // of the logits as vectors; 1 if both are zero
};
RowDifference compareRows(llvm::ArrayRef<double> reference,
                          llvm::ArrayRef<double> row);

struct LikelihoodOptions {
  /// Tokens that are fed at once, at least 1; fewer where logits would take
  /// more than 256 MiB. Says nothing to a source of windows.
  size_t chunk = 512;
  /// The logits of a token are those of the token `ahead` >= 1 places after.
  size_t ahead = 1;
  /// Tokens at the beginning that are fed and not scored.
  size_t prefix = 0;
};

struct TextLikelihood {
  /// The places in the text of the N scored tokens, increasing.
  std::vector<size_t> places;
  /// Of each source and scored token, in nats: [sources][N].
  std::vector<std::vector<double>> nll;
  /// Of each source: spent in it, without what is done with logits.
  std::vector<double> seconds;
  /// How often the sources were started, at least once.
  size_t windows = 0;
  /// Tokens of all windows but the last, which may have fewer; 0 if there is
  /// but one.
  size_t window = 0;
};

/// Called for every scored token: its place in the text, and of each source the
/// V logits that predict it: rows[source][token], valid during the call.
using LogitVisitor = llvm::function_ref<llvm::Error(
    size_t place, llvm::ArrayRef<std::vector<double>> rows)>;

/// Feeds the text to all sources side by side. When the positions of one end,
/// all are restarted with the next token, so that all know the same; the first
/// `ahead` tokens of a window are not scored. An error if a token cannot be
/// scored, or none can. All ids must be below the V of all sources.
llvm::Expected<TextLikelihood>
measureLikelihood(llvm::ArrayRef<LogitSource *> sources,
                  llvm::ArrayRef<uint32_t> ids,
                  const LikelihoodOptions &options,
                  LogitVisitor visit = nullptr);

} // namespace itera

#endif // ITERA_RUN_LIKELIHOOD_H
