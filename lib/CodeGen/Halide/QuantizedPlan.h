// SPDX-License-Identifier: Apache-2.0
// What the parts of a kernel of ssm.linear with integer weights share.

#ifndef ITERA_LIB_CODEGEN_HALIDE_QUANTIZEDPLAN_H
#define ITERA_LIB_CODEGEN_HALIDE_QUANTIZEDPLAN_H

#include "Builder.h"

namespace itera::halide {

struct KernelBuilder::QuantizedPlan {
  ssm::LinearOp op;
  std::vector<unsigned> results;
  int tokens, depth, rows; // of y: [tokens, rows], sums over depth
  int height;              // rows of a packed block
  int bits;
  /// Elements that share a scale, how many such groups a row has, and how many
  /// steps of a packed row each takes.
  int group, groups, steps;
  std::optional<ssm::InputScales> input;
  Products products;
  /// Tokens whose input is rounded at a time.
  int chunk = 0;
  std::function<Expr(Expr k, Expr token)> x;
  /// Views of the weight as bytes (place in the step, row, step, block) and as
  /// words (row, step, block); scales and zero points (row, group, block).
  ImageParam bytes, words, scales, zeroPoints;

  int elementsPerStep() const { return bits == 4 ? 8 : 4; }
  int paddedGroup() const { return steps * elementsPerStep(); }
  int paddedDepth() const { return groups * paddedGroup(); }
  /// What is stored is the weight plus this.
  int bias() const { return bits == 4 ? 8 : 128; }
  int halves() const { return bits == 4 ? 2 : 1; }
  /// Eights of elements in a group.
  int eights() const { return (paddedGroup() + 7) / 8; }
  /// Of one token: the integers, their sums, and three numbers per scale.
  int64_t roundedBytes() const {
    int scales = input == ssm::InputScales::group ? groups : 1;
    return paddedDepth() + 4 * int64_t(groups) + 12 * int64_t(scales);
  }
  int64_t pairedBytes() const {
    return int64_t(groups) * eights() * 16 * ((tokens + 1) / 2);
  }
};

/// The input of a linear as integers.
struct KernelBuilder::RoundedInput {
  Func integers; // (k padded, token): int8
  Func scales;   // (group, token), or (token)
  /// Of the integers of a group: their sum (group, token), int32.
  Func sums;
  /// For matrices: see MatrixProducts.cpp.
  Func pairs;
  /// What is to be computed, all but `pairs`, in the order that it is used.
  std::vector<Func> stages;
};

/// A part of the result that gets code of its own: `rows` rows of each of
/// `blocks` blocks, fewer than a block has only if it is a single one.
struct KernelBuilder::Section {
  int firstBlock, blocks, rows;
  int firstToken, tokens;
};

/// The factors of a product at (row, token, group, block): of `step`, the
/// element `place` of its half.
struct KernelBuilder::Factors {
  std::function<Expr(Expr place, int half, Expr step, const Index &at)> weight,
      input;
  /// For matrices: element `i` of two tokens' eight elements.
  std::function<Expr(Expr i, Expr eight, Expr tokens)> pair;
};

/// Where a tile's sums are computed: of the groups at `groups` of `sums`; the
/// tiles of a block at `block` of `host`, where there are several if `isPanel`.
struct KernelBuilder::ProductsPlace {
  Func sums;
  RVar groups;
  Func host;
  Var block;
  bool isPanel;
};

/// Sums of a block of rows and a tile of tokens, (row, token, block), and how
/// to schedule what they are made of once their host is known.
struct KernelBuilder::TiledSums {
  Func sums;
  std::function<void(Func host, Var tile, Var block, bool isPanel)> schedule;
};

/// How many rows and tokens have their sums in registers at a time, at most.
struct Tile {
  int rows, tokens;
};

/// The largest of `most`, most - 1, ... that divides n.
inline int divisorBelow(int n, int most) {
  int divisor = std::min(n, most);
  while (n % divisor)
    --divisor;
  return divisor;
}

} // namespace itera::halide

#endif // ITERA_LIB_CODEGEN_HALIDE_QUANTIZEDPLAN_H
