/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Continues a text with a language model of bytes: one input of an id for each
 * frame, one output of 256 logits. The prompt goes in at once, then every byte
 * that the model finds likeliest is printed and fed back.
 *
 *   generate_text MODEL.so COUNT TEXT
 *
 *   cc -std=c99 -I<itera>/include generate_text.c -ldl -o generate_text
 */
#include "itera/abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { vocabulary = 256 };

static int fail(const char *what) {
  fprintf(stderr, "generate_text: %s\n", what);
  return 1;
}

static void log_to_stderr(void *ctx, int32_t level, const char *message) {
  (void)ctx, (void)level;
  fail(message);
}

/* Finds the output of logits; the model must have one input, int64 ids. */
static int find_logits(const itera_model_api *api, uint32_t *logits) {
  const itera_tensor_info *info;
  uint32_t i;
  if (api->input_count() != 1 || api->input_info(0)->dtype != ITERA_INT64)
    return 0;
  for (i = 0; (info = api->output_info(i)); ++i)
    if (info->role == ITERA_ROLE_STREAM && info->dtype == ITERA_FLOAT32 &&
        info->latency <= 0 && info->rank && info->bytes &&
        info->dims[info->rank - 1] == vocabulary) {
      *logits = i;
      return 1;
    }
  return 0;
}

static int likeliest(const float *logits) {
  int best = 0, i;
  for (i = 1; i < vocabulary; ++i)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/* Feeds `length` bytes; gives the likeliest next one, or -1. */
static int feed(const itera_model_api *api, itera_session *session,
                uint32_t logits, const char *text, size_t length) {
  int64_t *ids = malloc(length * sizeof *ids);
  const void *inputs[1];
  size_t input_bytes[1];
  uint32_t count = api->output_count(), i;
  void **outputs = calloc(count, sizeof *outputs);
  size_t *output_bytes = calloc(count, sizeof *output_bytes);
  uint64_t *frames = calloc(count, sizeof *frames);
  int next = -1;
  if (!ids || !outputs || !output_bytes || !frames)
    exit(fail("out of memory"));
  for (i = 0; i < length; ++i)
    ids[i] = (unsigned char)text[i];
  inputs[0] = ids;
  input_bytes[0] = length * sizeof *ids;
  for (i = 0; i < count; ++i) {
    const itera_tensor_info *info = api->output_info(i);
    if (info->role != ITERA_ROLE_STREAM)
      continue; /* known at the end, which never comes */
    output_bytes[i] = (size_t)(info->bytes / info->dims[info->time_dim] *
                               api->frames_after(session, length, i));
    outputs[i] = malloc(output_bytes[i] + 1);
    if (!outputs[i])
      exit(fail("out of memory"));
  }
  if (api->prefill(session, length, inputs, input_bytes, 1, outputs,
                   output_bytes, count, frames) == ITERA_OK)
    next = likeliest((float *)outputs[logits] + (length - 1) * vocabulary);
  else
    fail(api->last_error(session));
  for (i = 0; i < count; ++i)
    free(outputs[i]);
  free(outputs);
  free(output_bytes);
  free(frames);
  free(ids);
  return next;
}

int main(int argc, char **argv) {
  itera_host host = {0};
  itera_model_query_fn query = NULL;
  const itera_model_api *api;
  itera_model *model = NULL;
  itera_session *session = NULL;
  void *library;
  uint32_t logits;
  int next, left;

  if (argc != 4 || !argv[3][0])
    return fail("usage: generate_text MODEL.so COUNT TEXT");
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(dlerror());
  *(void **)&query = dlsym(library, ITERA_MODEL_QUERY_SYMBOL);
  if (!query)
    return fail("not a compiled model");
  host.struct_size = sizeof host;
  host.log = log_to_stderr;
  api = query(ITERA_ABI_VERSION, &host);
  if (!api)
    return 1; /* the log has said why */
  if (!ITERA_HAS(api, itera_model_api, frames_total) || !api->prefill ||
      !find_logits(api, &logits))
    return fail("not a language model of bytes that streams");
  if (api->model_create(&host, &model) != ITERA_OK ||
      api->session_create(model, &session) != ITERA_OK)
    return 1;

  next = feed(api, session, logits, argv[3], strlen(argv[3]));
  for (left = atoi(argv[2]); left > 0 && next >= 0; --left) {
    char byte = (char)next;
    putchar(byte);
    fflush(stdout);
    if (left > 1)
      next = feed(api, session, logits, &byte, 1);
  }
  putchar('\n');

  api->session_destroy(session);
  api->model_destroy(model);
  dlclose(library);
  return next < 0;
}
