// SPDX-License-Identifier: Apache-2.0
//
// What may be asked of a tensor description, and of the buffers a caller gives
// for it.

#include "runtime.h"

size_t itera_dtype_size(itera_dtype dtype) {
  switch (dtype) {
  case ITERA_UINT8:
  case ITERA_INT8:
  case ITERA_BOOL:
    return 1;
  case ITERA_UINT16:
  case ITERA_INT16:
  case ITERA_FLOAT16:
  case ITERA_BFLOAT16:
    return 2;
  case ITERA_FLOAT32:
  case ITERA_INT32:
  case ITERA_UINT32:
    return 4;
  case ITERA_INT64:
  case ITERA_FLOAT64:
  case ITERA_UINT64:
    return 8;
  default:
    return 0;
  }
}

int itera_tensor_is_consistent(const itera_tensor_info *info) {
  uint64_t bytes = itera_dtype_size(info->dtype);
  if (info->struct_size != sizeof(*info) || !info->name || !bytes ||
      (info->rank && !info->dims))
    return 0;
  for (uint32_t i = 0; i < info->rank; ++i)
    if (info->dims[i] < 0 ||
        __builtin_mul_overflow(bytes, (uint64_t)info->dims[i], &bytes))
      return 0;
  return bytes == info->bytes;
}

// "<kind> '<name>': expected <expected> <what>, but got <got>"
static itera_status refuse(itera_session *session, const char *kind,
                           const char *name, const char *problem) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, kind);
  itera_text_append(&text, " ");
  itera_text_append_name(&text, name);
  itera_text_append(&text, ": ");
  itera_text_append(&text, problem);
  return ITERA_ERROR_INVALID_ARGUMENT;
}

static itera_status refuse_number(itera_session *session, const char *subject,
                                  const char *name, uint64_t expected,
                                  const char *unit, uint64_t got) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, subject);
  if (name) {
    itera_text_append(&text, " ");
    itera_text_append_name(&text, name);
  }
  itera_text_append(&text, ": expected ");
  itera_text_append_number(&text, expected);
  itera_text_append(&text, unit);
  itera_text_append(&text, ", but got ");
  itera_text_append_number(&text, got);
  return ITERA_ERROR_INVALID_ARGUMENT;
}

// One side of the call: counts, lengths, null pointers, alignment.
static itera_status check_side(itera_session *session, const char *kind,
                               const char *plural,
                               const itera_tensor_info *infos,
                               uint32_t expected, const void *const *pointers,
                               const size_t *bytes, uint32_t count) {
  if (count != expected)
    return refuse_number(session, plural, NULL, expected, "", count);
  if (!count)
    return ITERA_OK;
  if (!pointers || !bytes) {
    itera_text text = itera_text_begin(session->error, sizeof session->error);
    itera_text_append(&text, plural);
    itera_text_append(&text, ": the array of ");
    itera_text_append(&text, pointers ? "lengths" : "pointers");
    itera_text_append(&text, " is null");
    return ITERA_ERROR_INVALID_ARGUMENT;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const itera_tensor_info *info = &infos[i];
    if (bytes[i] != info->bytes)
      return refuse_number(session, kind, info->name, info->bytes, " bytes",
                           bytes[i]);
    if (!info->bytes)
      continue;
    if (!pointers[i])
      return refuse(session, kind, info->name, "the pointer is null");
    if ((uintptr_t)pointers[i] & (itera_dtype_size(info->dtype) - 1))
      return refuse(session, kind, info->name,
                    "the pointer is not aligned to the element size");
    if ((uintptr_t)pointers[i] > UINTPTR_MAX - bytes[i])
      return refuse(session, kind, info->name,
                    "the buffer passes the end of memory");
  }
  return ITERA_OK;
}

// Empty ranges overlap nothing. No overflow: check_side has seen to it.
static int overlap(const void *a, uint64_t a_bytes, const void *b,
                   uint64_t b_bytes) {
  return a_bytes && b_bytes && (uintptr_t)a < (uintptr_t)b + b_bytes &&
         (uintptr_t)b < (uintptr_t)a + a_bytes;
}

itera_status itera_check_buffers(itera_session *session,
                                 const void *const *inputs,
                                 const size_t *input_bytes,
                                 uint32_t input_count, void *const *outputs,
                                 const size_t *output_bytes,
                                 uint32_t output_count) {
  const struct itera_program *program = &itera_program;
  itera_status status =
      check_side(session, "input", "inputs", program->inputs,
                 program->input_count, inputs, input_bytes, input_count);
  if (status != ITERA_OK)
    return status;
  status = check_side(session, "output", "outputs", program->outputs,
                      program->output_count, (const void *const *)outputs,
                      output_bytes, output_count);
  if (status != ITERA_OK)
    return status;
  for (uint32_t i = 0; i < output_count; ++i) {
    const char *name = program->outputs[i].name;
    for (uint32_t j = 0; j < input_count; ++j)
      if (overlap(outputs[i], output_bytes[i], inputs[j], input_bytes[j]))
        return refuse(session, "output", name,
                      "the buffer overlaps an input's");
    for (uint32_t j = 0; j < i; ++j)
      if (overlap(outputs[i], output_bytes[i], outputs[j], output_bytes[j]))
        return refuse(session, "output", name,
                      "the buffer overlaps another output's");
  }
  return ITERA_OK;
}
