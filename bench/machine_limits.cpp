// SPDX-License-Identifier: Apache-2.0
// What one core of this machine can do at best: fused multiply-adds on float32
// from registers, and reading memory. Prints one JSON line.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

static double seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// 12 independent chains: two pipes times a latency of four, with some spare.
static double fmaGflops() {
  constexpr int chains = 12, steps = 1 << 20;
  Vector sums[chains] = {}, a, b;
  for (int lane = 0; lane < kLanes; ++lane) {
    a[lane] = 0.999f;
    b[lane] = 0.001f;
  }
  double best = 1e9;
  for (int run = 0; run < 20; ++run) {
    double start = seconds();
    for (int step = 0; step < steps; ++step)
      for (int chain = 0; chain < chains; ++chain)
        sums[chain] = sums[chain] * a + b;
    best = std::min(best, seconds() - start);
    for (int chain = 0; chain < chains; ++chain)
      asm volatile("" : "+m"(sums[chain]));
  }
  return 2.0 * kLanes * chains * steps / best * 1e-9;
}

static double readGbps(size_t bytes) {
  std::vector<float> data(bytes / sizeof(float), 1.0f);
  size_t vectors = data.size() / kLanes / 8 * 8;
  double best = 1e9;
  for (int run = 0; run < 20; ++run) {
    Vector sums[8] = {};
    double start = seconds();
    for (size_t i = 0; i < vectors; i += 8)
      for (int j = 0; j < 8; ++j) {
        Vector value;
        __builtin_memcpy(&value, &data[(i + j) * kLanes], sizeof(value));
        sums[j] += value;
      }
    best = std::min(best, seconds() - start);
    for (Vector &sum : sums)
      asm volatile("" : "+m"(sum));
  }
  return vectors * sizeof(Vector) / best * 1e-9;
}

int main() {
  std::printf("{\"bench\":\"machine_limits\",\"fma_gflops\":%.1f,"
              "\"read_l2_gbps\":%.1f,\"read_l3_gbps\":%.1f,"
              "\"read_dram_gbps\":%.1f}\n",
              fmaGflops(), readGbps(256 << 10), readGbps(4 << 20),
              readGbps(256 << 20));
}
