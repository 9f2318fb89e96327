/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts a stream: one process saves it to a file, another goes on with it.
 *
 *   save_and_restore MODEL.so save STATE.bin
 *   save_and_restore MODEL.so restore STATE.bin
 *
 * The first feeds 100 frames, saves, and feeds 100 more. The second loads what
 * was saved and feeds the same 100 frames. Both print a checksum of what these
 * delivered. Frames are made of their number, so that no file is needed: any
 * model that streams will do.
 *
 *   cc -std=c99 -I<itera>/include save_and_restore.c -ldl -o save_and_restore
 */
#include "itera/abi.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { frames_before = 100, frames_after = 100 };

static int fail(const char *what) {
  fprintf(stderr, "save_and_restore: %s\n", what);
  return 1;
}

static void log_to_stderr(void *ctx, int32_t level, const char *message) {
  (void)ctx, (void)level;
  fail(message);
}

static void *allocate(size_t bytes) {
  void *pointer = calloc(1, bytes + 1);
  if (!pointer)
    exit(fail("out of memory"));
  return pointer;
}

/* Bytes of one frame, or of all if there is no time. */
static size_t frame_bytes(const itera_tensor_info *info) {
  if (info->role != ITERA_ROLE_STREAM || !info->bytes)
    return (size_t)info->bytes;
  return (size_t)(info->bytes / (uint64_t)info->dims[info->time_dim]);
}

/* Some numbers that only depend on `seed`: floats in [-1, 1), or small
 * integers, which may be indices. */
static void fill(const itera_tensor_info *info, uint32_t seed, void *data) {
  size_t bytes = frame_bytes(info), i;
  for (i = 0; i < bytes; ++i) {
    seed = seed * 1664525u + 1013904223u;
    if (info->dtype != ITERA_FLOAT32)
      ((unsigned char *)data)[i] = i % 8 ? 0 : (seed >> 24) & 7;
    else if (i % 4 == 0)
      ((float *)data)[i / 4] = (float)(int32_t)seed / 2147483648.f;
  }
}

/* The buffers of the calls. */
typedef struct stream {
  const itera_model_api *api;
  itera_session *session;
  void **inputs, **outputs;
  size_t *input_bytes, *output_bytes;
  uint64_t *frames;
} stream;

static int begin(stream *s) {
  uint32_t i, count = s->api->input_count();
  for (i = 0; i < count; ++i) {
    s->input_bytes[i] = frame_bytes(s->api->input_info(i));
    s->inputs[i] = allocate(s->input_bytes[i]);
    fill(s->api->input_info(i), i, s->inputs[i]);
  }
  return s->api->begin(s->session, (const void *const *)s->inputs,
                       s->input_bytes, count) == ITERA_OK;
}

/* Feeds frames up to the position `end`; adds to the checksum of outputs. */
static int feed(stream *s, uint64_t end, uint64_t *checksum) {
  const itera_model_api *api = s->api;
  uint32_t i, inputs = api->input_count(), outputs = api->output_count();
  while (api->position(s->session) < end) {
    uint64_t position = api->position(s->session);
    for (i = 0; i < inputs; ++i)
      fill(api->input_info(i), (uint32_t)position * 31 + i, s->inputs[i]);
    for (i = 0; i < outputs; ++i) {
      free(s->outputs[i]);
      s->output_bytes[i] = frame_bytes(api->output_info(i));
      if (api->output_info(i)->role == ITERA_ROLE_STREAM)
        s->output_bytes[i] *= (size_t)api->frames_after(s->session, 1, i);
      s->outputs[i] = allocate(s->output_bytes[i]);
    }
    if (api->step(s->session, (const void *const *)s->inputs, s->input_bytes,
                  inputs, s->outputs, s->output_bytes, outputs,
                  s->frames) != ITERA_OK)
      return 0;
    for (i = 0; i < outputs; ++i) {
      size_t bytes = s->frames[i] ? s->output_bytes[i] : 0, k;
      for (k = 0; k < bytes; ++k) /* FNV-1a */
        *checksum = (*checksum ^ ((unsigned char *)s->outputs[i])[k]) *
                    1099511628211u;
    }
  }
  return 1;
}

static int save(const stream *s, const char *path) {
  size_t size = s->api->state_size(s->session);
  void *blob = allocate(size);
  FILE *file = fopen(path, "wb");
  int ok = s->api->state_save(s->session, blob, size) == ITERA_OK && file &&
           fwrite(blob, 1, size, file) == size;
  if (file && fclose(file))
    ok = 0;
  free(blob);
  if (ok)
    printf("saved %zu bytes\n", size);
  return ok;
}

static int restore(const stream *s, const char *path) {
  size_t size = s->api->state_size(s->session);
  void *blob = allocate(size);
  FILE *file = fopen(path, "rb");
  int ok = file && fread(blob, 1, size, file) == size && fgetc(file) == EOF;
  if (!ok)
    fail("the file is no state of this model");
  /* A damaged state, or that of another model, is refused. */
  ok = ok && s->api->state_load(s->session, blob, size) == ITERA_OK;
  if (file)
    fclose(file);
  free(blob);
  return ok;
}

static int run(stream *s, const char *command, const char *path) {
  uint64_t ignored = 0, checksum = 14695981039346656037u;
  if (!begin(s))
    return 0;
  if (!strcmp(command, "save")) {
    if (!feed(s, frames_before, &ignored) || !save(s, path))
      return 0;
  } else if (!restore(s, path)) {
    return 0;
  }
  printf("going on at frame %" PRIu64 "\n", s->api->position(s->session));
  if (!feed(s, frames_before + frames_after, &checksum))
    return 0;
  printf("checksum %016" PRIx64 "\n", checksum);
  return 1;
}

int main(int argc, char **argv) {
  itera_host host = {0};
  itera_model_query_fn query = NULL;
  itera_model *model = NULL;
  stream s = {0};
  void *library;
  uint32_t i;
  int ok;

  if (argc != 4 || (strcmp(argv[2], "save") && strcmp(argv[2], "restore")))
    return fail("usage: save_and_restore MODEL.so save|restore STATE.bin");
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(dlerror());
  *(void **)&query = dlsym(library, ITERA_MODEL_QUERY_SYMBOL);
  if (!query)
    return fail("not a compiled model");
  host.struct_size = sizeof host;
  host.log = log_to_stderr;
  s.api = query(ITERA_ABI_VERSION, &host);
  if (!s.api)
    return 1; /* the log has said why */
  if (!ITERA_HAS(s.api, itera_model_api, state_load) || !s.api->step)
    return fail("the model cannot stream");
  if (s.api->model_create(&host, &model) != ITERA_OK ||
      s.api->session_create(model, &s.session) != ITERA_OK)
    return 1;
  s.inputs = allocate(s.api->input_count() * sizeof *s.inputs);
  s.input_bytes = allocate(s.api->input_count() * sizeof *s.input_bytes);
  s.outputs = allocate(s.api->output_count() * sizeof *s.outputs);
  s.output_bytes = allocate(s.api->output_count() * sizeof *s.output_bytes);
  s.frames = allocate(s.api->output_count() * sizeof *s.frames);

  ok = run(&s, argv[2], argv[3]);
  if (!ok && s.api->last_error(s.session)[0])
    fail(s.api->last_error(s.session));

  for (i = 0; i < s.api->input_count(); ++i)
    free(s.inputs[i]);
  for (i = 0; i < s.api->output_count(); ++i)
    free(s.outputs[i]);
  free(s.inputs);
  free(s.input_bytes);
  free(s.outputs);
  free(s.output_bytes);
  free(s.frames);
  s.api->session_destroy(s.session);
  s.api->model_destroy(model);
  dlclose(library);
  return !ok;
}
