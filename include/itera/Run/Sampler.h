// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_RUN_SAMPLER_H
#define ITERA_RUN_SAMPLER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <vector>

namespace itera {

struct SamplingOptions {
  /// Logits are divided by it; 0: always the likeliest token.
  double temperature = 0;
  /// Only the K likeliest tokens; 0: all.
  unsigned topK = 0;
  /// Only the likeliest tokens that together have this probability.
  double topP = 1;
  uint64_t seed = 0;
};

/// Picks tokens. The same logits and seed give the same tokens on every
/// platform: the random numbers and the exponential are its own.
class Sampler {
public:
  explicit Sampler(const SamplingOptions &options);

  /// Picks among the tokens for which `allowed` holds; of equally likely ones
  /// the first comes first. An error if no such token has a number.
  llvm::Expected<uint32_t> pick(llvm::ArrayRef<double> logits,
                                llvm::function_ref<bool(uint32_t)> allowed);

private:
  struct Token {
    uint32_t id;
    double value; // its logit, later its weight
  };
  double random();
  void keepLikeliest();

  SamplingOptions options;
  uint64_t state;
  std::vector<Token> tokens; // of one call
};

/// e to the power of x for x <= 0, by additions and multiplications alone.
double portableExp(double x);

} // namespace itera

#endif // ITERA_RUN_SAMPLER_H
