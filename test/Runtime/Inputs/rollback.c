// SPDX-License-Identifier: Apache-2.0
//
// What the compiler would emit for a small model that can take back three
// frames, written by hand. For time t and channel c:
//
//   s[t][c] = s[t-1][c] / 2 + x[t][c]
//   y[t][c] = s[t][c] + x[t-1][c]
//   last[c] = s[T-1][c]                                   at the end

#include "itera/program.h"

enum { C = 2, T = 10, W = 3, KEPT = W + 1 };

// Each member at a multiple of 64 bytes.
typedef struct state {
  _Alignas(64) float history[KEPT][C]; // x, the newest one last
  _Alignas(64) float sum[C];
  _Alignas(64) float base[C]; // sum, before the frames that can be taken back
} state;

static void reset(const itera_call *call) {
  state *to = call->next_state;
  for (int c = 0; c < C; ++c) {
    for (int k = 0; k < KEPT; ++k)
      to->history[k][c] = 0;
    to->sum[c] = to->base[c] = 0;
  }
}

// The history with one frame more.
static void push(float history[KEPT][C], int c, float x) {
  for (int k = 0; k + 1 < KEPT; ++k)
    history[k][c] = history[k + 1][c];
  history[KEPT - 1][c] = x;
}

static void feed(const itera_call *call, int frames) {
  state *to = call->next_state;
  *to = *(const state *)call->state;
  const float *x = call->inputs[0];
  float *y = call->outputs[0];
  for (int c = 0; c < C; ++c) {
    if (frames == 1 && call->clock[2] == W)
      to->base[c] = to->base[c] / 2 + to->history[KEPT - W][c];
    for (int t = 0; t < frames; ++t) {
      if (frames > 1 && t == frames - W)
        to->base[c] = to->sum[c];
      to->sum[c] = to->sum[c] / 2 + x[t * C + c];
      y[t * C + c] = to->sum[c] + to->history[KEPT - 1][c];
      push(to->history, c, x[t * C + c]);
    }
  }
}

static void feed4(const itera_call *call) { feed(call, 4); }
static void feed1(const itera_call *call) { feed(call, 1); }

static void rollback(const itera_call *call) {
  const state *from = call->state;
  state *to = call->next_state;
  int gone = (int)(call->clock[0] - call->clock[1]);
  int kept = (int)call->clock[2] - gone;
  *to = *from;
  for (int c = 0; c < C; ++c) {
    to->sum[c] = from->base[c];
    for (int k = 0; k < kept; ++k)
      to->sum[c] = to->sum[c] / 2 + from->history[KEPT - gone - kept + k][c];
    for (int k = KEPT - 1; k >= 0; --k)
      to->history[k][c] = k < gone ? 0 : from->history[k - gone][c];
  }
}

static void final(const itera_call *call) {
  for (int c = 0; c < C; ++c)
    ((float *)call->outputs[1])[c] = ((const state *)call->state)->sum[c];
}

static void forward(const itera_call *call) {
  const float *x = call->inputs[0];
  for (int c = 0; c < C; ++c) {
    float sum = 0;
    for (int t = 0; t < T; ++t) {
      sum = sum / 2 + x[t * C + c];
      ((float *)call->outputs[0])[t * C + c] =
          sum + (t ? x[(t - 1) * C + c] : 0);
    }
    ((float *)call->outputs[1])[c] = sum;
  }
}

static const int64_t series[] = {T, C}, kept[] = {KEPT, C}, row[] = {C};
#define INFO sizeof(itera_tensor_info), ITERA_FLOAT32
#define NO_TIME -1, -1, 0, 1, 0
static const itera_tensor_info inputs[] = {
    {INFO, "x", series, 2, ITERA_ROLE_STREAM, T * C * 4, 0, -1, 1, 1, 0, ""},
};
static const itera_tensor_info outputs[] = {
    {INFO, "y", series, 2, ITERA_ROLE_STREAM, T * C * 4, 0, -1, 1, 1, 0, ""},
    {INFO, "last", row, 1, ITERA_ROLE_FINAL, C * 4, NO_TIME, ""},
};
static const itera_tensor_info states[] = {
    {INFO, "history", kept, 2, ITERA_ROLE_STATE, KEPT * C * 4, NO_TIME, "x"},
    {INFO, "sum", row, 1, ITERA_ROLE_STATE, C * 4, NO_TIME, "Scan_0"},
    {INFO, "base", row, 1, ITERA_ROLE_STATE, C * 4, NO_TIME, "Scan_0"},
};
static const uint64_t offsets[] = {offsetof(state, history),
                                   offsetof(state, sum), offsetof(state, base)};
static const uint32_t bases[] = {UINT32_MAX, 2, UINT32_MAX};
static const itera_chunk chunks[] = {{4, feed4}, {1, feed1}};
static const itera_count counts[2];

static const itera_stream stream = {
    .struct_size = sizeof stream,
    .chunk_count = 2,
    .chunks = chunks,
    .alignment = 1,
    .max_frames = UINT64_MAX,
    .reset = reset,
    .final = final,
    .state_bytes = sizeof(state),
    .states = states,
    .state_offsets = offsets,
    .state_count = 3,
    .state_hash = {1, 2},
    .counts = counts,
    .totals = counts,
    .rollback_window = W,
    .rollback = rollback,
    .state_bases = bases,
};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = ITERA_PROGRAM_ABI,
    .name = "rollback",
    .compiler_version = "test compiler",
    .flags = "--test",
    .target = "test target",
    .source_hash = "0123456789abcdef",
    .inputs = inputs,
    .outputs = outputs,
    .input_count = 1,
    .output_count = 2,
    .scratch_align = 1,
    .forward = forward,
    .stream = &stream,
};
