// SPDX-License-Identifier: Apache-2.0
// Elementary functions of float32 as polynomials.
//
// Each reduces its argument exactly (strict operations), evaluates a
// polynomial in Horner form (fma), and puts the result together by operations
// that keep special values: NaN stays NaN, overflow is infinity.

#include "Arithmetic.h"

using namespace itera::halide;
using Halide::cast;
using Halide::Float;
using Halide::Int;
using Halide::reinterpret;
using Halide::select;

static Expr f32(double value) {
  return Halide::Internal::make_const(Float(32), value);
}

static Expr f64(double value) {
  return Halide::Internal::make_const(Float(64), value);
}

/// coefficients[0] + x * (coefficients[1] + ...).
static Expr horner(Expr x, std::initializer_list<double> coefficients) {
  Expr sum;
  for (auto c = std::rbegin(coefficients); c != std::rend(coefficients); ++c) {
    Expr constant = Halide::Internal::make_const(x.type(), *c);
    sum = sum.defined() ? fma(sum, x, constant) : constant;
  }
  return sum;
}

/// Nearest integer of a float32 of magnitude below 2^22, as a float and as an
/// int: adding 1.5 * 2^23 leaves it in the low bits.
static std::pair<Expr, Expr> nearest(Expr x) {
  Expr magic = f32(12582912.0);
  Expr shifted = add(x, magic);
  return {sub(shifted, magic),
          reinterpret(Int(32), shifted) - reinterpret(Int(32), magic)};
}

/// 2^n, for n in [-126, 127].
static Expr powerOfTwo(Expr n) {
  return reinterpret(Float(32), (n + 127) << 23);
}

/// x * 2^n for n in [-252, 254]: in two steps, so that neither overflows.
static Expr scale(Expr x, Expr n) {
  Expr half = n >> 1;
  return mul(mul(x, powerOfTwo(half)), powerOfTwo(n - half));
}

/// e^r - 1 for |r| <= ln(2) / 2 (Cephes expf).
static Expr smallExpm1(Expr r) {
  Expr p = horner(r, {5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2,
                      8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4});
  return fma(p, mul(r, r), r);
}

/// Splits x = n * ln(2) + r.
static void reduceByLn2(Expr x, Expr &n, Expr &r) {
  auto [rounded, integer] = nearest(mul(x, f32(1.44269504088896341)));
  n = integer;
  // The first part of ln(2) has 9 bits: its product with n is exact.
  r = add(sub(x, mul(rounded, f32(0.693359375))),
          mul(rounded, f32(2.12194440e-4)));
}

Expr itera::halide::fp::exp(Expr x) {
  Expr n, r;
  reduceByLn2(clampAbove(clampBelow(x, f32(-104.0)), f32(89.0)), n, r);
  return scale(add(smallExpm1(r), f32(1.0)), n);
}

Expr itera::halide::fp::exp2(Expr x) {
  x = clampAbove(clampBelow(x, f32(-151.0)), f32(129.0));
  auto [rounded, n] = nearest(x);
  Expr p =
      horner(sub(x, rounded), {1.0, 0.6931471824645996, 0.24022647738456726,
                               0.055503323674201965, 0.00961843691766262,
                               0.0013398873852565885, 0.00015353361959569156});
  return scale(p, n);
}

Expr itera::halide::fp::decayExp2(Expr x) {
  x = clampAbove(clampBelow(x, f32(-126.0)), f32(128.0));
  auto [rounded, n] = nearest(x);
  Expr p =
      horner(sub(x, rounded),
             {1.0, 0.6931470036506653, 0.24022242426872253, 0.05550733581185341,
              0.009671512991189957, 0.001326472731307149});
  return reinterpret(Float(32), reinterpret(Int(32), p) + (n << 23));
}

Expr itera::halide::fp::expm1(Expr x) {
  Expr bounded = clampAbove(clampBelow(x, f32(-80.0)), f32(88.0));
  Expr n, r;
  reduceByLn2(bounded, n, r);
  Expr power = powerOfTwo(n);
  Expr result = add(mul(smallExpm1(r), power), sub(power, f32(1.0)));
  return select(lessThan(f32(88.0), x), fp::exp(x), result);
}

/// log for normal, positive, finite x: x = 2^e * m, m in [2/3, 4/3).
static Expr normalLog(Expr x, Expr extraExponent) {
  Expr bits = reinterpret(Int(32), x);
  Expr e = (bits - 0x3f2aaaab) & Expr(int32_t(0xff800000));
  Expr f = sub(reinterpret(Float(32), bits - e), f32(1.0));
  Expr exponent = add(cast(Float(32), e >> 23), extraExponent);
  Expr s = mul(f, f);
  Expr r = fma(s, horner(s, {-0.121484190, -0.130310059}), f32(-0.166846052));
  Expr t = horner(s, {0.200120345, 0.139814854, 0.140869141});
  r = fma(s, r, f32(-0.249996200));
  r = fma(t, f, r);
  r = fma(r, f, f32(0.333331972));
  r = fma(r, f, f32(-0.5));
  r = add(mul(r, s), f);
  return fma(exponent, f32(0.69314718055994531), r);
}

Expr itera::halide::fp::log(Expr x) {
  Expr tiny = lessThan(x, f32(1.17549435e-38));
  Expr result = normalLog(select(tiny, mul(x, f32(8388608.0)), x),
                          select(tiny, f32(-23.0), f32(0.0)));
  Expr infinity = reinterpret(Float(32), Expr(int32_t(0x7f800000)));
  Expr nan = reinterpret(Float(32), Expr(int32_t(0x7fc00000)));
  Expr normal = lessThan(f32(0.0), x) && lessThan(x, infinity);
  Expr special = select(equal(x, f32(0.0)), neg(infinity),
                        lessThan(x, f32(0.0)), nan, add(x, x));
  return select(normal, result, special);
}

Expr itera::halide::fp::log1p(Expr x) {
  // The rounding error of 1 + x, put back to first order.
  Expr u = add(f32(1.0), x);
  Expr result = add(fp::log(u), div(sub(x, sub(u, f32(1.0))), u));
  Expr ordinary = lessThan(f32(-1.0), x) && lessThan(x, f32(1e30));
  return select(ordinary, result, fp::log(u));
}

Expr itera::halide::fp::tanh(Expr x) {
  Expr magnitude = abs(x);
  Expr s = mul(x, x);
  Expr p = horner(s, {-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2,
                      2.06390887954e-2, -5.70498872745e-3});
  Expr small = add(mul(mul(p, s), x), x);
  Expr e = fp::exp(mul(f32(2.0), clampAbove(magnitude, f32(20.0))));
  Expr large = sub(f32(1.0), div(f32(2.0), add(e, f32(1.0))));
  return select(lessThan(magnitude, f32(0.625)), small, lessThan(x, f32(0.0)),
                neg(large), large);
}

Expr itera::halide::fp::erf(Expr x) {
  Expr t = abs(x), s = mul(x, x);
  Expr r = horner(t, {3.83197126e-4, -1.72853470e-5});
  Expr u = horner(t, {2.42546219e-2, -3.88396438e-3});
  r = fma(r, s, u);
  r = fma(r, t, f32(-1.06777877e-1));
  r = fma(r, t, f32(-6.34846687e-1));
  r = fma(r, t, f32(-1.28717512e-1));
  Expr large = sub(f32(1.0), fp::exp(sub(mul(r, t), t)));
  Expr small = horner(s, {1.28379166e-1, -3.76125336e-1, 1.12819925e-1,
                          -2.67681349e-2, 4.99119423e-3, -5.96761703e-4});
  small = add(mul(small, x), x);
  return select(lessThan(t, f32(0.927734375)), small, lessThan(x, f32(0.0)),
                neg(large), large);
}

/// x = q * pi/2 + r in double, |r| <= pi/4; good for |x| up to 1e6.
static void reduceByHalfPi(Expr x, Expr &quadrant, Expr &r) {
  Expr wide = cast(Float(64), x), magic = f64(6755399441055744.0);
  Expr q = sub(add(mul(wide, f64(0.63661977236758134308)), magic), magic);
  // 33 bits, so that the product is exact, then the rest.
  Expr rest = sub(wide, mul(q, f64(1.5707963267341256)));
  r = cast(Float(32), sub(rest, mul(q, f64(6.0771005065061922e-11))));
  quadrant = cast(Int(32), q);
}

static Expr sinOfQuadrant(Expr quadrant, Expr r) {
  Expr s = mul(r, r);
  Expr sine = horner(s, {-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4});
  sine = add(mul(mul(sine, s), r), r);
  Expr cosine = horner(s, {1.0, -0.5, 4.166664568298827e-2,
                           -1.388731625493765e-3, 2.443315711809948e-5});
  Expr value = select((quadrant & 1) == 0, sine, cosine);
  return select((quadrant & 2) == 0, value, neg(value));
}

Expr itera::halide::fp::sin(Expr x) {
  Expr quadrant, r;
  reduceByHalfPi(x, quadrant, r);
  return sinOfQuadrant(quadrant, r);
}

Expr itera::halide::fp::cos(Expr x) {
  Expr quadrant, r;
  reduceByHalfPi(x, quadrant, r);
  return sinOfQuadrant(quadrant + 1, r);
}

/// |x|^y in double by 2^(y * log2|x|), for finite x other than 0.
static Expr magnitudePow(Expr x, Expr y) {
  Expr wide = cast(Float(64), abs(x));
  Expr bits = reinterpret(Int(64), wide);
  Expr e = (bits - Expr(int64_t(0x3fe5555555555555))) >> 52;
  Expr m = reinterpret(Float(64), bits - (e << 52));
  // fp::log(m) = 2 atanh(s), |s| <= 1/5.
  Expr s = div(sub(m, f64(1.0)), add(m, f64(1.0))), q = mul(s, s);
  Expr series = horner(q, {1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11,
                           1.0 / 13, 1.0 / 15});
  Expr log2 = add(cast(Float(64), e),
                  mul(mul(f64(2.0 / 0.693147180559945309417), s), series));
  Expr product = mul(cast(Float(64), y), log2);
  product = clampAbove(clampBelow(product, f64(-160.0)), f64(130.0));
  Expr magic = f64(6755399441055744.0);
  Expr n = sub(add(product, magic), magic);
  Expr f = mul(sub(product, n), f64(0.693147180559945309417));
  Expr p = horner(f, {1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120,
                      1.0 / 720, 1.0 / 5040, 1.0 / 40320});
  Expr power = reinterpret(Float(64), cast(Int(64), n) + 1023 << 52);
  return cast(Float(32), mul(p, power));
}

Expr itera::halide::fp::pow(Expr x, Expr y) {
  Expr infinity = reinterpret(Float(32), Expr(int32_t(0x7f800000)));
  Expr nan = reinterpret(Float(32), Expr(int32_t(0x7fc00000)));
  Expr zero = f32(0.0), one = f32(1.0);
  Expr magnitude = abs(x);
  Expr bounded = clampAbove(clampBelow(y, f32(-1e6)), f32(1e6));
  Expr integer = cast(Int(32), bounded);
  Expr whole =
      equal(cast(Float(32), integer), y) || !lessThan(abs(y), f32(8388608.0));
  Expr odd = whole && lessThan(abs(y), f32(1e6)) && (integer & 1) == 1;
  Expr atZero = select(lessThan(y, zero), infinity, zero);
  Expr atInfinity = select(lessThan(y, zero), zero, infinity);
  Expr value =
      select(equal(magnitude, zero), atZero, equal(magnitude, infinity),
             atInfinity, magnitudePow(x, bounded));
  Expr negative = lessThan(x, zero);
  value = select(negative && odd, neg(value), negative && !whole, nan, value);
  Expr unordered = !(equal(x, x) && equal(y, y));
  return select(equal(y, zero) || equal(x, one), one, unordered, nan, value);
}

Expr itera::halide::fp::rsqrt(Expr x) { return div(f32(1.0), Halide::sqrt(x)); }

Expr itera::halide::fp::sigmoid(Expr x) {
  return div(f32(1.0), add(f32(1.0), fp::exp(neg(x))));
}

Expr itera::halide::fp::silu(Expr x) {
  return div(x, add(f32(1.0), fp::exp(neg(x))));
}

Expr itera::halide::fp::softplus(Expr x) {
  // fp::log(1 + e) = 2 atanh(e / (2 + e)), with e = fp::exp(-|x|) <= 1.
  Expr e = fp::exp(neg(abs(x)));
  Expr s = div(e, add(f32(2.0), e));
  Expr series = horner(
      mul(s, s), {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13});
  return fma(s, series, clampBelow(x, f32(0.0)));
}

Expr itera::halide::fp::gelu(Expr x, bool useTanh) {
  Expr half = mul(x, f32(0.5));
  if (!useTanh)
    return mul(half, add(f32(1.0), fp::erf(mul(x, f32(0.70710678118654752)))));
  Expr cubic = mul(mul(mul(x, x), x), f32(0.044715));
  Expr inner = mul(f32(0.79788456080286536), add(x, cubic));
  return mul(half, add(f32(1.0), fp::tanh(inner)));
}
