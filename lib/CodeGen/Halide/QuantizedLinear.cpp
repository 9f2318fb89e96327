// SPDX-License-Identifier: Apache-2.0
// ssm.linear with packed integer weights.
//
// A block of packed rows times a tile of tokens is one set of accumulators in
// registers. With a rounded input, the sum of each group is exact in integers,
// whatever the order and the instruction; groups are then added in order, one
// fused multiply-add each. So all tiles and all targets give the same bits.
//
// The integer sums take one of three forms, for the instruction that they are
// to become (Halide matches it; each is checked by a test on the object code):
//
//   dotUnsigned  vpdpbusd: unsigned weights, as they are stored, by int8
//   dotPairs     vpmaddubsw for 4 bits, where no sum of 16 bits saturates;
//                vpmaddwd for 8 bits
//   otherwise    signed weights by int8: sdot, or widening multiplications
//
// Four bits are unpacked in registers: once per block for many tokens, once
// per group for one. Measured on Zen 4 (one core): a vector times a matrix at
// 88 % of the bandwidth of the cache that holds it, matrices at 83 to 92 % of
// the VNNI limit.

#include "QuantizedPlan.h"

using namespace itera;
using namespace itera::halide;

static Expr i32(Expr e) { return Halide::cast<int32_t>(std::move(e)); }
static Expr f32(Expr e) { return Halide::cast<float>(std::move(e)); }

/// The largest of `most`, most - 1, ... that divides n.
static int divisorBelow(int n, int most) {
  int divisor = std::min(n, most);
  while (n % divisor)
    --divisor;
  return divisor;
}

//===----------------------------------------------------------------------===//
// Integer sums
//===----------------------------------------------------------------------===//

KernelBuilder::TiledSums
KernelBuilder::integerSums(const QuantizedPlan &plan, const RoundedInput &input,
                           int firstBlock, Var r, Var t, Var block) {
  Var g = var("g"), b = var("b"), h = var("h"), s = var("s"), p = var("p");
  int steps = plan.steps, perStep = plan.elementsPerStep();
  bool isUnsigned = machine.dotUnsigned || machine.dotPairs;
  ImageParam bytes = plan.bytes;
  auto byteAt = [=](Expr b, Expr r, Expr step, Expr block) {
    return Expr(bytes(b, r, step, block + firstBlock));
  };
  auto halfOf = [](Expr byte, int half) {
    return half ? byte >> Halide::cast<uint8_t>(4)
                : byte & Halide::cast<uint8_t>(15);
  };

  // Unpacked four bits, for the forms that want them unsigned. Inline, their
  // range would make Halide take them for signed.
  Func unpacked = func("unpacked");
  bool isUnpacked = isUnsigned && plan.bits == 4;
  if (isUnpacked) {
    Expr byte = byteAt(b, r, s, block);
    unpacked(b, r, h, s, block) =
        select(h == 0, halfOf(byte, 0), halfOf(byte, 1));
  }
  auto weightAt = [=](Expr b, Expr r, int half, Expr step, Expr block) -> Expr {
    if (isUnpacked)
      return unpacked(b, r, half, step, block);
    Expr byte = byteAt(b, r, step, block);
    if (isUnsigned)
      return byte;
    return Halide::cast<int8_t>(plan.bits == 4
                                    ? halfOf(byte, half)
                                    : byte ^ Halide::cast<uint8_t>(128));
  };
  auto inputAt = [=](Expr g, Expr step, int half, Expr place, Expr t) -> Expr {
    return input.integers(g * plan.paddedGroup() + step * perStep + 4 * half +
                              place,
                          t);
  };
  int halves = plan.bits == 4 ? 2 : 1;

  // What the stored weights are too large by, times the sum of the input.
  int excess = isUnsigned || plan.bits == 4 ? plan.bias() : 0;
  Expr offset = 0;
  if (plan.zeroPoints.defined()) {
    ImageParam zeros = plan.zeroPoints;
    offset = (excess + i32(zeros(r, g, block + firstBlock))) *
             -input.sums(g, t);
  } else if (excess) {
    offset = -excess * input.sums(g, t);
  }
  Func dot = func("dot");
  dot(r, t, g, block) = offset;
  std::vector<Func> parts; // sums of fewer products, in dot's update
  std::vector<std::function<void()>> updates;

  // Steps of a reduction `domain`, some of them unrolled.
  auto orderSteps = [=](Halide::Stage update, RVar step, int count,
                        std::vector<VarOrRVar> inner) {
    int unrolled = count <= 8 ? count : divisorBelow(count, 4);
    RVar outer("outer"), part("part");
    update.split(step, outer, part, unrolled);
    inner.push_back(part);
    inner.push_back(outer);
    update.reorder(inner).unroll(part);
  };

  if (machine.dotPairs && plan.bits == 4) {
    // 2 * 15 * 127 per step and half: eight of them fit.
    int together = divisorBelow(steps, 4), chunks = steps / together;
    Var c = var("c");
    Func pairs = func("pairs");
    pairs(p, r, t, c, g, block) = Halide::cast<int16_t>(0);
    RDom k(0, 2, 0, together), q(0, 2, 0, chunks);
    for (int half = 0; half < 2; ++half) {
      Expr step = c * together + k.y;
      Expr w = weightAt(2 * p + k.x, r, half, g * steps + step, block);
      Expr x = inputAt(g, step, half, 2 * p + k.x, t);
      pairs(p, r, t, c, g, block) = Halide::saturating_add(
          pairs(p, r, t, c, g, block),
          Halide::cast<int16_t>(w) * Halide::cast<int16_t>(x));
    }
    dot(r, t, g, block) += i32(pairs(q.x, r, t, q.y, g, block));
    updates.push_back([=]() mutable {
      pairs.compute_at(dot, q.y)
          .store_in(kOnStack)
          .vectorize(p, 2)
          .vectorize(r)
          .unroll(t)
          .unroll(block);
      for (int half = 0; half < 2; ++half)
        pairs.update(half)
            .reorder(k.x, p, r, t, block, k.y)
            .atomic(/*override_associativity_test=*/true)
            .vectorize(k.x)
            .vectorize(p, 2)
            .vectorize(r)
            .unroll(t)
            .unroll(block)
            .unroll(k.y);
      dot.update()
          .reorder(q.x, r, t, block, q.y)
          .atomic()
          .vectorize(q.x)
          .vectorize(r)
          .unroll(t)
          .unroll(block);
    });
  } else if (machine.dotPairs) {
    Func pairs = func("pairs");
    pairs(p, r, t, g, block) = 0;
    RDom k(0, 2, 0, steps), q(0, 2);
    pairs(p, r, t, g, block) +=
        i32(weightAt(2 * p + k.x, r, 0, g * steps + k.y, block)) *
        i32(inputAt(g, k.y, 0, 2 * p + k.x, t));
    dot(r, t, g, block) += pairs(q, r, t, g, block);
    updates.push_back([=]() mutable {
      pairs.compute_at(dot, t)
          .store_in(kOnStack)
          .vectorize(p, 2)
          .vectorize(r)
          .unroll(t)
          .unroll(block);
      Halide::Stage update = pairs.update();
      orderSteps(update, k.y, steps, {k.x, p, r, t, block});
      update.atomic().vectorize(k.x).vectorize(p, 2).vectorize(r).unroll(t).unroll(
          block);
      dot.update()
          .reorder(q.x, r, t, block)
          .atomic()
          .vectorize(q.x)
          .vectorize(r)
          .unroll(t)
          .unroll(block);
    });
  } else {
    RDom k(0, 4, 0, steps);
    for (int half = 0; half < halves; ++half)
      dot(r, t, g, block) +=
          i32(weightAt(k.x, r, half, g * steps + k.y, block)) *
          i32(inputAt(g, k.y, half, k.x, t));
    updates.push_back([=]() mutable {
      for (int half = 0; half < halves; ++half) {
        Halide::Stage update = dot.update(half);
        orderSteps(update, k.y, steps, {k.x, r, t, block});
        update.atomic().vectorize(k.x).vectorize(r).unroll(t).unroll(block);
      }
    });
  }

  // Groups in order, one rounding each.
  RDom kg(0, plan.groups);
  Func y = func("sum");
  Expr real = f32(dot(r, t, kg, block));
  if (*plan.input == ssm::InputScales::group)
    real = mul(input.scales(kg, t), real);
  ImageParam scales = plan.scales;
  y(r, t, block) = 0.0f;
  y(r, t, block) =
      fma(real, f32(scales(r, kg, block + firstBlock)), y(r, t, block));
  int depth = plan.paddedDepth();
  return {y, [=](Func host, Var tile, Var hostBlock, bool isPanel) mutable {
            y.compute_at(host, tile).store_in(kOnStack);
            y.vectorize(r).unroll(t).unroll(block);
            y.update()
                .reorder(r, t, block, kg)
                .vectorize(r)
                .unroll(t)
                .unroll(block);
            dot.compute_at(y, kg).store_in(kOnStack);
            dot.vectorize(r).unroll(t).unroll(block);
            for (auto &update : updates)
              update();
            if (!isUnpacked)
              return;
            // All of the block's steps, or those of a group.
            isPanel = isPanel && reserveStack(int64_t(depth) * plan.height);
            if (isPanel)
              unpacked.compute_at(host, hostBlock);
            else
              unpacked.compute_at(y, kg);
            unpacked.store_in(kOnStack)
                .reorder(b, r, s, h, block)
                .vectorize(b)
                .vectorize(r)
                .unroll(h)
                .unroll(block);
            if (isPanel)
              unpacked.unroll(s, divisorBelow(depth / 8, 4));
            else if (steps <= 16)
              unpacked.unroll(s);
          }};
}

//===----------------------------------------------------------------------===//
// Sums of a float input
//===----------------------------------------------------------------------===//

KernelBuilder::TiledSums KernelBuilder::floatSums(const QuantizedPlan &plan,
                                                  int firstBlock, Var r, Var t,
                                                  Var block) {
  Var k = var("k"), step = var("step"), element = var("element");
  int perStep = plan.elementsPerStep(), depth = plan.depth;
  ImageParam words = plan.words, scales = plan.scales, zeros = plan.zeroPoints;
  // The floats that a block's integers stand for, put together first.
  Func weights = func("weights"), y = func("sum");
  Expr e = k % perStep, s = k / perStep, at = block + firstBlock;
  Expr shift = plan.bits == 4 ? 8 * (e % 4) + 4 * (e / 4) : 8 * e;
  Expr stored = (words(r, s, at) >> Halide::cast<uint32_t>(shift)) &
                Halide::cast<uint32_t>((1 << plan.bits) - 1);
  Expr number = i32(stored) - plan.bias(), g = s / plan.steps;
  if (plan.zeroPoints.defined())
    number = number - i32(zeros(r, g, at));
  weights(r, k, block) = mul(f32(number), f32(scales(r, g, at)));
  RDom sumOver(0, depth);
  y(r, t, block) = 0.0f;
  y(r, t, block) = fma(weights(r, sumOver, block), plan.x(sumOver, t),
                       y(r, t, block));
  return {y, [=](Func host, Var tile, Var hostBlock, bool) mutable {
            y.compute_at(host, tile).store_in(kOnStack);
            y.vectorize(r).unroll(t).unroll(block);
            // Not unrolled: one sum per iteration leaves LLVM nothing to
            // regroup.
            constexpr int kMostTogether = 1024;
            RVar outer("outer"), inner("inner");
            Halide::Stage update = y.update();
            if (depth > kMostTogether) {
              update
                  .split(sumOver.x, outer, inner, kMostTogether,
                         TailStrategy::GuardWithIf)
                  .reorder(r, t, block, inner, outer);
              weights.compute_at(y, outer);
            } else {
              update.reorder(r, t, block, sumOver.x);
              weights.compute_at(host, hostBlock);
            }
            update.vectorize(r).unroll(t).unroll(block);
            weights.store_in(kOnStack)
                .split(k, step, element, perStep, TailStrategy::RoundUp)
                .reorder(r, element, step, block)
                .vectorize(r)
                .unroll(element)
                .unroll(block);
          }};
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// How many of `tokens` a tile takes: at most `most`, with the least work.
static int tileOf(int tokens, int most) {
  if (tokens <= most)
    return tokens;
  int best = most;
  auto work = [&](int tile) { return (tokens + tile - 1) / tile * tile; };
  for (int tile = most; tile >= std::max(1, most / 2); --tile)
    if (work(tile) < work(best))
      best = tile;
  return best;
}

/// Rows [firstBlock * height, ...): `blocks` blocks of `rows` rows each; fewer
/// than a block has only in a single one.
void KernelBuilder::emitQuantizedBlocks(const QuantizedPlan &plan,
                                        const RoundedInput &input,
                                        int firstBlock, int blocks, int rows) {
  ssm::LinearOp op = plan.op;
  Var r = var("r"), t = var("t"), block = var("block");
  Expr row = blocks == 1 ? r + firstBlock * plan.height
                         : block * plan.height + r + firstBlock * plan.height;
  TiledSums tiled = plan.input
                        ? integerSums(plan, input, firstBlock, r, t, block)
                        : floatSums(plan, firstBlock, r, t, block);
  Func sums = tiled.sums;

  forget();
  overrides[op.getY()] = [&](const Index &) -> Expr {
    Expr y = sums(r, t, block);
    if (plan.input == ssm::InputScales::token)
      y = mul(y, input.scales(t));
    if (op.getBias())
      y = add(y, at(op.getBias(), {row}));
    return y;
  };
  auto ret = mlir::cast<mlir::func::ReturnOp>(
      function.getBody().front().getTerminator());
  std::vector<Expr> values;
  for (unsigned result : plan.results)
    values.push_back(atRow(ret.getOperand(result), t, row));
  overrides.erase(op.getY());
  forget();
  Func out = func("out");
  if (values.size() == 1)
    out(r, t, block) = values[0];
  else
    out(r, t, block) = Halide::Tuple(values);

  int first = firstBlock * plan.height;
  View view{{{0, rows, 1},
             {0, plan.tokens, plan.rows},
             {0, blocks, plan.height}},
            first};
  int most = machine.registers == 32 ? (machine.dotUnsigned ? 8 : 4) : 2;
  int tile = tileOf(plan.tokens, most);
  int width = std::min(machine.lanes, powerOfTwoBelow(rows));
  Var tOuter = var("to"), tInner = var("ti"), vector = var("rv"),
      lane = var("lane");
  out.split(t, tOuter, tInner, tile, TailStrategy::ShiftInwards)
      .split(r, vector, lane, width, TailStrategy::ShiftInwards)
      .reorder(lane, vector, tInner, tOuter, block)
      .unroll(vector)
      .unroll(tInner);
  if (width > 1)
    out.vectorize(lane);
  for (Func f : {sums})
    f.bound_extent(r, plan.height).align_bounds(r, plan.height);
  tiled.schedule(out, tOuter, block, plan.tokens > tile);
  addOutput(out, plan.results, std::vector<View>(plan.results.size(), view));
}

/// Takes the kernel if it is one ssm.linear of integer weights and elementwise
/// work before and after it.
bool KernelBuilder::claimQuantizedLinear() {
  ssm::LinearOp linear;
  for (mlir::Operation &op : function.getBody().front())
    if (auto found = mlir::dyn_cast<ssm::LinearOp>(op))
      linear = found;
  if (!linear || !linear.isQuantized() || !linear.getPacked() ||
      !isDirect(linear))
    return false;
  auto argumentOf = [](mlir::Value value) {
    auto argument = mlir::dyn_cast<mlir::BlockArgument>(value);
    if (!argument)
      fail("integer weights that are not an argument");
    return argument.getArgNumber();
  };
  Shape y = shapeOf(linear.getY()), weight = shapeOf(linear.getWeight());
  QuantizedPlan plan;
  plan.op = linear;
  plan.rows = y.back();
  plan.tokens = elementsOf(y) / plan.rows;
  plan.depth = linear.getK();
  plan.height = weight[2];
  plan.bits = linear.getWeightBits();
  plan.group = linear.getGroupSize();
  plan.groups = shapeOf(linear.getScales())[1];
  plan.steps = weight[1] / plan.groups;
  plan.input = linear.getInt8Input();
  plan.x = linearInput(linear, plan.tokens);
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    plan.results.push_back(i);

  int height = plan.height, steps = weight[1], blocks = weight[0];
  View words{{{0, height, 1}, {0, steps, height}, {0, blocks, steps * height}},
             0};
  View bytes{{{0, 4, 1},
              {0, height, 4},
              {0, steps, 4 * height},
              {0, blocks, 4 * steps * height}},
             0};
  View tables{{{0, height, 1},
               {0, plan.groups, height},
               {0, blocks, plan.groups * height}},
              0};
  unsigned argument = argumentOf(linear.getWeight());
  if (plan.input)
    plan.bytes = inputView(argument, bytes, Halide::UInt(8));
  else
    plan.words = inputView(argument, words, Halide::UInt(32));
  plan.scales = inputView(argumentOf(linear.getScales()), tables);
  if (linear.getZeroPoints())
    plan.zeroPoints = inputView(argumentOf(linear.getZeroPoints()), tables);

  RoundedInput input;
  if (plan.input) {
    input = roundInput(plan);
    int64_t bytes = int64_t(plan.tokens) *
                    (plan.paddedDepth() + 4 * int64_t(plan.groups));
    if (!reserveStack(bytes))
      fail("the rounded input of a linear is too large for the stack");
    input.integers.compute_root();
    input.sums.compute_root();
  }
  int whole = plan.rows / height, rest = plan.rows % height;
  if (whole)
    emitQuantizedBlocks(plan, input, 0, whole, height);
  if (rest)
    emitQuantizedBlocks(plan, input, whole, 1, rest);
  return true;
}
