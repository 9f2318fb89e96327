// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_CODEGEN_LINK_CPUFEATURES_H
#define ITERA_CODEGEN_LINK_CPUFEATURES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace itera {

/// The bits of itera_program.required_cpu_features for code that may use these
/// LLVM features ("avx2", "dotprod", ...). Features that name tuning, or that
/// no generated code uses (cryptography, say), have no bit and are ignored.
uint64_t getRequiredCpuFeatures(llvm::StringRef arch,
                                llvm::ArrayRef<std::string> features);

} // namespace itera

#endif // ITERA_CODEGEN_LINK_CPUFEATURES_H
