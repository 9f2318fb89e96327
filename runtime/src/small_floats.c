// SPDX-License-Identifier: Apache-2.0
//
// The conversions of small floats for which LLVM calls a library.
//
// x86-64 has no instruction that rounds to bfloat16 and, before AVX512-FP16,
// none that rounds a double to half; LLVM then emits these names. All work is
// done on integers, so that no compiler turns a body into a call of itself.

#include <stdint.h>

#ifdef __x86_64__

__bf16 __truncsfbf2(float value);
__bf16 __truncdfbf2(double value);
_Float16 __truncsfhf2(float value);
_Float16 __truncdfhf2(double value);
float __extendhfsf2(_Float16 value);

union word {
  uint16_t bits;
  __bf16 bfloat;
  _Float16 half;
};

// Rounds a double, to nearest and ties to even, to a float of 16 bits of which
// `mantissa` hold the fraction.
static uint16_t narrow(double value, int mantissa) {
  union {
    double value;
    uint64_t bits;
  } from = {value};
  uint16_t sign = (uint16_t)(from.bits >> 48) & 0x8000u;
  uint64_t magnitude = from.bits & ~(UINT64_C(1) << 63);
  const uint64_t infinity = UINT64_C(0x7ff) << 52;
  int exponent_max = (1 << (15 - mantissa)) - 1;
  uint16_t narrow_infinity = (uint16_t)(exponent_max << mantissa);
  if (magnitude > infinity)
    return sign | narrow_infinity | (uint16_t)(1u << (mantissa - 1));
  int exponent = (int)(magnitude >> 52) - 1023 + (exponent_max >> 1);
  if (exponent >= exponent_max)
    return sign | narrow_infinity;
  uint64_t fraction = magnitude & ((UINT64_C(1) << 52) - 1);
  int drop = 52 - mantissa;
  uint64_t kept;
  if (exponent > 0) {
    kept = ((uint64_t)exponent << 52) | fraction;
  } else {
    // Subnormal: the leading one becomes part of the fraction.
    drop += 1 - exponent;
    if (drop > 54)
      return sign;
    kept = fraction | (UINT64_C(1) << 52);
  }
  uint64_t half = UINT64_C(1) << (drop - 1);
  uint64_t rest = kept & (2 * half - 1);
  kept >>= drop;
  kept += rest > half || (rest == half && (kept & 1));
  return sign | (uint16_t)kept;
}

__bf16 __truncdfbf2(double value) {
  return (union word){.bits = narrow(value, 7)}.bfloat;
}

__bf16 __truncsfbf2(float value) { return __truncdfbf2(value); }

_Float16 __truncdfhf2(double value) {
  return (union word){.bits = narrow(value, 10)}.half;
}

_Float16 __truncsfhf2(float value) { return __truncdfhf2(value); }

float __extendhfsf2(_Float16 value) {
  uint32_t bits = (union word){.half = value}.bits;
  uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  union {
    uint32_t bits;
    float value;
  } to;
  if (magnitude >= 0x7c00u) {
    to.bits = 0x7f800000u | (magnitude & 0x3ffu) << 13;
  } else if (magnitude >= 0x400u) {
    to.bits = (magnitude << 13) + ((127u - 15u) << 23);
  } else {
    to.value = (float)(int32_t)magnitude * 0x1p-24f;
  }
  to.bits |= sign;
  return to.value;
}

#endif
