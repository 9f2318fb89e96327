// SPDX-License-Identifier: Apache-2.0
//
// A model whose stream is wrong on purpose: what compares a stream with the
// whole must say so. Its nodes are outputs too.
//
//   twice[t] = 2 x[t]                          node Mul_0, right
//   sum[t]   = x[0] + ... + x[t]               node CumSum_1, off by 0.5 from
//                                              frame 3 on in the stream
//   y[t]     = sum[t] + 1                      the model's own output

#include "itera/program.h"

enum { T = 6 };

typedef struct state {
  float sum;
  int32_t frames;
} state;

static void reset(const itera_call *call) {
  state *to = call->next_state;
  to->sum = 0;
  to->frames = 0;
}

static void give(const itera_call *call, int t, float x, float sum) {
  ((float *)call->outputs[0])[t] = sum + 1;
  ((float *)call->outputs[1])[t] = 2 * x;
  ((float *)call->outputs[2])[t] = sum;
}

static void feed1(const itera_call *call) {
  const state *from = call->state;
  state *to = call->next_state;
  float x = ((const float *)call->inputs[0])[0];
  to->sum = from->sum + x + (from->frames == 3 ? 0.5f : 0);
  to->frames = from->frames + 1;
  give(call, 0, x, to->sum);
}

static void forward(const itera_call *call) {
  float sum = 0;
  for (int t = 0; t < T; ++t) {
    float x = ((const float *)call->inputs[0])[t];
    sum += x;
    give(call, t, x, sum);
  }
}

static const int64_t series[] = {1, T}, one[] = {1};
#define INFO sizeof(itera_tensor_info), ITERA_FLOAT32
#define STREAM series, 2, ITERA_ROLE_STREAM, T * 4, 1, -1, 1, 1, 0
static const itera_tensor_info inputs[] = {{INFO, "x", STREAM, ""}};
static const itera_tensor_info outputs[] = {
    {INFO, "y", STREAM, ""},
    {INFO, "tap:Mul_0", STREAM, "Mul_0"},
    {INFO, "tap:CumSum_1", STREAM, "CumSum_1"},
};
static const itera_tensor_info states[] = {
    {INFO, "sum", one, 1, ITERA_ROLE_STATE, 4, -1, -1, 0, 1, 0, "CumSum_1"},
};
static const uint64_t offsets[] = {offsetof(state, sum)};
static const itera_chunk chunks[] = {{1, feed1}};
static const itera_count counts[3]; // as many frames as x

static const itera_stream stream = {
    .struct_size = sizeof stream,
    .chunk_count = 1,
    .chunks = chunks,
    .alignment = 1,
    .max_frames = UINT64_MAX,
    .reset = reset,
    .state_bytes = sizeof(state),
    .states = states,
    .state_offsets = offsets,
    .state_count = 1,
    .state_hash = {1, 2},
    .counts = counts,
    .totals = counts,
};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = ITERA_PROGRAM_ABI,
    .name = "torn",
    .compiler_version = "test compiler",
    .flags = "--test",
    .target = "test target",
    .source_hash = "0123456789abcdef",
    .inputs = inputs,
    .outputs = outputs,
    .input_count = 1,
    .output_count = 3,
    .scratch_align = 1,
    .forward = forward,
    .stream = &stream,
};
