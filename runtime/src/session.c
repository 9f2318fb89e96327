// SPDX-License-Identifier: Apache-2.0
//
// A session: one block of memory that holds the session itself and the scratch
// area of the model, so that running never allocates.

#include "runtime.h"

// Rounds up to a multiple of `align`, a power of two; 0 if that overflows.
static size_t round_up(size_t size, size_t align) {
  return size > SIZE_MAX - (align - 1) ? 0 : (size + align - 1) & ~(align - 1);
}

static itera_status out_of_memory(const itera_host *host, uint64_t bytes) {
  char line[96];
  itera_text text = itera_text_begin(line, sizeof line);
  itera_text_append(&text, "no memory for a session with ");
  itera_text_append_number(&text, bytes);
  itera_text_append(&text, " bytes of scratch");
  itera_host_log(host, ITERA_LOG_ERROR, line);
  return ITERA_ERROR_OUT_OF_MEMORY;
}

itera_status itera_session_create(const itera_model *model,
                                  itera_session **session) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  *session = NULL;
  if (!model)
    return ITERA_ERROR_INVALID_ARGUMENT;
  // Whole cache lines, so that sessions of different threads share none.
  enum { cache_line = 64 };
  uint64_t scratch = itera_program.scratch_bytes;
  size_t align = itera_program.scratch_align;
  if (align < cache_line)
    align = cache_line;
  size_t offset = round_up(sizeof(itera_session), align);
  size_t total;
  if (__builtin_add_overflow(offset, scratch, &total) ||
      !(total = round_up(total, align)))
    return out_of_memory(&model->host, scratch);
  itera_session *created = itera_host_alloc(&model->host, total, align);
  if (!created)
    return out_of_memory(&model->host, scratch);
  created->model = model;
  created->scratch = scratch ? (char *)created + offset : NULL;
  created->allocated = total;
  created->align = align;
  created->error[0] = '\0';
  *session = created;
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
