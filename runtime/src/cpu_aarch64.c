// SPDX-License-Identifier: Apache-2.0
//
// Which instructions this 64-bit Arm CPU offers.
//
// User code may not read the ID registers everywhere; the kernel's auxiliary
// vector has the answer. getauxval is a weak reference: in a process without it
// (no libc) every optional feature counts as absent.

#ifdef __aarch64__
#include "runtime.h"

extern unsigned long getauxval(unsigned long type) __attribute__((weak));

// The kernel's numbers (asm/hwcap.h): a stable interface.
enum { at_hwcap = 16, at_hwcap2 = 26 };
enum {
  hwcap_atomics = 1 << 8,
  hwcap_fphp = 1 << 9,
  hwcap_asimdhp = 1 << 10,
  hwcap_asimdrdm = 1 << 12,
  hwcap_fcma = 1 << 14,
  hwcap_lrcpc = 1 << 15,
  hwcap_asimddp = 1 << 20,
  hwcap_sve = 1 << 22,
  hwcap2_sve2 = 1 << 1,
  hwcap2_i8mm = 1 << 13,
  hwcap2_bf16 = 1 << 14
};

// `feature` if all bits of `mask` are set.
static uint64_t when(unsigned long word, unsigned long mask, uint64_t feature) {
  return (word & mask) == mask ? feature : 0;
}

uint64_t itera_cpu_features(void) {
  if (!getauxval)
    return 0;
  unsigned long first = getauxval(at_hwcap), second = getauxval(at_hwcap2);
  return when(first, hwcap_asimddp, ITERA_CPU_AARCH64_DOTPROD) |
         when(first, hwcap_fphp | hwcap_asimdhp, ITERA_CPU_AARCH64_FP16) |
         when(first, hwcap_sve, ITERA_CPU_AARCH64_SVE) |
         when(first, hwcap_atomics, ITERA_CPU_AARCH64_LSE) |
         when(first, hwcap_asimdrdm, ITERA_CPU_AARCH64_RDM) |
         when(first, hwcap_fcma, ITERA_CPU_AARCH64_FCMA) |
         when(first, hwcap_lrcpc, ITERA_CPU_AARCH64_LRCPC) |
         when(second, hwcap2_sve2, ITERA_CPU_AARCH64_SVE2) |
         when(second, hwcap2_i8mm, ITERA_CPU_AARCH64_I8MM) |
         when(second, hwcap2_bf16, ITERA_CPU_AARCH64_BF16);
}
#endif // __aarch64__
