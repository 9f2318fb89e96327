// SPDX-License-Identifier: Apache-2.0
//
// What the compiler would emit for a small model, written by hand:
//
//   y[i][j] = x[i][j] * w[i][j] + n,   total = number of elements,   none = []
//
// It goes through scratch memory and calls memcpy and memset, so that a link
// that loses either of them is noticed.

#include "itera/program.h"

#ifndef AFFINE_FEATURES
#define AFFINE_FEATURES 0
#endif
#ifndef AFFINE_ABI
#define AFFINE_ABI ITERA_PROGRAM_ABI
#endif
#ifndef AFFINE_Y_BYTES
#define AFFINE_Y_BYTES 24
#endif

extern const float itera_weights[6] __attribute__((visibility("hidden")));

void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);

static void forward(const itera_call *call) {
  const float *x = call->inputs[0], *w = call->weights;
  const int64_t *n = call->inputs[1];
  float *copy = call->scratch, *y = call->outputs[0];
  volatile size_t bytes = 24; // unknown to the compiler: calls, not inline code
  memset(call->scratch, 0xff, bytes);
  memcpy(copy, x, bytes);
  for (int i = 0; i < 6; ++i)
    y[i] = copy[i] * w[i] + (float)n[0];
  *(int64_t *)call->outputs[1] = 6;
}

static const int64_t dims[] = {2, 3}, dims_none[] = {2, 0};
#define INFO sizeof(itera_tensor_info)
#define NO_STREAM -1, -1, 0, 1, 0, ""
static const itera_tensor_info inputs[] = {
    {INFO, ITERA_FLOAT32, "x", dims, 2, 0, 24, NO_STREAM},
    {INFO, ITERA_INT64, "n", 0, 0, 0, 8, NO_STREAM},
};
static const itera_tensor_info outputs[] = {
    {INFO, ITERA_FLOAT32, "y", dims, 2, 0, AFFINE_Y_BYTES, NO_STREAM},
    {INFO, ITERA_INT64, "total", 0, 0, 0, 8, NO_STREAM},
    {INFO, ITERA_FLOAT32, "none", dims_none, 2, 0, 0, NO_STREAM},
};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = AFFINE_ABI,
    .name = "affine",
    .compiler_version = "test compiler",
    .flags = "--test",
    .target = "test target",
    .source_hash = "0123456789abcdef",
    .inputs = inputs,
    .outputs = outputs,
    .input_count = 2,
    .output_count = 3,
    .scratch_bytes = 4096,
    .scratch_align = 256,
    .weights = itera_weights,
    .weights_bytes = sizeof itera_weights,
    .required_cpu_features = AFFINE_FEATURES,
    .forward = forward,
};
