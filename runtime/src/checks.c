// SPDX-License-Identifier: Apache-2.0
//
// What may be wrong with the arguments of a call. A call says what it demands
// of each tensor in the tensor's port; the checks compare, and note the buffer
// there.

#include "runtime.h"

itera_status itera_refuse(itera_session *session, itera_status status,
                          const char *problem) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, problem);
  return status;
}

// "<kind> '<name>': <problem>"
static itera_status refuse(itera_session *session, const char *kind,
                           const itera_port *port, const char *problem) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, kind);
  itera_text_append(&text, " ");
  itera_text_append_name(&text, port->info->name);
  itera_text_append(&text, ": ");
  itera_text_append(&text, problem);
  return ITERA_ERROR_INVALID_ARGUMENT;
}

itera_status itera_refuse_number(itera_session *session, itera_status status,
                                 const char *what, uint64_t expected,
                                 const char *unit, uint64_t got) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, what);
  itera_text_append(&text, ": expected ");
  itera_text_append_number(&text, expected);
  itera_text_append(&text, unit);
  itera_text_append(&text, ", but got ");
  itera_text_append_number(&text, got);
  return status;
}

// "<kind> '<name>': expected [at least ]N bytes[ for M frames], but got K"
static itera_status refuse_length(itera_session *session, const char *kind,
                                  const itera_port *port, uint64_t got) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, kind);
  itera_text_append(&text, " ");
  itera_text_append_name(&text, port->info->name);
  itera_text_append(&text, ": expected ");
  if (port->rule == itera_rule_at_least)
    itera_text_append(&text, "at least ");
  itera_text_append_number(&text, port->need);
  itera_text_append(&text, " bytes");
  if (itera_program.stream && port->info->role == ITERA_ROLE_STREAM) {
    itera_text_append(&text, " for ");
    itera_text_append_number(&text, port->row);
    itera_text_append(&text, port->row == 1 ? " frame" : " frames");
  }
  itera_text_append(&text, ", but got ");
  itera_text_append_number(&text, got);
  return ITERA_ERROR_INVALID_ARGUMENT;
}

static itera_status check_array(itera_session *session, const char *plural,
                                uint32_t expected, const void *pointers,
                                const size_t *bytes, uint32_t count) {
  if (count != expected)
    return itera_refuse_number(session, ITERA_ERROR_INVALID_ARGUMENT, plural,
                               expected, "", count);
  if (!count || (pointers && bytes))
    return ITERA_OK;
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, plural);
  itera_text_append(&text, ": the array of ");
  itera_text_append(&text, pointers ? "lengths" : "pointers");
  itera_text_append(&text, " is null");
  return ITERA_ERROR_INVALID_ARGUMENT;
}

itera_status itera_check_inputs_array(itera_session *session,
                                      const itera_arguments *arguments) {
  return check_array(session, "inputs", itera_program.input_count,
                     arguments->inputs, arguments->input_bytes,
                     arguments->input_count);
}

itera_status itera_check_outputs_array(itera_session *session,
                                       const itera_arguments *arguments) {
  return check_array(session, "outputs", itera_program.output_count,
                     arguments->outputs, arguments->output_bytes,
                     arguments->output_count);
}

itera_status itera_check_frame_counts(itera_session *session,
                                      const uint64_t *output_frames) {
  if (!itera_program.output_count ||
      (output_frames && !((uintptr_t)output_frames % sizeof *output_frames)))
    return ITERA_OK;
  return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                      output_frames
                          ? "output_frames: the pointer is not aligned"
                          : "output_frames: the pointer is null");
}

// One buffer: length, null pointer, alignment, end of memory.
static itera_status take(itera_session *session, const char *kind,
                         itera_port *port, const void *pointer, size_t bytes) {
  port->base = NULL;
  port->given = 0;
  port->done = 0;
  if (port->rule == itera_rule_unused)
    return ITERA_OK;
  if (port->rule == itera_rule_optional && !pointer && !bytes)
    return ITERA_OK;
  if (port->rule == itera_rule_at_least ? bytes < port->need
                                        : bytes != port->need)
    return refuse_length(session, kind, port, bytes);
  if (!bytes)
    return ITERA_OK;
  if (!pointer)
    return !port->need || port->rule == itera_rule_optional
               ? ITERA_OK
               : refuse(session, kind, port, "the pointer is null");
  if ((uintptr_t)pointer & (itera_dtype_size(port->info->dtype) - 1))
    return refuse(session, kind, port,
                  "the pointer is not aligned to the element size");
  if ((uintptr_t)pointer > UINTPTR_MAX - bytes)
    return refuse(session, kind, port, "the buffer passes the end of memory");
  port->base = (char *)(uintptr_t)pointer;
  port->given = bytes;
  return ITERA_OK;
}

itera_status itera_take_inputs(itera_session *session,
                               const itera_arguments *arguments) {
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    itera_status status = take(session, "input", &session->inputs[i],
                               arguments->inputs[i], arguments->input_bytes[i]);
    if (status != ITERA_OK)
      return status;
  }
  return ITERA_OK;
}

// Empty ranges overlap nothing. No overflow: take has seen to it.
static int overlap(const itera_port *a, const itera_port *b) {
  return a->given && b->given &&
         (uintptr_t)a->base < (uintptr_t)b->base + b->given &&
         (uintptr_t)b->base < (uintptr_t)a->base + a->given;
}

itera_status itera_take_outputs(itera_session *session,
                                const itera_arguments *arguments) {
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    itera_port *port = &session->outputs[i];
    itera_status status = take(session, "output", port, arguments->outputs[i],
                               arguments->output_bytes[i]);
    if (status != ITERA_OK)
      return status;
    if (!port->given)
      continue;
    if (arguments->inputs)
      for (uint32_t j = 0; j < itera_program.input_count; ++j)
        if (overlap(port, &session->inputs[j]))
          return refuse(session, "output", port,
                        "the buffer overlaps an input's");
    for (uint32_t j = 0; j < i; ++j)
      if (overlap(port, &session->outputs[j]))
        return refuse(session, "output", port,
                      "the buffer overlaps another output's");
  }
  return ITERA_OK;
}

itera_status itera_check_snapshots(itera_session *session, uint64_t frames,
                                   const itera_snapshots *snapshots) {
  if (!snapshots->every)
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        "snapshots: expected one every 1 or more frames, but "
                        "got 0");
  uint64_t count = (session->position + frames) / snapshots->every -
                   session->position / snapshots->every;
  uint64_t bytes = itera_times(count, itera_state_size(session));
  if (snapshots->bytes != bytes)
    return itera_refuse_number(session, ITERA_ERROR_INVALID_ARGUMENT,
                               "snapshots", bytes, " bytes", snapshots->bytes);
  itera_port place = {.base = snapshots->blobs, .given = bytes};
  if (bytes && (!place.base || (uintptr_t)place.base > UINTPTR_MAX - bytes))
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        place.base ? "snapshots: the buffer passes the end of "
                                     "memory"
                                   : "snapshots: the pointer is null");
  int overlaps = 0;
  for (uint32_t i = 0; i < itera_program.input_count; ++i)
    overlaps |= overlap(&place, &session->inputs[i]);
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    overlaps |= overlap(&place, &session->outputs[i]);
  return overlaps ? itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                                 "snapshots: the buffer overlaps another")
                  : ITERA_OK;
}
