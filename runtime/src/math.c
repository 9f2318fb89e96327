// SPDX-License-Identifier: Apache-2.0
//
// The functions of libm that LLVM calls for one instruction of its own, where
// the target has none for it: the remainder everywhere, the others on x86-64
// before FMA. All are exact.

#include <stdint.h>

double fmod(double x, double y);
float fmodf(float x, float y);

static uint64_t bits_of(double value) {
  union {
    double value;
    uint64_t bits;
  } from = {value};
  return from.bits;
}

static double value_of(uint64_t bits) {
  union {
    uint64_t bits;
    double value;
  } from = {bits};
  return from.value;
}

static const uint64_t one = UINT64_C(1) << 52;

// The significand of a finite number, normalised to have bit 52; its exponent.
static uint64_t significand(uint64_t magnitude, int *exponent) {
  uint64_t fraction = magnitude & (one - 1);
  *exponent = (int)(magnitude >> 52);
  if (*exponent)
    return fraction | one;
  for (*exponent = 1; !(fraction & one); fraction <<= 1)
    --*exponent;
  return fraction;
}

// Long division, one bit of the quotient at a time; what is left is exact.
double fmod(double x, double y) {
  const uint64_t sign_bit = UINT64_C(1) << 63, infinity = UINT64_C(0x7ff) << 52;
  uint64_t sign = bits_of(x) & sign_bit;
  uint64_t a = bits_of(x) & ~sign_bit, b = bits_of(y) & ~sign_bit;
  if (a >= infinity || b > infinity || b == 0)
    return value_of(infinity | (one >> 1));
  if (a < b)
    return x;
  int exponent, divisor_exponent;
  uint64_t rest = significand(a, &exponent);
  uint64_t divisor = significand(b, &divisor_exponent);
  for (; exponent > divisor_exponent; --exponent) {
    if (rest >= divisor)
      rest -= divisor;
    rest <<= 1;
  }
  if (rest >= divisor)
    rest -= divisor;
  if (rest == 0)
    return value_of(sign);
  for (; !(rest & one); rest <<= 1)
    --exponent;
  if (exponent > 0)
    return value_of(sign | (uint64_t)exponent << 52 | (rest & (one - 1)));
  return value_of(sign | rest >> (1 - exponent));
}

float fmodf(float x, float y) { return (float)fmod(x, y); }

#ifdef __x86_64__

float fmaf(float x, float y, float z);
float floorf(float value);
float ceilf(float value);
float truncf(float value);
float roundevenf(float value);
double floor(double value);
double ceil(double value);
double trunc(double value);
double roundeven(double value);

// The product is exact in double. The sum is rounded to odd: then the second
// rounding, to float, gives what one rounding of the exact sum would.
float fmaf(float x, float y, float z) {
  double product = (double)x * y, addend = z, sum = product + addend;
  double part = sum - product;
  double error = (product - (sum - part)) + (addend - part);
  uint64_t bits = bits_of(sum);
  if (error != 0 && error == error && !(bits & 1))
    sum = value_of((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
  return (float)sum;
}

float floorf(float value) { return __builtin_floorf(value); }
float ceilf(float value) { return __builtin_ceilf(value); }
float truncf(float value) { return __builtin_truncf(value); }
float roundevenf(float value) { return __builtin_roundevenf(value); }
double floor(double value) { return __builtin_floor(value); }
double ceil(double value) { return __builtin_ceil(value); }
double trunc(double value) { return __builtin_trunc(value); }
double roundeven(double value) { return __builtin_roundeven(value); }

#endif
