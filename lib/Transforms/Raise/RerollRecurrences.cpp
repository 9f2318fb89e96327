// SPDX-License-Identifier: Apache-2.0

#include "itera/Transforms/Raise/Passes.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace itera {
#define GEN_PASS_DEF_REROLLRECURRENCESPASS
#include "itera/Transforms/Raise/Passes.h.inc"
} // namespace itera

namespace {
struct RerollRecurrencesPass
    : itera::impl::RerollRecurrencesPassBase<RerollRecurrencesPass> {
  void runOnOperation() override {}
};
} // namespace
