// SPDX-License-Identifier: Apache-2.0
// Included before everything else in builds with assertions. The size of an
// llvm::Statistic, and so of mlir::Pass::Statistic, depends on NDEBUG, and the
// LLVM that we link was built with it.
#ifndef ITERA_CMAKE_LLVMSTATISTICS_H
#define ITERA_CMAKE_LLVMSTATISTICS_H

#define NDEBUG
#include "llvm/ADT/Statistic.h"
#undef NDEBUG

#endif // ITERA_CMAKE_LLVMSTATISTICS_H
