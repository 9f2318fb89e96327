// SPDX-License-Identifier: Apache-2.0
// Single kernels beside the machine's limit: GFLOP/s of multiply-adds for
// linears, updates per second for scans, GB/s read and written for the rest.
// Each name holds the CPU that the code is for and the sizes.

#include "../unittests/CodeGen/Halide/KernelRunner.h"

#include <benchmark/benchmark.h>
#include <memory>

using namespace itera::test;

static std::string typeOf(std::vector<int> shape) {
  std::string text = "tensor<";
  for (int extent : shape)
    text += std::to_string(extent) + "x";
  return text + "f32>";
}

/// Independent chains of fused multiply-adds in registers.
__attribute__((target("avx2,fma"))) static void limit(benchmark::State &state) {
  typedef float V __attribute__((vector_size(32)));
  V sums[12] = {}, a = V{} + 1.0f, b = V{} + 1e-9f;
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i)
      for (V &sum : sums) {
        sum = sum * a + b;
        asm("" : "+x"(sum));
      }
    benchmark::DoNotOptimize(sums);
  }
  state.counters["GFLOP/s"] = benchmark::Counter(
      state.iterations() * 12e3 * 16 / 1e9, benchmark::Counter::kIsRate);
}

static void run(benchmark::State &state, const std::string &text,
                const std::string &cpu, std::vector<int> sizes,
                const char *unit, double perRun) {
  LoadedKernel kernel(text, cpu);
  std::vector<Guarded> tensors;
  std::vector<const void *> pointers;
  for (int size : sizes)
    tensors.push_back(randomTensor(size, size, -0.5f, 0.5f));
  for (Guarded &tensor : tensors)
    pointers.push_back(tensor);
  auto prepared = kernel.prepare(pointers);
  for (auto _ : state)
    prepared();
  state.counters[unit] = benchmark::Counter(state.iterations() * perRun / 1e9,
                                            benchmark::Counter::kIsRate);
}

static void linear(benchmark::State &state, std::string cpu, int t, int k,
                   int n) {
  auto heights = itera::packedRowHeights(targetFor("", cpu));
  int height = heights[0];
  for (int h : heights)
    if ((n + h - 1) / h * h < (n + height - 1) / height * height)
      height = h;
  int blocks = (n + height - 1) / height;
  std::string x = typeOf({t, k}), w = typeOf({blocks, k, height}),
              y = typeOf({t, n});
  run(state,
      kernelText("%x: " + x + ", %w: " + w, y,
                 "%y = ssm.linear %x, %w : " + x + ", " + w + " -> " + y +
                     "\nreturn %y : " + y),
      cpu, {t * k, blocks * k * height, t * n}, "GFLOP/s", 2.0 * t * k * n);
}

static void scan(benchmark::State &state, std::string cpu, int t, int d,
                 int n) {
  std::string x = typeOf({1, t, d}), b = typeOf({1, t, n}), a = typeOf({d, n}),
              at = typeOf({n, d}), h = typeOf({1, d, n}),
              ht = typeOf({1, n, d}), v = typeOf({d});
  std::string body =
      "%ea = tensor.empty() : " + a +
      "\n%a1 = linalg.transpose ins(%a : " + at + ") outs(%ea : " + a +
      ") permutation = [1, 0]\n%eh = tensor.empty() : " + h +
      "\n%h1 = linalg.transpose ins(%h : " + ht + ") outs(%eh : " + h +
      ") permutation = [0, 2, 1]\n%s = ssm.softplus %dt : " + x +
      "\n%y, %l = ssm.selective_scan x(%x) dt(%s) A(%a1) B(%b) C(%c) init(%h1) "
      "D(%d : " +
      v + ") z(%z : " + x + ") : " + x + ", " + a + ", " + b + ", " + h +
      "\n%el = tensor.empty() : " + ht +
      "\n%lt = linalg.transpose ins(%l : " + h + ") outs(%el : " + ht +
      ") permutation = [0, 2, 1]\nreturn %y, %lt : " + x + ", " + ht;
  run(state,
      kernelText("%x: " + x + ", %dt: " + x + ", %a: " + at + ", %b: " + b +
                     ", %c: " + b + ", %h: " + ht + ", %d: " + v + ", %z: " + x,
                 x + ", " + ht, body),
      cpu, {t * d, t * d, d * n, t * n, t * n, d * n, d, t * d, t * d, d * n},
      "Gupdate/s", double(t) * d * n);
}

static void conv(benchmark::State &state, std::string cpu, int t, int d) {
  std::string x = typeOf({1, t, d}), w = typeOf({d, 4}), wt = typeOf({4, d}),
              b = typeOf({d});
  run(state,
      kernelText("%x: " + x + ", %w: " + wt + ", %b: " + b, x,
                 "%e = tensor.empty() : " + w +
                     "\n%w1 = linalg.transpose ins(%w : " + wt +
                     ") outs(%e : " + w +
                     ") permutation = [1, 0]\n%y = ssm.causal_conv1d %x, %w1 "
                     "bias(%b : " +
                     b + ") silu : " + x + ", " + w + "\nreturn %y : " + x),
      cpu, {t * d, d * 4, d, t * d}, "GB/s", 8.0 * t * d);
}

static void norm(benchmark::State &state, std::string cpu, int t, int d) {
  std::string x = typeOf({1, t, d}), s = typeOf({d});
  run(state,
      kernelText("%x: " + x + ", %s: " + s, x,
                 "%y = ssm.norm layer %x scale(%s : " + s + ") bias(%s : " + s +
                     ") epsilon 1.0e-5 : " + x + "\nreturn %y : " + x),
      cpu, {t * d, d, t * d}, "GB/s", 8.0 * t * d);
}

int main(int argc, char **argv) {
  benchmark::RegisterBenchmark("limit_fma", limit);
  for (const std::string &cpu : runnableCpus()) {
    auto add = [&](std::string name, auto function, auto... sizes) {
      ((name += "_" + std::to_string(sizes)), ...);
      benchmark::RegisterBenchmark(
          (cpu + "/" + name).c_str(),
          [=](benchmark::State &state) { function(state, cpu, sizes...); });
    };
    // tokens, in, out: Itera-Lite, then a Mamba of width 128, then one token.
    for (auto [k, n] : {std::pair{64, 256},
                        {128, 128},
                        {128, 64},
                        {128, 8},
                        {8, 128},
                        {64, 2000}})
      add("linear", linear, 128, k, n);
    for (auto [k, n] :
         {std::pair{128, 512}, {256, 40}, {8, 256}, {256, 128}, {128, 256}})
      add("linear", linear, 64, k, n);
    for (auto [k, n] :
         {std::pair{128, 512}, {256, 40}, {256, 128}, {768, 3072}})
      add("linear", linear, 1, k, n);
    add("scan", scan, 64, 256, 16);
    add("scan", scan, 1, 256, 16);
    add("conv", conv, 128, 128);
    add("norm", norm, 128, 64);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
