// SPDX-License-Identifier: Apache-2.0
//
// Where does a stream leave the whole model?

#ifndef ITERA_RUN_COMPARESTREAM_H
#define ITERA_RUN_COMPARESTREAM_H

#include "itera/Run/Compare.h"
#include "itera/Run/LoadedModel.h"

namespace itera {

/// Runs the inputs whole, by forward, and as a stream in calls of `chunk`
/// frames, and compares all outputs: first those of the nodes that were made
/// outputs (`itera-compile --taps`), in the order of the program, then the
/// model's own. Prints the first that differs, or that none does. With a
/// tolerance of 0 every bit counts. True if they agree.
llvm::Expected<bool>
compareStream(const LoadedModel &model,
              llvm::ArrayRef<std::vector<char>> inputs, uint64_t length,
              uint64_t chunk, Tolerance tolerance, llvm::raw_ostream &out);

} // namespace itera

#endif // ITERA_RUN_COMPARESTREAM_H
