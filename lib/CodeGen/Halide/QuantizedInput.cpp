// SPDX-License-Identifier: Apache-2.0
// The input of a linear rounded to int8, one scale per token or per token and
// group: see the description of ssm.linear for the formulas. Every operation
// rounds as written, so that each target gets the same integers.

#include "QuantizedPlan.h"

using namespace itera;
using namespace itera::halide;

/// To the nearest integer, ties to even, for |x| < 2^22: the sum leaves the
/// integer in the lowest bits of the mantissa.
static Expr roundToInt8(Expr x) {
  Expr shifted = add(x, Expr(12582912.0f)); // 1.5 * 2^23
  return Halide::cast<int8_t>(Halide::reinterpret<int32_t>(shifted));
}

KernelBuilder::RoundedInput
KernelBuilder::roundInput(const QuantizedPlan &plan, int tokens) {
  bool perGroup = *plan.input == ssm::InputScales::group;
  int parts = perGroup ? plan.groups : 1;
  int size = perGroup ? plan.group : plan.depth;
  bool isWhole = parts * size == plan.depth;
  Var t = var("t"), g = var("g"), k = var("k");
  std::vector<Var> rows{t};
  Shape extents{tokens};
  if (perGroup) {
    rows.insert(rows.begin(), g);
    extents.insert(extents.begin(), parts);
  }
  // The bits of a magnitude are ordered as it is, with NaN above all.
  Func highest = reduceLanes(
      rows, extents, size, Expr(),
      [](Expr a, Expr b) { return Halide::max(a, b); },
      [&](const std::vector<Expr> &row, Expr e) {
        Expr at = perGroup ? row[0] * size + e : e;
        if (!isWhole)
          at = Halide::min(at, plan.depth - 1);
        Expr bits = Halide::reinterpret<int32_t>(plan.x(at, row.back()));
        return bits & 0x7fffffff;
      },
      /*isPlaced=*/false);
  std::vector<Expr> row(rows.begin(), rows.end());
  Expr m = Halide::reinterpret<float>(highest(row));
  RoundedInput input;
  Func factors = func("factors");
  input.scales = func("scales");
  factors(rows) =
      select(lessThan(m, Expr(1e-30f)), 0.0f, div(Expr(127.0f), m));
  input.scales(rows) = div(m, Expr(127.0f));
  for (Func f : {factors, input.scales}) {
    f.store_in(kOnStack);
    vectorizeInner(f, rows[0], extents[0], TailStrategy::ShiftInwards);
  }

  auto rounded = [&](Expr k, Expr t) {
    Expr factor = perGroup ? factors(k / plan.group, t) : factors(t);
    return roundToInt8(mul(plan.x(k, t), factor));
  };
  Func q = func("rounded");
  if (plan.paddedDepth() == plan.depth) {
    q(k, t) = rounded(k, t);
    vectorizeInner(q, k, plan.depth, TailStrategy::ShiftInwards);
  } else {
    RDom elements(0, plan.depth);
    q(k, t) = Halide::cast<int8_t>(0);
    q(elements, t) = rounded(elements.x, t);
    int width = std::min(machine.lanes, powerOfTwoBelow(plan.depth));
    if (width > 1) {
      RVar outer("outer"), inner("inner");
      q.update()
          .split(elements.x, outer, inner, width, TailStrategy::GuardWithIf)
          .vectorize(inner);
    }
  }
  q.bound(k, 0, plan.paddedDepth());
  q.store_in(kOnStack);
  input.integers = q;

  input.sums = func("group_sums");
  int padded = plan.paddedGroup();
  RDom member(0, padded);
  input.sums(g, t) = 0;
  input.sums(g, t) += Halide::cast<int32_t>(q(g * padded + member, t));
  int width = 64;
  while (padded % width)
    width /= 2;
  RVar outer("outer"), inner("inner");
  input.sums.update()
      .split(member.x, outer, inner, width)
      .reorder(inner, outer, g, t)
      .atomic()
      .vectorize(inner);
  input.sums.bound(g, 0, plan.groups);
  input.sums.store_in(kOnStack);
  input.stages = {highest, factors, input.scales, q, input.sums};
  // Then the sizes are known.
  if (tokens == plan.tokens)
    for (Func stage : input.stages)
      stage.bound(t, 0, tokens);
  if (perGroup)
    for (Func stage : {highest, factors, input.scales})
      stage.bound(g, 0, parts);
  return input;
}
