// SPDX-License-Identifier: Apache-2.0
//
// The runtime's own memcpy and its kin, against a byte loop: all lengths around
// the vector width and the unrolled block, every misalignment, guard bytes.

#include "gtest/gtest.h"
#include <cstddef>
#include <vector>

extern "C" {
void *itera_memcpy(void *to, const void *from, size_t size);
void *itera_memmove(void *to, const void *from, size_t size);
void *itera_memset(void *to, int value, size_t size);
int itera_memcmp(const void *left, const void *right, size_t size);
}

using Bytes = std::vector<unsigned char>;

static Bytes makeBytes(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i)
    bytes[i] = (unsigned char)(i * 31 + 7);
  return bytes;
}

static const size_t lengths[] = {0,  1,  2,  3,  7,  15, 16, 17,  31,  32,
                                 33, 63, 64, 65, 79, 80, 81, 127, 128, 200};

TEST(Memory, Copy) {
  for (size_t size : lengths)
    for (size_t to = 0; to < 17; ++to)
      for (size_t from = 0; from < 17; ++from) {
        Bytes source = makeBytes(300), target(300, 0xee), expected = target;
        for (size_t i = 0; i < size; ++i)
          expected[to + i] = source[from + i];
        EXPECT_EQ(itera_memcpy(&target[to], &source[from], size), &target[to]);
        ASSERT_EQ(target, expected) << size << ' ' << to << ' ' << from;
      }
}

TEST(Memory, MoveWithAnyOverlap) {
  for (size_t size : lengths)
    for (size_t to = 0; to <= 90; ++to)
      for (size_t from : {0u, 1u, 16u, 45u, 64u, 90u}) {
        Bytes bytes = makeBytes(300), expected = bytes;
        for (size_t i = 0; i < size; ++i)
          expected[to + i] = bytes[from + i];
        EXPECT_EQ(itera_memmove(&bytes[to], &bytes[from], size), &bytes[to]);
        ASSERT_EQ(bytes, expected) << size << ' ' << to << ' ' << from;
      }
}

TEST(Memory, Set) {
  for (size_t size : lengths)
    for (size_t to = 0; to < 17; ++to)
      for (int value : {0, 1, 0x80, 0xff, 0x1234, -2}) {
        Bytes bytes = makeBytes(300), expected = bytes;
        for (size_t i = 0; i < size; ++i)
          expected[to + i] = (unsigned char)value;
        EXPECT_EQ(itera_memset(&bytes[to], value, size), &bytes[to]);
        ASSERT_EQ(bytes, expected) << size << ' ' << to << ' ' << value;
      }
}

TEST(Memory, CompareIsByUnsignedByte) {
  Bytes a = makeBytes(100), b = a;
  EXPECT_EQ(itera_memcmp(a.data(), b.data(), 100), 0);
  b[99] = a[99] + 1;
  EXPECT_LT(itera_memcmp(a.data(), b.data(), 100), 0);
  EXPECT_GT(itera_memcmp(b.data(), a.data(), 100), 0);
  EXPECT_EQ(itera_memcmp(a.data(), b.data(), 99), 0);
  a[0] = 0x80, b[0] = 0x7f;
  EXPECT_GT(itera_memcmp(a.data(), b.data(), 1), 0);
  EXPECT_EQ(itera_memcmp(a.data(), b.data(), 0), 0);
}
