// SPDX-License-Identifier: Apache-2.0
//
// The door of an artefact: the table of functions, and who may have it.

#include "runtime.h"

static const char *get_name(void) { return itera_program.name; }
static const char *get_version(void) { return itera_program.compiler_version; }
static const char *get_flags(void) { return itera_program.flags; }
static const char *get_target(void) { return itera_program.target; }
static const char *get_hash(void) { return itera_program.source_hash; }
static uint32_t get_input_count(void) { return itera_program.input_count; }
static uint32_t get_output_count(void) { return itera_program.output_count; }
static uint64_t get_scratch(void) { return itera_program.scratch_bytes; }

static const itera_tensor_info *get_input(uint32_t index) {
  return index < itera_program.input_count ? &itera_program.inputs[index]
                                           : NULL;
}
static const itera_tensor_info *get_output(uint32_t index) {
  return index < itera_program.output_count ? &itera_program.outputs[index]
                                            : NULL;
}

static const itera_model_api api = {
    .struct_size = sizeof(itera_model_api),
    .abi_version = ITERA_ABI_VERSION,
    .name = get_name,
    .compiler_version = get_version,
    .compiler_flags = get_flags,
    .target = get_target,
    .source_hash = get_hash,
    .input_count = get_input_count,
    .input_info = get_input,
    .output_count = get_output_count,
    .output_info = get_output,
    .scratch_bytes = get_scratch,
    .model_create = itera_model_create,
    .model_destroy = itera_model_destroy,
    .session_create = itera_session_create,
    .session_destroy = itera_session_destroy,
    .last_error = itera_last_error,
    .forward = itera_forward,
};

// Null, or what is wrong with the constant that the compiler has emitted. It is
// checked once here so that no other part of the runtime has to doubt it.
static const char *find_fault(const struct itera_program *program) {
  if (program->struct_size != sizeof(*program) ||
      program->abi != ITERA_PROGRAM_ABI)
    return "the compiled program and the runtime have different versions";
  if (!program->name || !program->compiler_version || !program->flags ||
      !program->target || !program->source_hash || !program->forward)
    return "the compiled program lacks a string or its code";
  uint64_t align = program->scratch_align;
  if (!align || align > 4096 || (align & (align - 1)))
    return "the compiled program has a bad scratch alignment";
  if ((program->input_count && !program->inputs) ||
      (program->output_count && !program->outputs))
    return "the compiled program lacks a tensor table";
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (!itera_tensor_is_consistent(&program->inputs[i]))
      return "the compiled program describes an input inconsistently";
  for (uint32_t i = 0; i < program->output_count; ++i)
    if (!itera_tensor_is_consistent(&program->outputs[i]))
      return "the compiled program describes an output inconsistently";
  return NULL;
}

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
  const char *fault = find_fault(&itera_program);
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
  return &api;
}
