// SPDX-License-Identifier: Apache-2.0
// Sums of products of bytes, exact in 32 bits, in the form that becomes the
// target's instruction (Halide matches it; a test looks at the machine code):
//
//   dotUnsigned   vpdpbusd: weights as they are stored, unsigned
//   dotSigned     sdot
//   matrices      smmla: see MatrixProducts.cpp
//   pairsOfBytes  4 bits: vpmaddubsw, its sums of 16 bits added up as such
//                 8 bits: as pairs, since vpmaddubsw would saturate
//   pairs         vpmaddwd, of bytes extended to 16 bits
//   lanes         smull, smlal, sadalp: no instruction adds up neighbours, so
//                 each place of a step has its own sum of 16 bits
//
// How many products fit in 16 bits follows from the largest ones: inputs are at
// most 127 in magnitude, weights of 4 bits 15 (as stored), of 8 bits 128.

#include "QuantizedPlan.h"

using namespace itera;
using namespace itera::halide;

static Expr i16(Expr e) { return Halide::cast<int16_t>(std::move(e)); }
static Expr i32(Expr e) { return Halide::cast<int32_t>(std::move(e)); }

/// Puts `inner` inside of the steps of a reduction, and unrolls `together` of
/// these.
static void orderSteps(Halide::Stage update, RVar step, int together,
                       std::vector<VarOrRVar> inner) {
  RVar outer("outer"), part("part");
  update.split(step, outer, part, together);
  inner.push_back(part);
  inner.push_back(outer);
  update.reorder(inner).unroll(part);
}

/// What all stages of a tile have in common: rows are vectors, the rest is
/// unrolled.
static void vectorizeTile(Halide::Stage stage, const std::vector<Var> &tile) {
  stage.vectorize(tile[0]).unroll(tile[1]).unroll(tile[3]);
}

std::function<void(const KernelBuilder::ProductsPlace &)>
KernelBuilder::addProducts(Func dot, const QuantizedPlan &plan,
                           const Factors &factors) {
  std::vector<Var> tile = dot.args();
  Var r = tile[0], t = tile[1], g = tile[2], block = tile[3];
  Index at(tile.begin(), tile.end());
  Var p = var("p"), c = var("c");
  int steps = plan.steps, halves = plan.halves(), tokens = plan.tokens;

  byteProducts = plan.products;
  switch (plan.products) {
  case Products::matrices:
    return addMatrixProducts(dot, plan, factors);

  case Products::dotUnsigned:
  case Products::dotSigned: {
    RDom k(0, 4, 0, steps);
    for (int half = 0; half < halves; ++half)
      dot(at) += i32(factors.weight(k.x, half, k.y, at)) *
                 i32(factors.input(k.x, half, k.y, at));
    return [=](const ProductsPlace &) mutable {
      for (int half = 0; half < halves; ++half) {
        Halide::Stage update = dot.update(half);
        int together = steps <= 8 ? steps : divisorBelow(steps, 4);
        orderSteps(update, k.y, together, {k.x, r, t, block});
        update.atomic().vectorize(k.x);
        vectorizeTile(update, tile);
      }
    };
  }

  case Products::pairsOfBytes: {
    if (plan.bits != 4)
      break;
    // 2 * 15 * 127 for each step and half: eight of them fit.
    int together = divisorBelow(steps, 4), chunks = steps / together;
    Func sums = func("pairs");
    sums(p, r, t, c, g, block) = i16(0);
    RDom k(0, 2, 0, together), q(0, 2, 0, chunks);
    for (int half = 0; half < 2; ++half) {
      Expr step = c * together + k.y, place = 2 * p + k.x;
      sums(p, r, t, c, g, block) =
          Halide::saturating_add(sums(p, r, t, c, g, block),
                                 i16(factors.weight(place, half, step, at)) *
                                     i16(factors.input(place, half, step, at)));
    }
    dot(at) += i32(sums(q.x, r, t, q.y, g, block));
    return [=](const ProductsPlace &) mutable {
      sums.compute_at(dot, q.y).store_in(kOnStack).vectorize(p, 2);
      vectorizeTile(sums, tile);
      for (int half = 0; half < 2; ++half) {
        Halide::Stage update = sums.update(half);
        update.reorder(k.x, p, r, t, block, k.y)
            .atomic(/*override_associativity_test=*/true)
            .vectorize(k.x)
            .vectorize(p, 2)
            .unroll(k.y);
        vectorizeTile(update, tile);
      }
      dot.update().reorder(q.x, r, t, block, q.y).atomic().vectorize(q.x);
      vectorizeTile(dot.update(), tile);
    };
  }

  case Products::lanes: {
    int most = plan.bits == 4 ? 8 : 2;
    int together = divisorBelow(steps, most), chunks = steps / together;
    Func lanes = func("lanes"), pairs = func("pairs");
    Var b = var("b");
    lanes(b, r, t, c, g, block) = i16(0);
    RDom k(0, together), q(0, 2, 0, chunks), both(0, 2);
    for (int half = 0; half < halves; ++half) {
      Expr step = c * together + k;
      lanes(b, r, t, c, g, block) += i16(factors.weight(b, half, step, at)) *
                                     i16(factors.input(b, half, step, at));
    }
    pairs(p, r, t, g, block) = 0;
    pairs(p, r, t, g, block) += i32(lanes(2 * p + q.x, r, t, q.y, g, block));
    dot(at) += pairs(both, r, t, g, block);
    return [=](const ProductsPlace &place) mutable {
      lanes.compute_at(pairs, q.y).store_in(kOnStack).vectorize(b, 4);
      vectorizeTile(lanes, tile);
      for (int half = 0; half < halves; ++half) {
        Halide::Stage update = lanes.update(half);
        update.reorder(b, r, t, block, k).vectorize(b, 4).unroll(k);
        vectorizeTile(update, tile);
      }
      pairs.compute_at(place.sums, place.groups)
          .store_in(kOnStack)
          .vectorize(p, 2);
      vectorizeTile(pairs, tile);
      pairs.update()
          .reorder(q.x, p, r, t, block, q.y)
          .atomic()
          .vectorize(q.x)
          .vectorize(p, 2);
      vectorizeTile(pairs.update(), tile);
      dot.update().reorder(both, r, t, block).atomic().vectorize(both);
      vectorizeTile(dot.update(), tile);
    };
  }

  case Products::pairs:
    break;
  }

  Func pairs = func("pairs");
  pairs(p, r, t, g, block) = 0;
  RDom k(0, 2, 0, steps), both(0, 2);
  for (int half = 0; half < halves; ++half)
    pairs(p, r, t, g, block) +=
        i32(factors.weight(2 * p + k.x, half, k.y, at)) *
        i32(factors.input(2 * p + k.x, half, k.y, at));
  dot(at) += pairs(both, r, t, g, block);
  return [=](const ProductsPlace &place) mutable {
    pairs.compute_at(place.sums, place.groups)
        .store_in(kOnStack)
        .vectorize(p, 2);
    vectorizeTile(pairs, tile);
    for (int half = 0; half < halves; ++half) {
      Halide::Stage update = pairs.update(half);
      orderSteps(update, k.y, divisorBelow(steps, tokens > 1 ? 2 : 4),
                 {k.x, p, r, t, block});
      update.atomic().vectorize(k.x).vectorize(p, 2);
      vectorizeTile(update, tile);
    }
    dot.update().reorder(both, r, t, block).atomic().vectorize(both);
    vectorizeTile(dot.update(), tile);
  };
}

Tile KernelBuilder::largestTile(const QuantizedPlan &plan,
                                const Machine &machine, int tokens) {
  int whole = plan.height, half = std::min(whole, 8);
  bool isGrouped = plan.groups > 1;
  if (!plan.input)
    return {whole, machine.registers == 32 ? (machine.lanes == 16 ? 8 : 4) : 2};
  switch (plan.products) {
  case Products::matrices:
    return {half, isGrouped ? 4 : 8};
  case Products::dotUnsigned:
    return {whole, machine.registers == 32 ? 8 : 4};
  case Products::dotSigned:
    return {tokens > 1 && isGrouped ? half : whole, 4};
  case Products::lanes:
    return {half, 2};
  case Products::pairsOfBytes:
    if (plan.bits == 4)
      return {machine.lanes == 4 ? half : whole, machine.lanes == 16 ? 4 : 2};
    [[fallthrough]];
  case Products::pairs:
    if (machine.lanes == 16)
      return {whole, 8};
    if (machine.lanes == 8)
      return {tokens > 1 ? half : whole, 6};
    return {tokens > 1 ? std::min(whole, 4) : half, 4};
  }
  llvm_unreachable("all forms are above");
}
