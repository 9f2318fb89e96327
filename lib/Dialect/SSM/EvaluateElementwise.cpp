// SPDX-License-Identifier: Apache-2.0
// Elementwise ops, in blocks: operands are loaded as double or int64_t, the op
// runs over the block, the result is rounded when it is stored. For +, -, *, /
// and sqrt that gives exactly the operand type's own result (a double has more
// than twice the bits of a float, so rounding twice does no harm).

#include "EvaluateImpl.h"

#include "itera/Dialect/SSM/SSM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace itera;
using namespace itera::ssm;
using namespace ssm::detail;

namespace {
using FloatUnary = double (*)(double);
using FloatBinary = double (*)(double, double);
using IntBinary = bool (*)(int64_t, int64_t, int64_t &);

constexpr int64_t kBlock = 512;
} // namespace

static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
static double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
static double gelu(double x) {
  return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
}
static double geluTanh(double x) {
  return x / 2 *
         (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) *
                        (x + 0.044715 * x * x * x)));
}

static FloatUnary getFloatUnary(Operation *op) {
  if (auto g = dyn_cast<GeluOp>(op))
    return g.getTanh() ? geluTanh : gelu;
#define STD(F) static_cast<FloatUnary>([](double x) { return std::F(x); })
  return llvm::StringSwitch<FloatUnary>(op->getName().getStringRef())
      .Case("arith.negf", [](double x) { return -x; })
      .Case("math.absf", STD(fabs))
      .Case("math.acos", STD(acos))
      .Case("math.acosh", STD(acosh))
      .Case("math.asin", STD(asin))
      .Case("math.asinh", STD(asinh))
      .Case("math.atan", STD(atan))
      .Case("math.atanh", STD(atanh))
      .Case("math.cbrt", STD(cbrt))
      .Case("math.ceil", STD(ceil))
      .Case("math.cos", STD(cos))
      .Case("math.cosh", STD(cosh))
      .Case("math.erf", STD(erf))
      .Case("math.erfc", STD(erfc))
      .Case("math.exp", STD(exp))
      .Case("math.exp2", STD(exp2))
      .Case("math.expm1", STD(expm1))
      .Case("math.floor", STD(floor))
      .Case("math.log", STD(log))
      .Case("math.log10", STD(log10))
      .Case("math.log1p", STD(log1p))
      .Case("math.log2", STD(log2))
      .Case("math.round", STD(round))
      .Case("math.roundeven", STD(nearbyint))
      .Case("math.rsqrt", [](double x) { return 1 / std::sqrt(x); })
      .Case("math.sin", STD(sin))
      .Case("math.sinh", STD(sinh))
      .Case("math.sqrt", STD(sqrt))
      .Case("math.tan", STD(tan))
      .Case("math.tanh", STD(tanh))
      .Case("math.trunc", STD(trunc))
      .Case("ssm.sigmoid", sigmoid)
      .Case("ssm.silu", [](double x) { return x * sigmoid(x); })
      .Case("ssm.softplus", softplus)
      .Default(nullptr);
#undef STD
}

static FloatBinary getFloatBinary(StringRef name) {
  return llvm::StringSwitch<FloatBinary>(name)
      .Case("arith.addf", [](double a, double b) { return a + b; })
      .Case("arith.subf", [](double a, double b) { return a - b; })
      .Case("arith.mulf", [](double a, double b) { return a * b; })
      .Case("arith.divf", [](double a, double b) { return a / b; })
      .Case("arith.remf", [](double a, double b) { return std::fmod(a, b); })
      .Case("arith.maximumf",
            [](double a, double b) {
              return a != a || b != b ? NAN : std::fmax(a, b);
            })
      .Case("arith.minimumf",
            [](double a, double b) {
              return a != a || b != b ? NAN : std::fmin(a, b);
            })
      .Case("arith.maxnumf", [](double a, double b) { return std::fmax(a, b); })
      .Case("arith.minnumf", [](double a, double b) { return std::fmin(a, b); })
      .Case("math.atan2", [](double a, double b) { return std::atan2(a, b); })
      .Case("math.copysign",
            [](double a, double b) { return std::copysign(a, b); })
      .Case("math.powf", [](double a, double b) { return std::pow(a, b); })
      .Default(nullptr);
}

static int64_t wrap(uint64_t value) { return static_cast<int64_t>(value); }

static IntBinary getIntBinary(StringRef name) {
#define WRAP(OP)                                                               \
  [](int64_t a, int64_t b, int64_t &r) {                                       \
    r = wrap(static_cast<uint64_t>(a) OP static_cast<uint64_t>(b));            \
    return true;                                                               \
  }
#define PICK(TYPE, OP)                                                         \
  [](int64_t a, int64_t b, int64_t &r) {                                       \
    r = static_cast<TYPE>(a) OP static_cast<TYPE>(b) ? a : b;                  \
    return true;                                                               \
  }
#define DIVIDE(TYPE, EXPR)                                                     \
  [](int64_t x, int64_t y, int64_t &r) {                                       \
    if (y == 0 || (x == INT64_MIN && y == -1))                                 \
      return false;                                                            \
    TYPE a = x, b = y;                                                         \
    r = wrap(EXPR);                                                            \
    return true;                                                               \
  }
#define SHIFT(TYPE, OP)                                                        \
  [](int64_t a, int64_t b, int64_t &r) {                                       \
    r = b < 0 || b > 63 ? 0 : wrap(static_cast<TYPE>(a) OP b);                 \
    return true;                                                               \
  }
  return llvm::StringSwitch<IntBinary>(name)
      .Case("arith.addi", WRAP(+))
      .Case("arith.subi", WRAP(-))
      .Case("arith.muli", WRAP(*))
      .Case("arith.andi", WRAP(&))
      .Case("arith.ori", WRAP(|))
      .Case("arith.xori", WRAP(^))
      .Case("arith.maxsi", PICK(int64_t, >))
      .Case("arith.minsi", PICK(int64_t, <))
      .Case("arith.maxui", PICK(uint64_t, >))
      .Case("arith.minui", PICK(uint64_t, <))
      .Case("arith.divsi", DIVIDE(int64_t, a / b))
      .Case("arith.remsi", DIVIDE(int64_t, a % b))
      .Case("arith.floordivsi",
            DIVIDE(int64_t, a / b - (a % b != 0 && (a < 0) != (b < 0))))
      .Case("arith.ceildivsi",
            DIVIDE(int64_t, a / b + (a % b != 0 && (a < 0) == (b < 0))))
      .Case("arith.divui", DIVIDE(uint64_t, a / b))
      .Case("arith.remui", DIVIDE(uint64_t, a % b))
      .Case("arith.shli", SHIFT(uint64_t, <<))
      .Case("arith.shrui", SHIFT(uint64_t, >>))
      .Case("arith.shrsi", SHIFT(int64_t, >>))
      .Default(nullptr);
#undef WRAP
#undef PICK
#undef DIVIDE
#undef SHIFT
}

bool ssm::detail::combine(StringRef name, double lhs, double rhs, double &result) {
  FloatBinary f = getFloatBinary(name);
  if (f)
    result = f(lhs, rhs);
  return f;
}

bool ssm::detail::combine(StringRef name, int64_t lhs, int64_t rhs,
                     int64_t &result) {
  IntBinary f = getIntBinary(name);
  return f && f(lhs, rhs, result);
}

static int64_t bitsOf(ElementKind kind) {
  return kind == ElementKind::I1 ? 1 : 8 * getElementBytes(kind);
}

/// Ops that read their operands as unsigned numbers.
static bool readsUnsigned(StringRef name) {
  return llvm::StringSwitch<bool>(name)
      .Cases({"arith.divui", "arith.remui", "arith.maxui", "arith.minui",
              "arith.shrui", "arith.extui", "arith.uitofp"},
             true)
      .Default(false);
}

/// Loads integers with the sign that the op reads.
static void loadSigned(const HostTensor &from, int64_t begin, int64_t count,
                       bool isUnsigned, int64_t *to) {
  loadInts(from, begin, count, to);
  int64_t bits = bitsOf(from.kind);
  if (isUnsigned && bits < 64 && bits > 1)
    for (int64_t i = 0; i < count; ++i)
      to[i] &= (int64_t(1) << bits) - 1;
  // A set i1 is -1 when it is read as a signed number.
  if (!isUnsigned && bits == 1)
    for (int64_t i = 0; i < count; ++i)
      to[i] = -to[i];
}

static bool compareFloats(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = a != a || b != b;
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::AlwaysTrue:
    return true;
  case P::OEQ:
    return !unordered && a == b;
  case P::OGT:
    return !unordered && a > b;
  case P::OGE:
    return !unordered && a >= b;
  case P::OLT:
    return !unordered && a < b;
  case P::OLE:
    return !unordered && a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  case P::UNO:
    return unordered;
  }
  return false;
}

static bool evaluateCompare(Evaluation &e) {
  const HostTensor &lhs = e.operands[0], &rhs = e.operands[1];
  char *data = e.addResult();
  for (int64_t i = 0, n = lhs.size(); i < n; ++i) {
    if (auto cmp = dyn_cast<arith::CmpFOp>(e.op)) {
      data[i] = compareFloats(cmp.getPredicate(), lhs.getFloat(i),
                              rhs.getFloat(i));
      continue;
    }
    auto cmp = cast<arith::CmpIOp>(e.op);
    bool isUnsigned = cmp.getPredicate() >= arith::CmpIPredicate::ult;
    int64_t a, b;
    loadSigned(lhs, i, 1, isUnsigned, &a);
    loadSigned(rhs, i, 1, isUnsigned, &b);
    data[i] = arith::applyCmpPredicate(cmp.getPredicate(), llvm::APInt(64, a),
                                       llvm::APInt(64, b));
  }
  return true;
}

static bool evaluateSelect(Evaluation &e) {
  const HostTensor &condition = e.operands[0];
  int64_t bytes = getElementBytes(e.operands[1].kind);
  char *data = e.addResult();
  for (int64_t i = 0, n = e.operands[1].size(); i < n; ++i) {
    bool first = condition.bytes[condition.size() == 1 ? 0 : i];
    std::memcpy(data + i * bytes,
                e.operands[first ? 1 : 2].bytes.data() + i * bytes, bytes);
  }
  return true;
}

static bool isCast(StringRef name) {
  return llvm::StringSwitch<bool>(name)
      .Cases({"arith.extf", "arith.truncf", "arith.extsi", "arith.extui",
              "arith.trunci", "arith.sitofp", "arith.uitofp", "arith.fptosi",
              "arith.fptoui", "arith.index_cast"},
             true)
      .Default(false);
}

static bool evaluateCast(Evaluation &e, StringRef name) {
  const HostTensor &from = e.operands[0];
  char *data = e.addResult();
  ElementKind to = e.results[0].kind;
  bool isUnsigned = readsUnsigned(name);
  double floats[kBlock];
  int64_t ints[kBlock];
  for (int64_t i = 0, n = from.size(); i < n; i += kBlock) {
    int64_t count = std::min(kBlock, n - i);
    if (isFloat(from.kind)) {
      loadFloats(from, i, count, floats);
      storeFloats(to, data, i, count, floats);
      continue;
    }
    loadSigned(from, i, count, isUnsigned, ints);
    if (name == "arith.uitofp" && from.kind == ElementKind::I64) {
      for (int64_t j = 0; j < count; ++j)
        floats[j] = static_cast<double>(static_cast<uint64_t>(ints[j]));
      storeFloats(to, data, i, count, floats);
    } else {
      storeInts(to, data, i, count, ints);
    }
  }
  return true;
}

template <typename Op>
static bool evaluateFloats(Evaluation &e, Op op) {
  char *data = e.addResult();
  double in[3][kBlock] = {}, out[kBlock];
  for (int64_t i = 0, n = e.results[0].size(); i < n; i += kBlock) {
    int64_t count = std::min(kBlock, n - i);
    for (auto [k, operand] : llvm::enumerate(e.operands))
      loadFloats(operand, i, count, in[k]);
    for (int64_t j = 0; j < count; ++j)
      out[j] = op(in[0][j], in[1][j], in[2][j]);
    storeFloats(e.results[0].kind, data, i, count, out);
  }
  return true;
}

static bool evaluateIntBinary(Evaluation &e, IntBinary f, bool isUnsigned) {
  char *data = e.addResult();
  int64_t a[kBlock], b[kBlock], out[kBlock];
  for (int64_t i = 0, n = e.results[0].size(); i < n; i += kBlock) {
    int64_t count = std::min(kBlock, n - i);
    loadSigned(e.operands[0], i, count, isUnsigned, a);
    loadSigned(e.operands[1], i, count, isUnsigned, b);
    for (int64_t j = 0; j < count; ++j)
      if (!f(a[j], b[j], out[j]))
        return e.results.clear(), false;
    storeInts(e.results[0].kind, data, i, count, out);
  }
  return true;
}

static bool isOther(Operation *op) {
  return isa<arith::CmpFOp, arith::CmpIOp, arith::SelectOp, arith::BitcastOp,
             math::AbsIOp, math::FmaOp, math::IsNaNOp, math::IsInfOp>(op);
}

bool ssm::detail::isElementwise(Operation *op) {
  StringRef name = op->getName().getStringRef();
  if (!name.starts_with("arith.") && !name.starts_with("math.") &&
      !name.starts_with("ssm."))
    return false;
  return isOther(op) || isCast(name) || getFloatUnary(op) ||
         getFloatBinary(name) || getIntBinary(name);
}

bool ssm::detail::evaluateElementwise(Evaluation &e) {
  StringRef name = e.op->getName().getStringRef();
  if (FloatUnary f = getFloatUnary(e.op))
    return evaluateFloats(e, [f](double a, double, double) { return f(a); });
  if (FloatBinary f = getFloatBinary(name))
    return evaluateFloats(e,
                          [f](double a, double b, double) { return f(a, b); });
  if (IntBinary f = getIntBinary(name))
    return evaluateIntBinary(e, f, readsUnsigned(name));
  if (isCast(name))
    return evaluateCast(e, name);
  if (isa<arith::CmpFOp, arith::CmpIOp>(e.op))
    return evaluateCompare(e);
  if (isa<arith::SelectOp>(e.op))
    return evaluateSelect(e);
  if (isa<arith::BitcastOp>(e.op)) {
    e.addView(e.operands[0]);
    e.results[0].kind = *getElementKind(e.results[0].type.getElementType());
    return true;
  }
  if (isa<math::FmaOp>(e.op))
    return evaluateFloats(
        e, [](double a, double b, double c) { return std::fma(a, b, c); });
  if (isa<math::IsNaNOp, math::IsInfOp>(e.op)) {
    bool nan = isa<math::IsNaNOp>(e.op);
    char *data = e.addResult();
    for (int64_t i = 0, n = e.operands[0].size(); i < n; ++i) {
      double x = e.operands[0].getFloat(i);
      data[i] = nan ? std::isnan(x) : std::isinf(x);
    }
    return true;
  }
  if (isa<math::AbsIOp>(e.op)) {
    char *data = e.addResult();
    for (int64_t i = 0, n = e.operands[0].size(); i < n; ++i) {
      int64_t x = e.operands[0].getInt(i);
      x = x < 0 ? wrap(0 - static_cast<uint64_t>(x)) : x;
      storeInts(e.results[0].kind, data, i, 1, &x);
    }
    return true;
  }
  return false;
}
