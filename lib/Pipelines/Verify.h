// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_VERIFY_H
#define ITERA_LIB_PIPELINES_VERIFY_H

#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace itera {

/// Runs two artefacts of one model on the same random inputs and prints the
/// largest difference of each output: "verify NAME max_abs_diff VALUE". Fails
/// if one exceeds `bound` of the output's largest magnitude (at least 1).
llvm::Error compareArtefacts(llvm::StringRef fast, llvm::StringRef plain,
                             double bound, llvm::raw_ostream &out);

/// Far above what rounding does to float32, far below what a fault does.
inline constexpr double kFloatBound = 1e-3;
/// Where inputs of layers are rounded to int8: an activation that float32 leaves
/// on the other side of a half moves by 1/127 of the largest in its token, and
/// the layers after it with it.
inline constexpr double kRoundedBound = 5e-2;

} // namespace itera

#endif // ITERA_LIB_PIPELINES_VERIFY_H
