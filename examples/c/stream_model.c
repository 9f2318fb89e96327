/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a compiled model as a stream, frame by frame, from plain C99.
 *
 *   stream_model MODEL.so [INPUT.bin ...] [-o OUTPUT.bin ...]
 *
 * The inputs are raw files in the model's order. Of an input with time the file
 * holds one frame after another, as a microphone would deliver them; the stream
 * ends with the shortest such file. The outputs go to the files after -o in the
 * same way: whatever a step delivers is written at once, which may be nothing,
 * one frame or several.
 *
 *   cc -std=c99 -I<itera>/include stream_model.c -ldl -o stream_model
 */
#include "itera/abi.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A tensor of the model, its file, and the bytes of one call. */
typedef struct tensor {
  const itera_tensor_info *info;
  size_t frame; /* bytes of one frame, or of all if there is no time */
  size_t outer; /* pieces of a frame: the dimensions before time */
  FILE *file;
  void *data;
  size_t bytes;    /* that data has room for */
  uint64_t frames; /* written so far */
} tensor;

/* All that the calls want: the tensors, and arrays of their buffers. */
typedef struct side {
  uint32_t count;
  tensor *tensors;
  void **data;
  size_t *bytes;
  uint64_t *frames; /* of the outputs of one call */
} side;

static void *allocate(size_t count, size_t size) {
  void *pointer = calloc(count ? count : 1, size);
  if (!pointer) {
    fprintf(stderr, "stream_model: out of memory\n");
    exit(1);
  }
  return pointer;
}

/* Makes room for `frames` frames. */
static void reserve(tensor *t, uint64_t frames) {
  size_t bytes = (size_t)frames * t->frame;
  if (bytes <= t->bytes)
    return;
  free(t->data);
  t->data = allocate(bytes, 1);
  t->bytes = bytes;
}

static side make_side(uint32_t count,
                      const itera_tensor_info *(*info)(uint32_t)) {
  side s;
  uint32_t i;
  int32_t k;
  s.count = count;
  s.tensors = allocate(count, sizeof *s.tensors);
  s.data = allocate(count, sizeof *s.data);
  s.bytes = allocate(count, sizeof *s.bytes);
  s.frames = allocate(count, sizeof *s.frames);
  for (i = 0; i < count; ++i) {
    tensor *t = &s.tensors[i];
    t->info = info(i);
    t->frame = (size_t)t->info->bytes;
    t->outer = 1;
    for (k = 0; k < t->info->time_dim; ++k)
      t->outer *= (size_t)t->info->dims[k];
    if (t->info->role == ITERA_ROLE_STREAM && t->frame)
      t->frame /= (size_t)t->info->dims[t->info->time_dim];
  }
  return s;
}

static void free_side(side *s) {
  uint32_t i;
  for (i = 0; i < s->count; ++i) {
    if (s->tensors[i].file)
      fclose(s->tensors[i].file);
    free(s->tensors[i].data);
  }
  free(s->tensors);
  free(s->data);
  free(s->bytes);
  free(s->frames);
}

/* Opens the files of one side; returns what follows them, or null. */
static char **open_files(side *s, char **paths, const char *mode) {
  uint32_t i;
  for (i = 0; *paths && (*paths)[0] != '-'; ++i, ++paths) {
    if (i == s->count || !(s->tensors[i].file = fopen(*paths, mode))) {
      fprintf(stderr,
              i == s->count ? "stream_model: '%s' is one file too many\n"
                            : "stream_model: cannot open '%s'\n",
              *paths);
      return NULL;
    }
  }
  return paths;
}

/* Reads the next frame of every input that has time, or the inputs without
 * time. 0 if one of them has no more. */
static int read_inputs(side *s, int streamed) {
  uint32_t i;
  for (i = 0; i < s->count; ++i) {
    tensor *t = &s->tensors[i];
    s->data[i] = NULL;
    s->bytes[i] = 0;
    if ((t->info->role == ITERA_ROLE_STREAM) != streamed)
      continue;
    if (!t->file && t->info->role == ITERA_ROLE_INITIAL_STATE)
      continue; /* null: zeros */
    reserve(t, 1);
    if (!t->file || fread(t->data, 1, t->frame, t->file) != t->frame)
      return 0;
    s->data[i] = t->data;
    s->bytes[i] = t->frame;
  }
  return 1;
}

/* Makes room for what the next call delivers: one more frame, or the end. */
static void expect_outputs(side *s, const itera_model_api *api,
                           const itera_session *session, int end) {
  uint32_t i;
  for (i = 0; i < s->count; ++i) {
    tensor *t = &s->tensors[i];
    if (t->info->role == ITERA_ROLE_STREAM)
      reserve(t, end ? api->frames_left(session, i)
                     : api->frames_after(session, 1, i));
    else
      reserve(t, 1);
    s->data[i] = t->data;
    s->bytes[i] = t->bytes;
  }
}

/* Writes `frames` frames one after another. A call delivers them with time in
 * its own place: each piece of a frame lies beside that of the next frame. */
static int write_frames(const tensor *t, size_t frames) {
  size_t inner = t->outer ? t->frame / t->outer : 0, i, k;
  for (i = 0; i < frames; ++i)
    for (k = 0; k < t->outer; ++k)
      if (fwrite((char *)t->data + (k * frames + i) * inner, 1, inner,
                 t->file) != inner)
        return 0;
  return 1;
}

static int write_outputs(side *s) {
  uint32_t i;
  for (i = 0; i < s->count; ++i) {
    tensor *t = &s->tensors[i];
    t->frames += s->frames[i];
    if (t->file && !write_frames(t, (size_t)s->frames[i])) {
      fprintf(stderr, "stream_model: cannot write '%s'\n", t->info->name);
      return 0;
    }
  }
  return 1;
}

static int run(const itera_model_api *api, itera_session *session, side *inputs,
               side *outputs) {
  itera_status status;
  if (!read_inputs(inputs, 0)) {
    fprintf(stderr, "stream_model: an input without time is missing\n");
    return 0;
  }
  status = api->begin(session, (const void *const *)inputs->data, inputs->bytes,
                      inputs->count);
  while (status == ITERA_OK && read_inputs(inputs, 1)) {
    expect_outputs(outputs, api, session, 0);
    status = api->step(session, (const void *const *)inputs->data,
                       inputs->bytes, inputs->count, outputs->data,
                       outputs->bytes, outputs->count, outputs->frames);
    if (status == ITERA_OK && !write_outputs(outputs))
      return 0;
  }
  if (status == ITERA_OK) {
    expect_outputs(outputs, api, session, 1);
    status = api->finish(session, outputs->data, outputs->bytes, outputs->count,
                         outputs->frames);
  }
  if (status != ITERA_OK) {
    fprintf(stderr, "stream_model: %s\n", api->last_error(session));
    return 0;
  }
  return write_outputs(outputs);
}

static void log_to_stderr(void *ctx, int32_t level, const char *message) {
  (void)ctx, (void)level;
  fprintf(stderr, "stream_model: %s\n", message);
}

int main(int argc, char **argv) {
  itera_host host = {0};
  itera_model_query_fn query;
  const itera_model_api *api;
  itera_model *model = NULL;
  itera_session *session = NULL;
  side inputs, outputs;
  char **paths;
  void *library;
  uint32_t i;
  int ok;

  if (argc < 2) {
    fprintf(
        stderr,
        "usage: stream_model MODEL.so [INPUT.bin ...] [-o OUTPUT.bin ...]\n");
    return 1;
  }
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "stream_model: %s\n", dlerror());
    return 1;
  }
  *(void **)&query = dlsym(library, ITERA_MODEL_QUERY_SYMBOL);
  if (!query) {
    fprintf(stderr, "stream_model: '%s' is not a compiled model\n", argv[1]);
    return 1;
  }
  host.struct_size = sizeof host;
  host.log = log_to_stderr;
  api = query(ITERA_ABI_VERSION, &host);
  if (!api)
    return 1; /* the log has said why */
  if (!ITERA_HAS(api, itera_model_api, frames_total) || !api->step) {
    fprintf(stderr, "stream_model: the model cannot stream\n");
    return 1;
  }

  inputs = make_side(api->input_count(), api->input_info);
  outputs = make_side(api->output_count(), api->output_info);
  paths = open_files(&inputs, argv + 2, "rb");
  if (paths && *paths)
    paths = open_files(&outputs, paths + 1, "wb");
  ok = paths && api->model_create(&host, &model) == ITERA_OK &&
       api->session_create(model, &session) == ITERA_OK &&
       run(api, session, &inputs, &outputs);
  if (ok) {
    printf("frames %" PRIu64 "\n", api->position(session));
    for (i = 0; i < outputs.count; ++i)
      printf("output %s %" PRIu64 "\n", outputs.tensors[i].info->name,
             outputs.tensors[i].frames);
  }

  free_side(&inputs);
  free_side(&outputs);
  api->session_destroy(session);
  api->model_destroy(model);
  dlclose(library);
  return ok ? 0 : 1;
}
