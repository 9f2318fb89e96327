// SPDX-License-Identifier: Apache-2.0

#include "KernelOps.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace itera;

/// Static tensors with elements, of types that kernels can load and store.
static bool hasKernelType(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return value.getType().isIntOrFloat();
  if (!type.hasStaticShape() || type.getNumElements() == 0 ||
      type.getNumElements() > (int64_t(1) << 30))
    return false;
  Type element = type.getElementType();
  return element.isF32() || element.isInteger(1) || element.isInteger(8) ||
         element.isInteger(32) || element.isInteger(64);
}

static bool hasKernelTypes(Operation *op) {
  return llvm::all_of(op->getOperands(), hasKernelType) &&
         llvm::all_of(op->getResults(), hasKernelType);
}

static bool isFloat(Value value) { return getElementTypeOrSelf(value).isF32(); }

static int64_t bytesOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getNumElements() * 4;
}

/// A linear of f32 whose weight is stored in any form that kernels can read.
static bool isKernelLinear(ssm::LinearOp linear) {
  auto isStored = [](Value value) {
    return !value || isa<FloatType>(getElementTypeOrSelf(value)) ||
           getElementTypeOrSelf(value).isInteger(8);
  };
  return hasKernelType(linear.getX()) && isFloat(linear.getX()) &&
         hasKernelType(linear.getY()) && isFloat(linear.getY()) &&
         (linear.getPacked() || !linear.isQuantized()) &&
         isStored(linear.getWeight()) && isStored(linear.getScales()) &&
         (!linear.getBias() || isFloat(linear.getBias()));
}

bool itera::isKernelAnchor(Operation *op) {
  if (auto linear = dyn_cast<ssm::LinearOp>(op))
    return isKernelLinear(linear);

  // Results that a kernel keeps on its stack before it writes them.
  constexpr int64_t kMostStaged = 128 * 1024;
  if (op->getNumResults() == 0 || !hasKernelTypes(op) ||
      !llvm::all_of(op->getResults(), isFloat) ||
      !llvm::all_of(op->getOperands(), isFloat))
    return false;
  if (auto reduce = dyn_cast<linalg::ReduceOp>(op))
    return reduce.getNumResults() == 1 && !reduce.getDimensions().empty() &&
           bytesOf(reduce.getResult(0)) <= kMostStaged &&
           llvm::all_of(reduce.getCombiner().front().without_terminator(),
                        [](Operation &inner) {
                          return isKernelElementwise(&inner) ||
                                 isKernelSource(&inner);
                        });
  if (auto contract = dyn_cast<linalg::ContractOp>(op))
    return llvm::all_of(contract.getIndexingMapsArray(), [](AffineMap map) {
      return map.isProjectedPermutation();
    });
  return isa<ssm::SelectiveScanOp, ssm::LinearRecurrenceOp,
             ssm::CausalConv1dOp, ssm::HadamardOp, ssm::NormOp,
             linalg::SoftmaxOp>(op);
}

bool itera::isKernelElementwise(Operation *op) {
  if (op->getNumResults() != 1 || !hasKernelTypes(op))
    return false;
  // Integer arithmetic alone is for addresses; it stays where it is used.
  if (!isFloat(op->getResult(0)) && !llvm::any_of(op->getOperands(), isFloat))
    return false;
  return isa<
      arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp,
      arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp, arith::MinNumFOp,
      arith::CmpFOp, arith::SelectOp, arith::SIToFPOp, arith::UIToFPOp,
      arith::FPToSIOp, math::AbsFOp, math::ExpOp, math::Exp2Op, math::ExpM1Op,
      math::LogOp, math::Log1pOp, math::Log2Op, math::SqrtOp, math::RsqrtOp,
      math::TanhOp, math::ErfOp, math::SinOp, math::CosOp, math::PowFOp,
      math::FloorOp, math::CeilOp, math::RoundEvenOp, math::TruncOp,
      math::FmaOp, ssm::SigmoidOp, ssm::SiluOp, ssm::SoftplusOp, ssm::GeluOp>(
      op);
}

/// A reshape that only adds or drops dimensions of size 1.
static bool isUnitReshape(ArrayRef<int64_t> from, ArrayRef<int64_t> to) {
  auto real = [](ArrayRef<int64_t> shape) {
    return llvm::to_vector(
        llvm::make_filter_range(shape, [](int64_t n) { return n != 1; }));
  };
  return real(from) == real(to);
}

bool itera::isKernelMovement(Operation *op) {
  if (op->getNumResults() != 1 || !hasKernelTypes(op))
    return false;
  if (isa<linalg::BroadcastOp, linalg::TransposeOp, ssm::ReverseOp>(op))
    return true;
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return slice.getOffsets().empty() && slice.getStrides().empty();
  // A view outside of the kernel costs nothing; inside, other than by unit
  // dimensions, it costs divisions. Where its operand is moved anyway, the
  // operand's place decides.
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op)) {
    auto from = cast<RankedTensorType>(op->getOperand(0).getType());
    auto to = cast<RankedTensorType>(op->getResult(0).getType());
    Operation *source = op->getOperand(0).getDefiningOp();
    return source && isKernelMovement(source) &&
           isUnitReshape(from.getShape(), to.getShape());
  }
  return false;
}

bool itera::isKernelSource(Operation *op) {
  if (isa<tensor::EmptyOp>(op))
    return hasKernelTypes(op);
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return hasKernelTypes(op) &&
           fill.getInputs()[0].getDefiningOp<arith::ConstantOp>();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return !dense || (dense.isSplat() && hasKernelTypes(op));
  }
  return false;
}

StringRef itera::kernelKind(Operation *anchor) {
  return anchor ? anchor->getName().stripDialect() : "pointwise";
}
