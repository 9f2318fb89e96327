// SPDX-License-Identifier: Apache-2.0
// What a file of one length does not show of a slice with steps.

#ifndef ITERA_DIALECT_SSM_SLICECUT_H
#define ITERA_DIALECT_SSM_SLICECUT_H

#include "llvm/ADT/StringRef.h"

namespace itera::ssm {

/// On a tensor.extract_slice with steps: how many entries of each dimension the
/// model leaves out at the end, before it steps; negative: unknown.
inline constexpr llvm::StringLiteral kCutAttr = "ssm.cut";

} // namespace itera::ssm

#endif // ITERA_DIALECT_SSM_SLICECUT_H
