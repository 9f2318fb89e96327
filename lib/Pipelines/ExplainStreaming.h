// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_PIPELINES_EXPLAINSTREAMING_H
#define ITERA_LIB_PIPELINES_EXPLAINSTREAMING_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

namespace itera {

/// Prints what stage `stream` found: time, rate and latency of every output with
/// the nodes that add to it, the states; or why there is no stream.
void explainStreaming(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace itera

#endif // ITERA_LIB_PIPELINES_EXPLAINSTREAMING_H
