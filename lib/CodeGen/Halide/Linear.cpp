// SPDX-License-Identifier: Apache-2.0
// y = x W^T + bias, and what is done to y, for a packed or a plain weight.
//
// The result is cut along its columns into blocks as high as the weight's
// packed rows, and what is left of the last block. A block is computed for a
// few rows of x (tokens) at a time: `rows x tokens` accumulators in registers,
// k innermost, one fused multiply-add per product. The order over k is the
// same for every tile, so one token gives the same bits as many. No vector
// holds one row of the weight several times: its product with a token would be
// computed once, rounded, and then added (see Arithmetic.h).
//
// Measured on Zen 4 (one core): 48 x 8 and 64 x 4 with AVX-512 reach 98 % of
// the FMA limit, 24 x 4 and 16 x 6 with AVX2 94 %.

#include "Builder.h"

using namespace itera;
using namespace itera::halide;

struct KernelBuilder::LinearPlan {
  ssm::LinearOp op;
  std::vector<unsigned> results;
  int tokens, rows, depth; // of y: [tokens, rows], sums over depth
  std::function<Expr(Expr k, Expr token)> x;
};

/// How many tokens a tile takes: at most as many as registers allow.
static int tokensPerTile(int tokens, int vectors, const Machine &machine) {
  // Each k needs the weight vectors and one broadcast beside the accumulators.
  int most = std::max(1, (machine.registers - vectors - 1) / vectors);
  most = std::min(most, machine.registers == 32 ? 12 : 8);
  if (vectors * most > machine.registers - vectors - 1)
    most = std::max(1, most - 1);
  return tileOf(tokens, most);
}

Func KernelBuilder::linearResults(ssm::LinearOp op,
                                  llvm::ArrayRef<unsigned> results, Expr sum,
                                  Expr row, Expr token,
                                  const std::vector<Var> &vars) {
  forget();
  overrides[op.getY()] = [&](const Index &) -> Expr {
    return op.getBias() ? add(sum, at(op.getBias(), {row})) : sum;
  };
  auto ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  std::vector<Expr> values;
  for (unsigned result : results)
    values.push_back(atRow(ret.getOperand(result), token, row));
  overrides.erase(op.getY());
  forget();
  Func out = func("out");
  if (values.size() == 1)
    out(vars) = values[0];
  else
    out(vars) = Halide::Tuple(values);
  return out;
}

void KernelBuilder::emitLinearBlocks(const LinearPlan &plan, int firstRow,
                                     int blocks, int rowsPerBlock) {
  ssm::LinearOp op = plan.op;
  mlir::Value weightValue = op.getWeight();
  Shape weight = shapeOf(weightValue);
  bool packed = weight.size() == 3;
  int stored = packed ? weight[2] : rowsPerBlock;
  int width = std::min(machine.lanes, powerOfTwoBelow(rowsPerBlock));
  if (packed) {
    // A partial vector is computed whole: the padding is there to be read.
    width = machine.lanes;
    while (stored % width)
      width /= 2;
  }
  int vectors = (rowsPerBlock + width - 1) / width;
  int tile = tokensPerTile(plan.tokens, vectors, machine);

  Var r = var("r"), block = var("block"), t = var("t");
  // The row of the weight, as the operands of y's epilogue see it.
  Expr row = block * stored + r + firstRow;
  if (blocks == 1)
    row = r + firstRow;

  std::function<Expr(Expr, Expr, Expr)> weightAt;
  Func panel = func("panel");
  bool hasPanel = false;
  if (packed) {
    int firstBlock = firstRow / stored;
    View view{{{0, stored, 1},
               {0, weight[1], stored},
               {0, weight[0], stored * weight[1]}},
              0};
    auto argument = mlir::dyn_cast<mlir::BlockArgument>(weightValue);
    if (argument) {
      auto it = matrixArguments.find(argument.getArgNumber());
      if (it == matrixArguments.end())
        it = matrixArguments
                 .try_emplace(argument.getArgNumber(),
                              inputView(argument.getArgNumber(), view))
                 .first;
      ImageParam w = it->second;
      weightAt = [=](Expr r, Expr k, Expr b) mutable {
        return w(r, k, b + firstBlock);
      };
    } else {
      weightAt = [=](Expr r, Expr k, Expr b) {
        return at(weightValue, {b + firstBlock, k, r});
      };
    }
  } else {
    int last = plan.rows - 1;
    auto strided = [=](Expr r, Expr k, Expr b) {
      Expr n = Halide::clamp(b * stored + r + firstRow, 0, last);
      return at(weightValue, {n, k});
    };
    // Rows are far apart: put a block together first, if it is used often. A
    // constant has no rows in memory yet.
    int height = vectors * width;
    bool isConstant = !mlir::isa<mlir::BlockArgument>(weightValue);
    hasPanel = (plan.tokens >= 4 || isConstant) &&
               reserveStack(int64_t(height) * plan.depth * 4);
    if (hasPanel) {
      Var pr = var("r"), pk = var("k"), pb = var("b");
      panel(pr, pk, pb) = strided(pr, pk, pb);
      weightAt = [=](Expr r, Expr k, Expr b) { return panel(r, k, b); };
    } else {
      weightAt = strided;
    }
  }

  // Algorithm
  RDom k(0, plan.depth, "k");
  Func sum = func("sum");
  sum(r, t, block) = 0.0f;
  // Of 16 bits each is the nearest float.
  sum(r, t, block) = fma(Halide::cast<float>(weightAt(r, k, block)),
                         plan.x(k, t), sum(r, t, block));

  Func out = linearResults(op, plan.results, sum(r, t, block), row, t,
                           {r, t, block});

  // Schedule
  View view{
      {{0, rowsPerBlock, 1}, {0, plan.tokens, plan.rows}, {0, blocks, stored}},
      firstRow};
  Var vectorOuter = var("rv"), lane = var("lane"), tOuter = var("to"),
      tInner = var("ti");
  int outWidth = std::min(machine.lanes, powerOfTwoBelow(rowsPerBlock));
  // One token keeps few accumulators busy: take several blocks at a time.
  int blocksPerTile = 1;
  for (int n = 2; plan.tokens == 1 && n * vectors <= 6; ++n)
    if (blocks % n == 0)
      blocksPerTile = n;
  Var blockOuter = var("bo"), blockInner = var("bi");
  out.split(t, tOuter, tInner, tile, TailStrategy::ShiftInwards)
      .split(block, blockOuter, blockInner, blocksPerTile)
      .split(r, vectorOuter, lane, outWidth, TailStrategy::ShiftInwards)
      .reorder(lane, vectorOuter, blockInner, tInner, tOuter, blockOuter)
      .unroll(vectorOuter)
      .unroll(blockInner)
      .unroll(tInner);
  if (outWidth > 1)
    out.vectorize(lane);
  sum.compute_at(out, tOuter).store_in(kOnStack);
  sum.split(r, vectorOuter, lane, width, TailStrategy::RoundUp)
      .reorder(lane, vectorOuter, block, t)
      .unroll(vectorOuter)
      .unroll(block)
      .unroll(t);
  // k is not unrolled: one sum per iteration leaves LLVM nothing to regroup.
  sum.update()
      .split(r, vectorOuter, lane, width, TailStrategy::RoundUp)
      .reorder(lane, vectorOuter, block, t, k)
      .unroll(vectorOuter)
      .unroll(block)
      .unroll(t);
  if (width > 1) {
    sum.vectorize(lane);
    sum.update().vectorize(lane);
  }
  if (hasPanel)
    panel.compute_at(out, blockOuter).store_in(kOnStack);
  addOutput(out, plan.results, std::vector<View>(plan.results.size(), view));
}

std::function<Expr(Expr, Expr)> KernelBuilder::linearInput(ssm::LinearOp op,
                                                           int tokens) {
  mlir::Value x = op.getX();
  if (mlir::isa<mlir::BlockArgument>(x))
    return [=](Expr k, Expr t) { return atRow(x, t, k); };
  int depth = op.getK();
  if (!reserveStack(int64_t(tokens) * depth * 4))
    fail("the left operand of a linear is too large for the stack");
  Var k = var("k"), t = var("t");
  Func xs = func("x");
  xs(k, t) = atRow(x, t, k);
  xs.bound(k, 0, depth).bound(t, 0, tokens);
  xs.compute_root().store_in(kOnStack);
  vectorizeInner(xs, k, depth, TailStrategy::ShiftInwards);
  return [=](Expr k, Expr t) { return xs(k, t); };
}

/// Takes the kernel if it is one ssm.linear and elementwise work before and
/// after it.
bool KernelBuilder::claimLinear() {
  mlir::Block &body = function.getBody().front();
  ssm::LinearOp linear;
  for (mlir::Operation &op : body)
    if (auto found = mlir::dyn_cast<ssm::LinearOp>(op))
      linear = found;
  if (!linear || !isDirect(linear) ||
      halideType(linear.getY().getType()) != Halide::Float(32) ||
      !halideType(linear.getWeight().getType()).is_float() ||
      halideType(linear.getX().getType()) != Halide::Float(32))
    return false;
  Shape y = shapeOf(linear.getY()), weight = shapeOf(linear.getWeight());
  LinearPlan plan;
  plan.op = linear;
  plan.rows = y.back();
  plan.tokens = elementsOf(y) / plan.rows;
  plan.depth = weight[1];
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    plan.results.push_back(i);

  plan.x = linearInput(linear, plan.tokens);

  int height;
  if (weight.size() == 3) {
    height = weight[2];
  } else {
    height = machine.lanes * (machine.registers == 32 ? 4 : 2);
    while (height > machine.lanes && height > plan.rows)
      height /= 2;
  }
  int blocks = plan.rows / height, rest = plan.rows % height;
  if (blocks > 0)
    emitLinearBlocks(plan, 0, blocks, height);
  // A last vector of one row would be that row over and over.
  int width = std::min(machine.lanes, powerOfTwoBelow(std::max(rest, 1)));
  bool isLonely = weight.size() == 2 && width > 1 && rest % width == 1;
  if (rest > 0)
    emitLinearBlocks(plan, blocks * height, 1, rest - isLonely);
  if (isLonely)
    emitLinearBlocks(plan, plan.rows - 1, 1, 1);
  return true;
}
