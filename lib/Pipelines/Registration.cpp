// SPDX-License-Identifier: Apache-2.0

#include "itera/Pipelines/Registration.h"

#include "itera/CodeGen/LLVM/Passes.h"
#include "itera/Conversion/Passes.h"
#include "itera/Dialect/SSM/SSM.h"
#include "itera/Pipelines/Pipelines.h"
#include "itera/Transforms/Fuse/Passes.h"
