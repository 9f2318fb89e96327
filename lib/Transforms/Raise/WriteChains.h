// SPDX-License-Identifier: Apache-2.0
// In-place writes of one slot after another, as the concatenation they are.

#ifndef ITERA_LIB_TRANSFORMS_RAISE_WRITECHAINS_H
#define ITERA_LIB_TRANSFORMS_RAISE_WRITECHAINS_H

#include "mlir/IR/Block.h"

namespace itera::raise {

/// Rewrites scatters with constant indices that fill a box into insert_slice,
/// and chains of insert_slice at consecutive positions into one concat (in one
/// insert_slice, if they do not fill the tensor). Reads of a slot between the
/// writes get the value written there.
void simplifyWriteChains(mlir::Block &block);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_WRITECHAINS_H
