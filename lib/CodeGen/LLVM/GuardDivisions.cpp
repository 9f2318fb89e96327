// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/LLVM/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"

namespace itera {
#define GEN_PASS_DEF_GUARDDIVISIONSPASS
#include "itera/CodeGen/LLVM/Passes.h.inc"
} // namespace itera

using namespace mlir;

/// True for a constant that no dividend makes a trap of.
static bool isSafe(Value divisor) {
  APInt value;
  return matchPattern(divisor, m_ConstantInt(&value)) && !value.isZero() &&
         !value.isAllOnes();
}

static void guard(Operation *op) {
  ImplicitLocOpBuilder b(op->getLoc(), op);
  Value x = op->getOperand(0), divisor = op->getOperand(1);
  Type type = divisor.getType();
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  auto constant = [&](const APInt &value) -> Value {
    return arith::ConstantOp::create(b, b.getIntegerAttr(type, value));
  };
  auto equals = [&](Value l, Value r) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, l, r);
  };
  Value zero = constant(APInt(width, 0));
  Value isZero = equals(divisor, zero), traps = isZero;
  if (isa<arith::DivSIOp, arith::RemSIOp>(op)) {
    Value isLeast = equals(x, constant(APInt::getSignedMinValue(width)));
    Value isMinusOne = equals(divisor, constant(APInt::getAllOnes(width)));
    Value overflows = arith::AndIOp::create(b, isLeast, isMinusOne);
    traps = arith::OrIOp::create(b, isZero, overflows);
  }
  // By one instead: that is what an overflowing quotient wraps to, and its
  // remainder is zero.
  op->setOperand(1, arith::SelectOp::create(b, traps, constant(APInt(width, 1)),
                                            divisor));
  if (isa<arith::RemSIOp, arith::RemUIOp>(op))
    return;
  b.setInsertionPointAfter(op);
  auto result = arith::SelectOp::create(b, isZero, zero, op->getResult(0));
  op->getResult(0).replaceAllUsesExcept(result, result);
}

namespace {

struct GuardDivisions : itera::impl::GuardDivisionsPassBase<GuardDivisions> {
  void runOnOperation() override {
    SmallVector<Operation *> divisions;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(
              op) &&
          op->getResult(0).getType().isIntOrIndex() &&
          !isSafe(op->getOperand(1)))
        divisions.push_back(op);
    });
    for (Operation *op : divisions)
      guard(op);
  }
};

} // namespace
