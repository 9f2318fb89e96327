// SPDX-License-Identifier: Apache-2.0
//
// The whole model at once: check everything, then let the compiled code run.

#include "runtime.h"

itera_status itera_forward(itera_session *session, const void *const *inputs,
                           const size_t *input_bytes, uint32_t input_count,
                           void *const *outputs, const size_t *output_bytes,
                           uint32_t output_count) {
  if (!session)
    return ITERA_ERROR_INVALID_ARGUMENT;
  session->error[0] = '\0';
  itera_status status =
      itera_check_buffers(session, inputs, input_bytes, input_count, outputs,
                          output_bytes, output_count);
  if (status != ITERA_OK)
    return status;
  // Nothing below can fail.
  const itera_host *host = &session->model->host;
  itera_host_trace(host, "forward", ITERA_TRACE_BEGIN);
  itera_call call = {.inputs = (void *const *)inputs,
                     .outputs = outputs,
                     .scratch = session->scratch,
                     .weights = itera_program.weights};
  itera_program.forward(&call);
  itera_host_trace(host, "forward", ITERA_TRACE_END);
  return ITERA_OK;
}
