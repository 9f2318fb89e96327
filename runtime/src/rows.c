// SPDX-License-Identifier: Apache-2.0
//
// Rows of a batch that go on as copies of one another, as in a beam search.
//
// That is only possible if every state has its rows apart, and if nothing that
// begin computed may differ between the rows.

#include "runtime.h"

static itera_status refuse_rows(itera_session *session, const char *what,
                                const char *name, const char *why) {
  itera_text text = itera_text_begin(session->error, sizeof session->error);
  itera_text_append(&text, what);
  itera_text_append_name(&text, name);
  itera_text_append(&text, why);
  return ITERA_ERROR_UNSUPPORTED;
}

// The size of the batch, if its rows can be told apart.
static itera_status count_rows(itera_session *session, uint64_t *rows) {
  const struct itera_program *program = &itera_program;
  const itera_stream *stream = program->stream;
  *rows = 0;
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (program->inputs[i].role == ITERA_ROLE_STATIC &&
        program->inputs[i].batch_dim >= 0)
      return refuse_rows(session, "the rows of input ", program->inputs[i].name,
                         " stay what they are for the whole stream");
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    const itera_tensor_info *state = &stream->states[i];
    uint64_t size = state->batch_dim < 0
                        ? 0
                        : (uint64_t)state->dims[state->batch_dim];
    if (!size || (i && size != *rows))
      return refuse_rows(session, "the rows of state ", state->name,
                         " are not independent");
    *rows = size;
  }
  return *rows ? ITERA_OK
               : itera_refuse(session, ITERA_ERROR_UNSUPPORTED,
                              "the model has no states with rows");
}

static void reorder(const itera_tensor_info *info, const char *from, char *to,
                    const uint32_t *rows, uint64_t count) {
  uint32_t batch = (uint32_t)info->batch_dim;
  uint64_t row = itera_dtype_size(info->dtype), outer = 1;
  for (uint32_t i = 0; i < info->rank; ++i)
    if (i < batch)
      outer *= (uint64_t)info->dims[i];
    else if (i > batch)
      row *= (uint64_t)info->dims[i];
  for (uint64_t i = 0; i < outer; ++i, from += count * row)
    for (uint64_t j = 0; j < count; ++j, to += row)
      memcpy(to, from + rows[j] * row, row);
}

itera_status itera_reorder_rows(itera_session *session, const uint32_t *rows,
                                uint32_t count) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  uint64_t expected;
  itera_status status = count_rows(session, &expected);
  if (status != ITERA_OK)
    return status;
  status = itera_check_begun(session);
  if (status != ITERA_OK)
    return status;
  if (count != expected)
    return itera_refuse_number(session, ITERA_ERROR_INVALID_ARGUMENT, "rows",
                               expected, "", count);
  if (!rows || (uintptr_t)rows % sizeof *rows)
    return itera_refuse(session, ITERA_ERROR_INVALID_ARGUMENT,
                        rows ? "rows: the pointer is not aligned"
                             : "rows: the pointer is null");
  for (uint32_t i = 0; i < count; ++i)
    if (rows[i] >= count) {
      itera_text text = itera_text_begin(session->error, sizeof session->error);
      itera_text_append(&text, "rows: expected numbers below ");
      itera_text_append_number(&text, count);
      itera_text_append(&text, ", but got ");
      itera_text_append_number(&text, rows[i]);
      return ITERA_ERROR_INVALID_ARGUMENT;
    }
  const itera_stream *stream = itera_program.stream;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    uint64_t offset = stream->state_offsets[i];
    reorder(&stream->states[i], session->state + offset,
            session->spare[0] + offset, rows, count);
  }
  itera_swap_states(session);
  return ITERA_OK;
}
