// SPDX-License-Identifier: Apache-2.0
//
// What the compiler would emit for a model with look-ahead and several rates,
// written by hand. Time is the last dimension. Beyond both ends x is zero.
//
//   y[c][j] = sum over k < 5 of (k+1) x[c][2j + k - 2]    ceil(T/2) frames
//   z[c][t] = x[c][t+2] - x[c][t]                         T frames
//   u[c][2t] = x[c][t], u[c][2t+1] = -x[c][t]             2T frames
//   total[c] = sum of y over j                            at the end
//   length   = T                                          at the end
//
// A frame of y can be told when two more frames of x are there, so the chunks
// may run from position 2 on, and at even positions only.

#include "itera/program.h"

enum { C = 2, T = 7 };

typedef struct state {
  _Alignas(64) float past[C][4]; // x[t-4] to x[t-1]
  _Alignas(64) float total[C];
} state;

// What has been delivered after n frames.
static int64_t count_y(int64_t n) { return n < 1 ? 0 : (n - 1) / 2; }
static int64_t count_z(int64_t n) { return n < 2 ? 0 : n - 2; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void reset(const itera_call *call) {
  state *to = call->next_state;
  for (int c = 0; c < C; ++c) {
    to->total[c] = 0;
    for (int i = 0; i < 4; ++i)
      to->past[c][i] = 0;
  }
}

// Stops if the runtime does not keep what it promises to compiled code.
static void check_promises(const itera_call *call, int frames) {
  uintptr_t state = (uintptr_t)call->state, next = (uintptr_t)call->next_state;
  int may_run = frames == 1 || (call->clock[0] >= 2 && call->clock[0] % 2 == 0);
  if (!may_run || state == next || state % 64 || next % 64 ||
      (uintptr_t)call->scratch % 128)
    __builtin_trap();
  for (int i = 0; i < 100; ++i)
    ((char *)call->scratch)[i] = 0x7e;
}

// `x` is null beyond the end of the stream.
static void feed(const itera_call *call, int frames, const float *x) {
  check_promises(call, frames);
  int64_t start = call->clock[0], length = call->clock[1];
  int64_t most_y = length / 2 + length % 2;
  int64_t first_y = least(count_y(start), most_y);
  int64_t first_z = least(count_z(start), length);
  int64_t row_y = least(count_y(start + frames), most_y) - first_y;
  int64_t row_z = least(count_z(start + frames), length) - first_z;
  const state *from = call->state;
  state *to = call->next_state;
  float *y = call->outputs[0], *z = call->outputs[1], *u = call->outputs[2];
  // There is room for the most that one frame can bring, even if none counts.
  for (int i = 0; frames == 1 && i < C; ++i)
    y[i] = z[i] = u[2 * i] = u[2 * i + 1] = 1e9f;
  for (int c = 0; c < C; ++c) {
    float w[5], total = from->total[c];
    for (int i = 0; i < 4; ++i)
      w[i] = from->past[c][i];
    for (int t = 0; t < frames; ++t) {
      int64_t at = start + t, j = at / 2 - 1;
      w[4] = x ? x[c * frames + t] : 0;
      if (at % 2 == 0 && j >= 0 && j < most_y) {
        float sum = 0;
        for (int k = 0; k < 5; ++k)
          sum += (float)(k + 1) * w[k];
        y[c * row_y + (j - first_y)] = sum;
        total += sum;
      }
      if (at >= 2 && at - 2 < length)
        z[c * row_z + (at - 2 - first_z)] = w[4] - w[2];
      if (x) {
        u[(c * frames + t) * 2] = w[4];
        u[(c * frames + t) * 2 + 1] = -w[4];
      }
      for (int i = 0; i < 4; ++i)
        w[i] = w[i + 1];
    }
    to->total[c] = total;
    for (int i = 0; i < 4; ++i)
      to->past[c][i] = w[i];
  }
}

static void feed8(const itera_call *call) { feed(call, 8, call->inputs[0]); }
static void feed4(const itera_call *call) { feed(call, 4, call->inputs[0]); }
static void feed1(const itera_call *call) { feed(call, 1, call->inputs[0]); }
static void flush(const itera_call *call) { feed(call, 1, call->inputs[0]); }

static void final(const itera_call *call) {
  const state *from = call->state;
  for (int c = 0; c < C; ++c)
    ((float *)call->outputs[3])[c] = from->total[c];
  *(int64_t *)call->outputs[4] = call->clock[1];
}

static void forward(const itera_call *call) {
  const float *x = call->inputs[0];
  float *y = call->outputs[0], *z = call->outputs[1], *u = call->outputs[2];
  for (int c = 0; c < C; ++c) {
    float total = 0;
    for (int j = 0; j < (T + 1) / 2; ++j) {
      float sum = 0;
      for (int k = 0; k < 5; ++k) {
        int at = 2 * j + k - 2;
        if (at >= 0 && at < T)
          sum += (float)(k + 1) * x[c * T + at];
      }
      total += y[c * ((T + 1) / 2) + j] = sum;
    }
    ((float *)call->outputs[3])[c] = total;
    for (int t = 0; t < T; ++t) {
      float now = x[c * T + t];
      z[c * T + t] = (t + 2 < T ? x[c * T + t + 2] : 0) - now;
      u[(c * T + t) * 2] = now;
      u[(c * T + t) * 2 + 1] = -now;
    }
  }
  *(int64_t *)call->outputs[4] = T;
}

static const int64_t one[] = {C, T}, half[] = {C, (T + 1) / 2},
                     twice[] = {C, 2 * T}, channel[] = {C}, past[] = {C, 4};
#define INFO sizeof(itera_tensor_info), ITERA_FLOAT32
#define STREAM 2, ITERA_ROLE_STREAM
#define NO_TIME -1, -1, 0, 1, 0
static const itera_tensor_info input = {INFO, "x", one, STREAM, C * T * 4, 1,
                                        -1,   1,   1,   0,      ""};
static const itera_tensor_info outputs[] = {
    {INFO, "y", half, STREAM, C * ((T + 1) / 2) * 4, 1, -1, 1, 2, 2, ""},
    {INFO, "z", one, STREAM, C * T * 4, 1, -1, 1, 1, 2, ""},
    {INFO, "u", twice, STREAM, C * T * 8, 1, -1, 2, 1, 0, ""},
    {INFO, "total", channel, 1, ITERA_ROLE_FINAL, C * 4, NO_TIME, ""},
    {sizeof(itera_tensor_info), ITERA_INT64, "length", 0, 0, ITERA_ROLE_FINAL,
     8, NO_TIME, ""},
};
static const itera_tensor_info states[] = {
    {INFO, "past", past, 2, ITERA_ROLE_STATE, C * 16, NO_TIME, "Conv_0"},
    {INFO, "total", channel, 1, ITERA_ROLE_STATE, C * 4, NO_TIME, "Sum_1"},
};
static const uint64_t offsets[] = {offsetof(state, past),
                                   offsetof(state, total)};
static const itera_chunk chunks[] = {{8, feed8}, {4, feed4}, {1, feed1}};

static const itera_count_step less_one_half = {-1, 2, 1},
                              more_one_half = {1, 2, 1}, less_two = {-2, 1, 1},
                              doubled = {0, 1, 2};
static const itera_count counts[] = {
    {&less_one_half, 1}, {&less_two, 1}, {&doubled, 1}, {0, 0}, {0, 0}};
static const itera_count totals[] = {
    {&more_one_half, 1}, {0, 0}, {&doubled, 1}, {0, 0}, {0, 0}};

static const itera_stream stream = {
    .struct_size = sizeof stream,
    .chunk_count = 3,
    .chunks = chunks,
    .warmup = 2,
    .alignment = 2,
    .max_frames = UINT64_MAX,
    .flush_frames = 2,
    .reset = reset,
    .flush = flush,
    .final = final,
    .state_bytes = sizeof(state),
    .states = states,
    .state_offsets = offsets,
    .state_count = 2,
    .state_hash = {1, 2},
    .counts = counts,
    .totals = totals,
};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = ITERA_PROGRAM_ABI,
    .name = "lookahead",
    .compiler_version = "test compiler",
    .flags = "--test",
    .target = "test target",
    .source_hash = "0123456789abcdef",
    .inputs = &input,
    .outputs = outputs,
    .input_count = 1,
    .output_count = 5,
    .scratch_bytes = 100,
    .scratch_align = 128,
    .forward = forward,
    .stream = &stream,
};
