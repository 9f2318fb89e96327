// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_RUN_COMPARE_H
#define ITERA_RUN_COMPARE_H

#include "itera/Support/Npz.h"
#include "llvm/Support/raw_ostream.h"

namespace itera {

/// How far a value may be from its reference r: atol + rtol * |r|.
struct Tolerance {
  double atol = 0;
  double rtol = 0;
};

/// How two arrays differ.
struct Difference {
  /// The largest |value - reference|; NaN if either is NaN somewhere.
  double maxAbs = 0;
  bool withinTolerance = true;
};

/// Compares two arrays of equal shape, whatever their types are. Equal
/// infinities do not differ; a NaN is never within tolerance.
Difference compareArrays(const NpyArray &value, const NpyArray &reference,
                         Tolerance tolerance);

/// Compares outputs with the references of a file: NAME@f64 if it is there,
/// else NAME, with @caseN appended for a later case. Prints a line per output,
/// "max_abs_diff NAME VALUE". True if all agree; an error if there is nothing
/// to compare with.
llvm::Expected<bool>
compareOutputs(llvm::ArrayRef<std::pair<std::string, const NpyArray *>> outputs,
               const NpzReader &reference, unsigned caseIndex,
               Tolerance tolerance, llvm::raw_ostream &out,
               llvm::raw_ostream &warnings);

} // namespace itera

#endif // ITERA_RUN_COMPARE_H
