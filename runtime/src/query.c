// SPDX-License-Identifier: Apache-2.0
//
// The door of an artefact: the tables of functions, and who may have them.

#include "runtime.h"

static const char *get_name(void) { return itera_program.name; }
static const char *get_version(void) { return itera_program.compiler_version; }
static const char *get_flags(void) { return itera_program.flags; }
static const char *get_target(void) { return itera_program.target; }
static const char *get_hash(void) { return itera_program.source_hash; }
static const char *get_stream_problem(void) {
  return itera_program.stream_problem ? itera_program.stream_problem : "";
}
static uint32_t get_input_count(void) { return itera_program.input_count; }
static uint32_t get_output_count(void) { return itera_program.output_count; }

static const itera_tensor_info *get_input(uint32_t index) {
  return index < itera_program.input_count ? &itera_program.inputs[index]
                                           : NULL;
}
static const itera_tensor_info *get_output(uint32_t index) {
  return index < itera_program.output_count ? &itera_program.outputs[index]
                                            : NULL;
}

// clang-format off
#define WHOLE                                                                  \
  .struct_size = sizeof(itera_model_api),                                      \
  .abi_version = ITERA_ABI_VERSION,                                            \
  .name = get_name,                                                            \
  .compiler_version = get_version,                                             \
  .compiler_flags = get_flags,                                                 \
  .target = get_target,                                                        \
  .source_hash = get_hash,                                                     \
  .stream_problem = get_stream_problem,                                        \
  .input_count = get_input_count,                                              \
  .input_info = get_input,                                                     \
  .output_count = get_output_count,                                            \
  .output_info = get_output,                                                   \
  .scratch_bytes = itera_scratch_bytes,                                        \
  .model_create = itera_model_create,                                          \
  .model_destroy = itera_model_destroy,                                        \
  .session_create = itera_session_create,                                      \
  .session_destroy = itera_session_destroy,                                    \
  .last_error = itera_last_error,                                              \
  .forward = itera_forward
// clang-format on

static const itera_model_api whole_api = {WHOLE};

// clang-format off
#define STREAM                                                                 \
  WHOLE,                                                                       \
  .begin = itera_begin,                                                        \
  .prefill = itera_prefill,                                                    \
  .step = itera_step,                                                          \
  .finish = itera_finish,                                                      \
  .peek = itera_peek,                                                          \
  .frames_after = itera_frames_after,                                          \
  .frames_left = itera_frames_left,                                            \
  .frames_total = itera_frames_total,                                          \
  .position = itera_position,                                                  \
  .state_count = itera_state_count,                                            \
  .state_info = itera_state_info,                                              \
  .state_read = itera_state_read,                                              \
  .state_write = itera_state_write,                                            \
  .state_reset = itera_state_reset,                                            \
  .state_size = itera_state_size,                                              \
  .state_save = itera_state_save,                                              \
  .state_load = itera_state_load,                                              \
  .state_check = itera_state_check,                                            \
  .session_clone = itera_session_clone,                                        \
  .reorder_rows = itera_reorder_rows,                                          \
  .prefill_snapshots = itera_prefill_snapshots
// clang-format on

static const itera_model_api stream_api = {STREAM};

static const itera_model_api rollback_api = {
    STREAM,
    .rollback = itera_rollback,
    .rollback_window = itera_rollback_window,
};

static void log_missing(const itera_host *host, uint64_t missing) {
  char line[256];
  itera_text text = itera_text_begin(line, sizeof line);
  itera_text_append(&text, "this cpu lacks what the model was compiled for:");
  for (int bit = 0; bit < 64; ++bit) {
    if (!(missing >> bit & 1))
      continue;
    itera_text_append(&text, " ");
    itera_text_append(&text, itera_cpu_feature_name(bit));
  }
  itera_host_log(host, ITERA_LOG_ERROR, line);
}

const itera_model_api *itera_runtime_query(uint32_t max_abi,
                                           const itera_host *host) {
  itera_host hooks;
  if (itera_host_copy(&hooks, host) != ITERA_OK)
    return NULL; // no log hook that could be trusted
  if (max_abi < ITERA_ABI_VERSION) {
    char line[96];
    itera_text text = itera_text_begin(line, sizeof line);
    itera_text_append(&text, "expected a host of abi version ");
    itera_text_append_number(&text, ITERA_ABI_VERSION);
    itera_text_append(&text, " or newer, but got ");
    itera_text_append_number(&text, max_abi);
    itera_host_log(&hooks, ITERA_LOG_ERROR, line);
    return NULL;
  }
  const char *fault = itera_find_fault(&itera_program);
  if (fault) {
    itera_host_log(&hooks, ITERA_LOG_ERROR, fault);
    return NULL;
  }
  uint64_t missing =
      itera_program.required_cpu_features & ~itera_cpu_features();
  if (missing) {
    log_missing(&hooks, missing);
    return NULL;
  }
  if (!itera_program.stream)
    return &whole_api;
  return itera_program.stream->rollback_window ? &rollback_api : &stream_api;
}
