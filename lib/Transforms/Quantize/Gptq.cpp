// SPDX-License-Identifier: Apache-2.0

#include "Gptq.h"
#include "ScaleSearch.h"

#include <algorithm>
#include <cfloat>
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

bool InputMoments::compute(ArrayRef<float> moments, int64_t k) {
  size = k;
  double mean = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += moments[i * k + i] / double(k);
  if (!std::isfinite(mean))
    return false;
  if (mean <= 0)
    mean = 1; // nothing was ever seen: all columns alike
  // Damping makes up for what the data has not shown; more of it where the
  // matrix is still singular.
  for (double damping = 0.01; damping < 100; damping *= 10) {
    damped.assign(moments.begin(), moments.end());
    for (int64_t i = 0; i < k; ++i)
      damped[i * k + i] += damping * mean;
    std::vector<double> a = damped;
    if (!factorize(a, k))
      continue;
    std::vector<double> inverse = invert(a, k);
    // The upper factor U of A^-1 = U^T U is the transpose of its lower one.
    if (!factorize(inverse, k))
      continue;
    spread.assign(k * k, 0.0);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = i; j < k; ++j)
        spread[i * k + j] = inverse[j * k + i];
    return true;
  }
  return false;
}

namespace {

/// One row on its way to integers.
class RowQuantizer {
public:
  RowQuantizer(ArrayRef<float> weights, const InputMoments &moments,
               int64_t group, MutableArrayRef<int8_t> integers,
               MutableArrayRef<float> scales)
      : weights(weights), moments(moments), size(weights.size()), group(group),
        integers(integers), scales(scales), gradient(size) {}

  /// Each error is made up for in what is not yet rounded.
  void roundInOrder();
  /// Then, from what is there already, as long as the error shrinks:
  void computeGradient();
  void refitScales();
  void moveIntegers();

private:
  /// W'[column] has grown by `change`.
  void update(int64_t column, double change) {
    const double *row = moments.row(column);
    for (int64_t j = 0; j < size; ++j)
      gradient[j] -= change * row[j];
  }

  ArrayRef<float> weights;
  const InputMoments &moments;
  int64_t size, group;
  MutableArrayRef<int8_t> integers;
  MutableArrayRef<float> scales;
  std::vector<double> gradient; // H (W - W'), half of the negative gradient
};

} // namespace

void RowQuantizer::roundInOrder() {
  std::vector<double> left(weights.begin(), weights.end());
  std::vector<float> members, importance;
  for (int64_t begin = 0; begin < size; begin += group) {
    int64_t end = std::min(begin + group, size);
    // What is made up for may lead out of the range of a float.
    members.clear();
    for (int64_t j = begin; j < end; ++j)
      members.push_back(std::clamp<double>(left[j], -FLT_MAX, FLT_MAX));
    // An error costs as much as what cannot be made up for of it.
    importance.clear();
    for (int64_t j = begin; j < end; ++j) {
      double own = moments.spreadRow(j)[j];
      importance.push_back(1 / (own * own));
    }
    float highest = *std::max_element(importance.begin(), importance.end());
    for (float &value : importance)
      value /= highest;
    float scale = findScale4(members, ScaleRule::mse, importance);
    scales[begin / group] = scale;
    for (int64_t j = begin; j < end; ++j) {
      const double *row = moments.spreadRow(j);
      integers[j] = roundToInteger(left[j], scale, -8, 7);
      double error = (left[j] - double(integers[j]) * scale) / row[j];
      for (int64_t c = j + 1; c < size; ++c)
        left[c] -= error * row[c];
    }
  }
}

void RowQuantizer::computeGradient() {
  std::fill(gradient.begin(), gradient.end(), 0.0);
  for (int64_t j = 0; j < size; ++j)
    update(j, double(integers[j]) * scales[j / group] - weights[j]);
}

/// The best scale of each group for its integers, least squares.
void RowQuantizer::refitScales() {
  for (int64_t begin = 0; begin < size; begin += group) {
    int64_t end = std::min(begin + group, size);
    double slope = 0, curvature = 0;
    for (int64_t i = begin; i < end; ++i) {
      slope += integers[i] * gradient[i];
      double sum = 0;
      for (int64_t j = begin; j < end; ++j)
        sum += moments.row(i)[j] * integers[j];
      curvature += integers[i] * sum;
    }
    if (!(curvature > 0))
      continue;
    float &scale = scales[begin / group];
    float better = roundToBFloat16(float(scale + slope / curvature));
    double change = double(better) - scale;
    if (!(change * change * curvature - 2 * change * slope < 0))
      continue;
    for (int64_t i = begin; i < end; ++i)
      if (integers[i])
        update(i, change * integers[i]);
    scale = better;
  }
}

/// The best integer of each column, all others as they are.
void RowQuantizer::moveIntegers() {
  for (int64_t column = 0; column < size; ++column) {
    float scale = scales[column / group];
    double best = double(integers[column]) * scale +
                  gradient[column] / moments.row(column)[column];
    int8_t integer = roundToInteger(float(best), scale, -8, 7);
    if (integer == integers[column])
      continue;
    update(column, double(integer - integers[column]) * scale);
    integers[column] = integer;
  }
}

void itera::quantizeRow4(ArrayRef<float> weights, const InputMoments &moments,
                         int64_t group, MutableArrayRef<int8_t> integers,
                         MutableArrayRef<float> scales) {
  RowQuantizer row(weights, moments, group, integers, scales);
  row.roundInOrder();
  row.computeGradient();
  constexpr int kSweeps = 3;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    row.refitScales();
    row.moveIntegers();
  }
}
