// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/Bench.h"
#include <algorithm>
#include <chrono>
#include <vector>

using namespace llvm;

Expected<itera::BenchResult> itera::measure(unsigned repeat,
                                            function_ref<Error()> run,
                                            function_ref<Error()> prepare) {
  // The first runs fault pages in and fill the caches.
  for (unsigned i = 0; i < std::min(repeat, 3u); ++i) {
    if (Error error = prepare())
      return std::move(error);
    if (Error error = run())
      return std::move(error);
  }
  std::vector<double> times;
  for (unsigned i = 0; i < repeat; ++i) {
    if (Error error = prepare())
      return std::move(error);
    auto start = std::chrono::steady_clock::now();
    if (Error error = run())
      return std::move(error);
    auto end = std::chrono::steady_clock::now();
    times.push_back(
        std::chrono::duration<double, std::micro>(end - start).count());
  }
  std::sort(times.begin(), times.end());
  size_t half = times.size() / 2;
  double median =
      times.size() % 2 ? times[half] : (times[half - 1] + times[half]) / 2;
  return BenchResult{median, times.front()};
}
