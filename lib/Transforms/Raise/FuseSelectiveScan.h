// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_TRANSFORMS_RAISE_FUSESELECTIVESCAN_H
#define ITERA_LIB_TRANSFORMS_RAISE_FUSESELECTIVESCAN_H

#include "itera/Dialect/SSM/SSM.h"

namespace itera::raise {

/// Takes a skip D * x that is added to the scan's output, and a gate silu(z)
/// that the sum is multiplied by, into the op.
void fuseSkipAndGate(ssm::SelectiveScanOp op);

} // namespace itera::raise

#endif // ITERA_LIB_TRANSFORMS_RAISE_FUSESELECTIVESCAN_H
