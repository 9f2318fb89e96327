// SPDX-License-Identifier: Apache-2.0
// Umbrella: every op of the dialect.

include "itera/Dialect/SSM/SSMLayerOps.td"
include "itera/Dialect/SSM/SSMRecurrenceOps.td"
include "itera/Dialect/SSM/SSMStructureOps.td"
include "itera/Dialect/SSM/SSMTensorOps.td"
include "itera/Dialect/SSM/SSMWeightOps.td"
