// SPDX-License-Identifier: Apache-2.0
//
// The calls of a stream: each checks everything, and then runs what cannot
// fail. So a call that fails has changed nothing.

#include "runtime.h"

void itera_set_position(itera_session *session, uint64_t position) {
  session->position = position;
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    session->outputs[i].count =
        itera_program.outputs[i].role == ITERA_ROLE_STREAM
            ? itera_count_at(&itera_program.stream->counts[i], position)
            : 0;
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

itera_status itera_check_begun(itera_session *session) {
  if (session->begun)
    return ITERA_OK;
  return itera_refuse(session, ITERA_ERROR_OUT_OF_ORDER,
                      "the stream has not begun: call begin first");
}

itera_status itera_check_open(itera_session *session) {
  if (session->begun && !session->finished)
    return ITERA_OK;
  if (!session->begun)
    return itera_check_begun(session);
  return itera_refuse(session, ITERA_ERROR_OUT_OF_ORDER,
                      "the stream is finished: call begin, state_reset or "
                      "state_load first");
}

itera_status itera_refuse_position(itera_session *session, uint64_t position,
                                   uint64_t frames) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, "expected at most ");
  itera_text_append_number(&text, session->last_position);
  itera_text_append(&text, " frames in a stream, but got ");
  itera_text_append_number(&text, frames);
  if (position) {
    itera_text_append(&text, " after the first ");
    itera_text_append_number(&text, position);
  }
  return ITERA_ERROR_END_OF_POSITIONS;
}

//===----------------------------------------------------------------------===//
// Begin
//===----------------------------------------------------------------------===//

// What begin demands of the inputs.
void itera_plan_begin(itera_session *session) {
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    itera_port *port = &session->inputs[i];
    port->need = port->info->bytes;
    port->rule = port->info->role == ITERA_ROLE_STATIC ? itera_rule_exact
                 : port->info->role == ITERA_ROLE_INITIAL_STATE
                     ? itera_rule_optional
                     : itera_rule_unused;
  }
}

itera_status itera_begin(itera_session *session, const void *const *inputs,
                         const size_t *input_bytes, uint32_t input_count) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  const itera_arguments arguments = {
      .inputs = inputs, .input_bytes = input_bytes, .input_count = input_count};
  itera_status status = itera_check_inputs_array(session, &arguments);
  if (status != ITERA_OK)
    return status;
  itera_plan_begin(session);
  status = itera_take_inputs(session, &arguments);
  if (status != ITERA_OK)
    return status;
  const itera_host *host = &session->model->host;
  itera_host_trace(host, "begin", ITERA_TRACE_BEGIN);
  itera_run_begin(session);
  itera_host_trace(host, "begin", ITERA_TRACE_END);
  return ITERA_OK;
}

//===----------------------------------------------------------------------===//
// Prefill and step
//===----------------------------------------------------------------------===//

static void plan_feed(itera_session *session, uint64_t frames) {
  const itera_stream *stream = itera_program.stream;
  for (uint32_t i = 0; i < itera_program.input_count; ++i) {
    itera_port *port = &session->inputs[i];
    port->rule = itera_rule_unused;
    if (port->info->role != ITERA_ROLE_STREAM)
      continue;
    port->rule = itera_rule_exact;
    port->row = frames;
    port->need = itera_times(frames, port->frame);
  }
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    itera_port *port = &session->outputs[i];
    port->rule = itera_rule_unused;
    port->row = 0;
    if (port->info->role != ITERA_ROLE_STREAM)
      continue;
    port->rule = itera_rule_at_least;
    port->row = itera_count_at(&stream->counts[i], session->position + frames) -
                port->count;
    port->need = itera_times(port->row, port->frame);
  }
}

static void tell_frames(const itera_session *session, uint64_t *output_frames) {
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    output_frames[i] = session->outputs[i].row;
}

// Frames up to the end, with a blob at each multiple of `every` on the way.
static void run_with_snapshots(itera_session *session, uint64_t frames,
                               const itera_snapshots *snapshots) {
  size_t size = itera_state_size(session);
  char *blob = snapshots->blobs;
  while (frames) {
    uint64_t next = snapshots->every - session->position % snapshots->every;
    if (next > frames) {
      itera_run_feed(session, frames);
      return;
    }
    itera_run_feed(session, next);
    itera_state_save(session, blob, size);
    blob += size;
    frames -= next;
  }
}

// `snapshots` may be null.
static itera_status feed(itera_session *session, const char *name,
                         uint64_t frames, const itera_arguments *arguments,
                         uint64_t *output_frames,
                         const itera_snapshots *snapshots) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status;
  if ((status = itera_check_open(session)) != ITERA_OK ||
      (status = itera_check_inputs_array(session, arguments)) != ITERA_OK ||
      (status = itera_check_outputs_array(session, arguments)) != ITERA_OK ||
      (status = itera_check_frame_counts(session, output_frames)) != ITERA_OK)
    return status;
  if (frames > session->last_position - session->position)
    return itera_refuse_position(session, session->position, frames);
  plan_feed(session, frames);
  if ((status = itera_take_inputs(session, arguments)) != ITERA_OK ||
      (status = itera_take_outputs(session, arguments)) != ITERA_OK)
    return status;
  if (snapshots && (status = itera_check_snapshots(session, frames,
                                                   snapshots)) != ITERA_OK)
    return status;
  const itera_host *host = &session->model->host;
  itera_host_trace(host, name, ITERA_TRACE_BEGIN);
  if (snapshots)
    run_with_snapshots(session, frames, snapshots);
  else
    itera_run_feed(session, frames);
  itera_host_trace(host, name, ITERA_TRACE_END);
  tell_frames(session, output_frames);
  return ITERA_OK;
}

itera_status itera_prefill(itera_session *session, uint64_t frames,
                           const void *const *inputs, const size_t *input_bytes,
                           uint32_t input_count, void *const *outputs,
                           const size_t *output_bytes, uint32_t output_count,
                           uint64_t *output_frames) {
  const itera_arguments arguments = {inputs,  input_bytes,  input_count,
                                     outputs, output_bytes, output_count};
  return feed(session, "prefill", frames, &arguments, output_frames, NULL);
}

itera_status itera_prefill_snapshots(
    itera_session *session, uint64_t frames, const void *const *inputs,
    const size_t *input_bytes, uint32_t input_count, void *const *outputs,
    const size_t *output_bytes, uint32_t output_count, uint64_t *output_frames,
    uint64_t every, void *snapshots, size_t snapshot_bytes) {
  const itera_arguments arguments = {inputs,  input_bytes,  input_count,
                                     outputs, output_bytes, output_count};
  const itera_snapshots places = {every, snapshots, snapshot_bytes};
  return feed(session, "prefill", frames, &arguments, output_frames, &places);
}

itera_status itera_step(itera_session *session, const void *const *inputs,
                        const size_t *input_bytes, uint32_t input_count,
                        void *const *outputs, const size_t *output_bytes,
                        uint32_t output_count, uint64_t *output_frames) {
  const itera_arguments arguments = {inputs,  input_bytes,  input_count,
                                     outputs, output_bytes, output_count};
  return feed(session, "step", 1, &arguments, output_frames, NULL);
}

//===----------------------------------------------------------------------===//
// Finish and peek
//===----------------------------------------------------------------------===//

itera_status itera_refuse_counts(itera_session *session) {
  return itera_refuse(session, ITERA_ERROR_INTERNAL,
                      "the compiled stream contradicts itself about the frames "
                      "at its end");
}

// What the end of the stream demands of the outputs.
static itera_status plan_end(itera_session *session) {
  const itera_stream *stream = itera_program.stream;
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    itera_port *port = &session->outputs[i];
    port->rule = itera_rule_at_least;
    if (port->info->role == ITERA_ROLE_FINAL) {
      port->row = 1;
      port->need = port->info->bytes;
      continue;
    }
    if (!itera_count_is_whole(stream, i, session->position))
      return itera_refuse_counts(session);
    port->row =
        itera_count_at(&stream->totals[i], session->position) - port->count;
    port->need = itera_times(port->row, port->frame);
  }
  return ITERA_OK;
}

static itera_status end(itera_session *session, const char *name,
                        const itera_arguments *arguments,
                        uint64_t *output_frames) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status;
  if ((status = itera_check_open(session)) != ITERA_OK ||
      (status = itera_check_outputs_array(session, arguments)) != ITERA_OK ||
      (status = itera_check_frame_counts(session, output_frames)) != ITERA_OK ||
      (status = plan_end(session)) != ITERA_OK ||
      (status = itera_take_outputs(session, arguments)) != ITERA_OK)
    return status;
  const itera_host *host = &session->model->host;
  itera_host_trace(host, name, ITERA_TRACE_BEGIN);
  itera_run_end(session);
  itera_host_trace(host, name, ITERA_TRACE_END);
  tell_frames(session, output_frames);
  return ITERA_OK;
}

itera_status itera_finish(itera_session *session, void *const *outputs,
                          const size_t *output_bytes, uint32_t output_count,
                          uint64_t *output_frames) {
  const itera_arguments arguments = {.outputs = outputs,
                                     .output_bytes = output_bytes,
                                     .output_count = output_count};
  itera_status status = end(session, "finish", &arguments, output_frames);
  if (status == ITERA_OK)
    session->finished = 1;
  return status;
}

itera_status itera_peek(itera_session *session, void *const *outputs,
                        const size_t *output_bytes, uint32_t output_count,
                        uint64_t *output_frames) {
  const itera_arguments arguments = {.outputs = outputs,
                                     .output_bytes = output_bytes,
                                     .output_count = output_count};
  return end(session, "peek", &arguments, output_frames);
}

//===----------------------------------------------------------------------===//
// Questions
//===----------------------------------------------------------------------===//

uint64_t itera_position(const itera_session *session) {
  return session ? session->position : 0;
}

static int is_streamed(uint32_t output) {
  return output < itera_program.output_count &&
         itera_program.outputs[output].role == ITERA_ROLE_STREAM;
}

uint64_t itera_frames_after(const itera_session *session, uint64_t frames,
                            uint32_t output) {
  if (!session || !is_streamed(output) || session->finished ||
      frames > session->last_position - session->position)
    return 0;
  return itera_count_at(&itera_program.stream->counts[output],
                        session->position + frames) -
         session->outputs[output].count;
}

uint64_t itera_frames_left(const itera_session *session, uint32_t output) {
  if (!session || !is_streamed(output) || session->finished)
    return 0;
  const itera_stream *stream = itera_program.stream;
  return itera_count_at(&stream->totals[output], session->position) -
         session->outputs[output].count;
}

uint64_t itera_frames_total(uint64_t length, uint32_t output) {
  return is_streamed(output)
             ? itera_count_at(&itera_program.stream->totals[output], length)
             : 0;
}
