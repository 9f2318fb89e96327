// SPDX-License-Identifier: Apache-2.0

#include "TensorUtils.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace itera::raise;

RankedTensorType itera::raise::withDim(RankedTensorType type, int64_t dim,
                                       int64_t size) {
  SmallVector<int64_t> shape(type.getShape());
  shape.insert(shape.begin() + dim, size);
  return RankedTensorType::get(shape, type.getElementType());
}

Value itera::raise::permute(OpBuilder &builder, Location loc, Value value,
                            ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t d : perm)
    shape.push_back(typeOf(value).getDimSize(d));
  Value empty = tensor::EmptyOp::create(builder, loc, shape,
                                        typeOf(value).getElementType());
  return linalg::TransposeOp::create(builder, loc, value, empty, perm)
      ->getResult(0);
}

Value itera::raise::moveDimension(OpBuilder &builder, Location loc, Value value,
                                  int64_t from, int64_t to) {
  SmallVector<int64_t> perm;
  for (int64_t d = 0; d < typeOf(value).getRank(); ++d)
    if (d != from)
      perm.push_back(d);
  perm.insert(perm.begin() + to, from);
  return permute(builder, loc, value, perm);
}

Value itera::raise::reshape(OpBuilder &builder, Location loc, Value value,
                            ArrayRef<int64_t> shape) {
  RankedTensorType type = typeOf(value);
  if (type.getShape() == shape)
    return value;
  auto target = RankedTensorType::get(shape, type.getElementType());
  std::optional<SmallVector<ReassociationIndices>> groups;
  if (type.getRank() != target.getRank())
    groups = getReassociationIndicesForReshape(type, target);
  if (groups && type.getRank() > target.getRank())
    return tensor::CollapseShapeOp::create(builder, loc, target, value, *groups);
  if (groups)
    return tensor::ExpandShapeOp::create(builder, loc, target, value, *groups);
  auto all = llvm::to_vector<2>(llvm::seq<int64_t>(0, type.getRank()));
  Value flat = tensor::CollapseShapeOp::create(
      builder, loc, value, ArrayRef<ReassociationIndices>{all});
  auto expanded = llvm::to_vector<2>(llvm::seq<int64_t>(0, shape.size()));
  return tensor::ExpandShapeOp::create(builder, loc, target, flat,
                                       ArrayRef<ReassociationIndices>{expanded});
}

bool itera::raise::isKnownZero(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    value = fill.getInputs().front();
  return matchPattern(value, m_AnyZeroFloat()) || matchPattern(value, m_Zero());
}

void itera::raise::eraseDeadOps(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (isOpTriviallyDead(&op)) {
      op.erase();
      continue;
    }
    if (!isa<linalg::LinalgOp>(op))
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          eraseDeadOps(inner);
  }
}
