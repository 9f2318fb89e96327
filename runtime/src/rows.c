// SPDX-License-Identifier: Apache-2.0
//
// Rows of a batch that go on as copies of one another, as in a beam search.
//
// That is only possible if every state has its rows apart, and if nothing that
// begin computed may differ between the rows.

#include "runtime.h"

// The size of the batch, or 0 if its rows cannot be told apart.
static uint64_t count_rows(const struct itera_program *program) {
  const itera_stream *stream = program->stream;
  for (uint32_t i = 0; i < program->input_count; ++i)
    if (program->inputs[i].role == ITERA_ROLE_STATIC &&
        program->inputs[i].batch_dim >= 0)
      return 0;
  uint64_t rows = 0;
  for (uint32_t i = 0; i < stream->state_count; ++i) {
    const itera_tensor_info *state = &stream->states[i];
    if (state->batch_dim < 0)
      return 0;
    uint64_t size = (uint64_t)state->dims[state->batch_dim];
    if (i && size != rows)
      return 0;
    rows = size;
  }
  return rows;
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
  uint64_t expected = count_rows(&itera_program);
  if (!expected)
    return itera_refuse(session, ITERA_ERROR_UNSUPPORTED,
                        "the model's rows are not independent");
  itera_status status = itera_check_begun(session);
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
