// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_VERIFY_H
#define ITERA_LIB_PIPELINES_VERIFY_H

#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace itera {

/// Runs two artefacts of one model on the same random inputs and prints the
/// largest difference of each output: "verify NAME max_abs_diff VALUE". Fails
/// if one exceeds a thousandth of the output's largest magnitude (at least 1):
/// far above what rounding does to float32, far below what a fault does.
llvm::Error compareArtefacts(llvm::StringRef fast, llvm::StringRef plain,
                             llvm::raw_ostream &out);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_VERIFY_H
