/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between the compiler and the runtime. Hosts never see it.
 *
 * The compiler's object code defines one hidden constant, itera_program, that
 * says what the model is and where its code and weights are. The runtime, which
 * is compiled once per target when Itera itself is built, refers to that symbol
 * and serves abi.h from it. The linker joins the two.
 *
 * All members have fixed width and the layout has no padding, so that the
 * compiler can emit the constant without knowing the C ABI of the target: the
 * offsets below hold on every 64-bit little-endian target.
 */
#ifndef ITERA_PROGRAM_H
#define ITERA_PROGRAM_H

#include "itera/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this contract, in itera_program.abi. */
#define ITERA_PROGRAM_ABI 1u

/*
 * Bits of itera_program.required_cpu_features: what the generated code uses
 * beyond the runtime's own baseline (x86-64-v2, armv8-a). A bit that the
 * runtime does not know, e.g. one of another architecture, counts as absent.
 */
#define ITERA_CPU_X86_SSE42 (UINT64_C(1) << 0) /* and popcnt, ssse3, sse4.1 */
#define ITERA_CPU_X86_AVX (UINT64_C(1) << 1)
#define ITERA_CPU_X86_AVX2 (UINT64_C(1) << 2)
#define ITERA_CPU_X86_FMA (UINT64_C(1) << 3)
#define ITERA_CPU_X86_F16C (UINT64_C(1) << 4)
#define ITERA_CPU_X86_BMI2 (UINT64_C(1) << 5)
#define ITERA_CPU_X86_AVX512F (UINT64_C(1) << 6)
#define ITERA_CPU_X86_AVX512BW (UINT64_C(1) << 7)
#define ITERA_CPU_X86_AVX512DQ (UINT64_C(1) << 8)
#define ITERA_CPU_X86_AVX512VL (UINT64_C(1) << 9)
#define ITERA_CPU_X86_AVX512CD (UINT64_C(1) << 10)
#define ITERA_CPU_X86_AVX512VNNI (UINT64_C(1) << 11)
#define ITERA_CPU_X86_AVX512BF16 (UINT64_C(1) << 12)
#define ITERA_CPU_X86_AVXVNNI (UINT64_C(1) << 13)
#define ITERA_CPU_X86_BMI1 (UINT64_C(1) << 14)
#define ITERA_CPU_X86_LZCNT (UINT64_C(1) << 15)
#define ITERA_CPU_X86_MOVBE (UINT64_C(1) << 16)
#define ITERA_CPU_X86_AVX512VBMI (UINT64_C(1) << 17)
#define ITERA_CPU_X86_AVX512IFMA (UINT64_C(1) << 18)
#define ITERA_CPU_X86_AVX512VBMI2 (UINT64_C(1) << 19)
#define ITERA_CPU_X86_AVX512BITALG (UINT64_C(1) << 20)
#define ITERA_CPU_X86_AVX512VPOPCNTDQ (UINT64_C(1) << 21)
#define ITERA_CPU_X86_AVX512FP16 (UINT64_C(1) << 22)
#define ITERA_CPU_X86_GFNI (UINT64_C(1) << 23)

#define ITERA_CPU_AARCH64_DOTPROD (UINT64_C(1) << 32)
#define ITERA_CPU_AARCH64_FP16 (UINT64_C(1) << 33) /* scalar and vector */
#define ITERA_CPU_AARCH64_I8MM (UINT64_C(1) << 34)
#define ITERA_CPU_AARCH64_BF16 (UINT64_C(1) << 35)
#define ITERA_CPU_AARCH64_SVE (UINT64_C(1) << 36)
#define ITERA_CPU_AARCH64_SVE2 (UINT64_C(1) << 37)
#define ITERA_CPU_AARCH64_LSE (UINT64_C(1) << 38)
#define ITERA_CPU_AARCH64_RDM (UINT64_C(1) << 39)
#define ITERA_CPU_AARCH64_FCMA (UINT64_C(1) << 40)
#define ITERA_CPU_AARCH64_LRCPC (UINT64_C(1) << 41)

/**
 * Computes the whole model. The runtime has checked every pointer and length.
 *  inputs, outputs  arrays of pointers, in the order of the program's tables;
 *                   each buffer has exactly the declared bytes and is aligned
 *                   to its element size ONLY; none overlaps another (except
 *                   that inputs may overlap inputs); null if it has no bytes
 *  scratch          scratch_bytes bytes at a multiple of scratch_align, content
 *                   undefined; null if scratch_bytes is 0
 *  weights          itera_program.weights
 * The function must not touch memory beyond these, whatever the input values
 * are, and must not fail.
 */
typedef void (*itera_forward_fn)(void *const *inputs, void *const *outputs,
                                 void *scratch, const void *weights);

typedef struct itera_program {
  uint32_t struct_size;            /*   0: sizeof(itera_program) */
  uint32_t abi;                    /*   4: ITERA_PROGRAM_ABI */
  const char *name;                /*   8: of the model, as the user wrote it */
  const char *compiler_version;    /*  16 */
  const char *flags;               /*  24: of the compiler's command line */
  const char *target;              /*  32: triple and CPU */
  const char *source_hash;         /*  40: of the model file */
  const itera_tensor_info *inputs; /*  48: input_count records */
  const itera_tensor_info *outputs; /*  56: output_count records */
  uint32_t input_count;             /*  64 */
  uint32_t output_count;            /*  68 */
  uint64_t scratch_bytes;           /*  72 */
  uint64_t scratch_align;           /*  80: a power of two, at most 4096 */
  const void *weights;              /*  88: &itera_weights, or null */
  uint64_t weights_bytes;           /*  96 */
  uint64_t required_cpu_features;   /* 104: ITERA_CPU_* */
  itera_forward_fn forward;         /* 112 */
} itera_program_t;

/** The name of the constant, and the object that defines it. Put it into
 *  .data.rel.ro: its pointers need relocation, and nothing writes to it. */
#define ITERA_PROGRAM_SYMBOL "itera_program"

/** The name of the packed weights' first byte, in the weight object. */
#define ITERA_WEIGHTS_SYMBOL "itera_weights"

/** The runtime's query function; the linker makes the public names from it. */
#define ITERA_RUNTIME_QUERY_SYMBOL "itera_runtime_query"

#if defined(__cplusplus)
#define ITERA_STATIC_ASSERT(condition) static_assert(condition, #condition)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define ITERA_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#if defined(ITERA_STATIC_ASSERT) && UINTPTR_MAX == UINT64_MAX
/* itera_tensor_info: 4 4 8 8 4 4 8, in this order. */
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, struct_size) == 0);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, dtype) == 4);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, name) == 8);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, dims) == 16);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, rank) == 24);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, reserved) == 28);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, bytes) == 32);
ITERA_STATIC_ASSERT(sizeof(itera_tensor_info) == 40);

ITERA_STATIC_ASSERT(offsetof(itera_program_t, struct_size) == 0);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, abi) == 4);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, name) == 8);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, compiler_version) == 16);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, flags) == 24);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, target) == 32);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, source_hash) == 40);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, inputs) == 48);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, outputs) == 56);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, input_count) == 64);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, output_count) == 68);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, scratch_bytes) == 72);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, scratch_align) == 80);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, weights) == 88);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, weights_bytes) == 96);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, required_cpu_features) == 104);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, forward) == 112);
ITERA_STATIC_ASSERT(sizeof(itera_program_t) == 120);
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ITERA_PROGRAM_H */
