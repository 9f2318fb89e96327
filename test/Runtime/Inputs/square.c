// SPDX-License-Identifier: Apache-2.0
//
// A second small model: out[i] = in[i]^2, with neither weights nor scratch.

#include "itera/program.h"

static void forward(const itera_call *call) {
  const float *in = call->inputs[0];
  float *out = call->outputs[0];
  for (int i = 0; i < 5; ++i)
    out[i] = in[i] * in[i];
}

static const int64_t dims[] = {5};
static const itera_tensor_info input = {
    sizeof(itera_tensor_info), ITERA_FLOAT32, "in", dims, 1, 0, 20, -1, -1, 0, 1, 0, ""};
static const itera_tensor_info output = {
    sizeof(itera_tensor_info), ITERA_FLOAT32, "out", dims, 1, 0, 20, -1, -1, 0, 1, 0, ""};

__attribute__((visibility("hidden")))
const struct itera_program itera_program = {
    .struct_size = sizeof(struct itera_program),
    .abi = ITERA_PROGRAM_ABI,
    .name = "square",
    .compiler_version = "test compiler",
    .flags = "",
    .target = "test target",
    .source_hash = "fedcba9876543210",
    .inputs = &input,
    .outputs = &output,
    .input_count = 1,
    .output_count = 1,
    .scratch_bytes = 0,
    .scratch_align = 1,
    .forward = forward,
};
