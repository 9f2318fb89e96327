// SPDX-License-Identifier: Apache-2.0
// Ops that move elements, against loops over their indices.

#include "Evaluated.h"

using namespace itera::ssm;

namespace {

/// 0, 1, 2, ...: every element tells where it came from.
Ints iota(int64_t count) {
  Ints result(count);
  for (int64_t i = 0; i < count; ++i)
    result[i] = i;
  return result;
}

std::string iotaOf(const char *name, const char *shape, int64_t count) {
  return constant(name, shape, iota(count));
}

TEST(EvaluateMovement, ExtractSlice) {
  Evaluated e(iotaOf("x", "4x5x6", 120) +
              "%y = tensor.extract_slice %x[1, 3, 0] [2, 1, 3] [2, 1, 2]"
              " : tensor<4x5x6xi64> to tensor<2x3xi64>");
  Ints expected;
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 3; ++k)
      expected.push_back((1 + 2 * i) * 30 + 3 * 6 + 2 * k);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, InsertSlice) {
  Evaluated e(iotaOf("x", "4x6", 24) + constant("s", "2x3", Ints(6, -1)) +
              "%y = tensor.insert_slice %s into %x[1, 0] [2, 3] [2, 2]"
              " : tensor<2x3xi64> into tensor<4x6xi64>");
  Ints expected = iota(24);
  for (int i : {1, 3})
    for (int j : {0, 2, 4})
      expected[i * 6 + j] = -1;
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, ConcatOfThreeAlongAnInnerDimension) {
  Evaluated e(iotaOf("a", "2x2x2", 8) + iotaOf("b", "2x1x2", 4) +
              iotaOf("c", "2x3x2", 12) +
              "%y = tensor.concat dim(1) %a, %b, %c : (tensor<2x2x2xi64>,"
              " tensor<2x1x2xi64>, tensor<2x3x2xi64>) -> tensor<2x6x2xi64>");
  Ints expected;
  for (int i = 0; i < 2; ++i)
    for (int size : {2, 1, 3})
      for (int j = 0; j < size * 2; ++j)
        expected.push_back(i * size * 2 + j);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, Pad) {
  Evaluated e(iotaOf("x", "2x3", 6) + R"(
    %p = arith.constant 9 : i64
    %y = tensor.pad %x low[1, 0] high[0, 2] {
    ^bb0(%i: index, %j: index):
      tensor.yield %p : i64
    } : tensor<2x3xi64> to tensor<3x5xi64>)");
  Ints expected(15, 9);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      expected[(i + 1) * 5 + j] = i * 3 + j;
  EXPECT_EQ(e.ints(), expected);
}

// A permutation that is not its own inverse.
TEST(EvaluateMovement, Transpose) {
  Evaluated e(iotaOf("x", "2x3x4", 24) + R"(
    %e = tensor.empty() : tensor<4x2x3xi64>
    %y = linalg.transpose ins(%x : tensor<2x3x4xi64>) outs(%e : tensor<4x2x3xi64>)
      permutation = [2, 0, 1])");
  Ints expected;
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 3; ++j)
        expected.push_back(i * 12 + j * 4 + k);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, Broadcast) {
  Evaluated e(iotaOf("x", "2x3", 6) + R"(
    %e = tensor.empty() : tensor<2x4x3xi64>
    %y = linalg.broadcast ins(%x : tensor<2x3xi64>) outs(%e : tensor<2x4x3xi64>)
      dimensions = [1])");
  Ints expected;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int k = 0; k < 3; ++k)
        expected.push_back(i * 3 + k);
  EXPECT_EQ(e.ints(), expected);
}

// A reshape shares its source's memory.
TEST(EvaluateMovement, Reshape) {
  Evaluated e(iotaOf("x", "2x3x4", 24) + R"(
    %c = tensor.collapse_shape %x [[0], [1, 2]] : tensor<2x3x4xi64> into tensor<2x12xi64>
    %y = tensor.expand_shape %c [[0], [1, 2]] output_shape [2, 6, 2]
      : tensor<2x12xi64> into tensor<2x6x2xi64>)");
  EXPECT_EQ(e.ints(), iota(24));
  mlir::Value x = e.block().front().getResult(0);
  EXPECT_EQ(e.evaluator.evaluate(e.value())->bytes.data(),
            e.evaluator.evaluate(x)->bytes.data());
}

TEST(EvaluateMovement, Reverse) {
  Evaluated e(iotaOf("x", "2x3x2", 12) +
              "%y = ssm.reverse %x dims [0, 1] : tensor<2x3x2xi64>");
  Ints expected;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k)
        expected.push_back((1 - i) * 6 + (2 - j) * 2 + k);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, Fill) {
  Evaluated e(R"(
    %v = arith.constant -2.5 : f32
    %e = tensor.empty() : tensor<2x2xf32>
    %y = linalg.fill ins(%v : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>)");
  EXPECT_EQ(e.floats(), Floats(4, -2.5f));
}

/// The entry an index reads: from the end when negative, then the nearest.
int64_t clamped(int64_t index, int64_t size) {
  return std::min(std::max<int64_t>(index < 0 ? index + size : index, 0), size - 1);
}

TEST(EvaluateMovement, GatherStaysInside) {
  Ints indices = {2, -1, -3, 7, -9, INT64_MAX, INT64_MIN, 0};
  Evaluated e(iotaOf("x", "2x3x2", 12) + constant("i", "4x2", indices) +
              "%y = ssm.gather %x, %i dim 1 : tensor<2x3x2xi64>, tensor<4x2xi64>"
              " -> tensor<2x4x2x2xi64>");
  Ints expected;
  for (int i = 0; i < 2; ++i)
    for (int64_t index : indices)
      for (int k = 0; k < 2; ++k)
        expected.push_back(i * 6 + clamped(index, 3) * 2 + k);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, GatherElements) {
  Ints indices = {0, 2, -1, 1, 5, -3};
  Evaluated e(iotaOf("x", "3x3", 9) + constant("i", "3x2", indices) +
              "%y = ssm.gather_elements %x, %i dim 0 : tensor<3x3xi64>,"
              " tensor<3x2xi64> -> tensor<3x2xi64>");
  Ints expected;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 2; ++j)
      expected.push_back(clamped(indices[i * 2 + j], 3) * 3 + j);
  EXPECT_EQ(e.ints(), expected);
}

TEST(EvaluateMovement, GatherNdWithABatch) {
  Ints indices = {0, 2, 1, -1};
  Evaluated e(iotaOf("x", "2x3x2", 12) + constant("i", "2x2x1", indices) +
              "%y = ssm.gather_nd %x, %i batch_dims 1 : tensor<2x3x2xi64>,"
              " tensor<2x2x1xi64> -> tensor<2x2x2xi64>");
  Ints expected;
  for (int b = 0; b < 2; ++b)
    for (int n = 0; n < 2; ++n)
      for (int k = 0; k < 2; ++k)
        expected.push_back(b * 6 + clamped(indices[b * 2 + n], 3) * 2 + k);
  EXPECT_EQ(e.ints(), expected);
}

// Rows outside of the data and rows beyond `valid` are not written.
TEST(EvaluateMovement, ScatterNdSkips) {
  Ints indices = {-1, 7, 0, 1};
  Evaluated e(iotaOf("x", "4x2", 8) + constant("i", "4x1", indices) +
              constant("u", "4x2", Ints{10, 11, 20, 21, 30, 31, 40, 41}) + R"(
    %n = arith.constant dense<3> : tensor<i64>
    %y = ssm.scatter_nd %x, %i, %u valid(%n : tensor<i64>) replace
      : tensor<4x2xi64>, tensor<4x1xi64>, tensor<4x2xi64>)");
  EXPECT_EQ(e.ints(), (Ints{30, 31, 2, 3, 4, 5, 10, 11}));
}

// Updates of one element combine in order, whatever the combination.
TEST(EvaluateMovement, ScatterElementsCombines) {
  Floats x = {1, 2, 3, 4}, updates = {5, -6, 0.5f};
  Ints indices = {1, 1, -1};
  auto run = [&](std::string kind) {
    return Evaluated(constant("x", "4", x) + constant("i", "3", indices) +
                     constant("u", "3", updates) +
                     "%y = ssm.scatter_elements %x, %i, %u dim 0 " + kind +
                     " : tensor<4xf32>, tensor<3xi64>, tensor<3xf32>").floats();
  };
  EXPECT_EQ(run("replace"), (Floats{1, -6, 3, 0.5f}));
  EXPECT_EQ(run("add"), (Floats{1, 1, 3, 4.5f}));
  EXPECT_EQ(run("mul"), (Floats{1, -60, 3, 2}));
  EXPECT_EQ(run("max"), (Floats{1, 5, 3, 4}));
  EXPECT_EQ(run("min"), (Floats{1, -6, 3, 0.5f}));
}

// The tuples stand in columns at the front; the rest is zero.
TEST(EvaluateMovement, Nonzero) {
  std::string op = constant("x", "2x3", Ints{0, 3, 0, -1, 0, 2}) +
                   "%y, %n = ssm.nonzero %x : tensor<2x3xi64>"
                   " -> tensor<2x6xi64>, tensor<i64>";
  EXPECT_EQ(Evaluated(op).ints(0), (Ints{0, 1, 1, 0, 0, 0, 1, 0, 2, 0, 0, 0}));
  EXPECT_EQ(Evaluated(op).ints(1), Ints{3});
}

} // namespace
