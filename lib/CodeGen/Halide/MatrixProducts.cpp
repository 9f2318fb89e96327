// SPDX-License-Identifier: Apache-2.0
// Sums of products of bytes by smmla, which multiplies two rows of eight bytes
// by two tokens of eight: twice the products of sdot, from the same registers.
//
// Halide has no such instruction. But sdot has the same operands, four sums and
// twice 16 bytes, and all that Halide knows of it is that lane q of the result
// belongs to bytes 4q .. 4q+3 of each. So the sums are written down as if they
// were to be formed by sdot, from bytes that are arranged for smmla, and
// machineCode() replaces the one by the other. In terms of smmla:
//
//   rows   (i, eight, block)    an element of row i / 8 of a block
//   pairs  (i, eight, tokens)   an element of token i / 8 of a pair
//   sums   (j, tokens, ...)     row j / 2 by token j % 2 of the pair
//
// The order within the eight is free. Elements 4 apart are neighbours, because
// these are the halves of a byte, or the same place of two steps.
//
// Nothing else may look at `sums` as Halide sees them.

#include "QuantizedPlan.h"

using namespace itera;
using namespace itera::halide;

static Expr i32(Expr e) { return Halide::cast<int32_t>(std::move(e)); }

/// Of the eight, the element that is at i % 8.
static Expr elementOf(Expr i) { return 4 * (i % 2) + i / 2 % 4; }

/// The integers of pairs of tokens; the second of the last pair may not exist.
Func KernelBuilder::pairTokens(const QuantizedPlan &plan,
                               const RoundedInput &input) {
  Var i = var("i"), eight = var("eight"), tokens = var("tokens"),
      place = var("place"), half = var("half"), which = var("which");
  int eights = plan.groups * plan.eights(), pairs = (plan.tokens + 1) / 2;
  Expr element = 8 * eight + elementOf(i), token = 2 * tokens + i / 8;
  if (plan.tokens % 2)
    token = Halide::min(token, plan.tokens - 1);
  Func f = func("token_pairs");
  if (8 * eights == plan.paddedDepth()) {
    f(i, eight, tokens) = input.integers(element, token);
  } else {
    // Groups are whole eights, so this is the end of a row.
    Expr inside = Halide::min(element, plan.paddedDepth() - 1);
    f(i, eight, tokens) =
        select(element < plan.paddedDepth(), input.integers(inside, token),
               Halide::cast<int8_t>(0));
  }
  f.bound(i, 0, 16).bound(eight, 0, eights).bound(tokens, 0, pairs);
  f.compute_root()
      .store_in(kOnStack)
      .split(i, which, place, 8)
      .split(place, place, half, 2)
      .reorder(half, place, which, eight, tokens)
      .unroll(half)
      .vectorize(place)
      .unroll(which);
  return f;
}

std::function<void(const KernelBuilder::ProductsPlace &)>
KernelBuilder::addMatrixProducts(Func dot, const QuantizedPlan &plan,
                                 const Factors &factors) {
  std::vector<Var> tile = dot.args();
  Var r = tile[0], t = tile[1], g = tile[2], block = tile[3];
  Var i = var("i"), j = var("j"), eight = var("eight"), tokens = var("tokens"),
      half = var("half"), byte = var("byte");
  int eights = plan.eights();

  Func rows = func("rows");
  auto weight = [&](int half) {
    // Four bits: both halves of one step; eight bits: two steps, the last of
    // which may not exist, and is multiplied by zeros then.
    Expr step = plan.bits == 4 ? Expr(eight) : 2 * eight + half;
    if (plan.bits == 8 && plan.steps % 2)
      step = Halide::min(step, plan.steps - 1);
    return factors.weight(i / 2 % 4, plan.bits == 4 ? half : 0, step,
                          {i / 8, 0, 0, block});
  };
  rows(i, eight, block) = select(i % 2 == 0, weight(0), weight(1));

  Func sums = func("sums");
  sums(j, tokens, g, block) = 0;
  RDom k(0, 4, 0, eights);
  Expr at = g * eights + k.y;
  sums(j, tokens, g, block) += i32(rows(4 * j + k.x, at, block)) *
                               i32(factors.pair(4 * (j % 4) + k.x, at, tokens));
  dot(r, t, g, block) += sums(2 * r + t % 2, t / 2, g, block);

  int64_t panel = int64_t(plan.groups) * eights * 8 * plan.height;
  return [=](const ProductsPlace &at) mutable {
    if (at.isPanel && reserveStack(panel))
      rows.compute_at(at.host, at.block);
    else
      rows.compute_at(at.sums, at.groups);
    rows.store_in(kOnStack)
        .align_bounds(i, 8)
        .split(i, byte, half, 2)
        .reorder(half, byte, eight, block)
        .unroll(half)
        .vectorize(byte)
        .unroll(block);

    Var quad = var("quad"), q = var("q");
    sums.compute_at(at.sums, at.groups)
        .store_in(kOnStack)
        .vectorize(j)
        .unroll(tokens)
        .unroll(block);
    RVar outer("outer"), part("part");
    sums.update()
        .split(j, quad, q, 4)
        .split(k.y, outer, part, eights <= 4 ? eights : divisorBelow(eights, 2))
        .reorder(k.x, q, quad, tokens, block, part, outer)
        .atomic()
        .vectorize(k.x)
        .vectorize(q)
        .unroll(quad)
        .unroll(tokens)
        .unroll(block)
        .unroll(part);
    dot.update().vectorize(r).unroll(t).unroll(block);
  };
}
