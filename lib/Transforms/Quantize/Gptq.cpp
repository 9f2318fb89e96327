// SPDX-License-Identifier: Apache-2.0

#include "Gptq.h"
#include "RowLanes.h"
#include "ScaleSearch.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

using namespace itera;
using llvm::ArrayRef;
using llvm::MutableArrayRef;

/// The upper factor U of A = U^T U, [n, n], sixteen columns at a time; false if
/// A is not positive definite. `at(i, j)` is an element of A, i >= j.
template <typename At>
static bool factorize(At at, int64_t n, std::vector<double> &u) {
  u.assign(n * n, 0.0);
  std::vector<RowLane> left(n);
  for (int64_t first = 0; first < n; first += kRowLanes) {
    int64_t end = std::min(first + kRowLanes, n);
    for (int64_t k = 0; k < end; ++k) {
      left[k] = {};
      for (int64_t i = std::max(first, k); i < end; ++i)
        left[k][i - first] = at(i, k);
    }
    for (int64_t k = 0; k < end; ++k) {
      double *row = &u[k * n];
      if (k >= first) {
        double pivot = left[k][k - first];
        if (!(pivot > 0))
          return false;
        row[k] = std::sqrt(pivot);
      }
      RowLane own = {};
      for (int64_t i = std::max(first, k); i < end; ++i)
        row[i] = own[i - first] = left[k][i - first] / row[k];
      if (k + 1 < end)
        subtractMultiples(left[k + 1].data(), own, row + k + 1, n, end - k - 1);
    }
  }
  return true;
}

/// Calls `set(i, j, value)` for the elements i >= j of U^-T, sixteen columns at
/// a time.
template <typename Set>
static void invertTransposed(const std::vector<double> &u, int64_t n, Set set) {
  std::vector<RowLane> left(n);
  for (int64_t first = 0; first < n; first += kRowLanes) {
    int64_t end = std::min(first + kRowLanes, n);
    std::fill(left.begin() + first, left.end(), RowLane{});
    for (int64_t j = first; j < end; ++j)
      left[j][j - first] = 1;
    for (int64_t k = first; k < n; ++k) {
      const double *row = &u[k * n];
      for (double &value : left[k])
        value /= row[k];
      for (int64_t j = first; j < std::min(end, k + 1); ++j)
        set(k, j, left[k][j - first]);
      if (k + 1 < n)
        subtractMultiples(left[k + 1].data(), left[k], row + k + 1, n,
                          n - k - 1);
    }
  }
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
    // Backwards, H = R R^T with R upper, so that H^-1 = R^-T R^-1: the upper
    // factor of the inverse is the inverse of a factor.
    std::vector<double> factor;
    auto backwards = [&](int64_t i, int64_t j) {
      return (k - 1 - i) * k + k - 1 - j;
    };
    if (!factorize(
            [&](int64_t i, int64_t j) { return damped[backwards(i, j)]; }, k,
            factor))
      continue;
    spread.assign(k * k, 0.0);
    invertTransposed(factor, k, [&](int64_t i, int64_t j, double value) {
      spread[backwards(i, j)] = value;
    });
    return true;
  }
  return false;
}

namespace {

/// Rows on their way to integers, those past the last all zeros.
class RowQuantizer {
public:
  RowQuantizer(ArrayRef<float> rows, const InputMoments &moments, int64_t size,
               int64_t group);

  /// Each error is made up for in what is not yet rounded.
  void roundInOrder();
  /// Then, from what is there already, as long as the error shrinks:
  void computeGradient();
  void refitScales();
  void moveIntegers();

  int8_t getInteger(int64_t lane, int64_t column) const {
    return int8_t(integers[column][lane]);
  }
  float getScale(int64_t lane, int64_t g) const { return scales[g][lane]; }

private:
  using Floats = std::array<float, kRowLanes>;

  /// W' has grown by `changes` from column `first` on; the gradient of the
  /// columns [begin, end) is told.
  void update(int64_t first, ArrayRef<RowLane> changes, int64_t begin,
              int64_t end) {
    if (begin < end)
      subtractMultiples(gradient[begin].data(), changes,
                        moments.row(first) + begin, size, end - begin);
  }

  const InputMoments &moments;
  int64_t size, group;
  std::vector<Floats> weights, scales;
  std::vector<RowLane> integers;
  std::vector<RowLane> gradient; // H (W - W'), half of the negative gradient
};

} // namespace

RowQuantizer::RowQuantizer(ArrayRef<float> rows, const InputMoments &moments,
                           int64_t size, int64_t group)
    : moments(moments), size(size), group(group), weights(size, Floats{}),
      scales(llvm::divideCeil(size, group), Floats{}),
      integers(size, RowLane{}), gradient(size, RowLane{}) {
  for (int64_t lane = 0; lane < int64_t(rows.size()) / size; ++lane)
    for (int64_t j = 0; j < size; ++j)
      weights[j][lane] = rows[lane * size + j];
}

void RowQuantizer::roundInOrder() {
  std::vector<RowLane> left(size);
  for (auto [to, from] : llvm::zip_equal(left, weights))
    llvm::copy(from, to.begin());
  std::vector<float> members, importance;
  std::vector<RowLane> errors;
  for (int64_t begin = 0; begin < size; begin += group) {
    int64_t end = std::min(begin + group, size);
    // An error costs as much as what cannot be made up for of it.
    importance.clear();
    for (int64_t j = begin; j < end; ++j) {
      double own = moments.spreadRow(j)[j];
      importance.push_back(1 / (own * own));
    }
    float highest = *std::max_element(importance.begin(), importance.end());
    for (float &value : importance)
      value /= highest;
    Floats &scale = scales[begin / group];
    // What is made up for may lead out of the range of a float.
    for (int64_t lane = 0; lane < kRowLanes; ++lane) {
      members.clear();
      for (int64_t j = begin; j < end; ++j)
        members.push_back(
            std::clamp<double>(left[j][lane], -FLT_MAX, FLT_MAX));
      scale[lane] = findScale4(members, ScaleRule::mse, importance);
    }
    // At once in what is left of the group, later in the groups after it.
    errors.clear();
    for (int64_t j = begin; j < end; ++j) {
      const double *row = moments.spreadRow(j);
      RowLane &error = errors.emplace_back();
      for (int64_t lane = 0; lane < kRowLanes; ++lane) {
        double &integer = integers[j][lane];
        integer = roundToInteger(left[j][lane], scale[lane], -8, 7);
        error[lane] = (left[j][lane] - integer * scale[lane]) / row[j];
      }
      if (j + 1 < end)
        subtractMultiples(left[j + 1].data(), error, row + j + 1, size,
                          end - j - 1);
    }
    if (end < size)
      subtractMultiples(left[end].data(), errors,
                        moments.spreadRow(begin) + end, size, size - end);
  }
}

void RowQuantizer::computeGradient() {
  std::vector<RowLane> errors(size);
  for (int64_t j = 0; j < size; ++j)
    for (int64_t lane = 0; lane < kRowLanes; ++lane)
      errors[j][lane] =
          integers[j][lane] * scales[j / group][lane] - weights[j][lane];
  update(0, errors, 0, size);
}

/// The best scale of each group for its integers, least squares.
void RowQuantizer::refitScales() {
  std::vector<RowLane> changes;
  for (int64_t begin = 0; begin < size; begin += group) {
    int64_t end = std::min(begin + group, size);
    RowLane slope = {}, curvature = {}, change = {};
    for (int64_t i = begin; i < end; ++i) {
      RowLane sum = {};
      for (int64_t j = begin; j < end; ++j)
        for (int64_t lane = 0; lane < kRowLanes; ++lane)
          sum[lane] += moments.row(i)[j] * integers[j][lane];
      for (int64_t lane = 0; lane < kRowLanes; ++lane) {
        slope[lane] += integers[i][lane] * gradient[i][lane];
        curvature[lane] += integers[i][lane] * sum[lane];
      }
    }
    for (int64_t lane = 0; lane < kRowLanes; ++lane) {
      if (!(curvature[lane] > 0))
        continue;
      float &scale = scales[begin / group][lane];
      float better =
          roundToBFloat16(float(scale + slope[lane] / curvature[lane]));
      double step = double(better) - scale;
      if (!(step * step * curvature[lane] - 2 * step * slope[lane] < 0))
        continue;
      change[lane] = step;
      scale = better;
    }
    changes.assign(end - begin, RowLane{});
    for (int64_t i = begin; i < end; ++i)
      for (int64_t lane = 0; lane < kRowLanes; ++lane)
        changes[i - begin][lane] = change[lane] * integers[i][lane];
    update(begin, changes, 0, size);
  }
}

/// The best integer of each column, all others as they are.
void RowQuantizer::moveIntegers() {
  std::vector<RowLane> changes;
  for (int64_t begin = 0; begin < size; begin += group) {
    int64_t end = std::min(begin + group, size);
    // The columns after it must know of a change at once, within the group.
    changes.assign(end - begin, RowLane{});
    for (int64_t j = begin; j < end; ++j) {
      RowLane &change = changes[j - begin];
      for (int64_t lane = 0; lane < kRowLanes; ++lane) {
        double &integer = integers[j][lane];
        float scale = scales[j / group][lane];
        double best = integer * scale + gradient[j][lane] / moments.row(j)[j];
        double better = roundToInteger(float(best), scale, -8, 7);
        change[lane] = (better - integer) * scale;
        integer = better;
      }
      update(j, change, j + 1, end);
    }
    for (int64_t j = begin; j < end; ++j)
      update(j, changes[j - begin], begin, j + 1);
    update(begin, changes, 0, begin);
    update(begin, changes, end, size);
  }
}

void itera::quantizeRows4(ArrayRef<float> weights, const InputMoments &moments,
                          int64_t group, MutableArrayRef<int8_t> integers,
                          MutableArrayRef<float> scales) {
  int64_t size = moments.getSize(), groups = llvm::divideCeil(size, group);
  int64_t rows = weights.size() / size;
  for (int64_t first = 0; first < rows; first += kRowLanes) {
    int64_t count = std::min(kRowLanes, rows - first);
    RowQuantizer block(weights.slice(first * size, count * size), moments, size,
                       group);
    block.roundInOrder();
    block.computeGradient();
    constexpr int kSweeps = 3;
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      block.refitScales();
      block.moveIntegers();
    }
    for (int64_t lane = 0; lane < count; ++lane) {
      for (int64_t j = 0; j < size; ++j)
        integers[(first + lane) * size + j] = block.getInteger(lane, j);
      for (int64_t g = 0; g < groups; ++g)
        scales[(first + lane) * groups + g] = block.getScale(lane, g);
    }
  }
}
