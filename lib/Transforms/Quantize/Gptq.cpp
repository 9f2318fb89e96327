// SPDX-License-Identifier: Apache-2.0

#include "Gptq.h"
#include "ScaleSearch.h"

#include <algorithm>
#include <cmath>

using namespace itera;
using llvm::ArrayRef;
using llvm::MutableArrayRef;

/// The lower Cholesky factor of a [n, n], in place; false if it is not positive
/// definite.
static bool factorize(std::vector<double> &a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    double *row = &a[j * n];
    for (int64_t i = 0; i <= j; ++i) {
      const double *other = &a[i * n];
      double sum = row[i];
      for (int64_t k = 0; k < i; ++k)
        sum -= row[k] * other[k];
      if (i < j)
        row[i] = sum / other[i];
      else if (!(sum > 0))
        return false;
      else
        row[i] = std::sqrt(sum);
    }
    std::fill(row + j + 1, row + n, 0.0);
  }
  return true;
}

/// (L L^T)^-1 of a lower factor L.
static std::vector<double> invert(const std::vector<double> &l, int64_t n) {
  // Column c of L^-1, row by row.
  std::vector<double> inverse(n * n, 0.0), result(n * n, 0.0);
  for (int64_t i = 0; i < n; ++i) {
    double *row = &inverse[i * n];
    for (int64_t k = 0; k < i; ++k) {
      double factor = l[i * n + k];
      const double *known = &inverse[k * n];
      for (int64_t c = 0; c <= k; ++c)
        row[c] -= factor * known[c];
    }
    for (int64_t c = 0; c < i; ++c)
      row[c] /= l[i * n + i];
    row[i] = 1 / l[i * n + i];
  }
  // L^-T L^-1
  for (int64_t k = 0; k < n; ++k) {
    const double *row = &inverse[k * n];
    for (int64_t i = 0; i <= k; ++i)
      for (int64_t j = 0; j <= k; ++j)
        result[i * n + j] += row[i] * row[j];
  }
  return result;
}

bool ErrorSpread::compute(ArrayRef<float> moments, int64_t k) {
  size = k;
  double mean = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += moments[i * k + i] / double(k);
  if (!std::isfinite(mean))
    return false;
  if (mean <= 0)
    mean = 1; // nothing was ever seen: all columns alike
  diagonal.resize(k);
  for (int64_t i = 0; i < k; ++i)
    diagonal[i] = moments[i * k + i] / mean;
  // Damping makes up for what the data has not shown; more of it where the
  // matrix is still singular.
  for (double damping = 0.01; damping < 100; damping *= 10) {
    std::vector<double> a(moments.begin(), moments.end());
    for (int64_t i = 0; i < k; ++i)
      a[i * k + i] += damping * mean;
    if (!factorize(a, k))
      continue;
    std::vector<double> inverse = invert(a, k);
    // The upper factor U of A^-1 = U^T U is the transpose of its lower one.
    if (!factorize(inverse, k))
      continue;
    factor.assign(k * k, 0.0);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = i; j < k; ++j)
        factor[i * k + j] = inverse[j * k + i];
    return true;
  }
  return false;
}

void itera::quantizeRow4(ArrayRef<float> weights, const ErrorSpread &spread,
                         int64_t group, MutableArrayRef<int8_t> integers,
                         MutableArrayRef<float> scales) {
  int64_t k = weights.size();
  std::vector<double> left(weights.begin(), weights.end());
  std::vector<float> members, importance;
  for (int64_t begin = 0; begin < k; begin += group) {
    int64_t end = std::min(begin + group, k);
    members.assign(left.begin() + begin, left.begin() + end);
    // An error in column j costs as much as what cannot be compensated of it.
    importance.clear();
    for (int64_t j = begin; j < end; ++j)
      importance.push_back(1 / (spread.at(j, j) * spread.at(j, j)));
    float highest = *std::max_element(importance.begin(), importance.end());
    for (float &value : importance)
      value /= highest;
    float scale = findScale4(members, ScaleRule::mse, importance);
    scales[begin / group] = scale;
    for (int64_t j = begin; j < end; ++j) {
      integers[j] = roundToInteger(left[j], scale, -8, 7);
      double error = (left[j] - double(integers[j]) * scale) / spread.at(j, j);
      for (int64_t c = j + 1; c < k; ++c)
        left[c] -= error * spread.at(j, c);
    }
  }
}
