// SPDX-License-Identifier: Apache-2.0
// Ops on tensors of one shape, element by element: frames are independent.

#include "Rules.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace itera;

namespace {

template <typename Op>
struct Elementwise
    : StreamingOpInterface::ExternalModel<Elementwise<Op>, Op> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    std::optional<TimeDim> time = commonTime(operands, why);
    if (!time)
      return failure();
    // A condition or a number that holds for the whole tensor has no time.
    for (auto [k, operand] : llvm::enumerate(op->getOperands()))
      if (tensorOf(operand))
        rule.operands[k].time = time;
    for (TimeResult &result : rule.results)
      result = framesAt(*time);
    return success();
  }
};

/// As many ones as there are frames.
struct OnesLike
    : StreamingOpInterface::ExternalModel<OnesLike, ssm::OnesLikeOp> {
  LogicalResult inferTime(Operation *op,
                          ArrayRef<std::optional<TimeDim>> operands,
                          TimeRule &rule, std::string &why) const {
    beginRule(op, rule);
    if (!operands[0])
      return failure();
    int64_t dim = operands[0]->dim;
    if (tensorOf(op->getResult(0)).getDimSize(dim) !=
        tensorOf(op->getOperand(0)).getDimSize(dim)) {
      why = "counts along other dimensions than time";
      return failure();
    }
    rule.operands[0].time = operands[0];
    rule.results[0] = framesAt(*operands[0]);
    return success();
  }
};

template <typename... Ops> void attach(MLIRContext *context) {
  (Ops::template attachInterface<Elementwise<Ops>>(*context), ...);
}

} // namespace

void itera::registerElementwiseRules(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) {
    attach<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
           arith::RemFOp, arith::NegFOp, arith::MaximumFOp, arith::MinimumFOp,
           arith::MaxNumFOp, arith::MinNumFOp, arith::CmpFOp, arith::SelectOp,
           arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::DivSIOp,
           arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp,
           arith::CeilDivSIOp, arith::AndIOp, arith::OrIOp, arith::XOrIOp,
           arith::ShLIOp, arith::ShRSIOp, arith::ShRUIOp, arith::MaxSIOp,
           arith::MinSIOp, arith::MaxUIOp, arith::MinUIOp, arith::CmpIOp,
           arith::ExtFOp, arith::TruncFOp, arith::ExtSIOp, arith::ExtUIOp,
           arith::TruncIOp, arith::SIToFPOp, arith::UIToFPOp, arith::FPToSIOp,
           arith::FPToUIOp, arith::BitcastOp>(context);
  });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) {
    attach<math::AbsFOp, math::AbsIOp, math::ExpOp, math::Exp2Op, math::ExpM1Op,
           math::LogOp, math::Log1pOp, math::Log2Op, math::Log10Op,
           math::SqrtOp, math::RsqrtOp, math::CbrtOp, math::TanhOp,
           math::ErfOp, math::ErfcOp, math::SinOp, math::CosOp, math::TanOp,
           math::AsinOp, math::AcosOp, math::AtanOp, math::Atan2Op,
           math::SinhOp, math::CoshOp, math::AsinhOp, math::AcoshOp,
           math::AtanhOp, math::PowFOp, math::IPowIOp, math::FPowIOp,
           math::FloorOp, math::CeilOp, math::RoundOp, math::RoundEvenOp,
           math::TruncOp, math::CopySignOp, math::FmaOp, math::IsNaNOp,
           math::IsInfOp, math::IsFiniteOp>(context);
  });
  registry.addExtension(+[](MLIRContext *context, ssm::SSMDialect *) {
    attach<ssm::SigmoidOp, ssm::SiluOp, ssm::SoftplusOp, ssm::GeluOp>(context);
    ssm::OnesLikeOp::attachInterface<OnesLike>(*context);
  });
}
