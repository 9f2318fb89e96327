/* SPDX-License-Identifier: Apache-2.0 */
/* A host that links the model itself and needs nothing but its header. */
#include "small_model.h"
#include <stdio.h>

int main(void) {
  const itera_model_api *api =
      itera_model_query_small_model(ITERA_ABI_VERSION, NULL);
  itera_model *model;
  itera_session *session;
  if (!api || api->model_create(NULL, &model) != ITERA_OK ||
      api->session_create(model, &session) != ITERA_OK)
    return 1;
  printf("%s: %u inputs, %u outputs\n", api->name(), api->input_count(),
         api->output_count());
  api->session_destroy(session);
  api->model_destroy(model);
  return 0;
}
