// SPDX-License-Identifier: Apache-2.0
// ssm.linear with packed integer weights.
//
// A block of packed rows times a tile of tokens is one set of accumulators in
// registers. With a rounded input, the sum of each group is exact in integers,
// whatever the order and the instruction; groups are then added in order, one
// fused multiply-add each. So all tiles and all targets give the same bits.
//
// How the integer sums are formed is in IntegerProducts.cpp.
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

//===----------------------------------------------------------------------===//
// Sums of a rounded input
//===----------------------------------------------------------------------===//

KernelBuilder::TiledSums KernelBuilder::integerSums(const QuantizedPlan &plan,
                                                    const RoundedInput &input,
                                                    const Section &section,
                                                    Var r, Var t, Var block) {
  Var g = var("g"), b = var("b"), h = var("h"), s = var("s");
  int steps = plan.steps, firstBlock = section.firstBlock;
  ImageParam bytes = plan.bytes;
  bool isUnsigned = plan.products == Products::dotUnsigned ||
                    plan.products == Products::pairsOfBytes ||
                    plan.products == Products::pairs;
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
  Factors factors;
  factors.weight = [=](Expr place, int half, Expr step, const Index &at) {
    Expr r = at[0], block = at[3];
    step = at[2] * steps + step;
    if (isUnpacked)
      return Expr(unpacked(place, r, half, step, block));
    Expr byte = byteAt(place, r, step, block);
    if (isUnsigned)
      return byte;
    return Halide::cast<int8_t>(plan.bits == 4
                                    ? halfOf(byte, half)
                                    : byte ^ Halide::cast<uint8_t>(128));
  };
  factors.input = [=](Expr place, int half, Expr step, const Index &at) {
    Expr k = at[2] * plan.paddedGroup() + step * plan.elementsPerStep() +
             4 * half + place;
    return Expr(input.integers(k, at[1] + section.firstToken));
  };

  factors.pair = [=](Expr i, Expr eight, Expr tokens) {
    return Expr(input.pairs(i, eight, tokens + section.firstToken / 2));
  };

  // What the stored weights are too large by, times the sum of the input.
  int excess = isUnsigned || plan.bits == 4 ? plan.bias() : 0;
  Expr offset = 0;
  Expr inputSum = input.sums(g, t + section.firstToken);
  if (plan.zeroPoints.defined()) {
    ImageParam zeros = plan.zeroPoints;
    offset = (excess + i32(zeros(r, g, block + firstBlock))) * -inputSum;
  } else if (excess) {
    offset = -excess * inputSum;
  }
  Func dot = func("dot");
  dot(r, t, g, block) = offset;
  auto schedule = addProducts(dot, plan, factors);

  // Groups in order, one rounding each.
  RDom kg(0, plan.groups);
  Func y = func("sum");
  Expr real = f32(dot(r, t, kg, block));
  if (*plan.input == ssm::InputScales::group)
    real = mul(input.scales(kg, t + section.firstToken), real);
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
            schedule({y, kg, host, hostBlock, isPanel});
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
                                                  const Section &section, Var r,
                                                  Var t, Var block) {
  Var k = var("k"), step = var("step"), element = var("element");
  int perStep = plan.elementsPerStep(), depth = plan.depth;
  ImageParam words = plan.words, scales = plan.scales, zeros = plan.zeroPoints;
  // The floats that a block's integers stand for, put together first.
  Func weights = func("weights"), y = func("sum");
  Expr e = k % perStep, s = k / perStep, at = block + section.firstBlock;
  Expr shift = plan.bits == 4 ? 8 * (e % 4) + 4 * (e / 4) : 8 * e;
  Expr stored = (words(r, s, at) >> Halide::cast<uint32_t>(shift)) &
                Halide::cast<uint32_t>((1 << plan.bits) - 1);
  Expr number = i32(stored) - plan.bias(), g = s / plan.steps;
  if (plan.zeroPoints.defined())
    number = number - i32(zeros(r, g, at));
  weights(r, k, block) = mul(f32(number), f32(scales(r, g, at)));
  RDom sumOver(0, depth);
  y(r, t, block) = 0.0f;
  y(r, t, block) = fma(weights(r, sumOver, block),
                       plan.x(sumOver, t + section.firstToken), y(r, t, block));
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

void KernelBuilder::emitQuantizedSection(const QuantizedPlan &plan,
                                         const RoundedInput &shared,
                                         const Section &section) {
  ssm::LinearOp op = plan.op;
  Var r = var("r"), t = var("t"), block = var("block");
  int first = section.firstBlock * plan.height;
  Expr row = section.blocks == 1 ? r + first : block * plan.height + r + first;
  Expr token = t + section.firstToken;
  Tile most = largestTile(plan, machine, section.tokens);
  int tile = plan.products == Products::matrices
                 ? std::min(section.tokens, most.tokens)
                 : tileOf(section.tokens, most.tokens);
  bool isChunked = plan.input && plan.chunk < plan.tokens;
  int chunk = isChunked ? plan.chunk / tile * tile : section.tokens;
  RoundedInput own;
  if (isChunked)
    own = roundInput(plan, chunk);
  const RoundedInput &input = isChunked ? own : shared;
  TiledSums tiled = plan.input ? integerSums(plan, input, section, r, t, block)
                               : floatSums(plan, section, r, t, block);
  Func sums = tiled.sums;
  Expr sum = sums(r, t, block);
  if (plan.input == ssm::InputScales::token)
    sum = mul(sum, input.scales(token));
  Func out = linearResults(op, plan.results, sum, row, token, {r, t, block});

  View view{{{0, section.rows, 1},
             {0, section.tokens, plan.rows},
             {0, section.blocks, plan.height}},
            section.firstToken * int64_t(plan.rows) + first};
  // Rows past the last are computed, not written.
  int height = plan.height;
  if (section.rows <= most.rows || section.rows % most.rows == 0)
    height = most.rows;
  int width = std::min(machine.lanes, powerOfTwoBelow(section.rows));
  Var tOuter = var("to"), tInner = var("ti"), rOuter = var("ro"),
      rInner = var("ri"), vector = var("rv"), lane = var("lane");
  Var tokenChunk = var("chunk"), tokens = var("t");
  out.split(t, tokenChunk, tokens, chunk, TailStrategy::ShiftInwards)
      .split(tokens, tOuter, tInner, tile, TailStrategy::ShiftInwards)
      .split(r, rOuter, rInner, std::min(height, section.rows))
      .split(rInner, vector, lane, width, TailStrategy::ShiftInwards)
      .reorder(lane, vector, tInner, rOuter, tOuter, block, tokenChunk)
      .unroll(vector)
      .unroll(tInner);
  if (isChunked)
    for (Func stage : input.stages)
      stage.compute_at(out, tokenChunk);
  if (width > 1)
    out.vectorize(lane);
  sums.bound_extent(r, height).align_bounds(r, height);
  tiled.schedule(out, rOuter, block, section.tokens > tile);
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
  plan.products = plan.tokens > 1 ? machine.manyProducts : machine.products;
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
    // All of it first, or so much at a time as a cache holds.
    constexpr int64_t kChunkBytes = 64 * 1024;
    plan.chunk = plan.tokens;
    if (!reserveStack(plan.tokens * plan.roundedBytes())) {
      plan.chunk = std::max<int64_t>(kChunkBytes / plan.roundedBytes(), 16);
      plan.products = machine.products;
      if (plan.chunk >= plan.tokens ||
          !reserveStack(2 * plan.chunk * plan.roundedBytes()))
        fail("the rounded input of a linear is too large for the stack");
    } else {
      input = roundInput(plan, plan.tokens);
      for (Func stage : input.stages)
        stage.compute_root();
    }
    if (plan.products == Products::matrices) {
      if (reserveStack(plan.pairedBytes()))
        input.pairs = pairTokens(plan, input);
      else
        plan.products = machine.products;
    }
  }
  int whole = plan.rows / height, rest = plan.rows % height;
  // Tiles that overlap would take the tokens of a pair apart.
  int split = plan.tokens;
  if (plan.products == Products::matrices)
    split -= plan.tokens % largestTile(plan, machine, plan.tokens).tokens;
  for (auto [first, tokens] :
       {std::pair(0, split), std::pair(split, plan.tokens - split)}) {
    if (whole && tokens)
      emitQuantizedSection(plan, input, {0, whole, height, first, tokens});
    if (rest && tokens)
      emitQuantizedSection(plan, input, {whole, 1, rest, first, tokens});
  }
  return true;
}
