// SPDX-License-Identifier: Apache-2.0

#include "itera/CodeGen/Link/CpuFeatures.h"
#include "itera/program.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;

static uint64_t getX86Bit(StringRef feature) {
  return StringSwitch<uint64_t>(feature)
      .Cases({"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "crc32"},
             ITERA_CPU_X86_SSE42)
      .Case("avx", ITERA_CPU_X86_AVX)
      .Case("avx2", ITERA_CPU_X86_AVX2)
      .Case("fma", ITERA_CPU_X86_FMA)
      .Case("f16c", ITERA_CPU_X86_F16C)
      .Case("bmi", ITERA_CPU_X86_BMI1)
      .Case("bmi2", ITERA_CPU_X86_BMI2)
      .Case("lzcnt", ITERA_CPU_X86_LZCNT)
      .Case("movbe", ITERA_CPU_X86_MOVBE)
      .Case("gfni", ITERA_CPU_X86_GFNI)
      .Case("avxvnni", ITERA_CPU_X86_AVXVNNI)
      .Case("avx512f", ITERA_CPU_X86_AVX512F)
      .Case("avx512bw", ITERA_CPU_X86_AVX512BW)
      .Case("avx512dq", ITERA_CPU_X86_AVX512DQ)
      .Case("avx512vl", ITERA_CPU_X86_AVX512VL)
      .Case("avx512cd", ITERA_CPU_X86_AVX512CD)
      .Case("avx512vnni", ITERA_CPU_X86_AVX512VNNI)
      .Case("avx512bf16", ITERA_CPU_X86_AVX512BF16)
      .Case("avx512fp16", ITERA_CPU_X86_AVX512FP16)
      .Case("avx512vbmi", ITERA_CPU_X86_AVX512VBMI)
      .Case("avx512vbmi2", ITERA_CPU_X86_AVX512VBMI2)
      .Case("avx512ifma", ITERA_CPU_X86_AVX512IFMA)
      .Case("avx512bitalg", ITERA_CPU_X86_AVX512BITALG)
      .Case("avx512vpopcntdq", ITERA_CPU_X86_AVX512VPOPCNTDQ)
      .Default(0);
}

static uint64_t getAArch64Bit(StringRef feature) {
  return StringSwitch<uint64_t>(feature)
      .Case("dotprod", ITERA_CPU_AARCH64_DOTPROD)
      .Case("fullfp16", ITERA_CPU_AARCH64_FP16)
      .Case("i8mm", ITERA_CPU_AARCH64_I8MM)
      .Case("bf16", ITERA_CPU_AARCH64_BF16)
      .Case("sve", ITERA_CPU_AARCH64_SVE)
      .Case("sve2", ITERA_CPU_AARCH64_SVE2)
      .Case("lse", ITERA_CPU_AARCH64_LSE)
      .Case("rdm", ITERA_CPU_AARCH64_RDM)
      .Case("complxnum", ITERA_CPU_AARCH64_FCMA)
      .Case("rcpc", ITERA_CPU_AARCH64_LRCPC)
      .Default(0);
}

uint64_t itera::getRequiredCpuFeatures(StringRef arch,
                                       ArrayRef<std::string> features) {
  uint64_t bits = 0;
  for (StringRef feature : features)
    bits |= arch == "x86_64" ? getX86Bit(feature) : getAArch64Bit(feature);
  return bits;
}
