// SPDX-License-Identifier: Apache-2.0
//
// A second session at the same place of the same stream.

#include "runtime.h"

itera_status itera_session_clone(itera_session *session,
                                 itera_session **clone) {
  if (!clone)
    return ITERA_ERROR_INVALID_ARGUMENT;
  *clone = NULL;
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status = itera_session_allocate(session->model, clone);
  if (status != ITERA_OK)
    return itera_refuse(session, status, "no memory for another session");
  const itera_stream *stream = itera_program.stream;
  itera_session *created = *clone;
  memcpy(created->constants, session->constants, stream->constants_bytes);
  memcpy(created->state, session->state, stream->state_bytes);
  created->begun = session->begun;
  created->finished = session->finished;
  created->undoable = session->undoable;
  itera_set_position(created, session->position);
  return ITERA_OK;
}
