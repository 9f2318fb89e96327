// SPDX-License-Identifier: Apache-2.0
// Umbrella: every pass of the stage `raise`, one file per theme.

#ifndef ITERA_TRANSFORMS_RAISE_PASSES_TD
#define ITERA_TRANSFORMS_RAISE_PASSES_TD

include "itera/Transforms/Raise/LayerPasses.td"
include "itera/Transforms/Raise/RecurrencePasses.td"

#endif // ITERA_TRANSFORMS_RAISE_PASSES_TD
