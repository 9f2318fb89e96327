// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Compare.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/Format.h"
#include <cmath>
#include <limits>

using namespace llvm;
using namespace itera;

Difference itera::compareArrays(const NpyArray &value,
                                const NpyArray &reference,
                                Tolerance tolerance) {
  Difference result;
  size_t count = value.data.size() / getNpyTypeSize(value.type);
  for (size_t i = 0; i < count; ++i) {
    long double v = getElement(value, i), r = getElement(reference, i);
    // Before the subtraction: of two equal infinities it makes a NaN.
    if (v == r)
      continue;
    double difference = std::abs(v - r);
    // Written so that a NaN fails. An infinite reference would tolerate
    // everything.
    if (!(difference <= tolerance.atol + tolerance.rtol * std::abs(r)) ||
        std::isinf(r))
      result.withinTolerance = false;
    if (std::isnan(difference))
      result.maxAbs = difference;
    else if (!std::isnan(result.maxAbs) && difference > result.maxAbs)
      result.maxAbs = difference;
  }
  return result;
}

Expected<bool> itera::compareOutputs(
    ArrayRef<std::pair<std::string, const NpyArray *>> outputs,
    const NpzReader &reference, unsigned caseIndex, Tolerance tolerance,
    raw_ostream &out, raw_ostream &warnings) {
  bool agree = true;
  unsigned compared = 0;
  for (const auto &[name, value] : outputs) {
    std::string key = getCaseName(name + "@f64", caseIndex);
    if (!reference.contains(key))
      key = getCaseName(name, caseIndex);
    if (!reference.contains(key)) {
      warnings << "warning: no reference for output '" << name << "'\n";
      continue;
    }
    Expected<NpyArray> expected = reference.read(key);
    if (!expected)
      return expected.takeError();
    ++compared;
    if (expected->shape != value->shape) {
      warnings << "output '" << name << "': expected shape "
               << formatShape(expected->shape) << ", but got "
               << formatShape(value->shape) << '\n';
      out << "max_abs_diff " << name << " nan\n";
      agree = false;
      continue;
    }
    Difference difference = compareArrays(*value, *expected, tolerance);
    out << "max_abs_diff " << name << ' ';
    if (std::isnan(difference.maxAbs))
      out << "nan\n";
    else
      out << format("%.9g\n", difference.maxAbs);
    agree &= difference.withinTolerance;
  }
  if (!compared)
    return createStringError(inconvertibleErrorCode(),
                             "the reference holds no output of the model");
  return agree;
}
