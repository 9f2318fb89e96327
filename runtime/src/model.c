// SPDX-License-Identifier: Apache-2.0
//
// A model: the code and weights are in the artefact already, so all that is
// created is the host's side of it.

#include "runtime.h"

itera_status itera_model_create(const itera_host *host, itera_model **model) {
  if (!model)
    return ITERA_ERROR_INVALID_ARGUMENT;
  *model = NULL;
  itera_host hooks;
  itera_status status = itera_host_copy(&hooks, host);
  if (status != ITERA_OK)
    return status;
  itera_model *created =
      itera_host_alloc(&hooks, sizeof *created, _Alignof(itera_model));
  if (!created) {
    itera_host_log(&hooks, ITERA_LOG_ERROR, "no memory for the model");
    return ITERA_ERROR_OUT_OF_MEMORY;
  }
  created->host = hooks;
  *model = created;
  return ITERA_OK;
}

void itera_model_destroy(itera_model *model) {
  if (!model)
    return;
  itera_host hooks = model->host; // outlives the block that holds it
  itera_host_free(&hooks, model, sizeof *model, _Alignof(itera_model));
}
