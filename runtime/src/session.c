// SPDX-License-Identifier: Apache-2.0
//
// A session: one block of memory that holds the session itself and all areas
// that the model works on, so that running never allocates.

#include "runtime.h"

// Whole cache lines, so that areas of different sessions share none.
enum { cache_line = 64 };

//===----------------------------------------------------------------------===//
// Ports
//===----------------------------------------------------------------------===//

// What is known of a tensor from the start; `count` is null for inputs.
static itera_port make_port(const itera_tensor_info *info,
                            const itera_count *count) {
  itera_port port = {.info = info};
  if (!itera_program.stream || info->role != ITERA_ROLE_STREAM)
    return port;
  uint32_t time = (uint32_t)info->time_dim;
  port.outer = 1;
  port.inner = itera_dtype_size(info->dtype);
  for (uint32_t i = 0; i < info->rank; ++i)
    if (i < time)
      port.outer = itera_times(port.outer, (uint64_t)info->dims[i]);
    else if (i > time)
      port.inner = itera_times(port.inner, (uint64_t)info->dims[i]);
  port.frame = itera_times(port.outer, port.inner);
  port.whole = (uint64_t)info->dims[time];
  if (count)
    port.single = itera_count_growth(count, 1);
  return port;
}

// Bytes for the frames of one entry; see feed.c. `count` is null for inputs.
static uint64_t staging_bytes(const itera_port *port,
                              const itera_count *count) {
  const itera_stream *stream = itera_program.stream;
  if (!stream || port->info->role != ITERA_ROLE_STREAM)
    return 0;
  uint64_t frames = port->single;
  if (port->outer != 1) {
    frames = stream->chunks[0].frames;
    if (count)
      frames = itera_count_growth(count, frames);
  }
  return itera_times(frames, port->frame);
}

//===----------------------------------------------------------------------===//
// Areas
//===----------------------------------------------------------------------===//

// Hands out areas of one block. Without a block it only counts the bytes;
// `used` is UINT64_MAX if there are too many.
typedef struct areas {
  char *block;
  uint64_t used;
} areas;

static void align_areas(areas *a, uint64_t align) {
  if (__builtin_add_overflow(a->used, align - 1, &a->used))
    a->used = UINT64_MAX;
  else
    a->used &= ~(align - 1);
}

static void *take_area(areas *a, uint64_t bytes, uint64_t align) {
  if (!bytes)
    return NULL;
  align_areas(a, align);
  uint64_t start = a->used;
  if (__builtin_add_overflow(start, bytes, &a->used))
    a->used = UINT64_MAX;
  return a->block ? a->block + start : NULL;
}

static uint64_t session_align(void) {
  uint64_t align = itera_program.scratch_align;
  return align < cache_line ? cache_line : align;
}

// The session and what it knows of the program.
static void place_session(areas *a, itera_session *session) {
  uint64_t inputs = itera_program.input_count;
  uint64_t outputs = itera_program.output_count;
  take_area(a, sizeof *session, 1);
  session->inputs = take_area(a, inputs * sizeof(itera_port), 8);
  session->outputs = take_area(a, outputs * sizeof(itera_port), 8);
  session->input_pointers = take_area(a, inputs * sizeof(void *), 8);
  session->output_pointers = take_area(a, outputs * sizeof(void *), 8);
}

static void place_staging(areas *a, itera_session *session, uint32_t index,
                          int output) {
  const itera_stream *stream = itera_program.stream;
  const itera_count *count = output && stream ? &stream->counts[index] : NULL;
  itera_port port = make_port(output ? &itera_program.outputs[index]
                                     : &itera_program.inputs[index],
                              count);
  port.staging = take_area(a, staging_bytes(&port, count), cache_line);
  if (a->block)
    (output ? session->outputs : session->inputs)[index] = port;
}

// What the model works on. `session` is filled in if there is a block.
static void place_work(areas *a, itera_session *session) {
  const struct itera_program *program = &itera_program;
  const itera_stream *stream = program->stream;
  session->scratch =
      take_area(a, program->scratch_bytes, program->scratch_align);
  if (stream) {
    uint64_t state = stream->state_bytes;
    session->constants = take_area(a, stream->constants_bytes, cache_line);
    session->state = take_area(a, state, cache_line);
    session->spare[0] = take_area(a, state, cache_line);
    session->spare[1] =
        take_area(a, stream->flush_frames > 1 ? state : 0, cache_line);
  }
  for (uint32_t i = 0; i < program->input_count; ++i)
    place_staging(a, session, i, 0);
  for (uint32_t i = 0; i < program->output_count; ++i)
    place_staging(a, session, i, 1);
  if (stream) {
    session->zero_bytes = 0;
    for (uint32_t i = 0; i < program->input_count; ++i)
      if (program->inputs[i].role == ITERA_ROLE_INITIAL_STATE &&
          program->inputs[i].bytes > session->zero_bytes)
        session->zero_bytes = program->inputs[i].bytes;
    session->zeros = take_area(a, session->zero_bytes, cache_line);
  }
}

uint64_t itera_scratch_bytes(void) {
  areas work = {0};
  itera_session ignored;
  place_work(&work, &ignored);
  return work.used;
}

//===----------------------------------------------------------------------===//
// Creation
//===----------------------------------------------------------------------===//

static itera_status out_of_memory(const itera_host *host) {
  char line[96];
  itera_text text = itera_text_begin(line, sizeof line);
  itera_text_append(&text, "no memory for a session with ");
  itera_text_append_number(&text, itera_scratch_bytes());
  itera_text_append(&text, " bytes of scratch");
  itera_host_log(host, ITERA_LOG_ERROR, line);
  return ITERA_ERROR_OUT_OF_MEMORY;
}

itera_status itera_session_allocate(const itera_model *model,
                                    itera_session **session) {
  areas a = {0};
  itera_session created = {.model = model, .align = session_align()};
  place_session(&a, &created);
  align_areas(&a, created.align);
  place_work(&a, &created);
  align_areas(&a, created.align);
  if (a.used > SIZE_MAX - created.align)
    return out_of_memory(&model->host);
  created.allocated = a.used;
  a = (areas){.block = itera_host_alloc(&model->host, a.used, created.align)};
  if (!a.block)
    return out_of_memory(&model->host);
  place_session(&a, &created);
  align_areas(&a, created.align);
  place_work(&a, &created);
  const itera_stream *stream = itera_program.stream;
  if (stream) {
    created.last_position = itera_last_position(&itera_program);
    // No byte of a stream may depend on what the memory held before.
    memset(created.constants, 0, stream->constants_bytes);
    memset(created.state, 0, stream->state_bytes);
    memset(created.spare[0], 0, stream->state_bytes);
  }
  *session = (itera_session *)(void *)a.block;
  **session = created;
  return ITERA_OK;
}

int itera_needs_begin(const struct itera_program *program) {
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (program->inputs[i].role == ITERA_ROLE_STATIC)
      return 1;
  return 0;
}

itera_status itera_session_create(const itera_model *model,
                                  itera_session **session) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  *session = NULL;
  if (!model)
    return ITERA_ERROR_INVALID_ARGUMENT;
  itera_status status = itera_session_allocate(model, session);
  if (status != ITERA_OK || !itera_program.stream)
    return status;
  if (!itera_needs_begin(&itera_program))
    itera_run_begin(*session); // every port's buffer is null: zeros
  return ITERA_OK;
}

void itera_session_destroy(itera_session *session) {
  if (session)
    itera_host_free(&session->model->host, session, session->allocated,
                    session->align);
}

const char *itera_last_error(const itera_session *session) {
  return session ? session->error : "the session is null";
}
