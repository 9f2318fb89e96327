/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a compiled model from plain C99.
 *
 *   run_model MODEL.so [INPUT.bin ...] [-o OUTPUT.bin ...]
 *
 * Prints what the model is and what it takes and gives. The inputs are read
 * from raw files, in the model's order; those that are not given are zero. The
 * outputs are written to the files after -o, as far as there are any.
 *
 * Needs nothing of Itera but the header itera/abi.h:
 *
 *   cc -std=c99 -I<itera>/include run_model.c -ldl -o run_model
 */
#include "itera/abi.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dtype_name(itera_dtype dtype) {
  switch (dtype) {
  case ITERA_FLOAT32:
    return "float32";
  case ITERA_UINT8:
    return "uint8";
  case ITERA_INT8:
    return "int8";
  case ITERA_UINT16:
    return "uint16";
  case ITERA_INT16:
    return "int16";
  case ITERA_INT32:
    return "int32";
  case ITERA_INT64:
    return "int64";
  case ITERA_BOOL:
    return "bool";
  case ITERA_FLOAT16:
    return "float16";
  case ITERA_FLOAT64:
    return "float64";
  case ITERA_UINT32:
    return "uint32";
  case ITERA_UINT64:
    return "uint64";
  case ITERA_BFLOAT16:
    return "bfloat16";
  default:
    return "unknown";
  }
}

static void print_tensor(const char *kind, const itera_tensor_info *info) {
  uint32_t axis;
  printf("%s %s %s", kind, info->name, dtype_name(info->dtype));
  for (axis = 0; axis < info->rank; ++axis)
    printf("%s%" PRId64, axis ? "x" : " ", info->dims[axis]);
  printf(" (%" PRIu64 " bytes)\n", info->bytes);
}

/* Where a model says why it refuses to run. */
static void log_to_stderr(void *ctx, int32_t level, const char *message) {
  (void)ctx, (void)level;
  fprintf(stderr, "run_model: %s\n", message);
}

/* The buffers of one side of the call. */
typedef struct buffers {
  uint32_t count;
  void **data;
  size_t *bytes;
} buffers;

/* Zeroed buffers of the right sizes; 0 if there is no memory. */
static int make_buffers(buffers *side, uint32_t count,
                        const itera_tensor_info *(*info)(uint32_t)) {
  uint32_t i;
  side->count = count;
  side->data = calloc(count + 1, sizeof *side->data);
  side->bytes = calloc(count + 1, sizeof *side->bytes);
  if (!side->data || !side->bytes)
    return 0;
  for (i = 0; i < count; ++i) {
    side->bytes[i] = (size_t)info(i)->bytes;
    side->data[i] = calloc(1, side->bytes[i] + 1);
    if (!side->data[i])
      return 0;
  }
  return 1;
}

static void free_buffers(buffers *side) {
  uint32_t i;
  for (i = 0; side->data && i < side->count; ++i)
    free(side->data[i]);
  free(side->data);
  free(side->bytes);
}

/* Reads exactly `bytes` bytes; a shorter or longer file is an error. */
static int read_file(const char *path, void *data, size_t bytes) {
  FILE *file = fopen(path, "rb");
  int ok;
  if (!file) {
    fprintf(stderr, "run_model: cannot open '%s'\n", path);
    return 0;
  }
  ok = fread(data, 1, bytes, file) == bytes && fgetc(file) == EOF;
  fclose(file);
  if (!ok)
    fprintf(stderr, "run_model: '%s': expected exactly %zu bytes\n", path,
            bytes);
  return ok;
}

static int write_file(const char *path, const void *data, size_t bytes) {
  FILE *file = fopen(path, "wb");
  int ok = file && fwrite(data, 1, bytes, file) == bytes;
  if (file && fclose(file))
    ok = 0;
  if (!ok)
    fprintf(stderr, "run_model: cannot write '%s'\n", path);
  return ok;
}

static int run(const itera_model_api *api, itera_session *session,
               buffers *inputs, buffers *outputs, char **paths) {
  uint32_t i;
  for (i = 0; *paths && strcmp(*paths, "-o"); ++i, ++paths) {
    if (i == inputs->count) {
      fprintf(stderr, "run_model: expected at most %u inputs\n",
              (unsigned)inputs->count);
      return 0;
    }
    if (!read_file(*paths, inputs->data[i], inputs->bytes[i]))
      return 0;
  }
  if (api->forward(session, (const void *const *)inputs->data, inputs->bytes,
                   inputs->count, outputs->data, outputs->bytes,
                   outputs->count) != ITERA_OK) {
    fprintf(stderr, "run_model: %s\n", api->last_error(session));
    return 0;
  }
  if (*paths)
    ++paths; /* the -o */
  for (i = 0; *paths; ++i, ++paths) {
    if (i == outputs->count) {
      fprintf(stderr, "run_model: expected at most %u outputs\n",
              (unsigned)outputs->count);
      return 0;
    }
    if (!write_file(*paths, outputs->data[i], outputs->bytes[i]))
      return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  itera_host host = {0};
  itera_model_query_fn query;
  const itera_model_api *api;
  itera_model *model = NULL;
  itera_session *session = NULL;
  buffers inputs = {0}, outputs = {0};
  void *library;
  uint32_t i;
  int ok;

  if (argc < 2) {
    fprintf(stderr,
            "usage: run_model MODEL.so [INPUT.bin ...] [-o OUTPUT.bin ...]\n");
    return 1;
  }
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "run_model: %s\n", dlerror());
    return 1;
  }
  /* C99 has no cast from an object pointer to a function pointer; POSIX
   * prescribes this way around it. */
  *(void **)&query = dlsym(library, ITERA_MODEL_QUERY_SYMBOL);
  if (!query) {
    fprintf(stderr, "run_model: '%s' is not a compiled model\n", argv[1]);
    return 1;
  }
  host.struct_size = sizeof host;
  host.log = log_to_stderr;
  api = query(ITERA_ABI_VERSION, &host);
  if (!api)
    return 1; /* the log has said why */

  printf("model %s\ncompiler %s\nflags %s\ntarget %s\nsource %s\n", api->name(),
         api->compiler_version(), api->compiler_flags(), api->target(),
         api->source_hash());
  for (i = 0; i < api->input_count(); ++i)
    print_tensor("input", api->input_info(i));
  for (i = 0; i < api->output_count(); ++i)
    print_tensor("output", api->output_info(i));
  printf("scratch %" PRIu64 " bytes\n", api->scratch_bytes());

  ok = api->model_create(&host, &model) == ITERA_OK &&
       api->session_create(model, &session) == ITERA_OK;
  if (ok && !(make_buffers(&inputs, api->input_count(), api->input_info) &&
              make_buffers(&outputs, api->output_count(), api->output_info))) {
    fprintf(stderr, "run_model: out of memory\n");
    ok = 0;
  }
  ok = ok && run(api, session, &inputs, &outputs, argv + 2);

  free_buffers(&inputs);
  free_buffers(&outputs);
  api->session_destroy(session);
  api->model_destroy(model);
  dlclose(library);
  return ok ? 0 : 1;
}
