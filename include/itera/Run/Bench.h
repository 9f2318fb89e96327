// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_RUN_BENCH_H
#define ITERA_RUN_BENCH_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace itera {

/// Microseconds per run.
struct BenchResult {
  double median = 0;
  double minimum = 0;
};

/// Calls `run` a few times to warm up and then `repeat` times with a clock.
/// `prepare` is called before each run, without the clock.
llvm::Expected<BenchResult> measure(unsigned repeat,
                                    llvm::function_ref<llvm::Error()> run,
                                    llvm::function_ref<llvm::Error()> prepare);

} // namespace itera

#endif // ITERA_RUN_BENCH_H
