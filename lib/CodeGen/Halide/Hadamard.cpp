// SPDX-License-Identifier: Apache-2.0
// ssm.hadamard, a row at a time, with elementwise work before and after it.
//
// Butterflies of neighbours would mix the lanes of a vector in another way in
// each round. So all rounds have one geometry (Pease 1968): out[j] = in[2j] +
// in[2j+1] and out[j + B/2] = in[2j] - in[2j+1]. A round moves the bits of a
// place by one, so that the next round meets the next bit in the lowest place,
// and after log2 B rounds all are where they began: the same sums as in the
// op's description, in the same order.
//
// A round is a Func (j, half, block, row), half being 0 for sums and 1 for
// differences; the last one is the result.

#include "Builder.h"

#include <cmath>

using namespace itera;
using namespace itera::halide;

/// Takes the kernel if it is one ssm.hadamard and elementwise work.
bool KernelBuilder::claimHadamard() {
  ssm::HadamardOp op;
  for (mlir::Operation &candidate : function.getBody().front())
    if (auto found = mlir::dyn_cast<ssm::HadamardOp>(candidate))
      op = found;
  if (!op || !isDirect(op))
    return false;
  Shape shape = shapeOf(op.getX());
  int size = op.getBlock(), depth = shape.back(), blocks = depth / size,
      rows = elementsOf(shape) / depth;
  // A block of one element has no halves.
  int halves = std::min(size, 2), half = size / halves;
  Var j = var("j"), h = var("half"), block = var("block"), row = var("row");
  std::vector<Var> vars{j, h, block, row};
  int width = std::min(machine.lanes, std::max(1, half / 2));

  auto column = [&](Expr h, Expr j) { return (block * halves + h) * half + j; };
  std::vector<Func> rounds;
  Func first = func("x");
  first(vars) = atRow(op.getX(), row, column(h, j));
  rounds.push_back(first);
  auto butterfly = [&](Func in) -> Expr {
    auto place = [&](Expr i) { return in(i % half, i / half, block, row); };
    Expr a = place(2 * j), b = place(2 * j + 1);
    return Halide::select(h == 0, add(a, b), sub(a, b));
  };
  for (int distance = 2; distance < size; distance *= 2) {
    Func next = func("round");
    next(vars) = butterfly(rounds.back());
    rounds.push_back(next);
  }
  Expr y = size > 1 ? butterfly(rounds.back()) : first(j, h, block, row);
  Expr factor = Halide::Internal::make_const(Halide::Float(32),
                                             1 / std::sqrt(double(size)));
  y = mul(y, factor);

  forget();
  overrides[op.getY()] = [&](const Index &) { return y; };
  std::vector<Expr> values;
  std::vector<unsigned> results;
  mlir::Operation *ret = function.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(ret->getOperands())) {
    results.push_back(i);
    values.push_back(atRow(value, row, column(h, j)));
  }
  overrides.erase(op.getY());
  forget();
  Func out = func("out");
  if (values.size() == 1)
    out(vars) = values[0];
  else
    out(vars) = Halide::Tuple(values);

  if (!reserveStack(int64_t(rounds.size()) * size * 4))
    fail("a block of a Hadamard rotation is too large for the stack");
  auto schedule = [&](Func f) {
    f.reorder(h, j, block, row).unroll(h);
    if (width > 1)
      f.vectorize(j, width, TailStrategy::RoundUp);
  };
  for (Func f : rounds) {
    f.bound(j, 0, half).bound(h, 0, halves);
    f.compute_at(out, block).store_in(kOnStack);
    schedule(f);
  }
  out.bound(h, 0, halves);
  schedule(out);
  View view{{{0, half, 1}, {0, halves, half}, {0, blocks, size},
             {0, rows, depth}},
            0};
  addOutput(out, results, std::vector<View>(results.size(), view));
  return true;
}
