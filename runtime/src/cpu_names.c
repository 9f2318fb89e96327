// SPDX-License-Identifier: Apache-2.0
//
// How to tell a person which instructions are missing.

#include "runtime.h"

// A switch and not a table of strings: a table would need relocations for
// something that is read once in the life of few processes.
const char *itera_cpu_feature_name(int bit) {
  switch (UINT64_C(1) << bit) {
  case ITERA_CPU_X86_SSE42:
    return "sse4.2";
  case ITERA_CPU_X86_AVX:
    return "avx";
  case ITERA_CPU_X86_AVX2:
    return "avx2";
  case ITERA_CPU_X86_FMA:
    return "fma";
  case ITERA_CPU_X86_F16C:
    return "f16c";
  case ITERA_CPU_X86_BMI1:
    return "bmi1";
  case ITERA_CPU_X86_BMI2:
    return "bmi2";
  case ITERA_CPU_X86_LZCNT:
    return "lzcnt";
  case ITERA_CPU_X86_MOVBE:
    return "movbe";
  case ITERA_CPU_X86_AVXVNNI:
    return "avxvnni";
  case ITERA_CPU_X86_AVX512F:
    return "avx512f";
  case ITERA_CPU_X86_AVX512BW:
    return "avx512bw";
  case ITERA_CPU_X86_AVX512DQ:
    return "avx512dq";
  case ITERA_CPU_X86_AVX512VL:
    return "avx512vl";
  case ITERA_CPU_X86_AVX512CD:
    return "avx512cd";
  case ITERA_CPU_X86_AVX512VNNI:
    return "avx512vnni";
  case ITERA_CPU_X86_AVX512BF16:
    return "avx512bf16";
  case ITERA_CPU_X86_AVX512VBMI:
    return "avx512vbmi";
  case ITERA_CPU_X86_AVX512IFMA:
    return "avx512ifma";
  case ITERA_CPU_X86_AVX512VBMI2:
    return "avx512vbmi2";
  case ITERA_CPU_X86_AVX512BITALG:
    return "avx512bitalg";
  case ITERA_CPU_X86_AVX512VPOPCNTDQ:
    return "avx512vpopcntdq";
  case ITERA_CPU_X86_AVX512FP16:
    return "avx512fp16";
  case ITERA_CPU_X86_GFNI:
    return "gfni";
  case ITERA_CPU_AARCH64_DOTPROD:
    return "dotprod";
  case ITERA_CPU_AARCH64_FP16:
    return "fp16";
  case ITERA_CPU_AARCH64_I8MM:
    return "i8mm";
  case ITERA_CPU_AARCH64_BF16:
    return "bf16";
  case ITERA_CPU_AARCH64_SVE:
    return "sve";
  case ITERA_CPU_AARCH64_SVE2:
    return "sve2";
  case ITERA_CPU_AARCH64_LSE:
    return "lse";
  case ITERA_CPU_AARCH64_RDM:
    return "rdm";
  case ITERA_CPU_AARCH64_FCMA:
    return "fcma";
  case ITERA_CPU_AARCH64_LRCPC:
    return "lrcpc";
  default:
    return "an unknown feature";
  }
}
