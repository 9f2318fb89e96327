// SPDX-License-Identifier: Apache-2.0
//
// The whole model at once: check everything, then let the compiled code run.
//
// The code for whole inputs has the length of the source file. A model that
// streams runs any other length as a stream of one call.

#include "floatmode.h"
#include "runtime.h"

static void plan_whole(itera_session *session) {
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    session->inputs[i].rule = itera_rule_exact;
    session->inputs[i].need = session->inputs[i].info->bytes;
    session->inputs[i].row = session->inputs[i].whole;
  }
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    session->outputs[i].rule = itera_rule_exact;
    session->outputs[i].need = session->outputs[i].info->bytes;
    session->outputs[i].row = session->outputs[i].whole;
  }
}

static void run_whole(itera_session *session,
                      const itera_arguments *arguments) {
  const itera_call call = {.inputs = (void *const *)arguments->inputs,
                           .outputs = arguments->outputs,
                           .scratch = session->scratch,
                           .weights = itera_program.weights};
  itera_float_saved mode = itera_float_enter();
  itera_program.forward(&call);
  itera_float_leave(mode);
}

// How many frames the first streamed input has here, and how many it has in the
// source file. Both 0 if there is no such input. False if its bytes are no
// whole number of frames.
static int find_length(itera_session *session, const size_t *input_bytes,
                       uint64_t *frames, uint64_t *whole) {
  *frames = *whole = 0;
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    const itera_port *port = &session->inputs[i];
    if (port->info->role != ITERA_ROLE_STREAM || !port->frame)
      continue;
    *frames = input_bytes[i] / port->frame;
    *whole = port->whole;
    if (input_bytes[i] % port->frame == 0)
      return 1;
    itera_text text = itera_text_begin(session->error, sizeof session->error);
    itera_text_append(&text, "input ");
    itera_text_append_name(&text, port->info->name);
    itera_text_append(&text, ": expected a multiple of ");
    itera_text_append_number(&text, port->frame);
    itera_text_append(&text, " bytes, one frame, but got ");
    itera_text_append_number(&text, input_bytes[i]);
    return 0;
  }
  return 1;
}

// What a stream of `frames` frames demands: all that begin, prefill and finish
// do, and of the streamed outputs exactly all frames.
static itera_status plan_stream(itera_session *session, uint64_t frames) {
  const itera_stream *stream = itera_program.stream;
  itera_plan_begin(session);
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    itera_port *port = &session->inputs[i];
    if (port->info->role != ITERA_ROLE_STREAM)
      continue;
    port->rule = itera_rule_exact;
    port->row = frames;
    port->need = itera_times(frames, port->frame);
  }
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    itera_port *port = &session->outputs[i];
    port->rule = itera_rule_exact;
    port->row = 1;
    port->need = port->info->bytes;
    if (port->info->role != ITERA_ROLE_STREAM)
      continue;
    port->row = itera_count_at(&stream->totals[i], frames);
    port->need = itera_times(port->row, port->frame);
    if (!itera_count_is_whole(stream, i, frames))
      return itera_refuse_counts(session);
  }
  return ITERA_OK;
}

static itera_status forward_stream(itera_session *session, uint64_t frames,
                                   const itera_arguments *arguments) {
  itera_status status;
  if (frames > session->last_position)
    return itera_refuse_position(session, 0, frames);
  if ((status = plan_stream(session, frames)) != ITERA_OK ||
      (status = itera_take_inputs(session, arguments)) != ITERA_OK ||
      (status = itera_take_outputs(session, arguments)) != ITERA_OK)
    return status;
  // Nothing below can fail.
  const itera_host *host = &session->model->host;
  itera_host_trace(host, "forward", ITERA_TRACE_BEGIN);
  itera_run_begin(session);
  itera_run_feed(session, frames);
  itera_run_end(session);
  session->finished = 1;
  itera_host_trace(host, "forward", ITERA_TRACE_END);
  return ITERA_OK;
}

itera_status itera_forward(itera_session *session, const void *const *inputs,
                           const size_t *input_bytes, uint32_t input_count,
                           void *const *outputs, const size_t *output_bytes,
                           uint32_t output_count) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  const itera_arguments arguments = {inputs,  input_bytes,  input_count,
                                     outputs, output_bytes, output_count};
  itera_status status;
  if ((status = itera_check_inputs_array(session, &arguments)) != ITERA_OK ||
      (status = itera_check_outputs_array(session, &arguments)) != ITERA_OK)
    return status;
  if (itera_program.stream) {
    uint64_t frames, whole;
    if (!find_length(session, input_bytes, &frames, &whole))
      return ITERA_ERROR_INVALID_ARGUMENT;
    if (frames != whole)
      return forward_stream(session, frames, &arguments);
  }
  plan_whole(session);
  if ((status = itera_take_inputs(session, &arguments)) != ITERA_OK ||
      (status = itera_take_outputs(session, &arguments)) != ITERA_OK)
    return status;
  // Nothing below can fail.
  const itera_host *host = &session->model->host;
  itera_host_trace(host, "forward", ITERA_TRACE_BEGIN);
  run_whole(session, &arguments);
  itera_host_trace(host, "forward", ITERA_TRACE_END);
  return ITERA_OK;
}
