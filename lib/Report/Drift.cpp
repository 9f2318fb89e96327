// SPDX-License-Identifier: Apache-2.0

#include "itera/Report/Report.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>

using namespace llvm;
using namespace itera;

static double meanOf(ArrayRef<double> values) {
  double sum = 0;
  for (double value : values)
    sum += value;
  return sum / values.size();
}

DriftReport itera::measureDrift(const QuantizationReport &report) {
  DriftReport drift;
  if (report.language && !report.language->hasWindows) {
    ArrayRef<double> kl = report.language->partsKl;
    if (size_t tenth = kl.size() / 10) {
      drift.klFirst = meanOf(kl.take_front(tenth));
      drift.klLast = meanOf(kl.take_back(tenth));
    }
  }
  double worst = -1;
  for (auto [place, state] : enumerate(report.states.states)) {
    ArrayRef<double> errors = state.errors;
    double ratio = kNotMeasured;
    if (size_t quarter = errors.size() / 4)
      ratio = meanOf(errors.take_back(quarter)) /
              meanOf(errors.slice(quarter, quarter));
    drift.stateRatios.push_back(ratio);
    if (!(ratio > worst))
      continue;
    worst = ratio;
    drift.worstState = place;
  }
  return drift;
}
