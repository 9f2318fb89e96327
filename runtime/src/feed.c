// SPDX-License-Identifier: Apache-2.0
//
// Runs a stream whose arguments have been checked. Nothing here can fail.
//
// Compiled code knows a few fixed numbers of frames. A call of any number is
// cut into these: always the largest that fits and may run at the position, at
// last single frames. Each entry reads one state block and writes another; then
// the two change places.
//
// An entry wants dense tensors of its own number of frames. The caller's buffer
// serves where it is just that: if time is the outermost dimension, a piece of
// it is dense. Otherwise the frames go through staging memory. They also do
// where an entry for one frame brings fewer than it sometimes does: it always
// writes the most, of which the first ones count.

#include "floatmode.h"
#include "runtime.h"

static void enter(itera_session *session, itera_entry_fn entry,
                  const void *state, void *next_state) {
  const itera_call call = {.inputs = session->input_pointers,
                           .outputs = session->output_pointers,
                           .scratch = session->scratch,
                           .weights = itera_program.weights,
                           .constants = session->constants,
                           .state = state,
                           .next_state = next_state,
                           .clock = session->clock};
  entry(&call);
}

void itera_swap_states(itera_session *session) {
  char *state = session->state;
  session->state = session->spare[0];
  session->spare[0] = state;
}

//===----------------------------------------------------------------------===//
// Frames to and from an entry
//===----------------------------------------------------------------------===//

static void give_input(itera_port *port, void **pointer, uint64_t frames) {
  if (!port->base) {
    *pointer = NULL;
    return;
  }
  uint64_t offset = port->done * port->inner;
  port->done += frames;
  if (port->outer == 1 || port->row == frames) {
    *pointer = port->base + offset;
    return;
  }
  uint64_t bytes = frames * port->inner, stride = port->row * port->inner;
  for (uint64_t i = 0; i < port->outer; ++i)
    memcpy(port->staging + i * bytes, port->base + i * stride + offset, bytes);
  *pointer = port->staging;
}

static void give_inputs(itera_session *session, uint64_t frames) {
  for (uint32_t i = 0; i < itera_program.input_count; ++i)
    give_input(&session->inputs[i], &session->input_pointers[i], frames);
}

static void give_no_inputs(itera_session *session) {
  for (uint32_t i = 0; i < itera_program.input_count; ++i)
    session->input_pointers[i] = NULL;
}

// `single` is true for an entry that takes one frame.
static void give_output(itera_port *port, void **pointer, int single) {
  if (port->info->role != ITERA_ROLE_STREAM)
    *pointer = NULL;
  else if ((single && port->fresh != port->single) ||
           (port->outer != 1 && port->row != port->fresh))
    *pointer = port->staging;
  else
    *pointer = port->base ? port->base + port->done * port->inner : NULL;
}

static void give_outputs(itera_session *session, int single) {
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    give_output(&session->outputs[i], &session->output_pointers[i], single);
}

static void take_outputs(itera_session *session, int single) {
  for (uint32_t i = 0; i < itera_program.output_count; ++i) {
    itera_port *port = &session->outputs[i];
    if (port->info->role != ITERA_ROLE_STREAM)
      continue;
    if (session->output_pointers[i] == port->staging && port->fresh) {
      uint64_t bytes = port->fresh * port->inner;
      uint64_t stride = port->row * port->inner;
      uint64_t written = single ? port->single * port->inner : bytes;
      char *to = port->base + port->done * port->inner;
      for (uint64_t j = 0; j < port->outer; ++j)
        memcpy(to + j * stride, port->staging + j * written, bytes);
    }
    port->done += port->fresh;
  }
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

void itera_run_begin(itera_session *session) {
  const itera_stream *stream = itera_program.stream;
  if (stream->begin) {
    int zeroed = 0;
    for (uint32_t i = 0; i < itera_program.input_count; ++i) {
      const itera_port *port = &session->inputs[i];
      session->input_pointers[i] = port->base;
      if (port->info->role != ITERA_ROLE_INITIAL_STATE || port->base ||
          !port->info->bytes)
        continue;
      if (!zeroed)
        memset(session->zeros, 0, session->zero_bytes);
      zeroed = 1;
      session->input_pointers[i] = session->zeros;
    }
    for (uint32_t i = 0; i < itera_program.output_count; ++i)
      session->output_pointers[i] = NULL;
    session->clock[0] = 0;
    session->clock[1] = INT64_MAX;
    itera_float_saved mode = itera_float_enter();
    enter(session, stream->begin, NULL, NULL);
    itera_float_leave(mode);
  }
  session->begun = 1;
  itera_run_reset(session);
}

void itera_run_reset(itera_session *session) {
  give_no_inputs(session);
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    session->output_pointers[i] = NULL;
  session->clock[0] = 0;
  session->clock[1] = INT64_MAX;
  itera_float_saved mode = itera_float_enter();
  enter(session, itera_program.stream->reset, NULL, session->spare[0]);
  itera_float_leave(mode);
  itera_swap_states(session);
  session->finished = 0;
  session->undoable = 0;
  itera_set_position(session, 0);
}

// The largest chunk of at most `frames` frames that may run now.
static const itera_chunk *pick_chunk(const itera_stream *stream,
                                     uint64_t position, uint64_t frames) {
  const itera_chunk *last = &stream->chunks[stream->chunk_count - 1];
  if (frames == 1 || position < stream->warmup || position % stream->alignment)
    return last;
  const itera_chunk *chunk = stream->chunks;
  while (chunk->frames > frames)
    ++chunk;
  return chunk;
}

void itera_run_feed(itera_session *session, uint64_t frames) {
  const itera_stream *stream = itera_program.stream;
  itera_float_saved mode = itera_float_enter();
  while (frames) {
    const itera_chunk *chunk = pick_chunk(stream, session->position, frames);
    uint64_t position = session->position + chunk->frames;
    for (uint32_t i = 0; i < itera_program.output_count; ++i) {
      itera_port *port = &session->outputs[i];
      if (port->info->role != ITERA_ROLE_STREAM)
        continue;
      uint64_t count = itera_count_at(&stream->counts[i], position);
      port->fresh = count - port->count;
      port->count = count;
    }
    give_inputs(session, chunk->frames);
    give_outputs(session, chunk->frames == 1);
    session->clock[0] = (int64_t)session->position;
    session->clock[1] = INT64_MAX;
    session->clock[2] = (int64_t)session->undoable;
    enter(session, chunk->entry, session->state, session->spare[0]);
    take_outputs(session, chunk->frames == 1);
    itera_swap_states(session);
    session->position = position;
    session->undoable += chunk->frames;
    if (session->undoable > stream->rollback_window)
      session->undoable = stream->rollback_window;
    frames -= chunk->frames;
  }
  itera_float_leave(mode);
}

// The state blocks of the flush are the spare ones, so that the stream itself
// stays as it is.
void itera_run_end(itera_session *session) {
  const itera_stream *stream = itera_program.stream;
  char *state = session->state, *next = session->spare[0];
  itera_float_saved mode = itera_float_enter();
  session->clock[1] = (int64_t)session->position;
  give_no_inputs(session);
  for (uint64_t k = 0; k < stream->flush_frames; ++k) {
    for (uint32_t i = 0; i < itera_program.output_count; ++i)
      if (itera_program.outputs[i].role == ITERA_ROLE_STREAM)
        session->outputs[i].fresh =
            itera_count_end(stream, i, session->position, k + 1) -
            itera_count_end(stream, i, session->position, k);
    give_outputs(session, 1);
    session->clock[0] = (int64_t)(session->position + k);
    enter(session, stream->flush, state, next);
    take_outputs(session, 1);
    state = next;
    next = session->spare[next == session->spare[0]];
  }
  if (stream->final) {
    for (uint32_t i = 0; i < itera_program.output_count; ++i) {
      int final = itera_program.outputs[i].role == ITERA_ROLE_FINAL;
      session->output_pointers[i] = final ? session->outputs[i].base : NULL;
    }
    session->clock[0] = (int64_t)session->position;
    enter(session, stream->final, state, NULL);
  }
  itera_float_leave(mode);
}

void itera_run_rollback(itera_session *session, uint64_t frames) {
  uint64_t position = session->position - frames;
  give_no_inputs(session);
  for (uint32_t i = 0; i < itera_program.output_count; ++i)
    session->output_pointers[i] = NULL;
  session->clock[0] = (int64_t)session->position;
  session->clock[1] = (int64_t)position;
  session->clock[2] = (int64_t)session->undoable;
  itera_float_saved mode = itera_float_enter();
  enter(session, itera_program.stream->rollback, session->state,
        session->spare[0]);
  itera_float_leave(mode);
  itera_swap_states(session);
  session->undoable -= frames;
  itera_set_position(session, position);
}
