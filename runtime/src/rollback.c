// SPDX-License-Identifier: Apache-2.0
//
// The last frames taken back, as far as the model was compiled to.

#include "runtime.h"

uint64_t itera_rollback_window(void) {
  return itera_program.stream->rollback_window;
}

itera_status itera_rollback(itera_session *session, uint64_t frames) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = itera_check_open(session);
  if (status != ITERA_OK)
    return status;
  if (frames > session->undoable) {
    itera_text text = itera_text_begin(session->error, sizeof session->error);
    itera_text_append(&text, "expected at most ");
    itera_text_append_number(&text, session->undoable);
    itera_text_append(&text, " frames to take back, but got ");
    itera_text_append_number(&text, frames);
    return ITERA_ERROR_INVALID_ARGUMENT;
  }
  if (!frames)
    return ITERA_OK;
  const itera_host *host = &session->model->host;
  itera_host_trace(host, "rollback", ITERA_TRACE_BEGIN);
  itera_run_rollback(session, frames);
  itera_host_trace(host, "rollback", ITERA_TRACE_END);
  return ITERA_OK;
}
