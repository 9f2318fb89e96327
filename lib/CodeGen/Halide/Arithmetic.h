// SPDX-License-Identifier: Apache-2.0
// Floating-point arithmetic whose bits do not depend on where it stands.
//
// Halide's default mode lets LLVM regroup and fuse at will, so one formula in
// two kernels (one token, many tokens) could round in two ways; its strict
// mode has no fused multiply-add at all. So each operation says which it is:
// add(), mul(), ... round once, as written; fma() is a product and a sum in
// the default mode, which leaves LLVM a single choice as long as the addend is
// a constant, a load, or the result of a strict operation or of an earlier
// iteration of a loop. An addend that is itself an fma() of the same iteration
// is no such thing: LLVM may regroup the two sums. (A factor that is one is
// harmless: Horner's scheme.)

#ifndef ITERA_LIB_CODEGEN_HALIDE_ARITHMETIC_H
#define ITERA_LIB_CODEGEN_HALIDE_ARITHMETIC_H

#include "Halide.h"

namespace itera::halide {

using Halide::Expr;

Expr add(Expr a, Expr b);
Expr sub(Expr a, Expr b);
Expr mul(Expr a, Expr b);
Expr div(Expr a, Expr b);
Expr neg(Expr a);
Expr lessThan(Expr a, Expr b);
Expr lessEqual(Expr a, Expr b);
Expr equal(Expr a, Expr b);

/// a * b + c, rounded once where the target can.
Expr fma(Expr a, Expr b, Expr c);

/// The larger (smaller); `low` (`high`) when x is not above (below) it or NaN.
Expr clampBelow(Expr x, Expr low);
Expr clampAbove(Expr x, Expr high);

namespace fp {
/// Elementary functions of float32, without libm. Within 2 units in the last
/// place unless it says otherwise.
Expr exp(Expr x);
Expr exp2(Expr x);
Expr expm1(Expr x);
Expr log(Expr x);
Expr log1p(Expr x);
Expr tanh(Expr x);
Expr erf(Expr x);
Expr sin(Expr x);
Expr cos(Expr x);
Expr pow(Expr x, Expr y);
Expr rsqrt(Expr x);
Expr sigmoid(Expr x);
Expr silu(Expr x);
Expr softplus(Expr x);
Expr gelu(Expr x, bool useTanh);

/// 2^x for the decay of a scan: relative error 1e-7, 2^-126 for all smaller
/// results, infinity from 2^128 on.
Expr decayExp2(Expr x);
} // namespace fp

} // namespace itera::halide

#endif // ITERA_LIB_CODEGEN_HALIDE_ARITHMETIC_H
