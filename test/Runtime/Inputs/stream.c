// SPDX-License-Identifier: Apache-2.0
//
// What the compiler would emit for a small causal model, written by hand. For
// batch b, time t and channel c, with the weights 1, 2, 3, ...:
//
//   s[b][t][c] = s[b][t-1][c] + x[b][t][c]              from init[b][c]
//   y[b][t][c] = gain[c] * (x[t] + 2 x[t-1] + 3 x[t-2]) + s[t]
//   mean[b][c] = mean of y over t                        at the end
//
// STREAM_NO_GAIN: without the input gain (it is 1), so without a need to begin.

#include "itera/program.h"

#ifndef STREAM_MAX_FRAMES
#define STREAM_MAX_FRAMES UINT64_MAX
#endif

enum { B = 2, C = 3, T = 10 };

extern const float itera_weights[6] __attribute__((visibility("hidden")));

typedef struct constants {
  float gain[C];
  float init[B][C];
} constants;

// Each member at a multiple of 64 bytes.
typedef struct state {
  _Alignas(64) float past[B][2][C]; // x[t-1], x[t-2]
  _Alignas(64) float sum[B][C];
  _Alignas(64) float total[B][C];
} state;

enum { x_input, init_input, gain_input };

static void begin(const itera_call *call) {
  constants *k = call->constants;
  const float *init = call->inputs[init_input];
  for (int i = 0; i < B * C; ++i)
    (&k->init[0][0])[i] = init[i];
  for (int c = 0; c < C; ++c)
#ifdef STREAM_NO_GAIN
    k->gain[c] = 1;
#else
    k->gain[c] = ((const float *)call->inputs[gain_input])[c];
#endif
}

static void reset(const itera_call *call) {
  const constants *k = call->constants;
  state *to = call->next_state;
  for (int b = 0; b < B; ++b)
    for (int c = 0; c < C; ++c) {
      to->past[b][0][c] = to->past[b][1][c] = to->total[b][c] = 0;
      to->sum[b][c] = k->init[b][c];
    }
}

static void feed(const itera_call *call, int frames) {
  const constants *k = call->constants;
  const state *from = call->state;
  state *to = call->next_state;
  const float *w = call->weights;
  for (int b = 0; b < B; ++b)
    for (int c = 0; c < C; ++c) {
      float one = from->past[b][0][c], two = from->past[b][1][c];
      float sum = from->sum[b][c], total = from->total[b][c];
      for (int t = 0; t < frames; ++t) {
        int at = (b * frames + t) * C + c;
        float x = ((const float *)call->inputs[x_input])[at];
        sum += x;
        float y = k->gain[c] * (w[0] * x + w[1] * one + w[2] * two) + sum;
        ((float *)call->outputs[0])[at] = y;
        total += y;
        two = one;
        one = x;
      }
      to->past[b][0][c] = one;
      to->past[b][1][c] = two;
      to->sum[b][c] = sum;
      to->total[b][c] = total;
    }
}

static void feed4(const itera_call *call) { feed(call, 4); }
static void feed1(const itera_call *call) { feed(call, 1); }

static void final(const itera_call *call) {
  const state *from = call->state;
  float *mean = call->outputs[1];
  int64_t length = call->clock[1];
  for (int i = 0; i < B * C; ++i)
    mean[i] = length ? (&from->total[0][0])[i] / (float)length : 0;
}

static void forward(const itera_call *call) {
  const float *w = call->weights, *x = call->inputs[x_input];
  const float *init = call->inputs[init_input];
  float *y = call->outputs[0], *mean = call->outputs[1];
  for (int b = 0; b < B; ++b)
    for (int c = 0; c < C; ++c) {
      float sum = init[b * C + c], total = 0, gain = 1;
#ifndef STREAM_NO_GAIN
      gain = ((const float *)call->inputs[gain_input])[c];
#endif
      for (int t = 0; t < T; ++t) {
        const float *at = &x[(b * T + t) * C + c];
        float fir = w[0] * at[0];
        if (t > 0)
          fir += w[1] * at[-C];
        if (t > 1)
          fir += w[2] * at[-2 * C];
        sum += at[0];
        total += y[(b * T + t) * C + c] = gain * fir + sum;
      }
      mean[b * C + c] = total / T;
    }
}

static const int64_t series[] = {B, T, C}, row[] = {B, C}, past[] = {B, 2, C};
#ifndef STREAM_NO_GAIN
static const int64_t channel[] = {C};
#endif
#define INFO sizeof(itera_tensor_info), ITERA_FLOAT32
#define NO_TIME -1, 0, 0, 1, 0
static const itera_tensor_info inputs[] = {
    {INFO, "x", series, 3, ITERA_ROLE_STREAM, B * T * C * 4, 1, 0, 1, 1, 0, ""},
    {INFO, "init", row, 2, ITERA_ROLE_INITIAL_STATE, B * C * 4, NO_TIME, ""},
#ifndef STREAM_NO_GAIN
    {INFO, "gain", channel, 1, ITERA_ROLE_STATIC, C * 4, -1, -1, 0, 1, 0, ""},
#endif
};
static const itera_tensor_info outputs[] = {
    {INFO, "y", series, 3, ITERA_ROLE_STREAM, B * T * C * 4, 1, 0, 1, 1, 0, ""},
    {INFO, "mean", row, 2, ITERA_ROLE_FINAL, B * C * 4, NO_TIME, ""},
};
static const itera_tensor_info states[] = {
    {INFO, "past", past, 3, ITERA_ROLE_STATE, B * 2 * C * 4, NO_TIME, "Conv_0"},
    {INFO, "sum", row, 2, ITERA_ROLE_STATE, B * C * 4, NO_TIME, "CumSum_1"},
    {INFO, "total", row, 2, ITERA_ROLE_STATE, B * C * 4, NO_TIME, "Mean_2"},
};
static const uint64_t offsets[] = {offsetof(state, past), offsetof(state, sum),
                                   offsetof(state, total)};
static const uint32_t flags[] = {ITERA_STATE_INFINITE, 0, 0};
static const itera_chunk chunks[] = {{4, feed4}, {1, feed1}};
static const itera_count counts[2]; // y has as many frames as x

static const itera_stream stream = {
    .struct_size = sizeof stream,
    .chunk_count = 2,
    .chunks = chunks,
    .alignment = 1,
    .max_frames = STREAM_MAX_FRAMES,
    .begin = begin,
    .reset = reset,
    .final = final,
    .constants_bytes = sizeof(constants),
    .state_bytes = sizeof(state),
    .states = states,
    .state_offsets = offsets,
    .state_count = 3,
    .state_hash = {0x1122334455667788, 0x99aabbccddeeff00},
    .counts = counts,
    .totals = counts,
    .state_flags = flags,
};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = ITERA_PROGRAM_ABI,
    .name = "stream",
    .compiler_version = "test compiler",
    .flags = "--test",
    .target = "test target",
    .source_hash = "0123456789abcdef",
    .inputs = inputs,
    .outputs = outputs,
    .input_count = sizeof inputs / sizeof *inputs,
    .output_count = 2,
    .scratch_align = 1,
    .weights = itera_weights,
    .weights_bytes = sizeof itera_weights,
    .forward = forward,
    .stream = &stream,
};
