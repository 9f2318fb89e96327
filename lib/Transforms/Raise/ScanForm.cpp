// SPDX-License-Identifier: Apache-2.0

#include "ScanForm.h"

#include "Match.h"

#include <cmath>
#include <limits>
#include <random>

using namespace mlir;
using namespace itera;
using namespace itera::raise;

// Roles of leaves.
static constexpr char kInjection = 'i', kReadout = 'r', kInit = 's';
/// Bounds on what is tried: inputs besides the decay, and elements of a value.
static constexpr size_t kMostFactors = 6;
static constexpr int64_t kMostElements = int64_t(1) << 25;

static void unite(AxisList &to, ArrayRef<int> axes) {
  for (int axis : axes)
    if (!llvm::is_contained(to, axis))
      to.push_back(axis);
}

static bool isSubset(ArrayRef<int> part, ArrayRef<int> whole) {
  return llvm::all_of(
      part, [&](int axis) { return llvm::is_contained(whole, axis); });
}

AxisList ScanForm::stateAxes() const {
  AxisList result = decay.free;
  for (const FormValue &factor : injections)
    unite(result, factor.free);
  if (init)
    unite(result, init->free);
  return result;
}

AxisList ScanForm::summedAxes() const {
  AxisList all = stateAxes(), result;
  for (const FormValue &factor : readouts)
    unite(all, factor.free);
  for (int axis : all)
    if (!llvm::is_contained(root.free, axis))
      result.push_back(axis);
  return result;
}

std::optional<FormValue> itera::raise::makeFormValue(Value value,
                                                     RegionAxes &axes) {
  FormValue result{value, {}, {}};
  for (int axis : axes.flat(value)) {
    AxisList &list = axes.table.isPinned(axis) ? result.time : result.free;
    if (llvm::is_contained(list, axis))
      return std::nullopt;
    list.push_back(axis);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// The recurrence on numbers
//===----------------------------------------------------------------------===//

namespace {

/// Row-major numbers over axes.
class Grid {
public:
  Grid(const SmallSizes &sizes, const FormValue &value, AxisList order)
      : order(order) {
    // Time is one axis, even if it is split.
    strides.assign(order.size(), 1);
    for (int i = int(order.size()) - 2; i >= 0; --i)
      strides[i] = strides[i + 1] * sizes.of(order[i + 1]);
    int64_t frames = sizes.table.sizeOf(value.time);
    timeOffsets.assign(frames, 0);
    int64_t inner = 1;
    for (int axis : llvm::reverse(value.time)) {
      int64_t size = sizes.of(axis), stride = strideOf(axis);
      for (int64_t t = 0; t < frames; ++t)
        timeOffsets[t] += t / inner % size * stride;
      inner *= size;
    }
  }

  int64_t strideOf(int axis) const {
    auto it = llvm::find(order, axis);
    return it == order.end() ? 0 : strides[it - order.begin()];
  }
  int64_t offsetOf(int64_t t) const {
    return timeOffsets[timeOffsets.size() == 1 ? 0 : t];
  }

private:
  AxisList order;
  SmallVector<int64_t> strides;
  std::vector<int64_t> timeOffsets;
};

/// For each point of a space of free axes, an offset.
std::vector<int64_t> offsetsOver(ArrayRef<int> space, const SmallSizes &sizes,
                                 llvm::function_ref<int64_t(int)> strideOf) {
  std::vector<int64_t> offsets{0};
  for (int axis : space) {
    std::vector<int64_t> next;
    for (int64_t offset : offsets)
      for (int64_t i = 0; i < sizes.of(axis); ++i)
        next.push_back(offset + i * strideOf(axis));
    offsets = std::move(next);
  }
  return offsets;
}

/// The numbers of a form's values.
class Recurrence {
public:
  Recurrence(RegionAxes &axes, int64_t most, ArrayRef<Value> leaves,
             ArrayRef<std::vector<double>> numbers)
      : axes(axes), sizes{axes.table, most}, leaves(leaves), numbers(numbers) {}

  /// The largest difference from `expected`, and the largest number in it.
  std::pair<double, double> compare(const ScanForm &form,
                                    const std::vector<double> &expected);

private:
  struct Factor {
    const double *data;
    Grid grid;
    std::vector<int64_t> offsets;
    double at(int64_t t, size_t point) const {
      return data[grid.offsetOf(t) + offsets[point]];
    }
  };
  Factor factor(const FormValue &value, ArrayRef<int> space) {
    Grid grid(sizes, value, axes.flat(value.value));
    auto index = llvm::find(leaves, value.value) - leaves.begin();
    return {numbers[index].data(), grid,
            offsetsOver(space, sizes,
                        [&](int axis) { return grid.strideOf(axis); })};
  }

  RegionAxes &axes;
  SmallSizes sizes;
  ArrayRef<Value> leaves;
  ArrayRef<std::vector<double>> numbers;
};

} // namespace

std::pair<double, double>
Recurrence::compare(const ScanForm &form, const std::vector<double> &expected) {
  AxisList state = form.stateAxes(), all = state;
  for (const FormValue &readout : form.readouts)
    unite(all, readout.free);
  Factor decay = factor(form.decay, state);
  SmallVector<Factor> injections, readouts;
  for (const FormValue &value : form.injections)
    injections.push_back(factor(value, state));
  for (const FormValue &value : form.readouts)
    readouts.push_back(factor(value, all));
  // Points of `all` as points of the state and of the root.
  SmallVector<int64_t> stateStrides(state.size(), 1);
  for (int i = int(state.size()) - 2; i >= 0; --i)
    stateStrides[i] = stateStrides[i + 1] * sizes.of(state[i + 1]);
  std::vector<int64_t> stateOf =
      offsetsOver(all, sizes, [&](int axis) -> int64_t {
        auto it = llvm::find(state, axis);
        return it == state.end() ? 0 : stateStrides[it - state.begin()];
      });
  Grid root(sizes, form.root, axes.flat(form.root.value));
  std::vector<int64_t> rootOf =
      offsetsOver(all, sizes, [&](int axis) { return root.strideOf(axis); });

  std::vector<double> h(decay.offsets.size(), 0.0), y(expected.size(), 0.0);
  if (form.init) {
    Factor init = factor(*form.init, state);
    for (size_t p = 0; p < h.size(); ++p)
      h[p] = init.at(0, p);
  }
  int64_t frames = axes.table.sizeOf(form.decay.time);
  int64_t rootFrames = axes.table.sizeOf(form.root.time);
  for (int64_t t = 0; t < frames; ++t) {
    for (size_t p = 0; p < h.size(); ++p) {
      double added = 1;
      for (const Factor &injection : injections)
        added *= injection.at(t, p);
      h[p] = std::exp(decay.at(t, p)) * h[p] + added;
    }
    // A root may leave out frames at the end.
    if (form.isLast ? t != frames - 1 : t >= rootFrames)
      continue;
    for (size_t p = 0; p < rootOf.size(); ++p) {
      double term = h[stateOf[p]];
      for (const Factor &readout : readouts)
        term *= readout.at(t, p);
      y[root.offsetOf(form.isLast ? 0 : t) + rootOf[p]] += term;
    }
  }
  double difference = 0, largest = 0;
  for (auto [actual, wanted] : llvm::zip(y, expected)) {
    largest = std::max(largest, std::abs(actual));
    double here = std::abs(actual - wanted);
    if (std::isnan(here))
      return {std::numeric_limits<double>::infinity(), largest};
    difference = std::max(difference, here);
  }
  return {difference, largest};
}

//===----------------------------------------------------------------------===//
// Finding the roles
//===----------------------------------------------------------------------===//

/// The form with these roles of the leaves; nothing if the axes do not fit.
static std::optional<ScanForm> makeForm(const FormValue &root,
                                        const FormValue &decay,
                                        ArrayRef<FormValue> others,
                                        ArrayRef<char> roles) {
  ScanForm form{root, decay, {}, {}, std::nullopt, root.time.empty()};
  for (auto [value, role] : llvm::zip(others, roles)) {
    if (role == kInjection)
      form.injections.push_back(value);
    else if (role == kReadout)
      form.readouts.push_back(value);
    else if (form.init)
      return std::nullopt;
    else
      form.init = value;
  }
  AxisList state = form.stateAxes(), all = state;
  for (const FormValue &readout : form.readouts)
    unite(all, readout.free);
  if (form.injections.empty() || !isSubset(root.free, all))
    return std::nullopt;
  if (form.isLast && (!form.readouts.empty() || !isSubset(state, root.free)))
    return std::nullopt;
  return form;
}

namespace {
/// What a copy of the region computed from random numbers.
struct Run {
  int64_t most;
  std::vector<std::vector<double>> leaves;
  std::vector<double> root;
};
} // namespace

/// Runs a copy on random numbers; nothing if the interpreter cannot.
static std::optional<Run> runCopy(const CutRegion &region, Value decay,
                                  RegionAxes &axes, int64_t most,
                                  SmallCopy &copy) {
  Run run{most, {}, {}};
  SmallSizes sizes{axes.table, most};
  std::mt19937 random(most);
  for (Value leaf : region.leaves) {
    int64_t size = 1, frames = 1;
    for (int axis : axes.flat(leaf)) {
      size *= sizes.of(axis);
      if (axes.table.isPinned(axis))
        frames *= sizes.of(axis);
    }
    // Sums of decays must stay small, or what is far away in time would not
    // count.
    double span =
        leaf == decay ? std::min(0.7, 4 / std::sqrt(double(frames))) : 1;
    std::uniform_real_distribution<double> uniform(-span, span);
    std::vector<double> numbers(size);
    for (double &number : numbers)
      number = uniform(random);
    run.leaves.push_back(std::move(numbers));
  }
  std::optional<std::vector<double>> root = copy.run(run.leaves);
  if (!root)
    return std::nullopt;
  run.root = std::move(*root);
  return run;
}

/// The first assignment of roles to the leaves `others` for which the runs'
/// roots are the recurrence's.
static std::optional<SmallVector<char>>
tryRoles(const CutRegion &region, const FormValue &root, const FormValue &decay,
         ArrayRef<FormValue> others, RegionAxes &axes, ArrayRef<Run> runs) {
  for (unsigned mask = 0; mask < 1u << others.size(); ++mask) {
    SmallVector<char> roles;
    bool fits = true;
    for (auto [k, value] : llvm::enumerate(others)) {
      // Without time, a factor can only be the first state.
      bool isReadout = mask >> k & 1, isInit = value.time.empty();
      roles.push_back(isInit ? kInit : isReadout ? kReadout : kInjection);
      fits &= !isInit || !isReadout;
    }
    std::optional<ScanForm> form;
    if (fits)
      form = makeForm(root, decay, others, roles);
    if (form && llvm::all_of(runs, [&](const Run &run) {
          auto [difference, largest] =
              Recurrence(axes, run.most, region.leaves, run.leaves)
                  .compare(*form, run.root);
          return largest > 0 && difference <= 1e-7 * largest;
        }))
      return roles;
  }
  return std::nullopt;
}

/// Text that is the same for regions that compute the same of their leaves.
static std::string describe(const CutRegion &region, Value decay,
                            RegionAxes &axes, SmallCopy &copy) {
  std::string text = copy.describe();
  llvm::raw_string_ostream stream(text);
  // Besides the ops, the axes say how values hang together.
  llvm::DenseMap<int, int> numbers;
  SmallVector<Value> ends(region.leaves);
  ends.push_back(region.root);
  for (Value value : ends)
    for (int axis : axes.flat(value))
      stream << numbers.try_emplace(axis, numbers.size()).first->second
             << (axes.table.isPinned(axis) ? "t" : "f")
             << axes.table.sizeOf(axis) << ' ';
  stream << llvm::find(region.leaves, decay) - region.leaves.begin();
  return text;
}

std::optional<ScanForm> ScanFormFinder::find(const CutRegion &region,
                                             Value decayValue, RegionAxes &axes,
                                             ssm::Evaluator &evaluator) {
  auto fail = [&](StringRef why) {
    reason = why;
    return std::nullopt;
  };
  std::optional<FormValue> root = makeFormValue(region.root, axes);
  std::optional<FormValue> decay = makeFormValue(decayValue, axes);
  if (!root || !decay || decay->time.empty())
    return fail("its axes are not those of a recurrence");
  int64_t frames = axes.table.sizeOf(decay->time);
  if (!root->time.empty() && axes.table.sizeOf(root->time) > frames)
    return fail("it has more frames than the decay");
  Type element = typeOf(region.root).getElementType();
  SmallVector<FormValue> others;
  for (Value leaf : region.leaves) {
    if (typeOf(leaf).getElementType() != element)
      return fail("its inputs are of several types");
    if (leaf == decayValue)
      continue;
    std::optional<FormValue> value = makeFormValue(leaf, axes);
    if (!value ||
        (!value->time.empty() && axes.table.sizeOf(value->time) != frames))
      return fail("an input is no sequence over the decay's frames");
    // The order of the parts of time is the same everywhere.
    if (value->time != decay->time && !value->time.empty() &&
        isSubset(value->time, decay->time))
      return fail("an input has the parts of time in another order");
    others.push_back(*value);
  }
  if (others.empty() || others.size() > kMostFactors)
    return fail("it has not a recurrence's inputs");

  // Copies with two entries and with one: a constant that makes up for the
  // number of entries of one is found out by the other.
  SmallCopy two(region, axes, 2, evaluator), one(region, axes, 1, evaluator);
  if (two.getLargest() > kMostElements)
    return fail("it is too large to try");
  auto [it, isNew] =
      known.try_emplace(describe(region, decayValue, axes, two), std::nullopt);
  if (isNew) {
    std::optional<Run> first = runCopy(region, decayValue, axes, 2, two);
    std::optional<Run> second = runCopy(region, decayValue, axes, 1, one);
    if (first && second)
      it->second = tryRoles(region, *root, *decay, others, axes,
                            {std::move(*first), std::move(*second)});
  }
  if (!it->second)
    return fail("it computes something else");
  return makeForm(*root, *decay, others, *it->second);
}
