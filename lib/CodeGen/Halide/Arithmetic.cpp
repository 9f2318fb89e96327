// SPDX-License-Identifier: Apache-2.0
// The operations that round as written. See Arithmetic.h.

#include "Arithmetic.h"

using namespace itera::halide;
using Halide::Internal::Call;

static Expr strict(Call::IntrinsicOp op, Halide::Type type, Expr a, Expr b) {
  return Call::make(type, op, {std::move(a), std::move(b)},
                    Call::PureIntrinsic);
}

Expr itera::halide::add(Expr a, Expr b) {
  Halide::Type type = a.type();
  return type.is_float() ? strict(Call::strict_add, type, a, b) : a + b;
}

Expr itera::halide::sub(Expr a, Expr b) {
  Halide::Type type = a.type();
  return type.is_float() ? strict(Call::strict_sub, type, a, b) : a - b;
}

Expr itera::halide::mul(Expr a, Expr b) {
  Halide::Type type = a.type();
  return type.is_float() ? strict(Call::strict_mul, type, a, b) : a * b;
}

Expr itera::halide::div(Expr a, Expr b) {
  Halide::Type type = a.type();
  return strict(Call::strict_div, type, std::move(a), std::move(b));
}

Expr itera::halide::neg(Expr a) {
  Halide::Type type = a.type();
  if (!type.is_float())
    return -a;
  // -0.0 - x is the sign flip that LLVM recognises.
  return sub(Halide::Internal::make_const(type, -0.0), std::move(a));
}

Expr itera::halide::lessThan(Expr a, Expr b) {
  Halide::Type type = a.type().with_bits(1).with_code(halide_type_uint);
  return a.type().is_float() ? strict(Call::strict_lt, type, a, b) : a < b;
}

Expr itera::halide::lessEqual(Expr a, Expr b) {
  Halide::Type type = a.type().with_bits(1).with_code(halide_type_uint);
  return a.type().is_float() ? strict(Call::strict_le, type, a, b) : a <= b;
}

Expr itera::halide::equal(Expr a, Expr b) {
  Halide::Type type = a.type().with_bits(1).with_code(halide_type_uint);
  return a.type().is_float() ? strict(Call::strict_eq, type, a, b) : a == b;
}

Expr itera::halide::fma(Expr a, Expr b, Expr c) {
  return std::move(a) * std::move(b) + std::move(c);
}

Expr itera::halide::clampBelow(Expr x, Expr low) {
  return select(lessThan(x, low), low, x);
}

Expr itera::halide::clampAbove(Expr x, Expr high) {
  return select(lessThan(high, x), high, x);
}
