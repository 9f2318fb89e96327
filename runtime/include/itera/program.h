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
#define ITERA_PROGRAM_ABI 3u

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
 * What compiled code gets. The runtime has checked every pointer and length.
 *  inputs, outputs  arrays of pointers, in the order of the program's tables;
 *                   each buffer that the entry uses has exactly the bytes that
 *                   it needs and is aligned to its element size ONLY; none
 *                   overlaps another (except that inputs may overlap inputs);
 *                   null if it has no bytes
 *  scratch          scratch_bytes bytes at a multiple of scratch_align, content
 *                   undefined; null if scratch_bytes is 0
 *  weights          itera_program.weights
 *  constants        constants_bytes bytes, 64-byte aligned: written by begin,
 *                   read by everything after it
 *  state            the state block before the call, 64-byte aligned
 *  next_state       the state block after it: another block, all of whose
 *                   states the entry writes
 *  clock            clock[0]: the position, frames fed before this call;
 *                   clock[1]: the length of the stream in frames, INT64_MAX
 *                   before its end is known; clock[2]: how many of the last
 *                   frames can be taken back
 * The code must not touch memory beyond these, whatever the input values are,
 * and must not fail.
 */
typedef struct itera_call {
  void *const *inputs;     /*  0 */
  void *const *outputs;    /*  8 */
  void *scratch;           /* 16 */
  const void *weights;     /* 24 */
  void *constants;         /* 32 */
  const void *state;       /* 40 */
  void *next_state;        /* 48 */
  const int64_t *clock;    /* 56 */
} itera_call;

typedef void (*itera_entry_fn)(const itera_call *call);

/** A function of counts: for each step n = max(0, floor((n + add) / divide)) *
 *  multiply, with divide and multiply >= 1. No steps: n itself. */
typedef struct itera_count_step {
  int64_t add, divide, multiply; /* 0, 8, 16 */
} itera_count_step;
typedef struct itera_count {
  const itera_count_step *steps; /* 0 */
  uint64_t step_count;           /* 8 */
} itera_count;

/** The model's own constants can make the state infinite: the padding of a
 *  maximum, for example. */
#define ITERA_STATE_INFINITE 1u

/** Code for a fixed number of frames. */
typedef struct itera_chunk {
  uint64_t frames;      /* 0 */
  itera_entry_fn entry; /* 8 */
} itera_chunk;

/**
 * How a model streams.
 *
 * The state block holds the states at state_offsets. A chunk reads the frames
 * of the streamed inputs, each [outer, frames, inner] dense, where outer is the
 * product of the dimensions before time, and writes output i's frames number
 * counts[i](position) up to counts[i](position + frames), again dense; but not
 * more than totals[i](length) once the length is known. counts[i](0) is 0: what
 * needs no input comes with the first frame. An entry for one frame always
 * writes the most frames of an output that one frame can bring, and of these
 * the first ones, as many as count, are kept.
 *
 * A chunk of more than one frame may run only at a position that is a multiple
 * of `alignment` and at least `warmup`; then it delivers, for each output,
 * exactly frames * info.frames / info.period frames. The last chunk has one
 * frame and runs anywhere.
 *
 * At the end of a stream of T frames the runtime sets clock[1] = T and calls
 * `flush` flush_frames times, at the positions T, T + 1, ..., like a chunk of
 * one frame whose inputs do not exist (null); then `final` once, which reads
 * `state` and writes the outputs FINAL.
 *
 * `begin` reads the inputs STATIC and INITIAL_STATE and writes `constants`;
 * `reset` reads `constants` and writes `next_state`, the first state block.
 * All of constants must be written by begin, or it stays zero. It may be kept
 * in a blob that is loaded on another target, so its layout must be the same
 * wherever state_hash is.
 *
 * `rollback` takes frames back: clock[0] is the position, clock[1] the one to go
 * back to, and clock[2] says how far it could go. Some states have a base, the
 * same state before these clock[2] frames; state_bases[i] is its number, or
 * UINT32_MAX. A step finds clock[2] = rollback_window if the oldest of these
 * frames is now to become part of the bases. A chunk of more than one frame has
 * at least rollback_window.
 *
 * What an entry does not use is null: the pointers to other inputs and outputs
 * (the arrays are always there), `state` of begin and reset, `next_state` of
 * begin and final.
 */
typedef struct itera_stream {
  uint32_t struct_size;            /*   0: sizeof(itera_stream) */
  uint32_t chunk_count;            /*   4 */
  const itera_chunk *chunks;       /*   8: frames falling, the last 1 */
  uint64_t warmup;                 /*  16 */
  uint64_t alignment;              /*  24: at least 1, divides every chunk > 1 */
  uint64_t max_frames;             /*  32: UINT64_MAX if nothing ends */
  uint64_t flush_frames;           /*  40 */
  itera_entry_fn begin;            /*  48: null if it computes nothing */
  itera_entry_fn reset;            /*  56 */
  itera_entry_fn flush;            /*  64: null if flush_frames is 0 */
  itera_entry_fn final;            /*  72: null if no output is FINAL */
  uint64_t constants_bytes;        /*  80 */
  uint64_t state_bytes;            /*  88 */
  const itera_tensor_info *states; /*  96: state_count records */
  const uint64_t *state_offsets;   /* 104: of each, a multiple of 64 */
  uint32_t state_count;            /* 112 */
  uint32_t reserved;               /* 116: 0 */
  uint64_t state_hash[2];          /* 120: of what a blob must agree on */
  const itera_count *counts;       /* 136: per output, of the frames fed */
  const itera_count *totals;       /* 144: per output, of the length */
  const uint32_t *state_flags;     /* 152: of each, ITERA_STATE_*; null: 0 */
  uint64_t rollback_window;        /* 160: frames that can be taken back */
  itera_entry_fn rollback;         /* 168: null if rollback_window is 0 */
  const uint32_t *state_bases;     /* 176: per state; null if it is 0 */
} itera_stream;

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
  uint64_t scratch_bytes;           /*  72: the most that an entry needs */
  uint64_t scratch_align;           /*  80: a power of two, at most 4096 */
  const void *weights;              /*  88: &itera_weights, or null */
  uint64_t weights_bytes;           /*  96 */
  uint64_t required_cpu_features;   /* 104: ITERA_CPU_* */
  itera_entry_fn forward;           /* 112 */
  const itera_stream *stream;       /* 120: null if the model cannot stream */
  const char *stream_problem;       /* 128: why it cannot; may be null */
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
/* itera_tensor_info: 4 4 8 8 4 4 8 4 4 8 8 8 8, in this order. */
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, struct_size) == 0);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, dtype) == 4);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, name) == 8);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, dims) == 16);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, rank) == 24);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, role) == 28);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, bytes) == 32);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, time_dim) == 40);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, batch_dim) == 44);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, frames) == 48);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, period) == 56);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, latency) == 64);
ITERA_STATIC_ASSERT(offsetof(itera_tensor_info, node) == 72);
ITERA_STATIC_ASSERT(sizeof(itera_tensor_info) == 80);

ITERA_STATIC_ASSERT(sizeof(itera_call) == 64);
ITERA_STATIC_ASSERT(offsetof(itera_call, clock) == 56);
ITERA_STATIC_ASSERT(sizeof(itera_count_step) == 24);
ITERA_STATIC_ASSERT(sizeof(itera_count) == 16);
ITERA_STATIC_ASSERT(sizeof(itera_chunk) == 16);
ITERA_STATIC_ASSERT(offsetof(itera_stream, max_frames) == 32);
ITERA_STATIC_ASSERT(offsetof(itera_stream, states) == 96);
ITERA_STATIC_ASSERT(offsetof(itera_stream, state_hash) == 120);
ITERA_STATIC_ASSERT(offsetof(itera_stream, totals) == 144);
ITERA_STATIC_ASSERT(offsetof(itera_stream, state_flags) == 152);
ITERA_STATIC_ASSERT(offsetof(itera_stream, state_bases) == 176);
ITERA_STATIC_ASSERT(sizeof(itera_stream) == 184);

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
ITERA_STATIC_ASSERT(offsetof(itera_program_t, stream) == 120);
ITERA_STATIC_ASSERT(offsetof(itera_program_t, stream_problem) == 128);
ITERA_STATIC_ASSERT(sizeof(itera_program_t) == 136);
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ITERA_PROGRAM_H */
