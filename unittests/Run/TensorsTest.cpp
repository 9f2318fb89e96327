// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Tensors.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>

using namespace llvm;
using namespace itera;

static const int64_t dims[] = {3};

static itera_tensor_info makeInfo(itera_dtype dtype, uint64_t elementBytes) {
  return {sizeof(itera_tensor_info), dtype, "t", dims, 1, 0, 3 * elementBytes, -1, -1, 0, 1, 0, ""};
}

template <typename T>
static NpyArray make(NpyType type, std::vector<T> values) {
  NpyArray array{type, {int64_t(values.size())}, {}};
  const char *bytes = reinterpret_cast<const char *>(values.data());
  array.data.assign(bytes, bytes + values.size() * sizeof(T));
  return array;
}

template <typename T> static std::vector<T> valuesOf(std::vector<char> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

static std::string errorOf(const itera_tensor_info &info, NpyArray array) {
  Expected<std::vector<char>> buffer = toBuffer(info, std::move(array));
  return buffer ? "no error" : toString(buffer.takeError());
}

TEST(Tensors, WidensWithoutLoss) {
  EXPECT_EQ(valuesOf<int64_t>(cantFail(
                toBuffer(makeInfo(ITERA_INT64, 8),
                         make<int32_t>(NpyType::Int32, {-1, 0, 1 << 30})))),
            (std::vector<int64_t>{-1, 0, 1 << 30}));
  EXPECT_EQ(valuesOf<int64_t>(cantFail(toBuffer(
                makeInfo(ITERA_INT64, 8),
                make<uint32_t>(NpyType::UInt32, {1, 2, 4294967295u})))),
            (std::vector<int64_t>{1, 2, 4294967295}));
  // 0x3c00 is one, 0x0001 the smallest half, 0xfc00 minus infinity.
  EXPECT_EQ(valuesOf<float>(cantFail(toBuffer(
                makeInfo(ITERA_FLOAT32, 4),
                make<uint16_t>(NpyType::Float16, {0x3c00, 0x0001, 0xfc00})))),
            (std::vector<float>{1.0f, 0x1p-24f, -HUGE_VALF}));
}

TEST(Tensors, RefusesLossyTypesAndWrongShapes) {
  EXPECT_EQ(errorOf(makeInfo(ITERA_FLOAT32, 4),
                    make<double>(NpyType::Float64, {1, 2, 3})),
            "input 't': expected type float32, but got float64");
  EXPECT_EQ(errorOf(makeInfo(ITERA_INT32, 4),
                    make<int64_t>(NpyType::Int64, {1, 2, 3})),
            "input 't': expected type int32, but got int64");
  EXPECT_EQ(errorOf(makeInfo(ITERA_UINT64, 8),
                    make<int8_t>(NpyType::Int8, {1, 2, 3})),
            "input 't': expected type uint64, but got int8");
  EXPECT_EQ(errorOf(makeInfo(ITERA_FLOAT64, 8),
                    make<int8_t>(NpyType::Int8, {1, 2, 3})),
            "input 't': expected type float64, but got int8");
  EXPECT_EQ(errorOf(makeInfo(ITERA_BOOL, 1),
                    make<uint8_t>(NpyType::UInt8, {1, 0, 1})),
            "input 't': expected type bool, but got uint8");
  EXPECT_EQ(errorOf(makeInfo(ITERA_FLOAT32, 4),
                    make<float>(NpyType::Float32, {1, 2})),
            "input 't': expected shape 3, but got 2");
}

/// 2 x time x 3 of int16.
static const int64_t seriesDims[] = {2, 5, 3};
static const itera_tensor_info series = {
    sizeof(itera_tensor_info), ITERA_INT16, "s", seriesDims, 3,
    ITERA_ROLE_STREAM,         60,          1,   0,          1,
    1,                         0,           ""};

TEST(Tensors, StreamedArraysHaveAnyLength) {
  EXPECT_EQ(getFrameBytes(series), 12u);
  auto countOf = [](std::vector<int64_t> shape) {
    Expected<uint64_t> count =
        getFrameCount(series, NpyArray{NpyType::Int16, shape, {}});
    return count ? std::to_string(*count) : toString(count.takeError());
  };
  EXPECT_EQ(countOf({2, 5, 3}), "5");
  EXPECT_EQ(countOf({2, 0, 3}), "0");
  EXPECT_EQ(countOf({2, 123456, 3}), "123456");
  EXPECT_EQ(countOf({3, 5, 3}),
            "input 's': expected shape 2xTx3 for any T, but got 3x5x3");
  EXPECT_EQ(countOf({2, 5, 4}),
            "input 's': expected shape 2xTx3 for any T, but got 2x5x4");
  EXPECT_EQ(countOf({2, 5}),
            "input 's': expected shape 2xTx3 for any T, but got 2x5");
  EXPECT_EQ(countOf({}),
            "input 's': expected shape 2xTx3 for any T, but got scalar");
}

TEST(Tensors, ResizedInfosSurviveMoves) {
  std::vector<ResizedInfo> infos; // grows, and so moves
  for (uint64_t frames = 0; frames < 9; ++frames)
    infos.emplace_back(series, frames);
  for (uint64_t frames = 0; frames < 9; ++frames) {
    const itera_tensor_info &info = infos[frames].get();
    EXPECT_EQ(std::vector<int64_t>(info.dims, info.dims + 3),
              (std::vector<int64_t>{2, int64_t(frames), 3}));
    EXPECT_EQ(info.bytes, frames * 12);
  }
  // Only what is streamed changes.
  ResizedInfo whole(makeInfo(ITERA_FLOAT32, 4), 9);
  EXPECT_EQ(whole.get().dims[0], 3);
  EXPECT_EQ(whole.get().bytes, 12u);
}

TEST(Tensors, RandomValuesAreReproducibleAndModest) {
  itera_tensor_info info = makeInfo(ITERA_FLOAT32, 4);
  EXPECT_EQ(makeRandomBuffer(info, 1), makeRandomBuffer(info, 1));
  EXPECT_NE(makeRandomBuffer(info, 1), makeRandomBuffer(info, 2));
  for (float value : valuesOf<float>(makeRandomBuffer(info, 1)))
    EXPECT_TRUE(value >= -1 && value < 1) << value;
  for (int64_t value :
       valuesOf<int64_t>(makeRandomBuffer(makeInfo(ITERA_INT64, 8), 1)))
    EXPECT_TRUE(value >= 0 && value < 8) << value;
}

TEST(Tensors, BFloat16BecomesFloat32) {
  std::vector<uint16_t> bits{0x3f80, 0xc000, 0x7f80};
  std::vector<char> buffer(6);
  memcpy(buffer.data(), bits.data(), 6);
  NpyArray array = cantFail(toArray(makeInfo(ITERA_BFLOAT16, 2), buffer));
  EXPECT_EQ(array.type, NpyType::Float32);
  EXPECT_EQ(valuesOf<float>(array.data),
            (std::vector<float>{1.0f, -2.0f, HUGE_VALF}));
}
