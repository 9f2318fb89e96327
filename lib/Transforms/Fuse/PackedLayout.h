// SPDX-License-Identifier: Apache-2.0
// The packed forms of a weight of ssm.linear, as its description defines them.

#ifndef ITERA_LIB_TRANSFORMS_FUSE_PACKEDLAYOUT_H
#define ITERA_LIB_TRANSFORMS_FUSE_PACKEDLAYOUT_H

#include "itera/Dialect/SSM/Evaluate.h"

namespace itera {

/// Rows of a block of a matrix of packed integers with `count` rows. 16 are one
/// vector of sums with AVX-512, two with AVX2, four with NEON.
inline int64_t integerBlockRows(int64_t count) { return count <= 8 ? 8 : 16; }

/// A table [N, K] of any element as [ceil(N/height), K, height]: weights of
/// floats, and the scales and zero points of integers.
ssm::HostTensor packRows(const ssm::HostTensor &table, int64_t height);

/// Integers [N, K] of `bits` 4 or 8, in groups along K, as bytes
/// [ceil(N/height), steps, height, 4].
ssm::HostTensor packIntegers(const ssm::HostTensor &weight, unsigned bits,
                             int64_t group, int64_t height);

} // namespace itera

#endif // ITERA_LIB_TRANSFORMS_FUSE_PACKEDLAYOUT_H
