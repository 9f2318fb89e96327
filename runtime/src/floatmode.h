// SPDX-License-Identifier: Apache-2.0
//
// The floating-point mode that compiled code runs in.
//
// A recurrence that decays passes through subnormal numbers on its way to zero,
// and many CPUs take a hundred times longer for each. So they count as zero.
// The rest of the mode is fixed as well: rounding to nearest and no trap, or
// the host's mode would decide about the results. The host gets its own mode
// back, with the exception flags as they were.

#ifndef ITERA_FLOATMODE_H
#define ITERA_FLOATMODE_H

#include <stdint.h>

#if defined(__x86_64__)

// Exceptions masked (bits 7 to 12), denormals are zero (6), flush to zero (15).
enum { itera_float_mode = 0x9fc0, itera_float_flags = 0x3f };
typedef uint32_t itera_float_saved;

static inline itera_float_saved itera_float_enter(void) {
  uint32_t saved, wanted = itera_float_mode;
  __asm__ volatile("stmxcsr %0" : "=m"(saved));
  if ((saved & ~(uint32_t)itera_float_flags) != wanted)
    __asm__ volatile("ldmxcsr %0" : : "m"(wanted) : "memory");
  return saved;
}

static inline void itera_float_leave(itera_float_saved saved) {
  if ((saved & ~(uint32_t)itera_float_flags) != itera_float_mode)
    __asm__ volatile("ldmxcsr %0" : : "m"(saved) : "memory");
}

#elif defined(__aarch64__)

// Bit 24: flush to zero. All traps off, rounding to nearest.
typedef uint64_t itera_float_saved;
static const uint64_t itera_float_mode = UINT64_C(1) << 24;

static inline itera_float_saved itera_float_enter(void) {
  uint64_t saved;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  if (saved != itera_float_mode)
    __asm__ volatile("msr fpcr, %0" : : "r"(itera_float_mode) : "memory");
  return saved;
}

static inline void itera_float_leave(itera_float_saved saved) {
  if (saved != itera_float_mode)
    __asm__ volatile("msr fpcr, %0" : : "r"(saved) : "memory");
}

#else

typedef int itera_float_saved;
static inline itera_float_saved itera_float_enter(void) { return 0; }
static inline void itera_float_leave(itera_float_saved saved) { (void)saved; }

#endif

#endif // ITERA_FLOATMODE_H
