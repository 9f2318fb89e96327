// SPDX-License-Identifier: Apache-2.0
// Values with storage inside a kernel, and schedules shared by the stages.

#include "Builder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace itera;
using namespace itera::halide;

bool KernelBuilder::reserveStack(int64_t bytes) {
  if (stackBytes + bytes > kStackBytes)
    return false;
  stackBytes += bytes;
  return true;
}

void KernelBuilder::vectorizeInner(Halide::Stage stage, Var inner, int extent,
                                   TailStrategy tail) {
  int width = std::min(machine.lanes, powerOfTwoBelow(extent));
  if (width > 1)
    stage.vectorize(inner, width,
                    extent % width ? tail : TailStrategy::RoundUp);
}

static std::vector<int> realExtents(const Shape &shape) {
  std::vector<int> extents;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (shape[i] != 1)
      extents.push_back(shape[i]);
  if (extents.empty())
    extents.push_back(1);
  return extents;
}

Expr KernelBuilder::staged(mlir::Value value, const Index &index,
                           const std::function<Func()> &make) {
  mlir::Operation *op = value.getDefiningOp();
  auto it = stageCache.find(op);
  if (it == stageCache.end())
    it = stageCache.emplace(op, std::vector<Func>{make()}).first;
  Shape shape = shapeOf(value);
  std::vector<Expr> source;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (shape[i] != 1)
      source.push_back(index[i]);
  if (source.empty())
    source.push_back(0);
  return it->second[0](source);
}

bool KernelBuilder::isExpensive(mlir::Value value) {
  // Follows what at() would inline.
  mlir::Operation *op = value.getDefiningOp();
  if (!op || stageCache.count(op) || materialized.count(value) ||
      overrides.count(value))
    return false;
  if (mlir::isa<mlir::math::MathDialect>(op->getDialect()) ||
      mlir::isa<mlir::arith::DivFOp, ssm::SigmoidOp, ssm::SiluOp,
                ssm::SoftplusOp, ssm::GeluOp, ssm::NormOp, ssm::CausalConv1dOp,
                mlir::linalg::SoftmaxOp>(op))
    return true;
  if (mlir::isa<mlir::linalg::ReduceOp, mlir::linalg::ContractOp,
                ssm::LinearOp>(op))
    return false;
  return llvm::any_of(op->getOperands(), [&](mlir::Value operand) {
    return mlir::isa<mlir::RankedTensorType>(operand.getType()) &&
           isExpensive(operand);
  });
}

Func KernelBuilder::materialize(mlir::Value value) {
  Shape shape = shapeOf(value);
  std::vector<int> extents = realExtents(shape);
  std::vector<Var> vars;
  for (size_t i = 0; i < extents.size(); ++i)
    vars.push_back(var("m"));
  Index index(shape.size(), Expr(0));
  size_t next = 0;
  for (int i = int(shape.size()) - 1; i >= 0; --i)
    if (shape[i] != 1)
      index[i] = vars[next++];
  Func f = func("value");
  f(vars) = at(value, index);
  for (size_t i = 0; i < extents.size(); ++i)
    f.bound(vars[i], 0, extents[i]);
  f.compute_root().store_in(kOnStack);
  vectorizeInner(f, vars[0], extents[0], TailStrategy::ShiftInwards);
  return f;
}

std::function<Expr(const Index &)> KernelBuilder::reader(mlir::Value value) {
  if (isExpensive(value)) {
    int64_t bytes =
        elementsOf(shapeOf(value)) * halideType(value.getType()).bytes();
    if (reserveStack(bytes)) {
      Func f = materialize(value);
      forget();
      materialized.try_emplace(value, f);
    }
  }
  return [this, value](const Index &index) { return at(value, index); };
}
