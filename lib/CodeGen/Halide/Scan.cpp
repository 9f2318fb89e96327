// SPDX-License-Identifier: Apache-2.0
#include "Builder.h"
using namespace itera;
using namespace itera::halide;
bool KernelBuilder::claimScan() { return false; }
bool KernelBuilder::claimRecurrence() { return false; }
Expr KernelBuilder::convAt(ssm::CausalConv1dOp op, const Index &index) { fail("conv"); }
