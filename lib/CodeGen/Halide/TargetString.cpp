// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/Halide/Kernels.h"

#include "llvm/ADT/STLExtras.h"

using namespace itera;

std::string itera::halideTargetString(const TargetSpec &target) {
  auto has = [&](std::initializer_list<const char *> features) {
    return llvm::all_of(
        features, [&](const char *name) { return target.hasFeature(name); });
  };
  std::string text;
  auto add = [&](const char *name) { text += std::string("-") + name; };
  if (target.arch == "x86_64") {
    text = "x86-64-linux";
    if (has({"sse4.1"}))
      add("sse41");
    if (has({"avx"}))
      add("avx");
    if (has({"avx2"}))
      add("avx2");
    if (has({"f16c"}))
      add("f16c");
    if (has({"fma"}))
      add("fma");
    // Halide's AVX-512 names are levels; each needs all of the one below.
    if (has({"avx2", "fma", "f16c", "avx512f", "avx512cd"})) {
      add("avx512");
      if (has({"avx512vl", "avx512dq", "avx512bw"})) {
        add("avx512_skylake");
        if (has({"avx512ifma", "avx512vbmi"})) {
          add("avx512_cannonlake");
          if (has({"avx512vnni", "avx512bf16", "avx512vbmi2", "avx512bitalg",
                   "avx512vpopcntdq"}))
            add("avx512_zen4");
        }
      }
    }
  } else {
    text = "arm-64-linux";
    if (has({"dotprod"}))
      add("arm_dot_prod");
    if (has({"fullfp16"}))
      add("arm_fp16");
  }
  return text + "-no_runtime-no_asserts-no_bounds_query";
}

std::vector<int64_t> itera::packedRowHeights(const TargetSpec &target) {
  // Two to four vectors, so that a token's broadcast serves several products.
  if (target.arch != "x86_64")
    return {16, 8, 4};
  if (target.hasFeature("avx512vl"))
    return {64, 48, 32, 16};
  if (target.hasFeature("avx2"))
    return {24, 16, 8};
  return {8, 4};
}
