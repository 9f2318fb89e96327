/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the calls of a script, for check_foreign_streams.py:
 *
 *   stream_script MODEL.so < CALLS > RESULTS
 *
 * A call is a letter and a number, then the bytes of what it takes. What it
 * delivers is, for each output, a number of frames, a number of bytes, and those;
 * a blob is a number of bytes and those. All numbers are 64 bits, little-endian.
 *
 *   b 0  begin      takes the inputs without time
 *   f n  prefill    takes n frames of each input with time
 *   s 1  step       takes a frame of each
 *   e 0  finish     p 0  peek     r 0  state_reset
 *   w n  forward    takes all inputs, n frames of those with time
 *   S 0  state_save    L n  state_load, takes n bytes
 */
#include "itera/abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { kMost = 64 };
static void *data[kMost], *results[kMost];
static size_t sizes[kMost], result_sizes[kMost];
static uint64_t counts[kMost];

static void fail(const char *what) {
  fprintf(stderr, "stream_script: %s\n", what);
  exit(1);
}

static void log_line(void *context, int32_t level, const char *message) {
  (void)context;
  (void)level;
  fprintf(stderr, "stream_script: %s\n", message);
}

static void *take(size_t bytes) {
  void *memory = malloc(bytes ? bytes : 1);
  if (!memory || fread(memory, 1, bytes, stdin) != bytes)
    fail("the script ends early");
  return memory;
}

static void give(const void *memory, uint64_t bytes) {
  if (fwrite(&bytes, sizeof bytes, 1, stdout) != 1 ||
      fwrite(memory, 1, bytes, stdout) != bytes)
    fail("cannot write");
}

/* Bytes of so many frames, or of all where there is no time. */
static size_t bytes_of(const itera_tensor_info *info, uint64_t frames) {
  if (info->role != ITERA_ROLE_STREAM || !info->bytes)
    return info->bytes;
  return info->bytes / info->dims[info->time_dim] * frames;
}

static void take_inputs(const itera_model_api *api, uint64_t frames, int with,
                        int without) {
  uint32_t i;
  for (i = 0; i < api->input_count(); ++i) {
    const itera_tensor_info *info = api->input_info(i);
    int streams = info->role == ITERA_ROLE_STREAM;
    free(data[i]);
    data[i] = NULL;
    sizes[i] = 0;
    if (!(streams ? with : without))
      continue;
    sizes[i] = bytes_of(info, frames);
    data[i] = take(sizes[i]);
  }
}

int main(int argc, char **argv) {
  itera_host host = {.struct_size = sizeof host, .log = log_line};
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  itera_model_query_fn query;
  const itera_model_api *api;
  itera_model *model;
  itera_session *session;
  int letter;
  if (!library)
    fail(argc == 2 ? dlerror() : "expected a model");
  *(void **)&query = dlsym(library, "itera_model_query");
  api = query ? query(ITERA_ABI_VERSION, &host) : NULL;
  if (!api || api->model_create(NULL, &model) != ITERA_OK ||
      api->session_create(model, &session) != ITERA_OK)
    fail("no session");
  if (api->input_count() > kMost || api->output_count() > kMost)
    fail("too many tensors");

  while ((letter = getchar()) != EOF) {
    uint64_t number;
    uint32_t i, inputs = api->input_count(), outputs = api->output_count();
    itera_status status = ITERA_OK;
    const void *const *given = (const void *const *)data;
    int ends = letter == 'e' || letter == 'p';
    if (fread(&number, sizeof number, 1, stdin) != 1)
      fail("the script ends early");
    take_inputs(api, number, letter == 'f' || letter == 's' || letter == 'w',
                letter == 'b' || letter == 'w');
    for (i = 0; i < outputs; ++i) {
      const itera_tensor_info *info = api->output_info(i);
      uint64_t frames = !api->frames_total ? 0 /* no stream */
                        : letter == 'w'    ? api->frames_total(number, i)
                        : ends        ? api->frames_left(session, i)
                                      : api->frames_after(session, number, i);
      free(results[i]);
      result_sizes[i] = bytes_of(info, frames);
      results[i] = malloc(result_sizes[i] + 1);
      counts[i] = frames;
    }
    if (letter == 'b') {
      status = api->begin(session, given, sizes, inputs);
    } else if (letter == 'f') {
      status = api->prefill(session, number, given, sizes, inputs, results,
                            result_sizes, outputs, counts);
    } else if (letter == 's') {
      status = api->step(session, given, sizes, inputs, results, result_sizes,
                         outputs, counts);
    } else if (letter == 'e') {
      status = api->finish(session, results, result_sizes, outputs, counts);
    } else if (letter == 'p') {
      status = api->peek(session, results, result_sizes, outputs, counts);
    } else if (letter == 'w') {
      status = api->forward(session, given, sizes, inputs, results,
                            result_sizes, outputs);
    } else if (letter == 'r') {
      status = api->state_reset(session);
    } else if (letter == 'S') {
      size_t bytes = api->state_size(session);
      void *blob = malloc(bytes);
      status = api->state_save(session, blob, bytes);
      give(blob, bytes);
      free(blob);
    } else if (letter == 'L') {
      void *blob = take(number);
      status = api->state_load(session, blob, number);
      free(blob);
    } else {
      fail("unknown call");
    }
    if (status != ITERA_OK)
      fail(api->last_error(session));
    if (ends || letter == 'f' || letter == 's' || letter == 'w')
      for (i = 0; i < outputs; ++i) {
        const itera_tensor_info *info = api->output_info(i);
        int final = info->role != ITERA_ROLE_STREAM;
        fwrite(&counts[i], sizeof counts[i], 1, stdout);
        give(results[i], final && !ends && letter != 'w'
                             ? 0
                             : bytes_of(info, counts[i]));
      }
  }
  api->session_destroy(session);
  api->model_destroy(model);
  return fflush(stdout) ? 1 : 0;
}
