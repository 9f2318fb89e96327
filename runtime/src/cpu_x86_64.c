// SPDX-License-Identifier: Apache-2.0
//
// Which instructions this x86-64 CPU offers.
//
// CPUID says what the silicon can do, XGETBV which registers the kernel saves
// on a context switch. AVX code needs both: a CPU with AVX-512 under a kernel
// (or a hypervisor) that does not save the wide registers would lose data.

#ifdef __x86_64__
#include "runtime.h"

typedef struct registers {
  uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf, uint32_t subleaf) {
  registers r;
  __asm__("cpuid"
          : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
          : "a"(leaf), "c"(subleaf));
  return r;
}

static uint64_t xgetbv(void) {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

// `feature` if bit `bit` of `word` is set.
static uint64_t when(uint32_t word, int bit, uint64_t feature) {
  return word >> bit & 1 ? feature : 0;
}

uint64_t itera_cpu_features(void) {
  uint32_t last = cpuid(0, 0).eax;
  registers one = cpuid(1, 0);
  registers seven = {0}, seven1 = {0}, extended = {0};
  if (last >= 7) {
    seven = cpuid(7, 0);
    if (seven.eax >= 1)
      seven1 = cpuid(7, 1);
  }
  if (cpuid(0x80000000u, 0).eax >= 0x80000001u)
    extended = cpuid(0x80000001u, 0);

  uint64_t features = when(one.ecx, 20, ITERA_CPU_X86_SSE42) |
                      when(one.ecx, 22, ITERA_CPU_X86_MOVBE) |
                      when(seven.ebx, 3, ITERA_CPU_X86_BMI1) |
                      when(seven.ebx, 8, ITERA_CPU_X86_BMI2) |
                      when(seven.ecx, 8, ITERA_CPU_X86_GFNI) |
                      when(extended.ecx, 5, ITERA_CPU_X86_LZCNT);

  // Bit 27: the kernel has switched XGETBV on. XCR0 bits 1 and 2: it saves the
  // xmm and ymm registers; 5 to 7: masks, zmm0-15 high halves, zmm16-31.
  uint64_t saved = one.ecx >> 27 & 1 ? xgetbv() : 0;
  if ((saved & 0x6) != 0x6)
    return features;
  features |= when(one.ecx, 28, ITERA_CPU_X86_AVX) |
              when(one.ecx, 12, ITERA_CPU_X86_FMA) |
              when(one.ecx, 29, ITERA_CPU_X86_F16C) |
              when(seven.ebx, 5, ITERA_CPU_X86_AVX2) |
              when(seven1.eax, 4, ITERA_CPU_X86_AVXVNNI);
  if ((saved & 0xe6) != 0xe6)
    return features;
  return features | when(seven.ebx, 16, ITERA_CPU_X86_AVX512F) |
         when(seven.ebx, 17, ITERA_CPU_X86_AVX512DQ) |
         when(seven.ebx, 21, ITERA_CPU_X86_AVX512IFMA) |
         when(seven.ebx, 28, ITERA_CPU_X86_AVX512CD) |
         when(seven.ebx, 30, ITERA_CPU_X86_AVX512BW) |
         when(seven.ebx, 31, ITERA_CPU_X86_AVX512VL) |
         when(seven.ecx, 1, ITERA_CPU_X86_AVX512VBMI) |
         when(seven.ecx, 6, ITERA_CPU_X86_AVX512VBMI2) |
         when(seven.ecx, 11, ITERA_CPU_X86_AVX512VNNI) |
         when(seven.ecx, 12, ITERA_CPU_X86_AVX512BITALG) |
         when(seven.ecx, 14, ITERA_CPU_X86_AVX512VPOPCNTDQ) |
         when(seven.edx, 23, ITERA_CPU_X86_AVX512FP16) |
         when(seven1.eax, 5, ITERA_CPU_X86_AVX512BF16);
}
#endif // __x86_64__
